//! Qwen 3: norms of queries and keys in place of biases.

use super::{Architecture, Biased};

pub(super) const QWEN3: Architecture = Architecture {
    name: "qwen3",
    head_norms: true,
    frequency_factors: false,
    biased: &[Biased::Query, Biased::Key, Biased::Value],
};
