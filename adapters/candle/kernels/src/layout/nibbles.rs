//! Four and five bits in blocks of 32: Q4_0, Q4_1, Q5_0, Q5_1.

use super::{Input, Layout, TILE_ROWS, Unit, add_minimum, add_scaled, at, get_f16, put_f16, spread, unit_of};
use crate::activations::Block;
use crate::simd::Simd;

/// Bytes of a plane of nibbles: 32 columns of sixteen rows. Register `i` of four holds columns `4i` in its low and
/// columns `4i + 16` in its high nibbles.
pub(super) const NIBBLES: usize = 256;
/// Bytes of a plane of fifth bits: one mask of 64 bits for each four columns.
pub(super) const BITS: usize = 64;

/// Nibbles, fifth bits if `FIFTH`, f16 scales, f16 minimums if `MINIMUM`. Without a minimum, codes stand for numbers 8
/// (four bits) or 16 smaller.
pub(crate) struct Nibbles<const FIFTH: bool, const MINIMUM: bool>;

impl<const FIFTH: bool, const MINIMUM: bool> Nibbles<FIFTH, MINIMUM> {
    const SCALES: usize = NIBBLES + if FIFTH { BITS } else { 0 };
    const MINIMUMS: usize = Self::SCALES + 32;
    const OFFSET: i32 = match (MINIMUM, FIFTH) {
        (true, _) => 0,
        (false, false) => 8,
        (false, true) => 16,
    };
    /// Where the fifth bits and the nibbles of a block begin in the file.
    const FILE_BITS: usize = if MINIMUM { 4 } else { 2 };
    const FILE_NIBBLES: usize = Self::FILE_BITS + if FIFTH { 4 } else { 0 };
}

impl<const FIFTH: bool, const MINIMUM: bool> Layout for Nibbles<FIFTH, MINIMUM> {
    const UNIT: Unit =
        Unit { values: 32, file_bytes: Self::FILE_NIBBLES + 16, bytes: Self::SCALES + if MINIMUM { 64 } else { 32 } };

    #[inline(always)]
    fn pack(rows: &[&[u8]; TILE_ROWS], unit: &mut [u8]) {
        let mut bits = [0; 8];
        for (row, block) in rows.iter().enumerate() {
            put_f16(row, block, &mut unit[Self::SCALES..]);
            if MINIMUM {
                put_f16(row, &block[2..], &mut unit[Self::MINIMUMS..]);
            }
            if FIFTH {
                spread_bits(row, u32::from_le_bytes(*at(block, Self::FILE_BITS)), &mut bits);
            }
            spread(row, at::<16>(block, Self::FILE_NIBBLES), unit);
        }
        if FIFTH {
            store_bits(&bits, &mut unit[NIBBLES..]);
        }
    }

    #[inline(always)]
    fn decode(unit: &[u8], row: usize, out: &mut [f32]) {
        let scale = get_f16(row, &unit[Self::SCALES..]);
        let minimum = if MINIMUM { get_f16(row, &unit[Self::MINIMUMS..]) } else { 0.0 };
        for (column, value) in out.iter_mut().enumerate() {
            let code =
                i32::from(nibble(unit, row, column)) + if FIFTH { fifth(&unit[NIBBLES..], row, column) } else { 0 };
            *value = (code - Self::OFFSET) as f32 * scale + minimum;
        }
    }

    #[inline(always)]
    fn multiply<S: Simd, const M: usize>(simd: S, tile: &[u8], input: &Input<'_, M>) -> [S::F32; M] {
        let mut results = [simd.splat(0.0); M];
        for number in 0..input.blocks.len() {
            let (unit, x) = (unit_of(tile, number, Self::UNIT.bytes), &input.blocks[number]);
            simd.expect_after(unit);
            let bits = if FIFTH { Some(at(unit, NIBBLES)) } else { None };
            let sums = dot::<S, M>(simd, at(unit, 0), bits, Self::OFFSET, x);
            add_scaled(simd, simd.f16(at(unit, Self::SCALES)), sums, x, &mut results);
            if MINIMUM {
                add_minimum(simd, simd.f16(at(unit, Self::MINIMUMS)), x, &mut results);
            }
        }
        results
    }
}

/// The integer products of 32 columns of codes that stand for numbers `offset` smaller.
#[inline(always)]
pub(super) fn dot<S: Simd, const M: usize>(
    simd: S,
    nibbles: &[u8; NIBBLES],
    bits: Option<&[u8; BITS]>,
    offset: i32,
    x: &[Block; M],
) -> [S::I32; M] {
    let mut sums = [simd.open(simd.splat_i32(0)); M];
    for row in 0..M {
        sums[row] = simd.open(simd.splat_i32(-offset * (x[row].sums[0] + x[row].sums[1])));
    }
    for register in 0..4 {
        let both = simd.bytes(at(nibbles, 64 * register));
        let mut low = simd.low_nibbles(both);
        if let Some(bits) = bits {
            low = simd.add_fifth_bits(low, mask(bits, register));
        }
        for row in 0..M {
            sums[row] = simd.dot(sums[row], low, &x[row].codes[register]);
        }
        let mut high = simd.high_nibbles(both);
        if let Some(bits) = bits {
            high = simd.add_fifth_bits(high, mask(bits, register + 4));
        }
        for row in 0..M {
            sums[row] = simd.dot(sums[row], high, &x[row].codes[register + 4]);
            // Four codes of five bits are all that fits a sum, and eight of four bits.
            if bits.is_some() && register == 1 {
                sums[row] = simd.settle(sums[row]);
            }
        }
    }
    let mut closed = [simd.splat_i32(0); M];
    for row in 0..M {
        closed[row] = simd.close(sums[row]);
    }
    closed
}

#[inline(always)]
fn mask(bits: &[u8], group: usize) -> u64 {
    u64::from_le_bytes(*at(bits, 8 * group))
}

/// Puts the 32 fifth bits of a row into the masks.
#[inline(always)]
pub(super) fn spread_bits(row: usize, bits: u32, masks: &mut [u64; 8]) {
    for (group, mask) in masks.iter_mut().enumerate() {
        *mask |= u64::from(bits >> (4 * group) & 15) << (4 * row);
    }
}

#[inline(always)]
pub(super) fn store_bits(masks: &[u64; 8], plane: &mut [u8]) {
    for (mask, bytes) in masks.iter().zip(plane.as_chunks_mut::<8>().0) {
        *bytes = mask.to_le_bytes();
    }
}

/// The code of one row and column without its fifth bit.
#[inline(always)]
pub(super) fn nibble(plane: &[u8], row: usize, column: usize) -> u8 {
    let byte = plane[column % 16 / 4 * 64 + 4 * row + column % 4];
    if column < 16 { byte & 15 } else { byte >> 4 }
}

/// 16 or 0: the fifth bit of one row and column.
#[inline(always)]
pub(super) fn fifth(plane: &[u8], row: usize, column: usize) -> i32 {
    i32::from(mask(plane, column / 4) >> (4 * row + column % 4) & 1 != 0) << 4
}
