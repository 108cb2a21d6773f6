//! What a block of queries takes from one section of positions, and how sections are put together.
//!
//! A *block* is up to twelve queries that share keys and values: neighbouring rows, and the heads of one group. Everything
//! below treats each query of a block by the same operations in the same order whatever the others are, and so does every
//! size of block: wider blocks only load a key once for more queries.

use super::exp::exp;
use super::kept::{Kept, Scales};
use crate::pages::{BLOCK, PAGE_TOKENS};
use crate::simd::{Simd, prefetch};

/// Positions of which scores are held, turned into weights and summed up as one. Sections begin at multiples of it for
/// all rows of all steps, which makes results independent of how a sequence was cut into steps.
pub(super) const SECTION: usize = 256;

pub(super) const SECTION_PAGES: usize = SECTION / PAGE_TOKENS;

const CACHE_LINE: usize = 64;

/// Most queries of a block.
pub(super) const MOST_QUERIES: usize = 12;

/// Queries of one kv head of one sequence.
#[derive(Clone, Copy)]
pub(super) struct Block<'a, K> {
    pub kept: K,
    pub dim: usize,
    /// All pages of the sequence.
    pub pages: &'a [u32],
    /// Planes of a page, and that of the block's keys; the next one holds the values.
    pub planes: usize,
    pub plane: usize,
    /// `[dim][queries]`, times the scale.
    pub queries: &'a [f32],
    /// Positions that each query sees; none for one that only fills up the block.
    pub seen: [usize; MOST_QUERIES],
}

impl<'a, K: Kept<'a>> Block<'a, K> {
    /// Codes and scales of the keys (0) or values (1) of a page.
    #[inline(always)]
    fn plane(&self, page: u32, which: usize) -> (&'a [K::Codes], &'a [Scales]) {
        self.kept.plane(page as usize * self.planes + self.plane + which, self.dim)
    }

    /// Positions that each query sees of one section.
    #[inline(always)]
    fn seen_in(&self, section: usize) -> [usize; MOST_QUERIES] {
        let mut seen = self.seen;
        for seen in &mut seen {
            *seen = seen.saturating_sub(section * SECTION).min(SECTION);
        }
        seen
    }
}

/// Sums over a part of the positions: for each query `dim` weighted values, then for each query the largest score, then
/// for each query the sum of weights.
pub(super) fn partial_len(queries: usize, dim: usize) -> usize {
    queries * (dim + 2)
}

/// Computes one section. `Q` queries, `T` pages at once for scores, `C` vectors of a value (one or two, as there is an even
/// number) at once for sums; `scores` are `Q` times [`SECTION`].
#[inline(always)]
pub(super) fn section<'a, S: Simd, K: Kept<'a>, const Q: usize, const T: usize, const C: usize>(
    simd: S,
    block: &Block<'a, K>,
    section: usize,
    scores: &mut [f32],
    partial: &mut [f32],
) {
    let seen = block.seen_in(section);
    let mut most = 0;
    for seen in &seen[..Q] {
        most = most.max(*seen);
    }
    let pages = &block.pages[section * SECTION_PAGES..][..most.div_ceil(PAGE_TOKENS)];
    let scores = &mut scores.as_chunks_mut::<16>().0[..Q * SECTION_PAGES];

    let following = &block.pages[section * SECTION_PAGES..];
    let mut page = 0;
    while page < pages.len() {
        score::<S, K, Q, T>(simd, block, (&pages[page..], &following[page..]), &mut scores[page..]);
        page += T;
    }

    let (sums, rest) = partial.split_at_mut(Q * block.dim);
    let (peaks, weights) = rest.split_at_mut(Q);
    for query in 0..Q {
        let scores = &mut scores[query * SECTION_PAGES..][..pages.len()];
        (peaks[query], weights[query]) = weigh(simd, scores, seen[query]);
    }

    let mut chunk = 0;
    while chunk < block.dim / 16 {
        add_up::<S, K, Q, C>(simd, block, pages, scores, (&mut *sums, chunk));
        chunk += C;
    }
}

