//! The models that logits of llama.cpp were recorded with.

use super::{Family, Quantisation, RandomModel, Scaling, Shape, Vocabulary};

/// Whole blocks of 256 values in every row.
const EVEN: Shape = Shape {
    layers: 2,
    width: 256,
    heads: 4,
    kv_heads: 2,
    head_dim: 64,
    feed_forward: 512,
    context_tokens: 2048,
    rotation_base: 10_000.0,
    scaling: Scaling::None,
    tied: true,
};
/// Blocks of 32 values only, and heads that together are wider than the stream.
const ODD: Shape = Shape { width: 288, heads: 6, kv_heads: 3, feed_forward: 480, tied: false, ..EVEN };

impl RandomModel {
    /// The models of `tests/reference/random.json`, by their names. Another byte in one of their files, and the recorded
    /// logits are worth nothing: the record has the files' checksums.
    #[must_use]
    pub fn references() -> Vec<Self> {
        use Family::{Llama, Qwen2, Qwen3};
        let untied = Shape { tied: false, ..EVEN };
        let deep = Shape { layers: 6, ..EVEN };
        let linear = Shape { scaling: Scaling::Linear(2.5), ..EVEN };
        let yarn = Shape { scaling: Scaling::Yarn { factor: 4.0, original: 256 }, ..EVEN };
        let factors = Shape { scaling: Scaling::Factors, rotation_base: 500_000.0, ..EVEN };
        [
            ("llama-f32", Llama, EVEN, "f32"),
            ("llama-f16-factors", Llama, factors, "f16"),
            ("llama-q4_k-untied", Llama, untied, "q4_k"),
            ("llama-q5_1-linear", Llama, linear, "pure-q5_1"),
            ("llama-q8_0-odd", Llama, ODD, "q8_0"),
            ("qwen2-f32-odd-untied", Qwen2, Shape { width: 384, ..ODD }, "f32"),
            ("qwen2-bf16", Qwen2, EVEN, "bf16"),
            ("qwen2-q4_0", Qwen2, EVEN, "q4_0"),
            ("qwen2-q4_1-untied", Qwen2, untied, "pure-q4_1"),
            ("qwen2-q8_0-yarn", Qwen2, yarn, "q8_0"),
            ("qwen3-f32-yarn", Qwen3, yarn, "f32"),
            ("qwen3-q4_k-odd", Qwen3, ODD, "q4_k"),
            ("qwen3-q5_0-untied", Qwen3, untied, "pure-q5_0"),
            ("qwen3-q5_k", Qwen3, EVEN, "q5_k"),
            ("qwen3-q6_k", Qwen3, EVEN, "pure-q6_k"),
            ("qwen3-q8_0-deep", Qwen3, deep, "q8_0"),
        ]
        .map(|(name, family, shape, quantisation)| Self {
            name: name.to_owned(),
            family,
            shape,
            quantisation: quantisation.parse::<Quantisation>().expect("all of these are known"),
            vocabulary: Vocabulary::tiny(),
            metadata: Vec::new(),
            seed: 20_261_121,
        })
        .into()
    }
}
