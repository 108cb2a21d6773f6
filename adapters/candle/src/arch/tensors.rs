//! The tensors of a network: what they are called, which shape they have, and what is made of each.
//!
//! [`gather`] is the one list of them. A file is checked by walking through it, and loaded by walking through it again,
//! so that nothing can be loaded which was not checked, nor checked and then forgotten.

use std::collections::BTreeSet;

use super::{Architecture, Biased, Spec};
use crate::error::LoadError;
use crate::file::{ModelFile, TensorView};

/// Factors of rotations, which become part of the [`Spec`].
pub(super) const FACTORS: &str = "rope_freqs.weight";

/// A matrix with what is added to its products.
pub(crate) struct Linear<M, V> {
    pub matrix: M,
    pub bias: Option<V>,
}

pub(crate) struct Layer<M, V> {
    pub attention_norm: V,
    pub query: Linear<M, V>,
    pub key: Linear<M, V>,
    pub value: Linear<M, V>,
    /// Norms of each query and key.
    pub head_norms: Option<(V, V)>,
    pub attention_output: Linear<M, V>,
    pub feed_forward_norm: V,
    pub gate: M,
    pub up: M,
    pub down: M,
}

/// All weights, with matrices and vectors as whoever computes with them keeps them.
pub(crate) struct Weights<M, V> {
    pub embedding: M,
    pub layers: Vec<Layer<M, V>>,
    pub norm: V,
    /// `None`: the embedding's matrix.
    output: Option<M>,
    pub output_bias: Option<V>,
}

/// Who makes something of the tensors of a file. Their shapes are as they should be.
pub(crate) trait Taker {
    type Matrix;
    type Vector;

    /// # Errors
    /// Nothing can be made of it.
    fn matrix(&mut self, tensor: &TensorView<'_>) -> Result<Self::Matrix, LoadError>;

    /// # Errors
    /// Nothing can be made of it.
    fn vector(&mut self, tensor: &TensorView<'_>) -> Result<Self::Vector, LoadError>;
}

/// Gives all tensors of the network `spec` to `taker`, one after the other.
///
/// # Errors
/// One is missing or has another shape, or `taker` refuses it.
pub(crate) fn gather<T: Taker>(
    file: &ModelFile,
    spec: &Spec,
    taker: &mut T,
) -> Result<Weights<T::Matrix, T::Vector>, LoadError> {
    let mut walk = Walk { file, spec, taker };
    let Spec { layers, width, vocabulary, tied, .. } = *spec;
    Ok(Weights {
        embedding: walk.matrix("token_embd.weight", [vocabulary, width])?,
        layers: (0..layers).map(|layer| walk.layer(layer)).collect::<Result<_, _>>()?,
        norm: walk.vector("output_norm.weight", width)?,
        output: if tied { None } else { Some(walk.matrix("output.weight", [vocabulary, width])?) },
        output_bias: walk.bias(Biased::Output, "output.bias", vocabulary)?,
    })
}

/// Refuses a file whose tensors are not those of its shape.
///
/// # Errors
/// One is missing, has another shape, can't be computed with, or is not part of such a network.
pub(super) fn check(file: &ModelFile, spec: &Spec, architecture: &Architecture) -> Result<(), LoadError> {
    let mut checker = Checker { file, known: BTreeSet::new() };
    gather(file, spec, &mut checker)?;
    if architecture.frequency_factors {
        checker.known.insert(FACTORS.to_owned());
    }
    match file.tensors().find(|tensor| !checker.known.contains(tensor.name)) {
        Some(tensor) => Err(file.unsupported(format!(
            "its tensor {} is no part of the architecture {} as far as this engine knows it",
            tensor.name, architecture.name
        ))),
        None => Ok(()),
    }
}

/// The values of a vector.
///
/// # Errors
/// It has another length, or can't be decoded.
pub(super) fn vector(file: &ModelFile, tensor: &TensorView<'_>, length: usize) -> Result<Vec<f32>, LoadError> {
    check_shape(file, tensor, &[length])?;
    file.values(tensor)
}

impl<M, V> Weights<M, V> {
    /// The matrix that makes logits.
    pub(crate) fn output(&self) -> &M {
        self.output.as_ref().unwrap_or(&self.embedding)
    }

    /// Each once.
    pub(crate) fn matrices(&self) -> impl Iterator<Item = &M> {
        self.layers.iter().flat_map(Layer::matrices).chain([&self.embedding]).chain(&self.output)
    }
}

impl<M, V> Layer<M, V> {
    fn matrices(&self) -> [&M; 7] {
        let Self { query, key, value, attention_output, gate, up, down, .. } = self;
        [&query.matrix, &key.matrix, &value.matrix, &attention_output.matrix, gate, up, down]
    }
}

struct Walk<'a, T> {
    file: &'a ModelFile,
    spec: &'a Spec,
    taker: &'a mut T,
}

impl<'a, T: Taker> Walk<'a, T> {
    fn layer(&mut self, layer: usize) -> Result<Layer<T::Matrix, T::Vector>, LoadError> {
        let Spec { width, heads, kv_heads, head_dim, feed_forward, head_norms, .. } = *self.spec;
        let (query, key) = (heads * head_dim, kv_heads * head_dim);
        let name = |part: &str| format!("blk.{layer}.{part}");
        let head_norms = if head_norms {
            let query = self.vector(&name("attn_q_norm.weight"), head_dim)?;
            Some((query, self.vector(&name("attn_k_norm.weight"), head_dim)?))
        } else {
            None
        };
        Ok(Layer {
            attention_norm: self.vector(&name("attn_norm.weight"), width)?,
            query: self.linear(Biased::Query, &name("attn_q"), [query, width])?,
            key: self.linear(Biased::Key, &name("attn_k"), [key, width])?,
            value: self.linear(Biased::Value, &name("attn_v"), [key, width])?,
            head_norms,
            attention_output: self.linear(Biased::AttentionOutput, &name("attn_output"), [width, query])?,
            feed_forward_norm: self.vector(&name("ffn_norm.weight"), width)?,
            gate: self.matrix(&name("ffn_gate.weight"), [feed_forward, width])?,
            up: self.matrix(&name("ffn_up.weight"), [feed_forward, width])?,
            down: self.matrix(&name("ffn_down.weight"), [width, feed_forward])?,
        })
    }

