//! How large models are, and how they count positions.

use std::str::FromStr;

use candle_core::quantized::gguf_file::Value;

/// An architecture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    Llama,
    Qwen2,
    Qwen3,
}

impl Family {
    pub const ALL: [Self; 3] = [Self::Llama, Self::Qwen2, Self::Qwen3];

    /// As in `general.architecture`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Llama => "llama",
            Self::Qwen2 => "qwen2",
            Self::Qwen3 => "qwen3",
        }
    }
}

impl FromStr for Family {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = Self::ALL.into_iter().find(|family| family.name() == text);
        known.ok_or_else(|| format!("{text:?} is no architecture of this engine; it knows llama, qwen2 and qwen3"))
    }
}

/// How rotations are stretched over a longer context.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Scaling {
    None,
    Linear(f32),
    Yarn {
        factor: f32,
        /// Context that the model was trained for.
        original: u32,
    },
    /// A factor for each pair of dimensions, in the tensor `rope_freqs.weight` (llama only).
    Factors,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Shape {
    pub layers: usize,
    pub width: usize,
    pub heads: usize,
    pub kv_heads: usize,
    pub head_dim: usize,
    pub feed_forward: usize,
    pub context_tokens: usize,
    pub rotation_base: f32,
    pub scaling: Scaling,
    /// Whether the embedding is the output matrix too.
    pub tied: bool,
}

impl Shape {
    /// Two layers, 256 wide: for tests.
    #[must_use]
    pub fn small() -> Self {
        Self {
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
        }
    }

    /// Shape and family of a published model: `qwen3-0.6b`, `qwen2.5-0.5b`, `qwen2.5-1.5b` or `llama-3.2-1b`.
    ///
    /// # Errors
    /// Another name, as a sentence.
    pub fn published(name: &str) -> Result<(Family, Self), String> {
        let qwen = Self {
            layers: 28,
            width: 1536,
            heads: 12,
            kv_heads: 2,
            head_dim: 128,
            feed_forward: 8960,
            context_tokens: 32_768,
            rotation_base: 1_000_000.0,
            scaling: Scaling::None,
            tied: true,
        };
        Ok(match name {
            "qwen2.5-1.5b" => (Family::Qwen2, qwen),
            "qwen2.5-0.5b" => {
                let shape = Self { layers: 24, width: 896, heads: 14, head_dim: 64, feed_forward: 4864, ..qwen };
                (Family::Qwen2, shape)
            }
            "qwen3-0.6b" => {
                let shape =
                    Self { width: 1024, heads: 16, kv_heads: 8, feed_forward: 3072, context_tokens: 40_960, ..qwen };
                (Family::Qwen3, shape)
            }
            "llama-3.2-1b" => {
                let shape = Self {
                    layers: 16,
                    width: 2048,
                    heads: 32,
                    kv_heads: 8,
                    head_dim: 64,
                    feed_forward: 8192,
                    context_tokens: 131_072,
                    rotation_base: 500_000.0,
                    scaling: Scaling::Factors,
                    tied: true,
                };
                (Family::Llama, shape)
            }
            other => {
                let known = "qwen3-0.6b, qwen2.5-0.5b, qwen2.5-1.5b and llama-3.2-1b";
                return Err(format!("the shape {other:?} is not known; known are {known}"));
            }
        })
    }

    /// The keys that say all this.
    pub(crate) fn metadata(&self, family: Family) -> Vec<(String, Value)> {
        let number = |value: usize| Value::U32(u32::try_from(value).unwrap_or(u32::MAX));
        let mut metadata = vec![
            ("block_count", number(self.layers)),
            ("context_length", number(self.context_tokens)),
            ("embedding_length", number(self.width)),
            ("feed_forward_length", number(self.feed_forward)),
            ("attention.head_count", number(self.heads)),
            ("attention.head_count_kv", number(self.kv_heads)),
            ("attention.key_length", number(self.head_dim)),
            ("attention.value_length", number(self.head_dim)),
            ("attention.layer_norm_rms_epsilon", Value::F32(1e-6)),
            ("rope.dimension_count", number(self.head_dim)),
            ("rope.freq_base", Value::F32(self.rotation_base)),
        ];
        match self.scaling {
            Scaling::None | Scaling::Factors => {}
            Scaling::Linear(factor) => {
                metadata.push(("rope.scaling.type", Value::String("linear".to_owned())));
                metadata.push(("rope.scaling.factor", Value::F32(factor)));
            }
            Scaling::Yarn { factor, original } => {
                metadata.push(("rope.scaling.type", Value::String("yarn".to_owned())));
                metadata.push(("rope.scaling.factor", Value::F32(factor)));
                metadata.push(("rope.scaling.original_context_length", Value::U32(original)));
            }
        }
        metadata.into_iter().map(|(key, value)| (format!("{}.{key}", family.name()), value)).collect()
    }
}
