//! A file's weights as tensors on the device.

use std::borrow::Cow;
use std::sync::Arc;

use candle_core::quantized::{QMatMul, QStorage, QTensor};
use candle_core::{DType, Device, Module as _, Tensor};
use magpie_kernels::Format;

use super::resources;
use crate::arch;
use crate::error::LoadError;
use crate::file::{TensorFormat, TensorView};
use crate::weights;

pub(super) type Linear = arch::Linear<Matrix, Tensor>;
pub(super) type Layer = arch::Layer<Matrix, Tensor>;
pub(super) type Weights = arch::Weights<Matrix, Tensor>;

/// A matrix, rows × columns.
pub(super) enum Matrix {
    /// In the file's blocks.
    Blocks(QMatMul),
    Floats(Tensor),
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
    /// Logits of rows that were normed.
    pub(super) fn logits(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        biased(self.output().multiply(x)?, self.output_bias.as_ref())
    }
}

/// Brings weights to a device.
pub(super) struct Packer<'a> {
    pub device: &'a Device,
}

impl weights::Packer for Packer<'_> {
    type Matrix = Matrix;
    type Vector = Tensor;

    fn matrix(&self, tensor: &TensorView<'_>, format: Format, bytes: Cow<'_, [u8]>) -> Result<Matrix, LoadError> {
        let shape = (tensor.rows(), tensor.cols());
        // A copy, since the file's bytes may begin at an odd address.
        let bytes = bytes.into_owned();
        let matrix = match format {
            Format::F32 => self.floats(&bytes, DType::F32, shape),
            Format::F16 => self.floats(&bytes, DType::F16, shape),
            Format::BF16 => self.floats(&bytes, DType::BF16, shape),
            _ => self.blocks(bytes, format, shape),
        };
        matrix.map_err(|source| resources("a matrix can't be brought to the device", source))
    }

    fn vector(&self, values: Vec<f32>) -> Result<Tensor, LoadError> {
        let length = values.len();
        Tensor::from_vec(values, length, self.device)
            .map_err(|source| resources("a vector can't be brought to the device", source))
    }
}

impl Packer<'_> {
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
}

fn biased(products: Tensor, bias: Option<&Tensor>) -> candle_core::Result<Tensor> {
    match bias {
        Some(bias) => products.broadcast_add(bias),
        None => Ok(products),
    }
}
