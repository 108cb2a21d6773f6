//! How weights are encoded in a model file.
//!
//! Source: `ggml/src/ggml-common.h` and `ggml-quants.c` of ggml for the layout of the blocks (read 11/2026).

use crate::layout::{self, Unit};

/// Encodings that a [`crate::Matrix`] can be packed from: rows of blocks, as in GGUF files (safetensors: F16, BF16, F32).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(non_camel_case_types, reason = "the names that everybody uses for them")]
pub enum Format {
    F32,
    F16,
    BF16,
    Q4_0,
    Q4_1,
    Q5_0,
    Q5_1,
    Q8_0,
    Q4_K,
    Q5_K,
    Q6_K,
}

impl Format {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::F32,
        Self::F16,
        Self::BF16,
        Self::Q4_0,
        Self::Q4_1,
        Self::Q5_0,
        Self::Q5_1,
        Self::Q8_0,
        Self::Q4_K,
        Self::Q5_K,
        Self::Q6_K,
    ];

    /// Values in one block: 1, 32 or 256. A row must hold whole blocks, and a multiple of 32 values.
    #[must_use]
    pub fn block_values(self) -> usize {
        if self.is_float() { 1 } else { self.unit().values }
    }

    /// Bytes of one block in the file.
    #[must_use]
    pub fn block_bytes(self) -> usize {
        let unit = self.unit();
        unit.file_bytes / (unit.values / self.block_values())
    }

    /// Bytes of `rows` rows of `cols` values in the file.
    #[must_use]
    pub fn file_bytes(self, rows: usize, cols: usize) -> usize {
        rows * cols / self.block_values() * self.block_bytes()
    }

    /// Bytes of a packed [`crate::Matrix`] of this shape.
    #[must_use]
    pub fn packed_bytes(self, rows: usize, cols: usize) -> usize {
        rows.div_ceil(layout::TILE_ROWS) * self.tile_bytes(cols)
    }

    /// Whether weights are multiplied with the values of the activations instead of with their codes.
    pub(crate) fn is_float(self) -> bool {
        matches!(self, Self::F32 | Self::F16 | Self::BF16)
    }

    /// Bytes of one tile of `cols` values a row; whole cache lines.
    pub(crate) fn tile_bytes(self, cols: usize) -> usize {
        let unit = self.unit();
        (cols / unit.values * unit.bytes).next_multiple_of(64)
    }

    pub(crate) fn unit(self) -> Unit {
        layout::unit(self)
    }
}
