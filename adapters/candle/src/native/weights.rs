//! A file's weights as the kernels take them.

use std::borrow::Cow;

use magpie_kernels::{Compute, Format, Matrix, PackError};

use crate::arch;
use crate::error::LoadError;
use crate::file::{ModelFile, TensorFormat, TensorView};
use crate::weights;

pub(super) type Linear = arch::Linear<Matrix, Vec<f32>>;
pub(super) type Layer = arch::Layer<Matrix, Vec<f32>>;
pub(super) type Weights = arch::Weights<Matrix, Vec<f32>>;

/// Packs matrices into tiles.
pub(super) struct Packer<'a> {
    pub file: &'a ModelFile,
    pub compute: &'a Compute,
}

impl weights::Packer for Packer<'_> {
    type Matrix = Matrix;
    type Vector = Vec<f32>;

    fn matrix(&self, tensor: &TensorView<'_>, format: Format, bytes: Cow<'_, [u8]>) -> Result<Matrix, LoadError> {
        let packed = Matrix::pack(self.compute, format, &bytes, (tensor.rows(), tensor.cols()));
        packed.map_err(|error| self.unfit(tensor, &error))
    }

    fn vector(&self, values: Vec<f32>) -> Result<Vec<f32>, LoadError> {
        Ok(values)
    }
}

impl Packer<'_> {
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
