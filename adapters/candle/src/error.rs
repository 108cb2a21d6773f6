//! Why a model can't be used, by what an operator can do about it.

use std::path::PathBuf;

use crate::device::DeviceError;
use crate::file::MemoryNeed;

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
    /// Not a model, cut off, or without something that every model file has.
    #[error("{path} is not a complete model: {what}")]
    Broken {
        path: PathBuf,
        what: String,
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// A good file for other programs.
    #[error("{path} can't be run by this engine: {what}")]
    Unsupported { path: PathBuf, what: String },
    /// Neither a path nor an address or name that can be used.
    #[error("model.local.path can't be used: {what}")]
    Source { what: String },
    /// The network, or who is at its other end; a later start may succeed.
    #[error("{from} can't be fetched: {what}")]
    Download {
        from: String,
        what: String,
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// Downloads can't be kept.
    #[error("{path} can't be written; check model.local.download_folder")]
    Folder {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    /// The disk is too full for a download.
    #[error(
        "{folder} has {free_bytes} bytes free, the model needs {needed_bytes} more; make room or change model.local.download_folder"
    )]
    Space { folder: PathBuf, needed_bytes: u64, free_bytes: u64 },
    /// The machine or its share of it is too small.
    #[error(
        "{path} needs at least {} bytes of memory (weights {}, keys and values of one context {}, working memory {}), \
         {whose} has {free_bytes} left; take a smaller or more quantised model, or lower model.local.context_tokens",
        need.least(), need.weights, need.least_cache, need.working
    )]
    Memory { path: PathBuf, need: MemoryNeed, free_bytes: u64, whose: &'static str },
    /// Nobody waits for the model any more.
    #[error("loading was given up")]
    Cancelled,
    /// The machine has too little of something.
    #[error("the model can't be set up: {what}; free some memory or lower model.local.threads and the cache's size")]
    Resources {
        what: &'static str,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Not built in or not there.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// The template does not parse.
    #[error("the chat template can't be used: {what}; check model.local.chat_template")]
    Template {
        what: String,
        #[source]
        source: Option<minijinja::Error>,
    },
}
