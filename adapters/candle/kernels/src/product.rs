//! Matrix products.

use crate::activations::{Activations, Panel, panels};
use crate::compute::Compute;
use crate::layout::{Input, TILE_ROWS, TileProduct, with_layout};
use crate::math::silu;
use crate::matrix::Matrix;
use crate::parts::Parts;
use crate::simd::{Simd, Task};

/// Weights of an item: as many as let the processor fetch ahead undisturbed, but not so many that threads wait for the
/// last one; never so few that the claim of an item costs more than a little of its work.
const ITEM_BYTES: std::ops::RangeInclusive<usize> = 16 << 10..=128 << 10;
/// Items of a region for each thread, at least, where there are weights enough.
const ITEMS_PER_THREAD: usize = 8;
/// Codes of an item's input, at most: they stay in the second-level cache while the weights stream by.
const INPUT_BYTES: usize = 512 << 10;
/// Rows of an item, at least where there are so many: weights are read from memory once for so many rows.
const ITEM_ROWS: usize = 64;

/// What happens to what is in the output already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Write {
    Replace,
    /// Added to it: a residual connection.
    Add,
}

/// One output of a region of products: `out = x · weightsᵀ + bias`.
pub struct Product<'a> {
    pub weights: &'a Matrix,
    /// `weights.rows()` long.
    pub bias: Option<&'a [f32]>,
    /// `x.rows() * weights.rows()` values, row-major.
    pub out: &'a mut [f32],
    pub write: Write,
}

impl Compute {
    /// All `products` of one input, in one parallel region. `x` must be encoded by this `Compute`, unless all weights are
    /// F32, F16 or BF16.
    ///
    /// # Panics
    /// A shape does not fit, or `x` is not encoded.
    pub fn multiply(&self, x: &Activations, products: &mut [Product<'_>]) {
        let outputs: Vec<Output<'_>> = products
            .iter_mut()
            .map(|product| {
                self.assert_fits(x, product.weights, product.out);
                assert!(product.bias.is_none_or(|bias| bias.len() == product.weights.rows()), "a bias for each output");
                Output {
                    kind: Kind::Plain { bias: product.bias, write: product.write },
                    weights: product.weights,
                    values: Parts::new(product.out),
                }
            })
            .collect();
        self.run(x, &outputs);
    }

    /// `out = silu(x · gateᵀ) * (x · upᵀ)`, in one parallel region; `out` holds `x.rows() * gate.rows()` values.
    ///
    /// # Panics
    /// A shape does not fit, or `x` is not encoded (see [`Compute::multiply`]).
    pub fn multiply_gated(&self, x: &Activations, gate: &Matrix, up: &Matrix, out: &mut [f32]) {
        assert_eq!(gate.rows(), up.rows(), "a gate for each value");
        self.assert_fits(x, gate, out);
        self.assert_fits(x, up, out);
        self.run(x, &[Output { kind: Kind::Gated { up }, weights: gate, values: Parts::new(out) }]);
    }

    fn assert_fits(&self, x: &Activations, weights: &Matrix, out: &[f32]) {
        assert_eq!(x.width(), weights.cols(), "the input is as wide as the matrix has columns");
        assert_eq!(out.len(), x.rows() * weights.rows(), "the output has a value for each row and output");
        assert!(
            weights.format().is_float() || x.encoded_for() == Some(self.tier.widest_panel()),
            "the input of quantised weights is encoded"
        );
    }

    fn run(&self, x: &Activations, outputs: &[Output<'_>]) {
        let chunk = Chunks::new(self, x);
        let all_bytes: usize = outputs.iter().map(|output| output.weights.bytes()).sum();
        let share = all_bytes / (ITEMS_PER_THREAD * self.threads());
        let item_bytes = share.clamp(*ITEM_BYTES.start(), *ITEM_BYTES.end());
        let groups: Vec<usize> = outputs.iter().map(|output| output.groups(item_bytes)).collect();
        let groups_of_chunk: usize = groups.iter().sum();
        self.pool.run(chunk.count * groups_of_chunk, &|item| {
            let (rows, mut group) = (chunk.rows(item / groups_of_chunk), item % groups_of_chunk);
            for (output, groups) in outputs.iter().zip(&groups) {
                if group < *groups {
                    return self.tier.run(Item { x, output, rows, tiles: output.tiles_of(group, item_bytes) });
                }
                group -= groups;
            }
        });
    }
}

/// How the rows of an input are cut.
struct Chunks {
    rows_of_chunk: usize,
    rows: usize,
    count: usize,
}

impl Chunks {
    fn new(compute: &Compute, x: &Activations) -> Self {
        let widest = compute.tier.widest_panel();
        let fitting = INPUT_BYTES / (x.width() * 3 / 2).max(1);
        let rows_of_chunk = fitting.max(ITEM_ROWS).next_multiple_of(widest);
        Self { rows_of_chunk, rows: x.rows(), count: x.rows().div_ceil(rows_of_chunk) }
    }

    fn rows(&self, chunk: usize) -> std::ops::Range<usize> {
        chunk * self.rows_of_chunk..self.rows.min((chunk + 1) * self.rows_of_chunk)
    }
}

/// One matrix of a region and where its products go.
struct Output<'a> {
    weights: &'a Matrix,
    values: Parts<'a, f32>,
    kind: Kind<'a>,
}

enum Kind<'a> {
    Plain { bias: Option<&'a [f32]>, write: Write },
    Gated { up: &'a Matrix },
}

impl Output<'_> {
    /// Tiles that one item works on.
    fn tiles_of_group(&self, item_bytes: usize) -> usize {
        (item_bytes / self.weights.format().tile_bytes(self.weights.cols()).max(1)).max(1)
    }

    fn groups(&self, item_bytes: usize) -> usize {
        self.weights.tiles().div_ceil(self.tiles_of_group(item_bytes))
    }

    fn tiles_of(&self, group: usize, item_bytes: usize) -> std::ops::Range<usize> {
        let tiles = self.tiles_of_group(item_bytes);
        group * tiles..self.weights.tiles().min((group + 1) * tiles)
    }
}

/// Some tiles of one output for some rows of the input.
struct Item<'a> {
    x: &'a Activations,
    output: &'a Output<'a>,
    rows: std::ops::Range<usize>,
    tiles: std::ops::Range<usize>,
}

