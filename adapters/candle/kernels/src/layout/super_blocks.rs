//! Four and five bits in blocks of 256 with scales of scales: Q4_K, Q5_K.

use super::nibbles::{BITS, NIBBLES, dot, fifth, nibble, spread_bits, store_bits};
use super::{Input, Layout, TILE_ROWS, Unit, add_minimum, add_scaled, at, get_f16, put_f16, spread, unit_of};
use crate::simd::Simd;

/// Eight times nibbles and, if `FIFTH`, fifth bits; eight times the rows' scales in bytes; eight times their minimums in
/// bytes; f16 scales of the scales; f16 scales of the minimums.
pub(crate) struct SuperBlocks<const FIFTH: bool>;

impl<const FIFTH: bool> SuperBlocks<FIFTH> {
    /// Codes of 32 columns.
    const CODES: usize = NIBBLES + if FIFTH { BITS } else { 0 };
    const SCALES: usize = 8 * Self::CODES;
    const MINIMUMS: usize = Self::SCALES + 8 * TILE_ROWS;
    const SUPER_SCALES: usize = Self::MINIMUMS + 8 * TILE_ROWS;
    const SUPER_MINIMUMS: usize = Self::SUPER_SCALES + 32;
    const FILE_BITS: usize = 16;
    const FILE_NIBBLES: usize = Self::FILE_BITS + if FIFTH { 32 } else { 0 };
}

impl<const FIFTH: bool> Layout for SuperBlocks<FIFTH> {
    const UNIT: Unit = Unit { values: 256, file_bytes: Self::FILE_NIBBLES + 128, bytes: Self::SUPER_MINIMUMS + 32 };

    #[inline(always)]
    fn pack(rows: &[&[u8]; TILE_ROWS], unit: &mut [u8]) {
        let mut bits = [[0; 8]; 8];
        for (row, block) in rows.iter().enumerate() {
            put_f16(row, block, &mut unit[Self::SUPER_SCALES..]);
            put_f16(row, &block[2..], &mut unit[Self::SUPER_MINIMUMS..]);
            for part in 0..8 {
                let (scale, minimum) = scale_and_minimum(at(block, 4), part);
                unit[Self::SCALES + part * TILE_ROWS + row] = scale;
                unit[Self::MINIMUMS + part * TILE_ROWS + row] = minimum;
                let codes = pair_up(at(block, Self::FILE_NIBBLES + part / 2 * 32), part % 2 == 1);
                spread(row, &codes, &mut unit[part * Self::CODES..]);
                if FIFTH {
                    spread_bits(row, bits_of(at(block, Self::FILE_BITS), part), &mut bits[part]);
                }
            }
        }
        if FIFTH {
            for (part, bits) in bits.iter().enumerate() {
                store_bits(bits, &mut unit[part * Self::CODES + NIBBLES..]);
            }
        }
    }

    #[inline(always)]
    fn decode(unit: &[u8], row: usize, out: &mut [f32]) {
        let super_scale = get_f16(row, &unit[Self::SUPER_SCALES..]);
        let super_minimum = get_f16(row, &unit[Self::SUPER_MINIMUMS..]);
        for (part, out) in out.chunks_exact_mut(32).enumerate() {
            let scale = super_scale * f32::from(unit[Self::SCALES + part * TILE_ROWS + row]);
            let minimum = super_minimum * f32::from(unit[Self::MINIMUMS + part * TILE_ROWS + row]);
            let codes = &unit[part * Self::CODES..];
            for (column, value) in out.iter_mut().enumerate() {
                let high = if FIFTH { fifth(&codes[NIBBLES..], row, column) } else { 0 };
                *value = scale * (i32::from(nibble(codes, row, column)) + high) as f32 - minimum;
            }
        }
    }

    #[inline(always)]
    fn multiply<S: Simd, const M: usize>(simd: S, tile: &[u8], input: &Input<'_, M>) -> [S::F32; M] {
        let mut results = [simd.splat(0.0); M];
        for number in 0..input.blocks.len() / 8 {
            let unit = unit_of(tile, number, Self::UNIT.bytes);
            let super_scale = simd.f16(at(unit, Self::SUPER_SCALES));
            let super_minimum = simd.mul(simd.splat(-1.0), simd.f16(at(unit, Self::SUPER_MINIMUMS)));
            simd.expect_after(&unit[8 * Self::CODES..]);
            for part in 0..8 {
                let x = &input.blocks[8 * number + part];
                simd.expect_after(&unit[part * Self::CODES..(part + 1) * Self::CODES]);
                let bits = if FIFTH { Some(at(unit, part * Self::CODES + NIBBLES)) } else { None };
                let sums = dot::<S, M>(simd, at(unit, part * Self::CODES), bits, 0, x);
                let scale = simd.unsigned_bytes(at(unit, Self::SCALES + part * TILE_ROWS));
                add_scaled(simd, simd.mul(super_scale, scale), sums, x, &mut results);
                let minimum = simd.unsigned_bytes(at(unit, Self::MINIMUMS + part * TILE_ROWS));
                add_minimum(simd, simd.mul(super_minimum, minimum), x, &mut results);
            }
        }
        results
    }
}

/// The six-bit scale and minimum of one eighth of a block.
#[inline(always)]
fn scale_and_minimum(packed: &[u8; 12], part: usize) -> (u8, u8) {
    if part < 4 {
        (packed[part] & 63, packed[part + 4] & 63)
    } else {
        let low = packed[part + 4];
        (low & 15 | packed[part - 4] >> 6 << 4, low >> 4 | packed[part] >> 6 << 4)
    }
}

/// The nibbles of 32 columns, which the file keeps in the same half of 32 bytes, in 16 bytes.
#[inline(always)]
pub(super) fn pair_up(bytes: &[u8; 32], high: bool) -> [u8; 16] {
    if high {
        std::array::from_fn(|i| bytes[i] >> 4 | bytes[i + 16] & 0xf0)
    } else {
        std::array::from_fn(|i| bytes[i] & 15 | bytes[i + 16] << 4)
    }
}

/// The fifth bits of 32 columns: bit `part` of 32 bytes.
#[inline(always)]
fn bits_of(bytes: &[u8; 32], part: usize) -> u32 {
    bytes.iter().enumerate().fold(0, |bits, (i, byte)| bits | u32::from(byte >> part & 1) << i)
}
