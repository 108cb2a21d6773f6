//! How much memory a model takes once it runs.

use magpie_kernels::{CacheKind, PAGE_TOKENS};
use serde::Serialize;

use crate::arch::Spec;
use crate::file::{ModelFile, TensorFormat};

/// Rows that are computed at once, at most: those of a long prompt.
const ROWS: u64 = 512;

/// Answers at once, by default.
const ANSWERS: u64 = 16;

/// Memory of a running model, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct MemoryNeeds {
    /// All weights as they are kept.
    pub weights_bytes: u64,
    /// Of those, what one token of one chat reads.
    pub read_per_token_bytes: u64,
    /// Keys and values of a thousand tokens.
    pub cache_bytes_per_1000_tokens: u64,
    /// What is computed on, about.
    pub working_bytes: u64,
}

impl MemoryNeeds {
    pub(super) fn of(file: &ModelFile, spec: &Spec) -> Self {
        let mut weights_bytes = 0;
        let mut read_per_token_bytes = 0;
        for tensor in file.tensors() {
            let bytes = match tensor.format {
                TensorFormat::Known(format) if tensor.shape.len() > 1 => {
                    format.packed_bytes(tensor.rows(), tensor.cols())
                }
                TensorFormat::Known(_) | TensorFormat::Other(_) => tensor.rows() * tensor.cols() * size_of::<f32>(),
            };
            weights_bytes += bytes as u64;
            // An embedding of its own is read in one row only.
            if spec.tied || tensor.name != "token_embd.weight" {
                read_per_token_bytes += bytes as u64;
            }
        }
        let page = spec.page_shape(CacheKind::F16).page_bytes();
        Self {
            weights_bytes,
            read_per_token_bytes,
            cache_bytes_per_1000_tokens: (page * 1000 / PAGE_TOKENS) as u64,
            working_bytes: working_bytes(spec),
        }
    }
}

/// Per row the residual stream twice, queries with the attention's result, keys and values, and the feed-forward part,
/// each as floats and some as codes as well; and logits of all answers.
fn working_bytes(spec: &Spec) -> u64 {
    let heads = spec.heads * spec.head_dim * 2 + spec.kv_heads * spec.head_dim * 2;
    let row = (spec.width * 2 + heads + spec.feed_forward) * (size_of::<f32>() + 2);
    ROWS * row as u64 + ANSWERS * (spec.vocabulary * size_of::<f32>()) as u64
}
