//! Llama 2 and 3, Mistral, and many that were trained from their blueprint.

use super::{Architecture, Biased};

pub(super) const LLAMA: Architecture = Architecture {
    name: "llama",
    head_norms: false,
    // Llama 3.1 and later stretch their rotations by such factors.
    frequency_factors: true,
    biased: &[Biased::Query, Biased::Key, Biased::Value, Biased::AttentionOutput],
};
