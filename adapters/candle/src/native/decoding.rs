//! Whether packed weights mean what candle says they mean: an implementation of every encoding that is not ours.

use candle_core::quantized::{QStorage, QTensor};
use candle_core::{DType, Device, Tensor};
use magpie_kernels::{Compute, Format, Matrix, Tier};
use proptest::prelude::*;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::file::TensorFormat;

const COLS: usize = 512;

/// What candle reads in these bytes.
fn expected(format: Format, bytes: &[u8], rows: usize) -> Vec<f32> {
    let float = |dtype| Tensor::from_raw_buffer(bytes, dtype, &[rows, COLS], &Device::Cpu);
    let values = match format {
        Format::F32 => float(DType::F32),
        Format::F16 => float(DType::F16),
        Format::BF16 => float(DType::BF16),
        _ => {
            let dtype = TensorFormat::Known(format).for_candle().unwrap();
            let storage = QStorage::from_data(bytes.into(), &Device::Cpu, dtype).unwrap();
            QTensor::new(storage, (rows, COLS)).unwrap().dequantize(&Device::Cpu)
        }
    };
    values.unwrap().to_dtype(DType::F32).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

fn decoded(format: Format, bytes: &[u8], rows: usize) -> Vec<f32> {
    let compute = Compute::new(1, Tier::best()).unwrap();
    let matrix = Matrix::pack(&compute, format, bytes, (rows, COLS)).unwrap();
    let mut values = vec![0.0; rows * COLS];
    for (row, out) in values.chunks_exact_mut(COLS).enumerate() {
        matrix.copy_row(row, out);
    }
    values
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    /// To the bit: both make the same products and sums of the same numbers, in the same order. Bytes that stand for no
    /// number, or an infinite one, do so for both.
    #[test]
    fn every_encoding_means_what_candle_says(rows in 1usize..40, seed: u64) {
        for format in Format::ALL {
            let mut bytes = vec![0; format.file_bytes(rows, COLS)];
            StdRng::seed_from_u64(seed).fill(&mut bytes[..]);
            let (ours, theirs) = (decoded(format, &bytes, rows), expected(format, &bytes, rows));
            prop_assert_eq!(ours.len(), theirs.len());
            for (place, (ours, theirs)) in ours.iter().zip(&theirs).enumerate() {
                let same = ours == theirs || ours.is_nan() && theirs.is_nan();
                prop_assert!(same, "{:?}, value {}: {} and not {}", format, place, ours, theirs);
            }
        }
    }
}
