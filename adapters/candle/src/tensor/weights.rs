//! A file's weights as tensors on the device.

use std::sync::Arc;

use candle_core::quantized::{QMatMul, QStorage, QTensor};
use candle_core::{DType, Device, Module as _, Tensor};
use magpie_kernels::Format;

use super::{TensorConfig, resources};
use crate::arch::Spec;
use crate::error::LoadError;
use crate::file::{ModelFile, Quantization, TensorFormat, TensorView};

/// A matrix, rows × columns.
pub(super) enum Matrix {
    /// In the file's blocks.
    Blocks(QMatMul),
    Floats(Tensor),
}

/// A matrix with what is added to its products.
pub(super) struct Linear {
    pub matrix: Matrix,
    pub bias: Option<Tensor>,
}

pub(super) struct Layer {
    pub attention_norm: Tensor,
    pub query: Linear,
    pub key: Linear,
    pub value: Linear,
    /// Norms of each query and key.
    pub head_norms: Option<(Tensor, Tensor)>,
    pub attention_output: Linear,
    pub feed_forward_norm: Tensor,
    pub gate: Matrix,
    pub up: Matrix,
    pub down: Matrix,
}

pub(super) struct Weights {
    pub embedding: Matrix,
    pub layers: Vec<Layer>,
    pub norm: Tensor,
    /// `None`: the embedding's matrix.
    output: Option<Matrix>,
    output_bias: Option<Tensor>,
}

impl Matrix {
    /// The products of all rows of `x`, in 32 bits.
    pub(super) fn multiply(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        match self {
            Self::Blocks(blocks) => blocks.forward(x),
            Self::Floats(floats) => x.to_dtype(floats.dtype())?.matmul(&floats.t()?)?.to_dtype(DType::F32),
        }
    }

    /// The rows with these numbers, in 32 bits.
    pub(super) fn rows(&self, numbers: &Tensor) -> candle_core::Result<Tensor> {
        match self {
            Self::Blocks(blocks) => blocks.embedding(numbers),
            Self::Floats(floats) => floats.index_select(numbers, 0)?.to_dtype(DType::F32),
        }
    }
}

impl Linear {
    pub(super) fn forward(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        biased(self.matrix.multiply(x)?, self.bias.as_ref())
    }
}

impl Weights {
    pub(super) fn load(
        file: &ModelFile,
        spec: &Spec,
        config: &TensorConfig,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<Self, LoadError> {
        let all_bytes = file.tensors().map(|tensor| tensor.bytes.len() as u64).sum();
        let (device, quantization) = (&config.device, config.quantization);
        let mut loader = Loader { file, device, quantization, done_bytes: 0, all_bytes, progress };
        Ok(Self {
            embedding: loader.matrix("token_embd.weight")?,
            layers: (0..spec.layers).map(|layer| loader.layer(layer, spec)).collect::<Result<_, _>>()?,
            norm: loader.vector("output_norm.weight")?,
            output: if spec.tied { None } else { Some(loader.matrix("output.weight")?) },
            output_bias: loader.optional_vector("output.bias")?,
        })
    }

    /// Logits of rows that were normed.
    pub(super) fn logits(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        let output = self.output.as_ref().unwrap_or(&self.embedding);
        biased(output.multiply(x)?, self.output_bias.as_ref())
    }
}

struct Loader<'a> {
    file: &'a ModelFile,
    device: &'a Device,
    quantization: Option<Quantization>,
    /// Of the file.
    done_bytes: u64,
    all_bytes: u64,
    progress: &'a mut dyn FnMut(u64, u64),
}

impl<'a> Loader<'a> {
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
        let threads = candle_core::utils::get_num_threads();
        // A copy, since the file's bytes may begin at an odd address.
        let bytes = self.file.encoded(&tensor, format, threads)?.into_owned();
        let shape = (tensor.rows(), tensor.cols());
        let matrix = match format {
            Format::F32 => self.floats(&bytes, DType::F32, shape),
            Format::F16 => self.floats(&bytes, DType::F16, shape),
            Format::BF16 => self.floats(&bytes, DType::BF16, shape),
            _ => self.blocks(bytes, format, shape),
        };
        self.done_bytes += tensor.bytes.len() as u64;
        (self.progress)(self.done_bytes, self.all_bytes);
        matrix.map_err(|source| resources("a matrix can't be brought to the device", source))
    }

    /// 16 bits are kept where the device multiplies them fast.
    fn floats(&self, bytes: &[u8], dtype: DType, (rows, cols): (usize, usize)) -> candle_core::Result<Matrix> {
        let read = Tensor::from_raw_buffer(bytes, dtype, &[rows, cols], self.device)?;
        let kept = if self.device.is_cpu() { DType::F32 } else { dtype };
        Ok(Matrix::Floats(read.to_dtype(kept)?))
    }

    fn blocks(&self, bytes: Vec<u8>, format: Format, shape: (usize, usize)) -> candle_core::Result<Matrix> {
        let dtype = TensorFormat::Known(format).for_candle().expect("candle knows all formats of the kernels");
        let storage = QStorage::from_data(bytes.into(), self.device, dtype)?;
        Ok(Matrix::Blocks(QMatMul::from_arc(Arc::new(QTensor::new(storage, shape)?))?))
    }

    fn vector(&mut self, name: &str) -> Result<Tensor, LoadError> {
        let tensor = self.tensor(name)?;
        self.done_bytes += tensor.bytes.len() as u64;
        let values = self.file.values(&tensor)?;
        let length = values.len();
        Tensor::from_vec(values, length, self.device)
            .map_err(|source| resources("a vector can't be brought to the device", source))
    }

    fn optional_vector(&mut self, name: &str) -> Result<Option<Tensor>, LoadError> {
        self.file.tensor(name).map(|_| self.vector(name)).transpose()
    }

    fn tensor(&self, name: &str) -> Result<TensorView<'a>, LoadError> {
        self.file.tensor(name).ok_or_else(|| self.file.broken(format!("it has no tensor {name}")))
    }
}

fn biased(products: Tensor, bias: Option<&Tensor>) -> candle_core::Result<Tensor> {
    match bias {
        Some(bias) => products.broadcast_add(bias),
        None => Ok(products),
    }
}
