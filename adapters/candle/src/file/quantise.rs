//! Encoding weights anew at load, so that large floats, and encodings without a kernel, become what kernels run.
//!
//! Rows are encoded in groups, so that beside the result only a few decoded rows are in memory at a time.

use std::borrow::Cow;
use std::sync::{Mutex, PoisonError};

use candle_core::quantized::{GgmlDType, QStorage, QTensor};
use candle_core::{Device, Tensor};
use half::{bf16, f16};
use magpie_kernels::Format;

use super::format::Encoding;
use super::{ModelFile, TensorFormat, TensorView};
use crate::error::LoadError;

/// Values that are decoded at a time by each thread: 4 MiB of them.
const GROUP_VALUES: usize = 1 << 20;

/// What weights that come as floats become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quantization {
    /// 8.5 bits a weight; next to no loss.
    Q80,
    /// 4.5 bits a weight, 8.5 where most depends on it: in the embedding and the output.
    Q4K,
}

impl Quantization {
    /// The value of `model.local.quantization`: `q8_0` or `q4_k`.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "q8_0" => Some(Self::Q80),
            "q4_k" => Some(Self::Q4K),
            _ => None,
        }
    }

    /// For a matrix of floats. Blocks have to fit into rows; where those of Q4_K do not, llama.cpp takes Q5_0 as well.
    fn format(self, tensor: &TensorView<'_>) -> Option<Format> {
        let most_depends_on_it = ["token_embd.weight", "output.weight"].contains(&tensor.name);
        match tensor.cols() {
            cols if !cols.is_multiple_of(32) => None,
            _ if self == Self::Q80 || most_depends_on_it => Some(Format::Q8_0),
            cols if cols.is_multiple_of(256) => Some(Format::Q4_K),
            _ => Some(Format::Q5_0),
        }
    }
}

impl ModelFile {
    /// The format that a tensor is kept in: the file's own, unless it is a matrix of floats and something smaller is
    /// wanted, or the file's own can be decoded but not run.
    ///
    /// # Errors
    /// The file's own can be neither.
    pub fn planned(&self, tensor: &TensorView<'_>, wanted: Option<Quantization>) -> Result<Format, LoadError> {
        match tensor.format {
            TensorFormat::Known(format @ (Format::F32 | Format::F16 | Format::BF16)) if tensor.shape.len() > 1 => {
                Ok(wanted.and_then(|wanted| wanted.format(tensor)).unwrap_or(format))
            }
            TensorFormat::Known(format) => Ok(format),
            other if other.for_candle().is_some() => Ok(Format::Q8_0),
            TensorFormat::Other(name) => Err(self.unsupported(format!(
                "tensor {} is encoded as {name}; a file in Q4_K_M, Q5_K_M, Q6_K or Q8_0 can be run",
                tensor.name
            ))),
        }
    }

    /// The bytes of a tensor in this format: the file's own, or new ones. `threads` share the work.
    ///
    /// # Errors
    /// The tensor can't be encoded like that; [`ModelFile::planned`] names formats that it can be.
    pub fn encoded<'a>(
        &self,
        tensor: &TensorView<'a>,
        format: Format,
        threads: usize,
    ) -> Result<Cow<'a, [u8]>, LoadError> {
        if tensor.format == TensorFormat::Known(format) {
            return Ok(Cow::Borrowed(tensor.bytes));
        }
        requantise(tensor, format, threads).map(Cow::Owned).map_err(|source| LoadError::Broken {
            path: self.path().to_owned(),
            what: format!("tensor {} can't be encoded as {}", tensor.name, TensorFormat::Known(format).name()),
            source: Some(source.into()),
        })
    }

    /// The values of a tensor: for norms, biases and whatever else is small.
    ///
    /// # Errors
    /// Its encoding is not known.
    pub fn values(&self, tensor: &TensorView<'_>) -> Result<Vec<f32>, LoadError> {
        decode(tensor.format, tensor.bytes, tensor.cols()).map_err(|source| LoadError::Broken {
            path: self.path().to_owned(),
            what: format!("tensor {} can't be decoded from {}", tensor.name, tensor.format.name()),
            source: Some(source.into()),
        })
    }
}

