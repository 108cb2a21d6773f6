//! Why an embedding model can't be used, by what an operator can do about it.

use std::path::PathBuf;

use crate::device::DeviceError;

#[derive(Debug, thiserror::Error)]
pub enum EncoderError {
    /// Wrong path, or no right to read it.
    #[error(
        "{path} can't be read; model.embedding.path must be a folder with config.json, *.safetensors and tokenizer.json"
    )]
    File {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    /// Half a download, or files that do not belong together.
    #[error("{path} is not a complete embedding model: {what}; fetch it anew")]
    Broken {
        path: PathBuf,
        what: String,
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// A good model for other programs.
    #[error("{path} can't be run by this service: {what}")]
    Unsupported { path: PathBuf, what: String },
    #[error(transparent)]
    Device(#[from] DeviceError),
}
