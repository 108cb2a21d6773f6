//! What an operator says about the local model.

use std::path::PathBuf;

/// `[model.local]`, as far as this engine follows it.
#[derive(Debug, Clone, PartialEq)]
pub struct CandleConfig {
    /// A `.gguf` file.
    pub path: PathBuf,
    /// Lower or upper case hex; `None` loads the file unchecked.
    pub sha256: Option<String>,
    /// Another GGUF file to take the tokenizer from.
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
    /// Prompts that may wait for the one that is being answered.
    pub queue_limit: usize,
    /// Worker threads; 0 means the physical cores. Candle reads the number once per process, from
    /// `CANDLE_NUM_THREADS`, so another number can only be asked for there; a difference is logged.
    pub threads: usize,
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
            queue_limit: 500,
            threads: 0,
        }
    }
}
