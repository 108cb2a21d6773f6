//! Causal attention over pages, with an online softmax.
//!
//! Source: "FlashAttention" (Dao et al., 2022) for the online softmax, "PagedAttention" (Kwon et al., 2023) for the pages.

#![expect(unsafe_code, reason = "threads write the results of different queries to one slice")]

mod exp;
mod kept;
mod plan;
mod section;
#[cfg(test)]
pub(crate) mod tests;

use std::cell::RefCell;
use std::sync::PoisonError;
use std::sync::atomic::Ordering::AcqRel;

use crate::compute::Compute;
use crate::pages::{Layer, PAGE_TOKENS, PageShape, Pages};
use crate::parts::Parts;
use crate::simd::{Simd, Task};
use crate::tier::Tier;
use kept::{Halves, Kept, Scaled};
use plan::{Item, Plan};
use section::{Block, MOST_QUERIES, SECTION, finish, merge, partial_len, section};

/// Products from which on it pays to wake other threads.
const WORTH_SHARING: usize = 1 << 18;

/// Neighbouring rows of a step that belong to one sequence.
pub struct AttentionSpan<'a> {
    /// The sequence's pages in order; they hold all tokens up to `position + rows`.
    pub pages: &'a [u32],
    /// First row of the step.
    pub row: usize,
    pub rows: usize,
    /// Position of the first row in its sequence. A row sees all positions up to its own.
    pub position: usize,
}

/// The queries of a step.
pub struct Queries<'a> {
    /// Rows × `heads` × `head_dim`.
    pub values: &'a [f32],
    /// A multiple of the pages' `kv_heads`; neighbouring heads share keys and values.
    pub heads: usize,
    /// What scores are multiplied with, usually 1 / √head_dim.
    pub scale: f32,
}

impl Compute {
    /// Attention of one layer for all spans in one go; `out` is shaped like the queries, and rows of no span stay as
    /// they are.
    ///
    /// # Panics
    /// Spans overlap or don't come in the order of their rows, a page is missing or outside of the pages, or a length does
    /// not fit.
    pub fn attend(
        &self,
        pages: &Pages,
        layer: usize,
        spans: &[AttentionSpan<'_>],
        queries: &Queries<'_>,
        out: &mut [f32],
    ) {
        check(pages, spans, queries, out.len());
        let mut buffers = self.attention.lock().unwrap_or_else(PoisonError::into_inner);
        let Buffers { plan, partials } = &mut *buffers;
        plan.make(self, pages, spans, queries);
        if partials.len() < plan.partial_values {
            partials.resize(plan.partial_values, 0.0);
        }
        let step = Step { layer: pages.layer(layer), shape: pages.shape(), spans, queries, plan };
        let (partials, out) = (Parts::new(partials), Parts::new(out));
        self.pool.run_if(plan.products > WORTH_SHARING, plan.items.len(), &|item| {
            let item = plan.items[item];
            SCRATCH.with_borrow_mut(|scratch| {
                Attend { step: &step, item, scratch, partials: &partials, out: &out }.run(self.tier);
            });
        });
    }
}

/// What one call after the other needs, kept so that a steady load allocates nothing.
#[derive(Default)]
pub(crate) struct Buffers {
    plan: Plan,
    partials: Vec<f32>,
}

thread_local! {
    static SCRATCH: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

fn check(pages: &Pages, spans: &[AttentionSpan<'_>], queries: &Queries<'_>, out: usize) {
    let shape = pages.shape();
    assert!(queries.heads.is_multiple_of(shape.kv_heads), "{} heads for {} kv heads", queries.heads, shape.kv_heads);
    assert_eq!(queries.values.len(), out, "one output per query");
    let mut row = 0;
    for span in spans {
        assert!(row <= span.row, "spans overlap, or are not in the order of their rows");
        row = span.row + span.rows;
        let tokens = span.position + span.rows;
        assert!(span.pages.len() * PAGE_TOKENS >= tokens, "{} pages for {tokens} tokens", span.pages.len());
        let outside = span.pages.iter().find(|page| **page as usize >= pages.count());
        assert_eq!(outside, None, "a page outside of {} pages", pages.count());
    }
    let rows = out / (queries.heads * shape.head_dim);
    assert!(row <= rows, "spans of {row} rows, queries of {rows}");
}

/// One call of [`Compute::attend`].
struct Step<'a> {
    layer: &'a Layer,
    shape: PageShape,
    spans: &'a [AttentionSpan<'a>],
    queries: &'a Queries<'a>,
    plan: &'a Plan,
}

/// One item of it.
struct Attend<'a> {
    step: &'a Step<'a>,
    item: Item,
    scratch: &'a mut Vec<f32>,
    partials: &'a Parts<'a, f32>,
    out: &'a Parts<'a, f32>,
}

