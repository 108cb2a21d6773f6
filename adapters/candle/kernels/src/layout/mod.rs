//! How weights lie in a tile.
//!
//! A tile holds [`TILE_ROWS`] rows of a matrix, cut along the columns into units of 32 or 256 values a row. Within a unit
//! the codes of four neighbouring columns lie together for each row, sixteen rows after one another: 64 bytes that meet
//! four values of an input in one instruction.

mod bytes;
mod float;
mod nibbles;
mod six_bits;
mod super_blocks;

use crate::activations::Block;
use crate::format::Format;
use crate::simd::{Simd, Task};

pub(crate) use bytes::Eights;
pub(crate) use float::{Bf16s, F16s, F32s};
pub(crate) use nibbles::Nibbles;
pub(crate) use six_bits::Sixes;
pub(crate) use super_blocks::SuperBlocks;

/// Rows of a tile.
pub(crate) const TILE_ROWS: usize = 16;

/// What a unit is made of.
#[derive(Clone, Copy)]
pub(crate) struct Unit {
    /// Values of each row.
    pub(crate) values: usize,
    /// Bytes of one row's part in the file.
    pub(crate) file_bytes: usize,
    /// Bytes of all rows in a tile.
    pub(crate) bytes: usize,
}

/// The input that one pass over a tile is multiplied with.
pub(crate) struct Input<'a, const M: usize> {
    /// Codes, 32 columns after 32 columns; none for layouts of floats.
    pub(crate) blocks: &'a [[Block; M]],
    /// Values, for layouts of floats.
    pub(crate) values: [&'a [f32]; M],
}

/// One way to keep weights.
pub(crate) trait Layout {
    const UNIT: Unit;

    /// Writes one unit from the parts of the sixteen rows.
    fn pack(rows: &[&[u8]; TILE_ROWS], unit: &mut [u8]);

    /// Reads one row of a unit back.
    fn decode(unit: &[u8], row: usize, out: &mut [f32]);

    /// The products of all rows of a tile with `M` rows of input.
    fn multiply<S: Simd, const M: usize>(simd: S, tile: &[u8], input: &Input<'_, M>) -> [S::F32; M];
}

/// Work that is compiled once for each layout.
pub(crate) trait LayoutTask {
    type Output;

    fn run<L: Layout>(self) -> Self::Output;
}

/// Runs `task` with the layout of `format`.
#[inline(always)]
pub(crate) fn with_layout<T: LayoutTask>(format: Format, task: T) -> T::Output {
    match format {
        Format::F32 => task.run::<F32s>(),
        Format::F16 => task.run::<F16s>(),
        Format::BF16 => task.run::<Bf16s>(),
        Format::Q4_0 => task.run::<Nibbles<false, false>>(),
        Format::Q4_1 => task.run::<Nibbles<false, true>>(),
        Format::Q5_0 => task.run::<Nibbles<true, false>>(),
        Format::Q5_1 => task.run::<Nibbles<true, true>>(),
        Format::Q8_0 => task.run::<Eights>(),
        Format::Q4_K => task.run::<SuperBlocks<false>>(),
        Format::Q5_K => task.run::<SuperBlocks<true>>(),
        Format::Q6_K => task.run::<Sixes>(),
    }
}

pub(crate) fn unit(format: Format) -> Unit {
    struct Of;
    impl LayoutTask for Of {
        type Output = Unit;

        fn run<L: Layout>(self) -> Unit {
            L::UNIT
        }
    }
    with_layout(format, Of)
}

/// The products of one tile with `M` rows of input, compiled once for each layout, `M` and instruction set.
pub(crate) struct TileProduct<'a, const M: usize, S> {
    pub(crate) simd: S,
    pub(crate) tile: &'a [u8],
    pub(crate) input: Input<'a, M>,
}

impl<const M: usize, S: Simd> LayoutTask for TileProduct<'_, M, S> {
    type Output = [[f32; TILE_ROWS]; M];

    #[inline(always)]
    fn run<L: Layout>(self) -> Self::Output {
        struct Inner<'a, const M: usize, L> {
            tile: &'a [u8],
            input: Input<'a, M>,
            layout: std::marker::PhantomData<L>,
        }
        impl<const M: usize, L: Layout> Task for Inner<'_, M, L> {
            type Output = [[f32; TILE_ROWS]; M];

            #[inline(always)]
            fn run<S: Simd>(self, simd: S) -> Self::Output {
                let sums = L::multiply(simd, self.tile, &self.input);
                let mut out = [[0.0; TILE_ROWS]; M];
                for row in 0..M {
                    out[row] = simd.to_array(sums[row]);
                }
                out
            }
        }
        self.simd.call(Inner { tile: self.tile, input: self.input, layout: std::marker::PhantomData::<L> })
    }
}

/// One unit of a tile. Kernels count instead of iterating: iterators that are not inlined are calls, and those take the
/// sums out of their registers.
#[inline(always)]
fn unit_of(tile: &[u8], number: usize, bytes: usize) -> &[u8] {
    &tile[number * bytes..][..bytes]
}

/// `N` bytes at `offset`.
#[inline(always)]
fn at<const N: usize>(bytes: &[u8], offset: usize) -> &[u8; N] {
    bytes[offset..offset + N].first_chunk().expect("the slice is as long as the array")
}

/// Spreads the codes of one row, four neighbouring columns at a time, over the planes of 64 bytes.
#[inline(always)]
fn spread(row: usize, codes: &[u8], planes: &mut [u8]) {
    for (four, plane) in codes.as_chunks::<4>().0.iter().zip(planes.as_chunks_mut::<64>().0) {
        plane[4 * row..4 * row + 4].copy_from_slice(four);
    }
}

/// Copies a two-byte number of one row into a plane of sixteen.
#[inline(always)]
fn put_f16(row: usize, number: &[u8], plane: &mut [u8]) {
    plane[2 * row..2 * row + 2].copy_from_slice(&number[..2]);
}

/// The two-byte number of one row in a plane of sixteen.
#[inline(always)]
fn get_f16(row: usize, plane: &[u8]) -> f32 {
    half::f16::from_le_bytes([plane[2 * row], plane[2 * row + 1]]).to_f32_const()
}

/// Adds scaled integer sums to the results: `results += scale · x.scale · sums`.
#[inline(always)]
fn add_scaled<S: Simd, const M: usize>(
    simd: S,
    scale: S::F32,
    sums: [S::I32; M],
    x: &[Block; M],
    results: &mut [S::F32; M],
) {
    for row in 0..M {
        let scale = simd.mul(scale, simd.splat(x[row].scale));
        results[row] = simd.mul_add(scale, simd.to_f32(sums[row]), results[row]);
    }
}

/// Adds what stands beside the codes of a block: `results += minimum · x.scaled_sum`.
#[inline(always)]
fn add_minimum<S: Simd, const M: usize>(simd: S, minimum: S::F32, x: &[Block; M], results: &mut [S::F32; M]) {
    for row in 0..M {
        results[row] = simd.mul_add(minimum, simd.splat(x[row].scaled_sum), results[row]);
    }
}
