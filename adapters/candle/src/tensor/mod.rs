//! Networks on any device that candle knows: graphics processors, and the processor itself as the plain reference for
//! [`crate::native`].
//!
//! Every operation is one of candle's, so nothing here is specific to a device but the number formats: quantised weights
//! stay as in the file and go through candle's kernels for them, floats keep their 16 bits on a graphics processor, what
//! flows between the layers has 32 bits. Matrices see all rows of a batch at once, attention one sequence at a time.
//!
//! Candle's products sum in an order that depends on their shape. A row's result so depends on its neighbours in the
//! batch within rounding; that it is the same bit by bit is a promise of [`crate::native`] alone.

mod forward;
mod pages;
mod weights;

use candle_core::{DType, Device};

use crate::arch::Spec;
use crate::error::LoadError;
use crate::file::{ModelFile, Quantization};
use crate::network::{Batch, Network, NetworkError, NetworkLimits, PAGE_TOKENS, PageId};
use crate::weights::{Quantising, load};

use pages::Pages;
use weights::{Packer, Weights};

/// How a network is run.
#[derive(Debug, Clone)]
pub(crate) struct TensorConfig {
    pub device: Device,
    /// What matrices of floats become; `None` keeps them.
    pub quantization: Option<Quantization>,
    /// Memory for keys and values of all sequences, taken at once.
    pub cache_bytes: usize,
    /// Longest sequence; the file's limit holds where it is lower.
    pub context_tokens: usize,
}

/// A network with its weights and its memory.
pub(crate) struct TensorNetwork {
    spec: Spec,
    device: Device,
    weights: Weights,
    pages: Pages,
    limits: NetworkLimits,
    /// A page could not be copied; the next step says so, since copying can't.
    fault: Option<candle_core::Error>,
}

impl TensorNetwork {
    /// Brings all weights of `file`, whose shape is `spec`, to the device and reserves the cache there. `progress` is told
    /// the bytes of the file that are done and all of them after each tensor.
    ///
    /// # Errors
    /// The file's weights can't be used, or the device refuses memory.
    pub(crate) fn load(
        file: &ModelFile,
        spec: Spec,
        config: &TensorConfig,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<Self, LoadError> {
        let device = config.device.clone();
        let threads = candle_core::utils::get_num_threads();
        let quantising = Quantising { quantization: config.quantization, threads };
        let weights = load(file, &spec, quantising, &Packer { device: &device }, progress)?;
        let kept = if device.is_cpu() { DType::F32 } else { DType::F16 };
        let page_bytes = Pages::page_bytes(&spec, kept);
        let count = (config.cache_bytes / page_bytes).clamp(1, u32::MAX as usize / PAGE_TOKENS);
        let pages = Pages::new(&spec, count, kept, &device)
            .map_err(|source| resources("the memory for keys and values can't be reserved", source))?;
        let context_tokens = spec.context_tokens.min(config.context_tokens).min(count.saturating_mul(PAGE_TOKENS));
        let limits = NetworkLimits { vocabulary: spec.vocabulary, context_tokens, pages: count, page_bytes };
        Ok(Self { spec, device, weights, pages, limits, fault: None })
    }
}

impl Network for TensorNetwork {
    fn limits(&self) -> NetworkLimits {
        self.limits
    }

    /// As the trait demands, but for rounding: see the module.
    fn step(&mut self, batch: &Batch<'_>, logits: &mut Vec<f32>) -> Result<(), NetworkError> {
        batch.check(&self.limits)?;
        logits.clear();
        if let Some(fault) = self.fault.take() {
            return Err(failed("a page of its cache could not be copied", fault));
        }
        let computed = forward::step(self, batch).map_err(|source| failed("the device refused a step", source))?;
        logits.extend(computed);
        Ok(())
    }

    fn copy_page(&mut self, from: PageId, to: PageId) {
        if let Err(error) = self.pages.copy(from, to) {
            self.fault = Some(error);
        }
    }
}

fn failed(what: &str, source: candle_core::Error) -> NetworkError {
    NetworkError { what: what.to_owned(), source: Some(Box::new(source)) }
}

fn resources(what: &'static str, source: candle_core::Error) -> LoadError {
    LoadError::Resources { what, source: Box::new(source) }
}

#[cfg(test)]
mod tests;
