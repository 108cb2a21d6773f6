//! Norms and rotary positions.

use crate::activations::Activations;
use crate::compute::Compute;
use crate::parts::each_chunk;
use crate::simd::{Simd, Task};

#[cfg(test)]
mod tests;

/// Which values of a head are rotated together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RotationStyle {
    /// Neighbours: (0, 1), (2, 3), … (llama's GGUF files).
    Neighbours,
    /// Halves: (0, n/2), (1, n/2 + 1), … (qwen).
    Halves,
}

/// Rotary embedding of the rows of one step: for each row `dimensions / 2` pairs of cosine and sine. Dimensions of a head
/// beyond `dimensions` stay as they are.
pub struct Rotation {
    pub style: RotationStyle,
    /// Rotated values of each head.
    pub dimensions: usize,
    /// `rows * dimensions / 2`.
    pub cos: Vec<f32>,
    pub sin: Vec<f32>,
}

/// RMS norm of each head by itself, before the rotation (qwen3).
#[derive(Clone, Copy)]
pub struct HeadNorm<'a> {
    /// As long as a head.
    pub weight: &'a [f32],
    pub epsilon: f32,
}

/// Rows from which on it pays to wake the other threads, and then the rows of an item.
const WORTH_SHARING: usize = 16;
const ROWS_PER_ITEM: usize = 4;

impl Compute {
    /// RMS norm of each row of `x` (`out.width()` values each), times `weight`; `out` is resized, filled and encoded.
    ///
    /// # Panics
    /// `x` is not whole rows, or `weight` is not a row long.
    pub fn rms_norm(&self, x: &[f32], weight: &[f32], epsilon: f32, out: &mut Activations) {
        let width = out.width();
        assert!(x.len().is_multiple_of(width), "{} values are no rows of {width}", x.len());
        assert_eq!(weight.len(), width, "one weight per column");
        let rows = x.len() / width;
        out.resize(rows);
        self.each_rows(out.values_mut(), (rows, width), &|row, out| {
            let x = &x[row * width..][..out.len()];
            self.tier.run_floats(NormRows { x, by: HeadNorm { weight, epsilon }, out });
        });
        out.encode(self);
    }

    /// Norms (if asked) and rotates the heads of all rows in place. `heads` is rows × heads × `head_dim`, where
    /// `head_dim` is a multiple of 16; there are as many rows as the rotation has.
    ///
    /// # Panics
    /// Lengths don't fit each other.
    pub fn rotate(&self, heads: &mut [f32], head_dim: usize, norm: Option<HeadNorm<'_>>, rotation: &Rotation) {
        let pairs = rotation.dimensions / 2;
        assert!(head_dim.is_multiple_of(16) && 2 * pairs <= head_dim, "heads of {head_dim}, {pairs} pairs to rotate");
        assert!(norm.is_none_or(|norm| norm.weight.len() == head_dim), "one weight per value of a head");
        assert_eq!(rotation.cos.len(), rotation.sin.len(), "a sine per cosine");
        if heads.is_empty() {
            return;
        }
        let rows = rotation.cos.len() / pairs;
        let width = heads.len() / rows;
        assert!(rows * pairs == rotation.cos.len() && rows * width == heads.len(), "{rows} rows");
        assert!(width.is_multiple_of(head_dim), "rows of {width} values are no heads of {head_dim}");
        self.each_rows(heads, (rows, width), &|row, heads| {
            self.tier.run_floats(RotateRows { heads, row, shape: (width, head_dim), norm, rotation });
        });
    }

    /// Calls `work` with the first row's number and the values of some rows, for all of them.
    fn each_rows(&self, values: &mut [f32], (rows, width): (usize, usize), work: &(dyn Fn(usize, &mut [f32]) + Sync)) {
        // A single item runs on this thread.
        let each = if rows < WORTH_SHARING { rows.max(1) } else { ROWS_PER_ITEM };
        each_chunk(&self.pool, values, each * width, &|item, values| work(item * each, values));
    }
}

struct NormRows<'a> {
    x: &'a [f32],
    by: HeadNorm<'a>,
    out: &'a mut [f32],
}

impl Task for NormRows<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let width = self.by.weight.len();
        for (x, out) in self.x.chunks_exact(width).zip(self.out.chunks_exact_mut(width)) {
            out.copy_from_slice(x);
            norm(simd, out, self.by);
        }
    }
}

/// `x` is a multiple of 16 long.
#[inline(always)]
fn norm<S: Simd>(simd: S, x: &mut [f32], by: HeadNorm<'_>) {
    let len = x.len() as f32;
    let vectors = x.as_chunks_mut::<16>().0;
    // Four sums, so that additions need not wait for each other.
    let mut sums = [simd.splat(0.0); 4];
    for four in vectors.chunks(4) {
        for (sum, x) in sums.iter_mut().zip(four) {
            let x = simd.load(x);
            *sum = simd.mul_add(x, x, *sum);
        }
    }
    let sum = simd.add(simd.add(sums[0], sums[1]), simd.add(sums[2], sums[3]));
    let scale = simd.splat(1.0 / (simd.sum(sum) / len + by.epsilon).sqrt());
    for (x, weight) in vectors.iter_mut().zip(by.weight.as_chunks::<16>().0) {
        *x = simd.to_array(simd.mul(simd.mul(simd.load(x), scale), simd.load(weight)));
    }
}

struct RotateRows<'a> {
    heads: &'a mut [f32],
    /// Of the first of them.
    row: usize,
    /// Values of a row and of a head.
    shape: (usize, usize),
    norm: Option<HeadNorm<'a>>,
    rotation: &'a Rotation,
}

impl Task for RotateRows<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let (width, head_dim) = self.shape;
        let pairs = self.rotation.dimensions / 2;
        for (row, heads) in self.heads.chunks_exact_mut(width).enumerate() {
            let angles = (self.row + row) * pairs..(self.row + row + 1) * pairs;
            let (cos, sin) = (&self.rotation.cos[angles.clone()], &self.rotation.sin[angles]);
            for head in heads.chunks_exact_mut(head_dim) {
                if let Some(by) = self.norm {
                    norm(simd, head, by);
                }
                let rotated = &mut head[..2 * pairs];
                match self.rotation.style {
                    RotationStyle::Neighbours => rotate_neighbours(rotated, cos, sin),
                    RotationStyle::Halves => rotate_halves(rotated, cos, sin),
                }
            }
        }
    }
}

#[inline(always)]
fn rotate_neighbours(head: &mut [f32], cos: &[f32], sin: &[f32]) {
    for ((pair, cos), sin) in head.as_chunks_mut::<2>().0.iter_mut().zip(cos).zip(sin) {
        *pair = [pair[0] * cos - pair[1] * sin, pair[0] * sin + pair[1] * cos];
    }
}

#[inline(always)]
fn rotate_halves(head: &mut [f32], cos: &[f32], sin: &[f32]) {
    let (left, right) = head.split_at_mut(cos.len());
    for (((left, right), cos), sin) in left.iter_mut().zip(right).zip(cos).zip(sin) {
        (*left, *right) = (*left * cos - *right * sin, *left * sin + *right * cos);
    }
}
