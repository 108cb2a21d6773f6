//! A file's weights as the kernels take them.

use magpie_kernels::{Compute, Matrix, PackError};

use crate::arch::Spec;
use crate::error::LoadError;
use crate::file::{ModelFile, Quantization, TensorFormat, TensorView};

/// A matrix with what is added to its products.
pub(super) struct Linear {
    pub matrix: Matrix,
    pub bias: Option<Vec<f32>>,
}

pub(super) struct Layer {
    pub attention_norm: Vec<f32>,
    pub query: Linear,
    pub key: Linear,
    pub value: Linear,
    /// Norms of each query and key.
    pub head_norms: Option<(Vec<f32>, Vec<f32>)>,
    pub attention_output: Linear,
    pub feed_forward_norm: Vec<f32>,
    pub gate: Matrix,
    pub up: Matrix,
    pub down: Matrix,
}

pub(super) struct Weights {
    pub embedding: Matrix,
    pub layers: Vec<Layer>,
    pub norm: Vec<f32>,
    /// `None`: the embedding's matrix.
    output: Option<Matrix>,
    pub output_bias: Option<Vec<f32>>,
}

impl Weights {
    /// Packs each matrix straight from the file's bytes, so that beside the result one matrix at most is in memory.
    pub(super) fn pack(
        file: &ModelFile,
        spec: &Spec,
        compute: &Compute,
        quantization: Option<Quantization>,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<Self, LoadError> {
        let all_bytes = file.tensors().map(|tensor| tensor.bytes.len() as u64).sum();
        let mut packer = Packer { file, compute, quantization, done_bytes: 0, all_bytes, progress };
        Ok(Self {
            embedding: packer.matrix("token_embd.weight")?,
            layers: (0..spec.layers).map(|layer| packer.layer(layer, spec)).collect::<Result<_, _>>()?,
            norm: packer.vector("output_norm.weight")?,
            output: if spec.tied { None } else { Some(packer.matrix("output.weight")?) },
            output_bias: packer.optional_vector("output.bias")?,
        })
    }

    /// The matrix that makes logits.
    pub(super) fn output(&self) -> &Matrix {
        self.output.as_ref().unwrap_or(&self.embedding)
    }

    /// Memory of all matrices.
    pub(super) fn bytes(&self) -> usize {
        let layers = self.layers.iter().flat_map(Layer::matrices);
        layers.chain([&self.embedding]).chain(&self.output).map(Matrix::bytes).sum()
    }
}

impl Layer {
    fn matrices(&self) -> [&Matrix; 7] {
        let Self { query, key, value, attention_output, gate, up, down, .. } = self;
        [&query.matrix, &key.matrix, &value.matrix, &attention_output.matrix, gate, up, down]
    }
}

struct Packer<'a> {
    file: &'a ModelFile,
    compute: &'a Compute,
    quantization: Option<Quantization>,
    /// Of the file.
    done_bytes: u64,
    all_bytes: u64,
    progress: &'a mut dyn FnMut(u64, u64),
}

impl<'a> Packer<'a> {
    fn layer(&mut self, layer: usize, spec: &Spec) -> Result<Layer, LoadError> {
        let name = |part: &str| format!("blk.{layer}.{part}");
        let head_norms = if spec.head_norms {
            Some((self.vector(&name("attn_q_norm.weight"))?, self.vector(&name("attn_k_norm.weight"))?))
        } else {
            None
        };
        Ok(Layer {
            attention_norm: self.vector(&name("attn_norm.weight"))?,
            query: self.linear(&name("attn_q"))?,
            key: self.linear(&name("attn_k"))?,
            value: self.linear(&name("attn_v"))?,
            head_norms,
            attention_output: self.linear(&name("attn_output"))?,
            feed_forward_norm: self.vector(&name("ffn_norm.weight"))?,
            gate: self.matrix(&name("ffn_gate.weight"))?,
            up: self.matrix(&name("ffn_up.weight"))?,
            down: self.matrix(&name("ffn_down.weight"))?,
        })
    }

    fn linear(&mut self, name: &str) -> Result<Linear, LoadError> {
        let matrix = self.matrix(&format!("{name}.weight"))?;
        Ok(Linear { matrix, bias: self.optional_vector(&format!("{name}.bias"))? })
    }

    fn matrix(&mut self, name: &str) -> Result<Matrix, LoadError> {
        let tensor = self.tensor(name)?;
        let format = self.file.planned(&tensor, self.quantization)?;
        let bytes = self.file.encoded(&tensor, format, self.compute.threads())?;
        let matrix = Matrix::pack(self.compute, format, &bytes, (tensor.rows(), tensor.cols()))
            .map_err(|error| self.unfit(&tensor, &error))?;
        self.done_bytes += tensor.bytes.len() as u64;
        (self.progress)(self.done_bytes, self.all_bytes);
        Ok(matrix)
    }

    fn vector(&mut self, name: &str) -> Result<Vec<f32>, LoadError> {
        let tensor = self.tensor(name)?;
        self.done_bytes += tensor.bytes.len() as u64;
        self.file.values(&tensor)
    }

    fn optional_vector(&mut self, name: &str) -> Result<Option<Vec<f32>>, LoadError> {
        self.file.tensor(name).map(|_| self.vector(name)).transpose()
    }

    fn tensor(&self, name: &str) -> Result<TensorView<'a>, LoadError> {
        self.file.tensor(name).ok_or_else(|| self.file.broken(format!("it has no tensor {name}")))
    }

    fn unfit(&self, tensor: &TensorView<'_>, error: &PackError) -> LoadError {
        let TensorView { name, format, .. } = *tensor;
        match error {
            PackError::Columns { format, cols } => {
                let format = TensorFormat::Known(*format).name();
                self.file.unsupported(format!("the {cols} columns of its tensor {name} do not fit {format}"))
            }
            PackError::Length { needed, found } => {
                let format = format.name();
                self.file.broken(format!("its tensor {name} in {format} has {found} bytes in place of {needed}"))
            }
        }
    }
}
