//! Eight bits: Q8_0.

use super::{Input, Layout, TILE_ROWS, Unit, add_scaled, at, get_f16, put_f16, spread, unit_of};
use crate::simd::Simd;

const SCALES: usize = 512;

/// Codes and 128 more (512 bytes), then f16 scales.
pub(crate) struct Eights;

impl Layout for Eights {
    const UNIT: Unit = Unit { values: 32, file_bytes: 34, bytes: SCALES + 32 };

    #[inline(always)]
    fn pack(rows: &[&[u8]; TILE_ROWS], unit: &mut [u8]) {
        for (row, block) in rows.iter().enumerate() {
            put_f16(row, block, &mut unit[SCALES..]);
            spread(row, &at::<32>(block, 2).map(|code| code ^ 0x80), unit);
        }
    }

    #[inline(always)]
    fn decode(unit: &[u8], row: usize, out: &mut [f32]) {
        let scale = get_f16(row, &unit[SCALES..]);
        for (column, value) in out.iter_mut().enumerate() {
            *value = scale * (f32::from(unit[column / 4 * 64 + 4 * row + column % 4]) - 128.0);
        }
    }

    #[inline(always)]
    fn multiply<S: Simd, const M: usize>(simd: S, tile: &[u8], input: &Input<'_, M>) -> [S::F32; M] {
        let mut results = [simd.splat(0.0); M];
        for number in 0..input.blocks.len() {
            let (unit, x) = (unit_of(tile, number, Self::UNIT.bytes), &input.blocks[number]);
            simd.expect_after(unit);
            let mut sums = [simd.splat_i32(0); M];
            for row in 0..M {
                sums[row] = simd.start_signed(x[row].sums[0] + x[row].sums[1]);
            }
            for group in 0..8 {
                let codes = simd.bytes(at(unit, 64 * group));
                for row in 0..M {
                    sums[row] = simd.dot_signed(sums[row], codes, &x[row].codes[group]);
                }
            }
            add_scaled(simd, simd.f16(at(unit, SCALES)), sums, x, &mut results);
        }
        results
    }
}