/// Scores of up to `T` pages. If there are fewer, the last one is worked on again and again: that is rare, and keeps the
/// code small.
#[inline(always)]
fn score<'a, S: Simd, K: Kept<'a>, const Q: usize, const T: usize>(
    simd: S,
    block: &Block<'a, K>,
    (pages, following): (&[u32], &[u32]),
    scores: &mut [[f32; 16]],
) {
    let mut keys = [(&[] as &[[K::Codes; BLOCK]], &[] as &[Scales]); T];
    // What will be needed soon: these pages' values, and the next pages' keys.
    let mut values = [&[] as &[[K::Codes; BLOCK]]; T];
    let mut next_keys = [&[] as &[[K::Codes; BLOCK]]; T];
    for tile in 0..T {
        let (codes, scales) = block.plane(pages[tile.min(pages.len() - 1)], 0);
        keys[tile] = (codes.as_chunks().0, scales);
        values[tile] = block.plane(pages[tile.min(pages.len() - 1)], 1).0.as_chunks().0;
        next_keys[tile] = block.plane(following[(tile + T).min(following.len() - 1)], 0).0.as_chunks().0;
    }
    let mut sums = [[simd.splat(0.0); T]; Q];
    let queries = block.queries.as_chunks::<Q>().0.as_chunks::<BLOCK>().0;
    for (index, queries) in queries.iter().enumerate() {
        let mut codes = [&keys[0].0[index]; T];
        let mut scales = [simd.splat(1.0); T];
        let mut soon = [[&keys[0].0[index]; 2]; T];
        for tile in 0..T {
            soon[tile] = [&values[tile][index], &next_keys[tile][index]];
            codes[tile] = &keys[tile].0[index];
            scales[tile] = K::scales(simd, keys[tile].1, index);
        }
        for value in 0..BLOCK {
            let mut key = [simd.splat(0.0); T];
            for tile in 0..T {
                if Q < MOST_QUERIES && (value * size_of::<K::Codes>()).is_multiple_of(CACHE_LINE) {
                    prefetch(&soon[tile][0][value]);
                    prefetch(&soon[tile][1][value]);
                }
                key[tile] = K::decode(simd, &codes[tile][value]);
                if K::SCALED {
                    key[tile] = simd.mul(key[tile], scales[tile]);
                }
            }
            for query in 0..Q {
                let value = simd.splat(queries[value][query]);
                for tile in 0..T {
                    sums[query][tile] = simd.mul_add(value, key[tile], sums[query][tile]);
                }
            }
        }
    }
    for query in 0..Q {
        for tile in 0..T.min(pages.len()) {
            scores[query * SECTION_PAGES + tile] = simd.to_array(sums[query][tile]);
        }
    }
}

/// Turns one query's scores into weights relative to the largest; returns that, and their sum.
#[inline(always)]
fn weigh<S: Simd>(simd: S, scores: &mut [[f32; 16]], seen: usize) -> (f32, f32) {
    for hidden in &mut scores.as_flattened_mut()[seen..] {
        *hidden = f32::NEG_INFINITY;
    }
    // Not infinity, so that the weights of a query that sees nothing here are zero.
    let mut peak = simd.splat(f32::MIN);
    for scores in &*scores {
        peak = simd.max(simd.load(scores), peak);
    }
    let peak = simd.to_array(peak).into_iter().fold(f32::MIN, f32::max);
    let mut sum = simd.splat(0.0);
    for scores in scores {
        let weights = exp(simd, simd.sub(simd.load(scores), simd.splat(peak)));
        *scores = simd.to_array(weights);
        sum = simd.add(sum, weights);
    }
    (peak, simd.sum(sum))
}

