//! How one step's attention is cut into items of a region.

use std::sync::atomic::AtomicUsize;

use super::section::{MOST_QUERIES, SECTION, partial_len};
use super::{AttentionSpan, Queries, Step};
use crate::compute::Compute;
use crate::pages::Pages;

/// Items that each thread should find, so that none waits long for the last one.
const ITEMS_PER_THREAD: usize = 4;

#[derive(Default)]
pub(super) struct Plan {
    pub units: Vec<Unit>,
    pub items: Vec<Item>,
    /// Per unit the sections that are not computed yet, if each is an item.
    pub pending: Vec<AtomicUsize>,
    /// Room for what the sections of units find.
    pub partial_values: usize,
    /// Multiplications of all items, roughly.
    pub products: usize,
}

/// Queries of one kv head and one span that are worked on together.
pub(super) struct Unit {
    pub span: usize,
    pub kv_head: usize,
    /// Among the span's queries of this kv head, row by row.
    pub first: usize,
    pub queries: usize,
    /// Size of the block that they fill, perhaps not to its end.
    pub size: usize,
    pub sections: usize,
    /// Where the sums of its sections begin, if each is an item.
    pub partials: usize,
}

#[derive(Clone, Copy)]
pub(super) struct Item {
    pub unit: usize,
    /// All, if none.
    pub section: Option<usize>,
}

impl Unit {
    /// Row within the span.
    #[inline(always)]
    pub(super) fn row(&self, step: &Step<'_>, query: usize) -> usize {
        (self.first + query) / (step.queries.heads / step.shape.kv_heads)
    }

    /// Where a query, and its output, begins.
    #[inline(always)]
    pub(super) fn place(&self, step: &Step<'_>, query: usize) -> usize {
        let (heads, group) = (step.queries.heads, step.queries.heads / step.shape.kv_heads);
        let row = step.spans[self.span].row + self.row(step, query);
        (row * heads + self.kv_head * group + (self.first + query) % group) * step.shape.head_dim
    }
}

impl Plan {
    /// Plans anew. Few queries far into a sequence are cut by sections, which are merged when all are there; others are
    /// cut by rows and heads alone. How it is cut makes no difference to the results.
    pub(super) fn make(
        &mut self,
        compute: &Compute,
        pages: &Pages,
        spans: &[AttentionSpan<'_>],
        queries: &Queries<'_>,
    ) {
        let shape = pages.shape();
        let group = queries.heads / shape.kv_heads;
        let most = MOST_QUERIES.min(compute.tier().sums());
        self.units.clear();
        self.items.clear();
        self.pending.clear();
        (self.partial_values, self.products) = (0, 0);
        for (index, span) in spans.iter().enumerate() {
            let all = span.rows * group;
            let by_section = all.div_ceil(most) * shape.kv_heads < ITEMS_PER_THREAD * compute.threads();
            for kv_head in 0..shape.kv_heads {
                for first in (0..all).step_by(most) {
                    let queries = most.min(all - first);
                    let seen = span.position + (first + queries - 1) / group + 1;
                    let unit = Unit {
                        span: index,
                        kv_head,
                        first,
                        queries,
                        size: block_size(queries),
                        sections: seen.div_ceil(SECTION),
                        partials: self.partial_values,
                    };
                    self.products += unit.size * seen * shape.head_dim * 2;
                    self.add(unit, by_section, shape.head_dim);
                }
            }
        }
    }

    fn add(&mut self, unit: Unit, by_section: bool, dim: usize) {
        let index = self.units.len();
        if by_section && unit.sections > 1 {
            self.partial_values += unit.sections * partial_len(unit.size, dim);
            self.items.extend((0..unit.sections).map(|section| Item { unit: index, section: Some(section) }));
        } else {
            self.items.push(Item { unit: index, section: None });
        }
        self.pending.push(AtomicUsize::new(unit.sections));
        self.units.push(unit);
    }
}

/// The smallest size of a block that is compiled and holds so many queries.
fn block_size(queries: usize) -> usize {
    let sizes = [1, 2, 4, 6, 8, MOST_QUERIES];
    sizes.into_iter().find(|size| *size >= queries).expect("blocks are cut to the largest size")
}
