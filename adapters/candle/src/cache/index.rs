//! Finding pages by what they hold.
//!
//! A page is known by the page before it and its own tokens, and so by its whole prefix. The keys are ordered, not
//! hashed: an equal key is equal content, so that no collision can ever share a page wrongly, and the page that agrees
//! longest with given tokens is always a neighbour of the place where they would stand.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use crate::network::{PAGE_TOKENS, PageId};

/// The page before; `None` for the first page of a sequence.
pub(super) type Parent = Option<PageId>;

/// The tokens of a page as far as it is filled.
#[derive(Debug, Clone, Copy)]
pub(super) struct Block {
    tokens: [u32; PAGE_TOKENS],
    filled: usize,
}

impl Block {
    pub(super) const EMPTY: Self = Self { tokens: [0; PAGE_TOKENS], filled: 0 };

    /// As many of `tokens` as fit.
    pub(super) fn of(tokens: &[u32]) -> Self {
        let mut block = Self::EMPTY;
        block.fill(tokens);
        block
    }

    pub(super) fn as_slice(&self) -> &[u32] {
        &self.tokens[..self.filled]
    }

    pub(super) fn is_full(&self) -> bool {
        self.filled == PAGE_TOKENS
    }

    /// Adds as many of `tokens` as fit and says how many.
    pub(super) fn fill(&mut self, tokens: &[u32]) -> usize {
        let taken = tokens.len().min(PAGE_TOKENS - self.filled);
        self.tokens[self.filled..self.filled + taken].copy_from_slice(&tokens[..taken]);
        self.filled += taken;
        taken
    }
}

impl PartialEq for Block {
    fn eq(&self, other: &Self) -> bool {
        self.as_slice() == other.as_slice()
    }
}

impl Eq for Block {}

impl PartialOrd for Block {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Block {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_slice().cmp(other.as_slice())
    }
}

/// Pages by parent and tokens.
#[derive(Debug, Default)]
pub(super) struct PrefixIndex {
    pages: BTreeMap<(Parent, Block), PageId>,
}

impl PrefixIndex {
    pub(super) fn insert(&mut self, parent: Parent, block: Block, page: PageId) {
        self.pages.insert((parent, block), page);
    }

    pub(super) fn remove(&mut self, parent: Parent, block: Block) {
        self.pages.remove(&(parent, block));
    }

    /// The page that holds exactly this.
    pub(super) fn exact(&self, parent: Parent, block: Block) -> Option<PageId> {
        self.pages.get(&(parent, block)).copied()
    }

    /// The page after `parent` that begins with the most of `block`, and how many tokens that is; at least one.
    pub(super) fn longest(&self, parent: Parent, block: Block) -> Option<(PageId, usize)> {
        let key = (parent, block);
        let before = self.pages.range(..=key).next_back();
        let after = self.pages.range(key..).next();
        let shared = |(&(other, held), &page): (&(Parent, Block), &PageId)| {
            let tokens = if other == parent { common(held.as_slice(), block.as_slice()) } else { 0 };
            (page, tokens)
        };
        before.into_iter().chain(after).map(shared).filter(|(_, tokens)| *tokens > 0).max_by_key(|(_, tokens)| *tokens)
    }

    /// The page that holds a beginning of `block` and no more.
    pub(super) fn beginning(&self, parent: Parent, block: Block) -> Option<PageId> {
        let (&(other, held), &page) = self.pages.range(..(parent, block)).next_back()?;
        (other == parent && block.as_slice().starts_with(held.as_slice())).then_some(page)
    }
}

fn common(left: &[u32], right: &[u32]) -> usize {
    left.iter().zip(right).take_while(|(left, right)| left == right).count()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_longest_agreement_is_found_among_any_pages(
            pages in prop::collection::btree_set((prop::option::of(0u32..2), prop::collection::vec(0u32..3, 1..6)), 0..20),
            parent in prop::option::of(0u32..2),
            wanted in prop::collection::vec(0u32..3, 0..6),
        ) {
            let mut index = PrefixIndex::default();
            for (id, (parent, tokens)) in (0..).zip(&pages) {
                index.insert(*parent, Block::of(tokens), id);
            }
            let best = pages.iter().filter(|(other, _)| *other == parent).map(|(_, held)| common(held, &wanted)).max();
            let found = index.longest(parent, Block::of(&wanted));
            prop_assert_eq!(found.map_or(0, |(_, tokens)| tokens), best.unwrap_or(0));
            if let Some((page, tokens)) = found {
                let (other, held) = pages.iter().nth(page as usize).unwrap();
                prop_assert_eq!((*other, &held[..tokens]), (parent, &wanted[..tokens]));
            }
        }
    }
}
