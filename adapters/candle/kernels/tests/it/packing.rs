//! Packing loses nothing.

use magpie_kernels::{Compute, Format, Matrix, PackError, Tier};
use proptest::prelude::*;

use crate::blocks::{self, Random};

fn compute(tier: Tier, threads: usize) -> Compute {
    Compute::new(threads, tier).expect("threads start")
}

fn rows_of(matrix: &Matrix) -> Vec<f32> {
    let mut values = vec![f32::NAN; matrix.rows() * matrix.cols()];
    for (row, out) in values.chunks_exact_mut(matrix.cols()).enumerate() {
        matrix.copy_row(row, out);
    }
    values
}

#[test]
fn rows_come_back_as_the_file_means_them_on_every_tier() {
    for format in Format::ALL {
        for shape in [(1, 256), (16, 512), (17, 256), (40, 768)] {
            let raw = blocks::random(format, shape, 7);
            let expected = blocks::decode(format, &raw);
            for tier in Tier::available() {
                let matrix = Matrix::pack(&compute(tier, 2), format, &raw, shape).unwrap();
                assert!(rows_of(&matrix) == expected, "{format:?} {shape:?} {tier:?}");
                assert_eq!(matrix.bytes(), format.packed_bytes(shape.0, shape.1));
            }
        }
    }
}

#[test]
fn small_blocks_need_a_multiple_of_32_columns_only() {
    for format in Format::ALL.into_iter().filter(|format| format.block_values() <= 32) {
        let shape = (18, 96);
        let raw = blocks::random(format, shape, 8);
        let matrix = Matrix::pack(&compute(Tier::best(), 2), format, &raw, shape).unwrap();
        assert!(rows_of(&matrix) == blocks::decode(format, &raw), "{format:?}");
    }
}

#[test]
fn packed_tiles_stay_near_the_size_of_the_file() {
    for format in Format::ALL {
        let (file, packed) = (format.file_bytes(1024, 1024), format.packed_bytes(1024, 1024));
        assert!(packed <= file + file / 32, "{format:?}: {packed} instead of {file}");
    }
}

#[test]
fn shapes_that_do_not_fit_are_refused() {
    let compute = compute(Tier::best(), 1);
    let pack = |format, bytes, shape| Matrix::pack(&compute, format, &vec![0; bytes], shape).err();
    assert_eq!(pack(Format::Q4_K, 144, (2, 128)), Some(PackError::Columns { format: Format::Q4_K, cols: 128 }));
    assert_eq!(pack(Format::F32, 64, (1, 16)), Some(PackError::Columns { format: Format::F32, cols: 16 }));
    assert_eq!(pack(Format::Q8_0, 33, (1, 32)), Some(PackError::Length { needed: 34, found: 33 }));
    assert_eq!(pack(Format::Q8_0, 35, (1, 32)), Some(PackError::Length { needed: 34, found: 35 }));
}

#[test]
fn a_matrix_without_rows_is_empty() {
    let matrix = Matrix::pack(&compute(Tier::best(), 2), Format::Q4_0, &[], (0, 32)).unwrap();
    assert_eq!((matrix.rows(), matrix.bytes()), (0, 0));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_bytes_come_back_as_the_file_means_them(
        format in prop::sample::select(Format::ALL.to_vec()),
        rows in 1usize..40,
        bytes in prop::collection::vec(any::<u8>(), 256 * 4),
        seed: u64,
    ) {
        let raw: Vec<u8> = bytes.iter().copied().cycle().take(format.file_bytes(rows, 256)).collect();
        let raw = blocks::with_finite_scales(format, raw, &mut Random::new(seed));
        let matrix = Matrix::pack(&compute(Tier::best(), 2), format, &raw, (rows, 256)).unwrap();
        prop_assert!(rows_of(&matrix) == blocks::decode(format, &raw));
    }
}
