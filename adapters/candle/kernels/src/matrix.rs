//! Weights, repacked once.

use crate::compute::Compute;
use crate::format::Format;
use crate::layout::{Layout, LayoutTask, TILE_ROWS, with_layout};
use crate::memory::{AlignedBytes, CACHE_LINE};
use crate::parts::each_chunk;
use crate::simd::{Simd, Task, prefetch};

/// Of the files that weights are mapped from.
const PAGE_BYTES: usize = 4096;

/// What rows are filled up with: in every format, bytes of zero mean values of zero.
static ZEROS: [u8; 256] = [0; 256];

/// A matrix of `rows` outputs by `cols` inputs, packed into tiles of 16 rows that keep the file's bits per weight (the
/// last tile is filled up with zero rows).
pub struct Matrix {
    format: Format,
    rows: usize,
    cols: usize,
    tiles: AlignedBytes,
}

/// Why bytes are no matrix.
#[derive(Debug, PartialEq, Eq)]
pub enum PackError {
    /// Columns are not whole blocks, or no multiple of 32.
    Columns { format: Format, cols: usize },
    /// There are `found` bytes where the shape needs `needed`.
    Length { needed: usize, found: usize },
}

impl std::fmt::Display for PackError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Columns { format, cols } => write!(
                f,
                "rows of {cols} values are not whole blocks of {format:?} ({} values, at least 32)",
                format.block_values()
            ),
            Self::Length { needed, found } => write!(f, "the shape needs {needed} bytes, there are {found}"),
        }
    }
}

impl std::error::Error for PackError {}

impl Matrix {
    /// Packs `raw`, the blocks of all rows one after the other as in the file.
    ///
    /// # Errors
    /// `raw` does not have the length that the shape needs, or the shape does not fit the format.
    pub fn pack(
        compute: &Compute,
        format: Format,
        raw: &[u8],
        (rows, cols): (usize, usize),
    ) -> Result<Self, PackError> {
        if !cols.is_multiple_of(format.unit().values) {
            return Err(PackError::Columns { format, cols });
        }
        let needed = format.file_bytes(rows, cols);
        if raw.len() != needed {
            return Err(PackError::Length { needed, found: raw.len() });
        }
        let tile_bytes = format.tile_bytes(cols);
        let mut tiles = AlignedBytes::zeroed(format.packed_bytes(rows, cols));
        let row_bytes = format.file_bytes(1, cols);
        each_chunk(&compute.pool, tiles.get_mut(), tile_bytes.max(1), &|tile, out| {
            compute.tier.run(PackTile { format, raw, row_bytes, tile, out });
        });
        Ok(Self { format, rows, cols, tiles })
    }

    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    #[must_use]
    pub fn cols(&self) -> usize {
        self.cols
    }

    #[must_use]
    pub fn format(&self) -> Format {
        self.format
    }

    /// Memory it holds.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.tiles.get().len()
    }

    /// The values of one row, decoded: an embedding.
    ///
    /// # Panics
    /// `row` is not under [`Matrix::rows`], or `out` is not [`Matrix::cols`] long.
    pub fn copy_row(&self, row: usize, out: &mut [f32]) {
        assert!(row < self.rows, "there is no row {row}, the matrix has {}", self.rows);
        assert_eq!(out.len(), self.cols, "a row of the matrix needs that many values");
        with_layout(self.format, DecodeRow { tile: self.tile(row / TILE_ROWS), row: row % TILE_ROWS, out });
    }

    pub(crate) fn tiles(&self) -> usize {
        self.rows.div_ceil(TILE_ROWS)
    }

    pub(crate) fn tile(&self, number: usize) -> &[u8] {
        let bytes = self.format.tile_bytes(self.cols);
        &self.tiles.get()[number * bytes..(number + 1) * bytes]
    }
}

/// Packs one tile from the file's rows.
struct PackTile<'a> {
    format: Format,
    raw: &'a [u8],
    row_bytes: usize,
    tile: usize,
    out: &'a mut [u8],
}

impl Task for PackTile<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        with_layout(self.format, self);
    }
}

impl LayoutTask for PackTile<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Layout>(self) {
        let step = L::UNIT.file_bytes;
        self.fetch();
        let mut rows = self.raw.chunks_exact(self.row_bytes).skip(self.tile * TILE_ROWS);
        let rows: [&[u8]; TILE_ROWS] = std::array::from_fn(|_| rows.next().unwrap_or(&[]));
        for (number, unit) in self.out.chunks_exact_mut(L::UNIT.bytes).take(self.row_bytes / step).enumerate() {
            let parts = rows.map(|row| row.get(number * step..(number + 1) * step).unwrap_or(&ZEROS[..step]));
            L::pack(&parts, unit);
        }
    }
}

impl PackTile<'_> {
    /// Asks for all rows of the tile. Packing reads sixteen of them side by side, which the processor does not foresee.
    #[inline(always)]
    fn fetch(&self) {
        let bytes = TILE_ROWS * self.row_bytes;
        let start = self.raw.len().min(self.tile * bytes);
        let rows = &self.raw[start..self.raw.len().min(start + bytes)];
        for page in rows.chunks(PAGE_BYTES) {
            // Read, because nothing is brought from a page of a file that is not mapped yet.
            std::hint::black_box(page[0]);
            page.iter().step_by(CACHE_LINE).for_each(prefetch);
        }
    }
}

struct DecodeRow<'a> {
    tile: &'a [u8],
    row: usize,
    out: &'a mut [f32],
}

impl LayoutTask for DecodeRow<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Layout>(self) {
        for (out, unit) in self.out.chunks_exact_mut(L::UNIT.values).zip(self.tile.chunks_exact(L::UNIT.bytes)) {
            L::decode(unit, self.row, out);
        }
    }
}
