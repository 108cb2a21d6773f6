//! What a matrix is multiplied with.

use crate::compute::Compute;
use crate::math::ROUND;
use crate::parts::Parts;
use crate::simd::{Simd, Task};

/// Columns of a [`Block`].
const BLOCK: usize = 32;
/// Blocks that are worth a claim of their own when many threads encode.
const BLOCKS_PER_ITEM: usize = 512;
/// Blocks with a smaller largest value are zero: the codes' factor would be infinite, and no product would notice them.
const SMALLEST: f32 = 1e-30;

/// 32 neighbouring values of a row in eight bits.
#[derive(Clone, Copy, Default)]
#[repr(C, align(16))]
pub(crate) struct Block {
    /// Four to a number, the first lowest.
    pub(crate) codes: [i32; 8],
    /// Of the first and the second 16 codes.
    pub(crate) sums: [i32; 2],
    pub(crate) scale: f32,
    /// `scale` times both sums.
    pub(crate) scaled_sum: f32,
}

/// Rows of values, and the same in eight bits: per 32 values of a row one f32 scale (largest magnitude ÷ 127), codes from
/// -127 to 127 rounded to nearest, and per 16 values the sum of the codes.
pub struct Activations {
    width: usize,
    rows: usize,
    values: Vec<f32>,
    /// Panel after panel; within a panel the blocks of the same columns lie together, row after row. Empty or out of
    /// date unless `panel` is set.
    blocks: Vec<Block>,
    /// Rows of the widest panel, once encoded.
    panel: Option<usize>,
}

impl Activations {
    /// No rows yet, of `width` values each (a multiple of 32).
    #[must_use]
    pub fn new(width: usize) -> Self {
        assert!(width.is_multiple_of(BLOCK), "{width} columns are not a multiple of {BLOCK}");
        Self { width, rows: 0, values: Vec::new(), blocks: Vec::new(), panel: None }
    }

    #[must_use]
    pub fn width(&self) -> usize {
        self.width
    }

    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Makes room for `rows` rows; what they hold is unspecified. Never gives memory back, so a steady load allocates
    /// nothing.
    pub fn resize(&mut self, rows: usize) {
        self.rows = rows;
        self.panel = None;
        self.values.resize(rows * self.width, 0.0);
    }

    /// `rows * width` values, as they were written.
    #[must_use]
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// `rows * width` values to write before [`Activations::encode`].
    pub fn values_mut(&mut self) -> &mut [f32] {
        self.panel = None;
        &mut self.values
    }

    /// Makes the codes from the values.
    pub fn encode(&mut self, compute: &Compute) {
        let widest = compute.tier.widest_panel();
        let columns = self.width / BLOCK;
        self.blocks.resize(self.rows * columns, Block::default());
        self.panel = Some(widest);
        // An item is some columns of one panel: even a single panel occupies several threads.
        let span = (BLOCKS_PER_ITEM / widest).max(1);
        let spans = columns.div_ceil(span);
        let (values, width, rows) = (&self.values, self.width, self.rows);
        let blocks = Parts::new(&mut self.blocks);
        let encode = |panel: Panel, columns_of_item: std::ops::Range<usize>| {
            let first = panel.first * columns;
            #[expect(unsafe_code, reason = "threads encode parts of one vector")]
            // SAFETY: panels have rows of their own, and spans of a panel have columns of their own.
            let blocks = unsafe {
                blocks.part(first + columns_of_item.start * panel.rows..first + columns_of_item.end * panel.rows)
            };
            let values = &values[panel.first * width..(panel.first + panel.rows) * width];
            compute.tier.run(EncodePanel { values, width, first_column: columns_of_item.start * BLOCK, blocks });
        };
        if rows * columns <= BLOCKS_PER_ITEM {
            panels(0..rows, widest).for_each(|panel| encode(panel, 0..columns));
            return;
        }
        compute.pool.run(rows.div_ceil(widest) * spans, &|item| {
            let first = item / spans * widest;
            let span = item % spans * span..columns.min((item % spans + 1) * span);
            panels(first..rows.min(first + widest), widest).for_each(|panel| encode(panel, span.clone()));
        });
    }

    /// The blocks of a panel. Its row count must be `M`.
    #[inline(always)]
    pub(crate) fn panel_blocks<const M: usize>(&self, first: usize) -> &[[Block; M]] {
        let columns = self.width / BLOCK;
        self.blocks[first * columns..(first + M) * columns].as_chunks().0
    }

    /// Rows of the widest panel, if encoded.
    pub(crate) fn encoded_for(&self) -> Option<usize> {
        self.panel
    }
}

/// Rows that are multiplied together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Panel {
    pub(crate) first: usize,
    /// A power of two.
    pub(crate) rows: usize,
}

/// Cuts rows into panels: as many of the widest as fit, then smaller powers of two. `rows` must start at a multiple of
/// `widest` for the panels to be the same whatever the cut.
pub(crate) fn panels(rows: std::ops::Range<usize>, widest: usize) -> impl Iterator<Item = Panel> {
    let mut first = rows.start;
    std::iter::from_fn(move || {
        let left = (rows.end - first).checked_ilog2()?;
        let panel = Panel { first, rows: widest.min(1 << left) };
        first += panel.rows;
        Some(panel)
    })
}

/// Encodes the blocks of some columns of a panel.
struct EncodePanel<'a> {
    /// All columns of the panel's rows.
    values: &'a [f32],
    width: usize,
    first_column: usize,
    blocks: &'a mut [Block],
}

impl Task for EncodePanel<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let rows = self.values.len() / self.width;
        for (number, blocks) in self.blocks.chunks_exact_mut(rows).enumerate() {
            let column = self.first_column + number * BLOCK;
            for (row, block) in blocks.iter_mut().enumerate() {
                let start = row * self.width + column;
                let values =
                    self.values[start..start + BLOCK].first_chunk().expect("the slice is as long as the array");
                *block = encode_block(values);
            }
        }
    }
}

/// Written for the compiler to vectorise; without fused operations, so that all tiers give the same codes.
#[inline(always)]
fn encode_block(values: &[f32; BLOCK]) -> Block {
    // Magnitudes are ordered like their bits, and NaN is above them all: it ends in the scale, where it belongs.
    let largest = f32::from_bits(values.iter().fold(0, |largest, value| largest.max(value.to_bits() & 0x7fff_ffff)));
    let (scale, factor) = if largest < SMALLEST { (0.0, 0.0) } else { (largest / 127.0, 127.0 / largest) };
    // The low byte of the rounded number's significand is the code in two's complement.
    let codes = values.map(|value| (value * factor + ROUND).to_bits() as i8);
    let sum = |codes: &[i8]| codes.iter().map(|code| i32::from(*code)).sum();
    let sums: [i32; 2] = [sum(&codes[..16]), sum(&codes[16..])];
    let scaled_sum = scale * (sums[0] + sums[1]) as f32;
    let codes = std::array::from_fn(|i| i32::from_le_bytes(std::array::from_fn(|j| codes[4 * i + j].cast_unsigned())));
    Block { codes, sums, scale, scaled_sum }
}