impl Task for Item<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        for tile in self.tiles.clone() {
            for panel in panels(self.rows.clone(), S::WIDEST_PANEL) {
                match panel.rows {
                    1 => self.multiply::<S, 1>(simd, tile, panel),
                    2 => self.multiply::<S, 2>(simd, tile, panel),
                    4 => self.multiply::<S, 4>(simd, tile, panel),
                    _ => self.multiply::<S, 8>(simd, tile, panel),
                }
            }
        }
    }
}

impl Item<'_> {
    #[inline(always)]
    fn multiply<S: Simd, const M: usize>(&self, simd: S, tile: usize, panel: Panel) {
        let mut results = self.products::<S, M>(simd, self.output.weights, tile, panel);
        if let Kind::Gated { up } = self.output.kind {
            let up = self.products::<S, M>(simd, up, tile, panel);
            for (results, up) in results.iter_mut().zip(&up) {
                *results = std::array::from_fn(|i| silu(results[i]) * up[i]);
            }
        }
        for (row, results) in (panel.first..).zip(&results) {
            self.write(row, tile, results);
        }
    }

    #[inline(always)]
    fn products<S: Simd, const M: usize>(
        &self,
        simd: S,
        weights: &Matrix,
        tile: usize,
        panel: Panel,
    ) -> [[f32; TILE_ROWS]; M] {
        let width = self.x.width();
        let values = self.x.values();
        let blocks = if weights.format().is_float() { &[] } else { self.x.panel_blocks(panel.first) };
        let input = Input {
            blocks,
            values: std::array::from_fn(|row| &values[(panel.first + row) * width..(panel.first + row + 1) * width]),
        };
        with_layout(weights.format(), TileProduct { simd, tile: weights.tile(tile), input })
    }

    /// Puts what one tile makes of one row into the output.
    #[inline(always)]
    fn write(&self, row: usize, tile: usize, results: &[f32; TILE_ROWS]) {
        let columns = self.output.weights.rows();
        let first = tile * TILE_ROWS;
        let count = TILE_ROWS.min(columns - first);
        let start = row * columns + first;
        #[expect(unsafe_code, reason = "threads write parts of one output")]
        // SAFETY: each tile and row meet in one item, and in one panel of it.
        let out = unsafe { self.output.values.part(start..start + count) };
        let Kind::Plain { bias, write } = &self.output.kind else {
            return out.copy_from_slice(&results[..count]);
        };
        let mut results = *results;
        if let Some(bias) = bias {
            results.iter_mut().zip(&bias[first..first + count]).for_each(|(result, bias)| *result += bias);
        }
        match write {
            Write::Replace => out.copy_from_slice(&results[..count]),
            Write::Add => out.iter_mut().zip(&results).for_each(|(out, result)| *out += result),
        }
    }
}
