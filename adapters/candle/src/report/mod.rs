//! What an operator asks about a model: what it holds, how quick it is here, what it computes.
//!
//! Behind `magpie model inspect | bench | eval`. These look at the network itself, below the scheduler, so that what they
//! say can be compared with what other programs say of the same file.

mod bench;
mod chat;
mod evaluate;
mod holdings;
mod memory;
mod needs;

use std::path::PathBuf;

pub use bench::{BenchListener, BenchPlan, BenchSetting, BenchSubject, Speed, bench};
pub use evaluate::evaluate;
pub use holdings::{FormatShare, Holdings, NetworkShape, TemplateShown, VocabularyShown, look_into};
pub use memory::ResidentMemory;
pub use needs::MemoryNeeds;

use crate::arch::Spec;
use crate::error::LoadError;
use crate::file::ModelFile;
use crate::native::{NativeConfig, NativeNetwork};
use crate::network::NetworkError;
use magpie_kernels::{CacheKind, PAGE_TOKENS, Tier};

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// The model can't be used.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// What was asked for is not possible with this model or on this machine.
    #[error("{0}")]
    Usage(String),
    /// The device failed.
    #[error("the model could not be computed")]
    Compute(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// What was computed can't be written.
    #[error("the result can't be written")]
    Output(#[source] std::io::Error),
}

impl From<NetworkError> for ReportError {
    fn from(error: NetworkError) -> Self {
        Self::Compute(Box::new(error))
    }
}

/// Which model is run how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// A file or folder on this machine.
    pub path: PathBuf,
    /// 0 means the physical cores.
    pub threads: usize,
    /// Instruction set, by its name; `None` takes the best there is.
    pub kernels: Option<String>,
}

impl Run {
    fn tier(&self) -> Result<Tier, ReportError> {
        let Some(wanted) = &self.kernels else { return Ok(Tier::best()) };
        let available = Tier::available();
        available.iter().copied().find(|tier| tier.name() == wanted).ok_or_else(|| {
            let names: Vec<&str> = available.iter().map(|tier| tier.name()).collect();
            ReportError::Usage(format!("this processor has no kernels {wanted:?}; it has {}", names.join(", ")))
        })
    }

    /// Loads the model with memory for sequences of `tokens`, one for each. `progress` is told the bytes done and all.
    fn load(
        &self,
        file: &ModelFile,
        tokens: &[usize],
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<NativeNetwork, ReportError> {
        let spec = Spec::of(file)?;
        let longest = tokens.iter().copied().max().unwrap_or_default();
        if longest > spec.context_tokens {
            let context = spec.context_tokens;
            return Err(ReportError::Usage(format!("{longest} tokens are too many; the model takes {context}")));
        }
        let page = spec.page_shape(CacheKind::F16).page_bytes();
        let config = NativeConfig {
            threads: self.threads,
            tier: self.tier()?,
            quantization: None,
            cache: CacheKind::F16,
            cache_bytes: tokens.iter().map(|tokens| tokens.div_ceil(PAGE_TOKENS) * page).sum::<usize>().max(page),
            context_tokens: longest,
        };
        Ok(NativeNetwork::load(file, spec, &config, progress)?)
    }
}