impl<'a> Attend<'a> {
    /// Each kind of pages and size of block is compiled by itself.
    fn run(self, tier: Tier) {
        match self.step.layer {
            Layer::F16(halves) => self.sized(tier, Halves(halves.get())),
            Layer::Q8 { codes, scales } => self.sized(tier, Scaled { codes: codes.get(), scales: scales.get() }),
        }
    }

    fn sized<K: Kept<'a>>(self, tier: Tier, kept: K) {
        match self.step.plan.units[self.item.unit].size {
            1 => tier.run_floats(Sized::<K, 1> { attend: self, kept }),
            2 => tier.run_floats(Sized::<K, 2> { attend: self, kept }),
            4 => tier.run_floats(Sized::<K, 4> { attend: self, kept }),
            6 => tier.run_floats(Sized::<K, 6> { attend: self, kept }),
            8 => tier.run_floats(Sized::<K, 8> { attend: self, kept }),
            _ => tier.run_floats(Sized::<K, MOST_QUERIES> { attend: self, kept }),
        }
    }
}

/// An item whose block has room for `Q` queries.
struct Sized<'a, K, const Q: usize> {
    attend: Attend<'a>,
    kept: K,
}

impl<'a, K: Kept<'a>, const Q: usize> Task for Sized<'a, K, Q> {
    type Output = ();

    /// Chooses how many pages and vectors of values are worked on at once, so that all sums stay in registers.
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        // Constant conditions: only one of these is compiled.
        if S::SUMS >= 24 {
            if Q <= 6 { self.work::<S, 4, 2>(simd) } else { self.work::<S, 2, 2>(simd) }
        } else if Q <= S::SUMS {
            if Q <= 2 { self.work::<S, 2, 2>(simd) } else { self.work::<S, 1, 1>(simd) }
        }
    }
}

impl<'a, K: Kept<'a>, const Q: usize> Sized<'a, K, Q> {
    #[inline(always)]
    fn work<S: Simd, const T: usize, const C: usize>(self, simd: S) {
        let Self { attend: Attend { step, item, scratch, partials, out }, kept } = self;
        let (shape, unit) = (step.shape, &step.plan.units[item.unit]);
        let (dim, span) = (shape.head_dim, &step.spans[unit.span]);
        let partial = partial_len(Q, dim);
        scratch.resize(Q * (dim + SECTION) + 2 * partial, 0.0);
        let (queries, scratch) = scratch.split_at_mut(Q * dim);
        let (scores, scratch) = scratch.split_at_mut(Q * SECTION);
        let (sums, more) = scratch.split_at_mut(partial);

        let mut seen = [0; MOST_QUERIES];
        queries.fill(0.0);
        for query in 0..unit.queries {
            seen[query] = span.position + 1 + unit.row(step, query);
            let source = &step.queries.values[unit.place(step, query)..][..dim];
            for (to, from) in queries[query..].iter_mut().step_by(Q).zip(source) {
                *to = from * step.queries.scale;
            }
        }
        let (planes, plane) = (shape.kv_heads * 2, unit.kv_head * 2);
        let block = Block { kept, dim, pages: span.pages, planes, plane, queries, seen };

        let sections = item.section.map_or(0..unit.sections, |index| index..index + 1);
        let first = sections.start;
        for index in sections {
            section::<S, K, Q, T, C>(simd, &block, index, scores, more);
            if index == first {
                sums.copy_from_slice(more);
            } else {
                merge(simd, Q, dim, sums, more);
            }
        }
        if let Some(index) = item.section {
            let place = unit.partials + index * partial;
            // SAFETY: the plan gives each section of each unit a place of its own.
            unsafe { partials.part(place..place + partial) }.copy_from_slice(sums);
            if step.plan.pending[item.unit].fetch_sub(1, AcqRel) != 1 {
                return;
            }
            // SAFETY: all other items of this unit have counted down after they were done with their places.
            let all = unsafe { partials.part(unit.partials..unit.partials + unit.sections * partial) };
            sums.copy_from_slice(&all[..partial]);
            for more in all[partial..].chunks_exact(partial) {
                merge(simd, Q, dim, sums, more);
            }
        }
        for query in 0..unit.queries {
            let place = unit.place(step, query);
            // SAFETY: spans have different rows, and units of a span different rows or heads.
            finish(simd, (query, Q), sums, unsafe { out.part(place..place + dim) });
        }
    }
}
