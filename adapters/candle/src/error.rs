//! Why a model can't be used, by what an operator can do about it.

use std::path::PathBuf;

#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// Wrong path, or no right to read it.
    #[error("{path} can't be read; check model.local.path and its permissions")]
    File {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    /// Another file than the one that was meant, or half of it.
    #[error("{path} has the SHA-256 {actual}, model.local.sha256 says {expected}; fetch the file anew")]
    Checksum { path: PathBuf, expected: String, actual: String },
    /// Not GGUF, cut off, or without something that every model file has.
    #[error("{path} is not a complete GGUF model: {what}")]
    Broken {
        path: PathBuf,
        what: String,
        #[source]
        source: Option<Box<candle_core::Error>>,
    },
    /// A good file for other programs.
    #[error("{path} can't be run by this engine: {what}")]
    Unsupported { path: PathBuf, what: String },
    /// The template does not parse.
    #[error("the chat template can't be used: {what}; check model.local.chat_template")]
    Template {
        what: String,
        #[source]
        source: Option<minijinja::Error>,
    },
}
