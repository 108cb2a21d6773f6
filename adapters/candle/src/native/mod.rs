//! Networks on the processor, with the kernels of `magpie-kernels`.
//!
//! `weights` packs a file's matrices, `forward` runs a batch through them.

mod forward;
mod weights;

use magpie_kernels::{CacheKind, Compute, Matrix, Pages, Tier};

use crate::arch::Spec;
use crate::error::LoadError;
use crate::file::{ModelFile, Quantization};
use crate::network::{Batch, Network, NetworkError, NetworkLimits, PAGE_TOKENS, PageId};
use crate::weights::{Quantising, load};

use forward::Buffers;
use weights::{Packer, Weights};

/// How a network is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NativeConfig {
    /// 0 means the physical cores.
    pub threads: usize,
    pub tier: Tier,
    /// What matrices of floats become; `None` keeps them.
    pub quantization: Option<Quantization>,
    pub cache: CacheKind,
    /// Memory for keys and values of all sequences.
    pub cache_bytes: usize,
    /// Longest sequence; the file's limit holds where it is lower.
    pub context_tokens: usize,
}

/// Where a network's memory goes, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MemoryReport {
    pub weights: usize,
    /// Reserved for keys and values; the system gives it as it is filled.
    pub cache: usize,
}

/// A network with its weights and its memory.
pub(crate) struct NativeNetwork {
    spec: Spec,
    compute: Compute,
    weights: Weights,
    pages: Pages,
    buffers: Buffers,
    limits: NetworkLimits,
}

impl NativeNetwork {
    /// Packs all weights of `file`, whose shape is `spec`, and reserves the cache. `progress` is told the packed bytes
    /// of the file and all of them after each tensor.
    ///
    /// # Errors
    /// The file's weights can't be used, or the system refuses memory or threads.
    pub(crate) fn load(
        file: &ModelFile,
        spec: Spec,
        config: &NativeConfig,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<Self, LoadError> {
        let compute = Compute::new(config.threads, config.tier)
            .map_err(|source| resources("threads to compute with can't be started", source))?;
        let quantising = Quantising { quantization: config.quantization, threads: compute.threads() };
        let weights = load(file, &spec, quantising, &Packer { file, compute: &compute }, progress)?;
        let shape = spec.page_shape(config.cache);
        let page_bytes = shape.page_bytes();
        let count = (config.cache_bytes / page_bytes).clamp(1, u32::MAX as usize);
        let pages = Pages::new(shape, count)
            .map_err(|source| resources("the memory for keys and values can't be reserved", source))?;
        let context_tokens = spec.context_tokens.min(config.context_tokens).min(count.saturating_mul(PAGE_TOKENS));
        let limits = NetworkLimits { vocabulary: spec.vocabulary, context_tokens, pages: count, page_bytes };
        let buffers = Buffers::new(&spec);
        Ok(Self { spec, compute, weights, pages, buffers, limits })
    }

    /// Threads that it computes with, the calling one included.
    pub(crate) fn threads(&self) -> usize {
        self.compute.threads()
    }

    pub(crate) fn memory(&self) -> MemoryReport {
        let weights = self.weights.matrices().map(Matrix::bytes).sum();
        MemoryReport { weights, cache: self.limits.pages * self.limits.page_bytes }
    }
}

impl Network for NativeNetwork {
    fn limits(&self) -> NetworkLimits {
        self.limits
    }

    fn step(&mut self, batch: &Batch<'_>, logits: &mut Vec<f32>) -> Result<(), NetworkError> {
        forward::step(self, batch, logits)
    }

    fn copy_page(&mut self, from: PageId, to: PageId) {
        self.pages.copy(from, to);
    }
}

fn resources(what: &'static str, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> LoadError {
    LoadError::Resources { what, source: source.into() }
}

#[cfg(test)]
mod decoding;
#[cfg(test)]
mod fidelity;
#[cfg(test)]
mod tests;