fn requantise(tensor: &TensorView<'_>, format: Format, threads: usize) -> Result<Vec<u8>, candle_core::Error> {
    let (rows, cols) = (tensor.rows(), tensor.cols());
    let dtype = TensorFormat::Known(format).for_candle();
    let size = Encoding::of(format).size(1, cols);
    let (Some(dtype), Some(row_bytes)) = (dtype, size) else {
        candle_core::bail!("its rows of {cols} values are no whole blocks");
    };
    let group_rows = (GROUP_VALUES / cols).clamp(1, rows);
    let from_bytes = group_rows * (tensor.bytes.len() / rows);
    let mut encoded = vec![0; rows * row_bytes];
    let groups = Mutex::new(tensor.bytes.chunks(from_bytes).zip(encoded.chunks_mut(group_rows * row_bytes)));
    let work = || -> Result<(), candle_core::Error> {
        // An iterator has no state that a panic between two calls could break.
        let next = || groups.lock().unwrap_or_else(PoisonError::into_inner).next();
        while let Some((from, to)) = next() {
            let values = decode(tensor.format, from, cols)?;
            to.copy_from_slice(&encode(values, cols, dtype)?.data()?);
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
        let mine = work();
        let others =
            others.into_iter().map(|other| other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        others.fold(mine, Result::and)
    })?;
    Ok(encoded)
}

fn encode(values: Vec<f32>, cols: usize, dtype: GgmlDType) -> Result<QTensor, candle_core::Error> {
    let rows = values.len() / cols;
    QTensor::quantize(&Tensor::from_vec(values, (rows, cols), &Device::Cpu)?, dtype)
}

fn decode(format: TensorFormat, bytes: &[u8], cols: usize) -> Result<Vec<f32>, candle_core::Error> {
    // Floats of safetensors files may lie at odd addresses, so they are put together from bytes.
    let pairs = || bytes.chunks_exact(2).map(|two| [two[0], two[1]]);
    Ok(match format {
        TensorFormat::Known(Format::F32) => {
            bytes.chunks_exact(4).map(|four| f32::from_le_bytes([four[0], four[1], four[2], four[3]])).collect()
        }
        TensorFormat::Known(Format::F16) => pairs().map(|two| f16::from_le_bytes(two).to_f32()).collect(),
        TensorFormat::Known(Format::BF16) => pairs().map(|two| bf16::from_le_bytes(two).to_f32()).collect(),
        _ => {
            let Some(dtype) = format.for_candle() else {
                candle_core::bail!("the encoding {} is not known", format.name());
            };
            let storage = QStorage::from_data(Cow::Borrowed(bytes), &Device::Cpu, dtype)?;
            let rows = bytes.len() / dtype.type_size() * dtype.block_size() / cols;
            QTensor::new(storage, (rows, cols))?.dequantize(&Device::Cpu)?.flatten_all()?.to_vec1()?
        }
    })
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use candle_core::quantized::gguf_file;
    use tempfile::NamedTempFile;

    use super::*;
    use crate::file::testfolder::value;

    /// A file with one matrix in this encoding.
    fn matrix(name: &str, (rows, cols): (usize, usize), dtype: GgmlDType) -> ModelFile {
        let values = (0..rows * cols).map(value).collect();
        let tensor = encode(values, cols, dtype).unwrap();
        let written = NamedTempFile::new().unwrap();
        gguf_file::write(&mut File::create(written.path()).unwrap(), &[], &[(name, &tensor)]).unwrap();
        ModelFile::open(written.path()).unwrap()
    }

    fn planned(name: &str, cols: usize, dtype: GgmlDType, wanted: Option<Quantization>) -> Format {
        let file = matrix(name, (2, cols), dtype);
        let tensor = file.tensors().next().unwrap();
        file.planned(&tensor, wanted).unwrap()
    }

    #[test]
    fn only_matrices_of_floats_are_made_smaller() {
        use {GgmlDType as D, Quantization as Q};
        assert_eq!(planned("w", 256, D::BF16, Some(Q::Q4K)), Format::Q4_K);
        assert_eq!(planned("w", 224, D::F32, Some(Q::Q4K)), Format::Q5_0);
        assert_eq!(planned("w", 224, D::F16, Some(Q::Q80)), Format::Q8_0);
        assert_eq!(planned("w", 40, D::F16, Some(Q::Q80)), Format::F16);
        assert_eq!(planned("output.weight", 256, D::F32, Some(Q::Q4K)), Format::Q8_0);
        assert_eq!(planned("w", 256, D::Q6K, Some(Q::Q4K)), Format::Q6_K);
        assert_eq!(planned("w", 256, D::BF16, None), Format::BF16);
        assert_eq!(planned("w", 256, D::Q3K, None), Format::Q8_0);
        let vector = Tensor::zeros(&[256], candle_core::DType::F32, &Device::Cpu).unwrap();
        let vector = QTensor::quantize(&vector, D::F32).unwrap();
        let written = NamedTempFile::new().unwrap();
        gguf_file::write(&mut File::create(written.path()).unwrap(), &[], &[("norm", &vector)]).unwrap();
        let file = ModelFile::open(written.path()).unwrap();
        assert_eq!(file.planned(&file.tensor("norm").unwrap(), Some(Q::Q80)).unwrap(), Format::F32);
    }

    #[test]
    fn values_survive_each_encoding_as_well_as_it_can() {
        let cases = [
            (GgmlDType::F16, Format::Q8_0, 0.005),
            (GgmlDType::BF16, Format::Q4_K, 0.1),
            (GgmlDType::F32, Format::Q5_0, 0.07),
            (GgmlDType::Q3K, Format::Q8_0, 0.3),
            (GgmlDType::Q2K, Format::Q8_0, 0.4),
        ];
        for (from, to, most) in cases {
            let file = matrix("w", (5, 512), from);
            let tensor = file.tensor("w").unwrap();
            let encoded = file.encoded(&tensor, to, 2).unwrap();
            let values = decode(TensorFormat::Known(to), &encoded, 512).unwrap();
            assert_eq!(values.len(), 5 * 512);
            let worst = (0..).map(value).zip(&values).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(worst <= most, "{from:?} to {to:?}: {worst}");
        }
    }

    #[test]
    fn groups_and_threads_make_no_difference() {
        // Three groups, the last of them short.
        let rows = 2 * (GROUP_VALUES / 8192) + 3;
        let file = matrix("w", (rows, 8192), GgmlDType::BF16);
        let tensor = file.tensor("w").unwrap();
        let whole = encode(decode(tensor.format, tensor.bytes, 8192).unwrap(), 8192, GgmlDType::Q8_0).unwrap();
        let whole = whole.data().unwrap();
        for threads in [1, 3] {
            assert_eq!(file.encoded(&tensor, Format::Q8_0, threads).unwrap(), whole, "{threads}");
        }
        assert!(matches!(file.encoded(&tensor, Format::BF16, 1).unwrap(), Cow::Borrowed(_)));
    }

    #[test]
    fn small_tensors_are_read_as_they_are() {
        for dtype in [GgmlDType::F32, GgmlDType::F16, GgmlDType::BF16] {
            let file = matrix("w", (2, 32), dtype);
            let values = file.values(&file.tensor("w").unwrap()).unwrap();
            assert_eq!(values, (0..64).map(value).collect::<Vec<_>>(), "{dtype:?}");
        }
    }
}
