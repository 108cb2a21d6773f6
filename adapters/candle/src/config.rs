//! What an operator says about the local model.

use std::path::PathBuf;

pub use magpie_kernels::CacheKind;

use crate::device::DeviceChoice;
use crate::file::Quantization;

/// `[model.local]`, as far as this engine follows it.
#[derive(Debug, Clone, PartialEq)]
pub struct CandleConfig {
    /// A `.gguf` file or a folder with safetensors; or an address or `hf:` name, for an engine that can fetch it.
    pub path: PathBuf,
    /// Lower or upper case hex; `None` loads the file unchecked.
    pub sha256: Option<String>,
    /// Another GGUF file or folder to take the tokenizer from.
    pub tokenizer: Option<PathBuf>,
    /// `chatml`, `llama3`, a template in Jinja, or the path of a file with one; `None` takes the model's own.
    pub chat_template: Option<String>,
    /// Prompt plus answer; the model's own limit holds where it is lower.
    pub context_tokens: usize,
    /// Longest answer of a prompt that names no limit.
    pub max_tokens: u32,
    /// 0 always takes the likeliest token.
    pub temperature: f64,
    pub top_p: f64,
    /// Answers that are computed at once.
    pub max_batch_size: usize,
    /// Prompts that may wait beyond those.
    pub queue_limit: usize,
    /// Memory for keys and values of all conversations together.
    pub cache_bytes: usize,
    /// How they are kept in it.
    pub cache: CacheKind,
    /// What weights that come as floats become; `None` keeps them.
    pub quantization: Option<Quantization>,
    /// Threads that compute; 0 means the physical cores.
    pub threads: usize,
    pub device: DeviceChoice,
}

impl CandleConfig {
    /// The defaults of `config/default.toml` for the model at `path`.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            sha256: None,
            tokenizer: None,
            chat_template: None,
            context_tokens: 4096,
            max_tokens: 2048,
            temperature: 0.7,
            top_p: 0.95,
            max_batch_size: 16,
            queue_limit: 500,
            cache_bytes: 1 << 30,
            cache: CacheKind::F16,
            quantization: None,
            threads: 0,
            device: DeviceChoice::Auto,
        }
    }
}
