//! Qwen 2 and 2.5: biases on queries, keys and values.

use super::{Architecture, Biased};

pub(super) const QWEN2: Architecture = Architecture {
    name: "qwen2",
    head_norms: false,
    frequency_factors: false,
    biased: &[Biased::Query, Biased::Key, Biased::Value, Biased::Output],
};