/// Sums of `C` vectors of the values of all positions, times their weights.
#[inline(always)]
fn add_up<'a, S: Simd, K: Kept<'a>, const Q: usize, const C: usize>(
    simd: S,
    block: &Block<'a, K>,
    pages: &[u32],
    weights: &[[f32; 16]],
    (out, chunk): (&mut [f32], usize),
) {
    let chunks = block.dim / 16;
    // Said here, this need not be checked for every token.
    assert!(chunk + C <= chunks, "chunks are a multiple of C");
    let mut sums = [[simd.splat(0.0); C]; Q];
    for (index, page) in pages.iter().enumerate() {
        let (codes, scales) = block.plane(*page, 1);
        // Scales go into the weights: there are fewer of these.
        let mut scaled = [[0.0; 16]; Q];
        if K::SCALED {
            let scales = K::scales(simd, scales, chunk / 2);
            for query in 0..Q {
                let weights = simd.load(&weights[query * SECTION_PAGES + index]);
                scaled[query] = simd.to_array(simd.mul(weights, scales));
            }
        }
        let mut page_weights = [&weights[0]; Q];
        for query in 0..Q {
            page_weights[query] = if K::SCALED { &scaled[query] } else { &weights[query * SECTION_PAGES + index] };
        }
        // Tokens that nobody sees, or that were never written, weigh nothing, and what a page holds is always finite.
        for (slot, codes) in codes.chunks_exact(chunks).take(PAGE_TOKENS).enumerate() {
            let codes = &codes[chunk..][..C];
            let mut values = [simd.splat(0.0); C];
            for vector in 0..C {
                values[vector] = K::decode(simd, &codes[vector]);
            }
            for query in 0..Q {
                let weight = simd.splat(page_weights[query][slot]);
                for vector in 0..C {
                    sums[query][vector] = simd.mul_add(weight, values[vector], sums[query][vector]);
                }
            }
        }
    }
    let out = out.as_chunks_mut::<16>().0;
    for query in 0..Q {
        for vector in 0..C {
            out[query * chunks + chunk + vector] = simd.to_array(sums[query][vector]);
        }
    }
}

/// Adds the sums of the next section to those of all before it.
#[inline(always)]
pub(super) fn merge<S: Simd>(simd: S, queries: usize, dim: usize, into: &mut [f32], from: &[f32]) {
    let (sums, into) = into.split_at_mut(queries * dim);
    let (peaks, weights) = into.split_at_mut(queries);
    let (more_sums, from) = from.split_at(queries * dim);
    let (more_peaks, more_weights) = from.split_at(queries);
    for query in 0..queries {
        // Nothing seen of that section.
        if more_weights[query] == 0.0 {
            continue;
        }
        let peak = peaks[query].max(more_peaks[query]);
        let mut factors = [0.0; 16];
        (factors[0], factors[1]) = (peaks[query] - peak, more_peaks[query] - peak);
        factors = simd.to_array(exp(simd, simd.load(&factors)));
        peaks[query] = peak;
        weights[query] = weights[query] * factors[0] + more_weights[query] * factors[1];
        let range = query * dim..(query + 1) * dim;
        let more = more_sums[range.clone()].as_chunks::<16>().0;
        for (sum, more) in sums[range].as_chunks_mut::<16>().0.iter_mut().zip(more) {
            let more = simd.mul(simd.load(more), simd.splat(factors[1]));
            *sum = simd.to_array(simd.mul_add(simd.load(sum), simd.splat(factors[0]), more));
        }
    }
}

/// Writes what one query has found.
#[inline(always)]
pub(super) fn finish<S: Simd>(simd: S, (query, queries): (usize, usize), partial: &[f32], out: &mut [f32]) {
    let dim = out.len();
    let share = simd.splat(1.0 / partial[queries * (dim + 1) + query]);
    let sums = partial[query * dim..][..dim].as_chunks::<16>().0;
    for (out, sum) in out.as_chunks_mut::<16>().0.iter_mut().zip(sums) {
        *out = simd.to_array(simd.mul(simd.load(sum), share));
    }
}
