//! The shapes of networks that can be computed, read from model files.
//!
//! All architectures here are one kind of network: layers of attention with rotated positions and a gated feed-forward
//! part, each after an RMS norm and added to what went in. What tells them apart fits into an [`Architecture`], so that
//! a further one is a file with such a constant and a line in [`ARCHITECTURES`].
//!
//! A file that has or lacks anything else is refused by name: weights that are left out give answers that are wrong
//! without looking wrong.
//!
//! Source: `src/llama-model.cpp` and `src/models/{llama,qwen2,qwen3}.cpp` of llama.cpp (read 11/2026).

mod llama;
mod qwen2;
mod qwen3;
mod rotation;
mod tensors;

use magpie_kernels::{CacheKind, PageShape};

use crate::error::LoadError;
use crate::file::ModelFile;

pub(crate) use rotation::RotationSpec;
pub(crate) use tensors::{Layer, Linear, Taker, Weights, gather};

/// Architectures that can be run. Mistral's files call themselves `llama`.
static ARCHITECTURES: [Architecture; 3] = [llama::LLAMA, qwen2::QWEN2, qwen3::QWEN3];

/// What an architecture has beyond what all have.
struct Architecture {
    /// As in `general.architecture`.
    name: &'static str,
    /// Queries and keys are normed, head by head.
    head_norms: bool,
    /// Rotations may have a factor per pair of dimensions, in `rope_freqs.weight`.
    frequency_factors: bool,
    /// Matrices that may have a bias.
    biased: &'static [Biased],
}

/// A matrix that has a bias in some files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Biased {
    Query,
    Key,
    Value,
    AttentionOutput,
    /// The last matrix of all.
    Output,
}

/// A network's shape.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Spec {
    pub architecture: &'static str,
    pub layers: usize,
    /// Values per token between the layers.
    pub width: usize,
    /// Heads of queries, a multiple of `kv_heads`.
    pub heads: usize,
    pub kv_heads: usize,
    /// A multiple of 32.
    pub head_dim: usize,
    pub feed_forward: usize,
    pub vocabulary: usize,
    /// Longest sequence that the model is made for.
    pub context_tokens: usize,
    /// Of all norms.
    pub epsilon: f32,
    /// What the products of queries and keys are multiplied with.
    pub attention_scale: f32,
    pub rotation: RotationSpec,
    /// Queries and keys are normed, head by head.
    pub head_norms: bool,
    /// Matrices that may have a bias.
    pub biased: &'static [Biased],
    /// The embedding is the output matrix too.
    pub tied: bool,
}

impl Spec {
    /// Reads a file's shape, and checks that its tensors are those of that shape: after this, all that the network needs
    /// is there in formats that can be computed with.
    ///
    /// # Errors
    /// The network is of another kind than can be computed, or the file lacks or contradicts something.
    pub(crate) fn of(file: &ModelFile) -> Result<Self, LoadError> {
        let architecture = Architecture::of(file)?;
        let keys = Keys { file, prefix: architecture.name };
        if keys.number("expert_count").is_some_and(|experts| experts > 0) {
            return Err(file.unsupported("it is a mixture of experts"));
        }
        let layers = keys.required("block_count")?;
        let width = keys.required("embedding_length")?;
        let heads = keys.required("attention.head_count")?;
        let kv_heads = keys.number("attention.head_count_kv").unwrap_or(heads);
        let head_dim = keys.number("attention.key_length").unwrap_or(width / heads);
        let value_dim = keys.number("attention.value_length").unwrap_or(width / heads);
        let spec = Self {
            architecture: architecture.name,
            layers,
            width,
            heads,
            kv_heads,
            head_dim,
            feed_forward: keys.required("feed_forward_length")?,
            vocabulary: file.tensor("token_embd.weight").map_or(0, |embedding| embedding.rows()),
            context_tokens: keys.context_tokens()?,
            epsilon: keys.positive("attention.layer_norm_rms_epsilon")?,
            attention_scale: 1.0 / (head_dim as f32).sqrt(),
            rotation: RotationSpec::of(&keys, head_dim, architecture.frequency_factors)?,
            head_norms: architecture.head_norms,
            biased: architecture.biased,
            tied: file.tensor("output.weight").is_none(),
        };
        spec.check_heads(file, value_dim)?;
        tensors::check(file, &spec, architecture)?;
        Ok(spec)
    }

    /// What a page of keys and values is for it.
    pub(crate) fn page_shape(&self, kind: CacheKind) -> PageShape {
        let Self { layers, kv_heads, head_dim, .. } = *self;
        PageShape { layers, kv_heads, head_dim, kind }
    }

    fn check_heads(&self, file: &ModelFile, value_dim: usize) -> Result<(), LoadError> {
        let Self { heads, kv_heads, head_dim, .. } = *self;
        if kv_heads == 0 || !heads.is_multiple_of(kv_heads) {
            return Err(file.broken(format!("its {heads} attention heads can't share {kv_heads} evenly")));
        }
        if value_dim != head_dim {
            return Err(file.unsupported(format!("its keys are {head_dim} wide, its values {value_dim}")));
        }
        if head_dim == 0 || !head_dim.is_multiple_of(32) {
            return Err(file.unsupported(format!("its heads are {head_dim} wide, which is no multiple of 32")));
        }
        Ok(())
    }
}

impl Architecture {
    fn of(file: &ModelFile) -> Result<&'static Self, LoadError> {
        let name = file.architecture()?;
        let known = ARCHITECTURES.iter().find(|architecture| architecture.name == name);
        known.ok_or_else(|| {
            let names: Vec<&str> = ARCHITECTURES.iter().map(|architecture| architecture.name).collect();
            file.unsupported(format!("its architecture is {name:?}; it has to be one of {}", names.join(", ")))
        })
    }
}

/// A file's metadata on its network.
struct Keys<'a> {
    file: &'a ModelFile,
    /// The architecture's name, which all keys begin with.
    prefix: &'static str,
}

impl Keys<'_> {
    fn key(&self, key: &str) -> String {
        format!("{}.{key}", self.prefix)
    }

    fn number(&self, key: &str) -> Option<usize> {
        usize::try_from(self.file.number(&self.key(key))?).ok()
    }

    fn float(&self, key: &str) -> Option<f32> {
        self.file.float(&self.key(key))
    }

    fn text(&self, key: &str) -> Option<&str> {
        self.file.text(&self.key(key))
    }

    fn required(&self, key: &str) -> Result<usize, LoadError> {
        let number = self.number(key).filter(|number| *number > 0);
        number.ok_or_else(|| self.file.broken(format!("it has no {} above 0", self.key(key))))
    }

    fn positive(&self, key: &str) -> Result<f32, LoadError> {
        let number = self.float(key).filter(|number| *number > 0.0 && number.is_finite());
        number.ok_or_else(|| self.file.broken(format!("it has no {} above 0", self.key(key))))
    }

    /// The context, up to the window that attention of some models is limited to: within it, they are like others.
    fn context_tokens(&self) -> Result<usize, LoadError> {
        let window = self.number("attention.sliding_window").filter(|tokens| *tokens > 0);
        Ok(self.required("context_length")?.min(window.unwrap_or(usize::MAX)))
    }
}

#[cfg(test)]
mod tests;
