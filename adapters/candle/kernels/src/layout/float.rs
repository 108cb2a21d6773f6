//! Floats: F32, F16, BF16. Column after column, the sixteen rows of each.

use half::{bf16, f16};

use super::{Input, Layout, TILE_ROWS, Unit};
use crate::simd::Simd;

/// Columns of a unit. Each has a sum of its own, so that rounding errors grow with its length and the number of units
/// instead of with their product.
const COLUMNS: usize = 32;

/// How one weight is kept.
pub(crate) trait Float {
    const BYTES: usize;

    fn read(bytes: &[u8]) -> f32;

    /// Sixteen of them.
    fn load<S: Simd>(simd: S, bytes: &[u8]) -> S::F32;
}

pub(crate) struct Floats<F>(F);

pub(crate) type F32s = Floats<f32>;
pub(crate) type F16s = Floats<f16>;
pub(crate) type Bf16s = Floats<bf16>;

impl<F: Float> Layout for Floats<F> {
    const UNIT: Unit = Unit { values: COLUMNS, file_bytes: COLUMNS * F::BYTES, bytes: COLUMNS * TILE_ROWS * F::BYTES };

    #[inline(always)]
    fn pack(rows: &[&[u8]; TILE_ROWS], unit: &mut [u8]) {
        for (row, values) in rows.iter().enumerate() {
            for (value, column) in values.chunks_exact(F::BYTES).zip(unit.chunks_exact_mut(TILE_ROWS * F::BYTES)) {
                column[row * F::BYTES..(row + 1) * F::BYTES].copy_from_slice(value);
            }
        }
    }

    #[inline(always)]
    fn decode(unit: &[u8], row: usize, out: &mut [f32]) {
        for (value, column) in out.iter_mut().zip(unit.chunks_exact(TILE_ROWS * F::BYTES)) {
            *value = F::read(&column[row * F::BYTES..(row + 1) * F::BYTES]);
        }
    }

    #[inline(always)]
    fn multiply<S: Simd, const M: usize>(simd: S, tile: &[u8], input: &Input<'_, M>) -> [S::F32; M] {
        let mut results = [simd.splat(0.0); M];
        for (number, unit) in tile.chunks_exact(Self::UNIT.bytes).enumerate() {
            simd.expect_after(unit);
            let mut x = [&[0.0; COLUMNS]; M];
            for (x, values) in x.iter_mut().zip(&input.values) {
                *x = &values.as_chunks().0[number];
            }
            let mut sums = [simd.splat(0.0); M];
            for (column, weights) in unit.chunks_exact(TILE_ROWS * F::BYTES).enumerate() {
                let weights = F::load(simd, weights);
                for row in 0..M {
                    sums[row] = simd.mul_add(weights, simd.splat(x[row][column]), sums[row]);
                }
            }
            for row in 0..M {
                results[row] = simd.add(results[row], sums[row]);
            }
        }
        results
    }
}

impl Float for f32 {
    const BYTES: usize = 4;

    #[inline(always)]
    fn read(bytes: &[u8]) -> f32 {
        Self::from_le_bytes(*super::at(bytes, 0))
    }

    #[inline(always)]
    fn load<S: Simd>(simd: S, bytes: &[u8]) -> S::F32 {
        simd.f32(super::at(bytes, 0))
    }
}

impl Float for f16 {
    const BYTES: usize = 2;

    #[inline(always)]
    fn read(bytes: &[u8]) -> f32 {
        Self::from_le_bytes(*super::at(bytes, 0)).to_f32_const()
    }

    #[inline(always)]
    fn load<S: Simd>(simd: S, bytes: &[u8]) -> S::F32 {
        simd.f16(super::at(bytes, 0))
    }
}

impl Float for bf16 {
    const BYTES: usize = 2;

    #[inline(always)]
    fn read(bytes: &[u8]) -> f32 {
        Self::from_le_bytes(*super::at(bytes, 0)).to_f32_const()
    }

    #[inline(always)]
    fn load<S: Simd>(simd: S, bytes: &[u8]) -> S::F32 {
        simd.bf16(super::at(bytes, 0))
    }
}
