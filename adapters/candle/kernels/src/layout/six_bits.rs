//! Six bits: Q6_K.

use super::nibbles::{NIBBLES, nibble};
use super::super_blocks::pair_up;
use super::{Input, Layout, TILE_ROWS, Unit, add_scaled, at, get_f16, put_f16, spread, unit_of};
use crate::activations::Block;
use crate::simd::Simd;

/// Bytes of a plane of bit pairs: register `i` of two holds the upper two bits of columns `16i` to `16i + 15`, those of
/// the first four columns lowest.
const PAIRS: usize = 128;
/// Codes of 32 columns.
const CODES: usize = NIBBLES + PAIRS;
const SCALES: usize = 8 * CODES;
const SUPER_SCALES: usize = SCALES + 16 * TILE_ROWS;
/// Where the parts of a block begin in the file.
const FILE_PAIRS: usize = 128;
const FILE_SCALES: usize = 192;
const FILE_SUPER_SCALE: usize = 208;

/// Eight times nibbles and pairs of bits; sixteen times the rows' scales in signed bytes, each for 16 columns; f16 scales
/// of the scales. Codes stand for numbers 32 smaller.
pub(crate) struct Sixes;

impl Layout for Sixes {
    const UNIT: Unit = Unit { values: 256, file_bytes: 210, bytes: SUPER_SCALES + 32 };

    #[inline(always)]
    fn pack(rows: &[&[u8]; TILE_ROWS], unit: &mut [u8]) {
        for (row, block) in rows.iter().enumerate() {
            put_f16(row, &block[FILE_SUPER_SCALE..], &mut unit[SUPER_SCALES..]);
            for (part, scale) in at::<16>(block, FILE_SCALES).iter().enumerate() {
                unit[SCALES + part * TILE_ROWS + row] = *scale;
            }
            for part in 0..8 {
                // In each half of a block, the file keeps quarters 0 and 1 in the low, 2 and 3 in the high nibbles.
                let (half, quarter) = (part / 4, part % 4);
                let nibbles = at(block, 64 * half + 32 * (quarter % 2));
                let codes = &mut unit[part * CODES..];
                spread(row, &pair_up(nibbles, quarter >= 2), codes);
                let pairs = collect_pairs(at(block, FILE_PAIRS + 32 * half), quarter);
                spread(row, &pairs, &mut codes[NIBBLES..]);
            }
        }
    }

    #[inline(always)]
    fn decode(unit: &[u8], row: usize, out: &mut [f32]) {
        let super_scale = get_f16(row, &unit[SUPER_SCALES..]);
        for (part, out) in out.chunks_exact_mut(32).enumerate() {
            let codes = &unit[part * CODES..];
            for (column, value) in out.iter_mut().enumerate() {
                let scale = unit[SCALES + (2 * part + column / 16) * TILE_ROWS + row].cast_signed();
                let pairs = codes[NIBBLES + column / 16 * 64 + 4 * row + column % 4];
                let code = nibble(codes, row, column) | (pairs >> (column % 16 / 4 * 2) & 3) << 4;
                *value = super_scale * f32::from(scale) * (f32::from(code) - 32.0);
            }
        }
    }

    #[inline(always)]
    fn multiply<S: Simd, const M: usize>(simd: S, tile: &[u8], input: &Input<'_, M>) -> [S::F32; M] {
        let mut results = [simd.splat(0.0); M];
        for number in 0..input.blocks.len() / 8 {
            let unit = unit_of(tile, number, Self::UNIT.bytes);
            let super_scale = simd.f16(at(unit, SUPER_SCALES));
            simd.expect_after(&unit[8 * CODES..]);
            for part in 0..8 {
                let x = &input.blocks[8 * number + part];
                let codes = at(unit, part * CODES);
                simd.expect_after(codes);
                for half in 0..2 {
                    let sums = dot(simd, codes, half, x);
                    let scale = simd.signed_bytes(at(unit, SCALES + (2 * part + half) * TILE_ROWS));
                    add_scaled(simd, simd.mul(super_scale, scale), sums, x, &mut results);
                }
            }
        }
        results
    }
}

/// The integer products of one half of 32 columns.
#[inline(always)]
fn dot<S: Simd, const M: usize>(simd: S, codes: &[u8; CODES], half: usize, x: &[Block; M]) -> [S::I32; M] {
    let mut sums = [simd.open(simd.splat_i32(0)); M];
    for row in 0..M {
        sums[row] = simd.open(simd.splat_i32(-32 * x[row].sums[half]));
    }
    let pairs = simd.bytes(at(codes, NIBBLES + 64 * half));
    dot_four::<S, M, 0>(simd, codes, half, pairs, x, &mut sums);
    dot_four::<S, M, 1>(simd, codes, half, pairs, x, &mut sums);
    // Two codes of six bits are all that fits a sum.
    for sum in &mut sums {
        *sum = simd.settle(*sum);
    }
    dot_four::<S, M, 2>(simd, codes, half, pairs, x, &mut sums);
    dot_four::<S, M, 3>(simd, codes, half, pairs, x, &mut sums);
    let mut closed = [simd.splat_i32(0); M];
    for row in 0..M {
        closed[row] = simd.close(sums[row]);
    }
    closed
}

/// Adds the products of four columns.
#[inline(always)]
fn dot_four<S: Simd, const M: usize, const REGISTER: u32>(
    simd: S,
    codes: &[u8; CODES],
    half: usize,
    pairs: S::Bytes,
    x: &[Block; M],
    sums: &mut [S::Sum; M],
) {
    let codes = simd.add_high_pairs::<REGISTER>(nibbles(simd, codes, half, REGISTER as usize), pairs);
    for row in 0..M {
        sums[row] = simd.dot(sums[row], codes, &x[row].codes[4 * half + REGISTER as usize]);
    }
}

/// One register of nibbles: of the first or the second 16 columns.
#[inline(always)]
fn nibbles<S: Simd>(simd: S, codes: &[u8; CODES], half: usize, register: usize) -> S::Bytes {
    let both = simd.bytes(at(codes, 64 * register));
    if half == 0 { simd.low_nibbles(both) } else { simd.high_nibbles(both) }
}

/// The upper bits of 32 columns (two bits of each of 32 bytes, the lowest but `2 * quarter`): bytes `0..4` with those of
/// columns 0 to 15, bytes `4..8` with the rest, as in the plane.
#[inline(always)]
fn collect_pairs(bytes: &[u8; 32], quarter: usize) -> [u8; 8] {
    let pairs = bytes.map(|byte| byte >> (2 * quarter) & 3);
    std::array::from_fn(|i| {
        let first = i / 4 * 16 + i % 4;
        pairs[first] | pairs[first + 4] << 2 | pairs[first + 8] << 4 | pairs[first + 12] << 6
    })
}