    fn linear(
        &mut self,
        which: Biased,
        name: &str,
        shape: [usize; 2],
    ) -> Result<Linear<T::Matrix, T::Vector>, LoadError> {
        let matrix = self.matrix(&format!("{name}.weight"), shape)?;
        Ok(Linear { matrix, bias: self.bias(which, &format!("{name}.bias"), shape[0])? })
    }

    /// `shape`: outermost first.
    fn matrix(&mut self, name: &str, shape: [usize; 2]) -> Result<T::Matrix, LoadError> {
        let tensor = self.tensor(name, &shape)?;
        self.taker.matrix(&tensor)
    }

    fn vector(&mut self, name: &str, length: usize) -> Result<T::Vector, LoadError> {
        let tensor = self.tensor(name, &[length])?;
        self.taker.vector(&tensor)
    }

    /// If the architecture has such biases, and the file has this one.
    fn bias(&mut self, which: Biased, name: &str, length: usize) -> Result<Option<T::Vector>, LoadError> {
        if !self.spec.biased.contains(&which) || self.file.tensor(name).is_none() {
            return Ok(None);
        }
        self.vector(name, length).map(Some)
    }

    fn tensor(&self, name: &str, shape: &[usize]) -> Result<TensorView<'a>, LoadError> {
        let tensor = self.file.tensor(name).ok_or_else(|| self.file.broken(format!("it has no tensor {name}")))?;
        check_shape(self.file, &tensor, shape)?;
        Ok(tensor)
    }
}

/// Makes nothing of any tensor, but knows afterwards which ones belong to the network.
struct Checker<'a> {
    file: &'a ModelFile,
    known: BTreeSet<String>,
}

impl Taker for Checker<'_> {
    type Matrix = ();
    type Vector = ();

    fn matrix(&mut self, tensor: &TensorView<'_>) -> Result<(), LoadError> {
        if !tensor.cols().is_multiple_of(32) {
            let (name, cols) = (tensor.name, tensor.cols());
            let what = format!("the rows of its tensor {name} have {cols} values, no multiple of 32");
            return Err(self.file.unsupported(what));
        }
        self.vector(tensor)
    }

    fn vector(&mut self, tensor: &TensorView<'_>) -> Result<(), LoadError> {
        self.known.insert(tensor.name.to_owned());
        self.file.planned(tensor, None).map(|_| ())
    }
}

fn check_shape(file: &ModelFile, tensor: &TensorView<'_>, shape: &[usize]) -> Result<(), LoadError> {
    if tensor.shape == shape {
        return Ok(());
    }
    let what = format!("its tensor {} has the shape {:?} in place of {shape:?}", tensor.name, tensor.shape);
    Err(file.broken(what))
}
