//! A file's weights on their way to whatever computes with them.

use std::borrow::Cow;

use magpie_kernels::Format;

use crate::arch::{Spec, Taker, Weights, gather};
use crate::error::LoadError;
use crate::file::{ModelFile, Quantization, TensorView};

/// Who makes matrices and vectors of a file's bytes.
pub(crate) trait Packer {
    type Matrix;
    type Vector;

    /// Of the rows of `tensor`, which `bytes` hold in `format`.
    ///
    /// # Errors
    /// They do not fit each other, or there is no memory.
    fn matrix(&self, tensor: &TensorView<'_>, format: Format, bytes: Cow<'_, [u8]>) -> Result<Self::Matrix, LoadError>;

    /// # Errors
    /// There is no memory.
    fn vector(&self, values: Vec<f32>) -> Result<Self::Vector, LoadError>;
}

/// How matrices are encoded before they are packed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Quantising {
    /// What matrices of floats become; `None` keeps them.
    pub quantization: Option<Quantization>,
    /// Threads that encode.
    pub threads: usize,
}

/// Packs each matrix straight from the file's bytes, so that beside the result one matrix at most is in memory.
/// `progress` is told the packed bytes of the file and all of them after each.
///
/// # Errors
/// The file's weights can't be used, or `packer` refuses them.
pub(crate) fn load<P: Packer>(
    file: &ModelFile,
    spec: &Spec,
    quantising: Quantising,
    packer: &P,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Weights<P::Matrix, P::Vector>, LoadError> {
    let all_bytes = file.tensors().map(|tensor| tensor.bytes.len() as u64).sum();
    gather(file, spec, &mut Loading { file, quantising, packer, done_bytes: 0, all_bytes, progress })
}

struct Loading<'a, P> {
    file: &'a ModelFile,
    quantising: Quantising,
    packer: &'a P,
    /// Of the file.
    done_bytes: u64,
    all_bytes: u64,
    progress: &'a mut dyn FnMut(u64, u64),
}

impl<P: Packer> Taker for Loading<'_, P> {
    type Matrix = P::Matrix;
    type Vector = P::Vector;

    fn matrix(&mut self, tensor: &TensorView<'_>) -> Result<P::Matrix, LoadError> {
        let Quantising { quantization, threads } = self.quantising;
        let format = self.file.planned(tensor, quantization)?;
        let matrix = self.packer.matrix(tensor, format, self.file.encoded(tensor, format, threads)?)?;
        self.done_bytes += tensor.bytes.len() as u64;
        (self.progress)(self.done_bytes, self.all_bytes);
        Ok(matrix)
    }

    fn vector(&mut self, tensor: &TensorView<'_>) -> Result<P::Vector, LoadError> {
        self.done_bytes += tensor.bytes.len() as u64;
        self.packer.vector(self.file.values(tensor)?)
    }
}
