//! Which page of the key/value memory belongs to whom, and what finished sequences leave behind for others.
//!
//! Pages form a tree: a full page hangs below the page before it, under its tokens (`index`). Whoever computes the
//! same tokens after the same page gets that page instead, so the tree never holds anything twice and a system prompt
//! is in memory once for everybody. A page that is not full yet belongs to one sequence alone; when that sequence ends
//! it joins the tree too, and later sequences that share its beginning copy it (copy-on-write), so that reuse is exact
//! to the token.
//!
//! Nothing is freed when a sequence ends. Pages that nobody holds are taken back when new ones are needed, least
//! recently used first and children before parents: what is left of a prefix always begins at its beginning.

mod index;

use std::collections::BTreeSet;

use crate::network::{PAGE_TOKENS, PageId};
use index::{Block, Parent, PrefixIndex};

/// The pages of one sequence. Has to be given back with [`PageCache::release`].
#[derive(Debug, Default)]
pub(crate) struct PageTable {
    pages: Vec<PageId>,
    tokens: usize,
}

impl PageTable {
    /// In order; the last ones may still be empty.
    pub(crate) fn pages(&self) -> &[PageId] {
        &self.pages
    }

    /// How many tokens are in them.
    pub(crate) fn tokens(&self) -> usize {
        self.tokens
    }
}

/// A page to copy before anything else is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PageCopy {
    pub from: PageId,
    pub to: PageId,
}

/// There are fewer pages than a sequence needs, even with everything evicted that nobody holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OutOfPages;

/// What the pages are at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct PageCounts {
    /// Held by sequences.
    pub used: usize,
    /// Held by nobody, kept for whoever needs the same again.
    pub cached: usize,
    /// Never used, or given back.
    pub free: usize,
    /// Cached pages taken back for others so far.
    pub evictions: u64,
}

/// Owner of all pages.
#[derive(Debug)]
pub(crate) struct PageCache {
    pages: Vec<Page>,
    free: Vec<PageId>,
    index: PrefixIndex,
    /// Indexed pages that nobody holds and that have no children, by when they were let go.
    leaves: BTreeSet<(u64, PageId)>,
    /// Indexed pages that nobody holds, children or not.
    cached: usize,
    clock: u64,
    evictions: u64,
}

#[derive(Debug, Clone, Copy)]
struct Page {
    /// The tokens whose keys and values are certainly there.
    block: Block,
    parent: Parent,
    /// Sequences that hold it. Whoever holds a page holds its parents too.
    holders: u32,
    /// Indexed pages below it.
    children: u32,
    indexed: bool,
    /// When its last holder let it go.
    left: u64,
}

impl Page {
    const FREE: Self = Self { block: Block::EMPTY, parent: None, holders: 0, children: 0, indexed: false, left: 0 };
}

impl PageCache {
    pub(crate) fn new(pages: usize) -> Self {
        let count = PageId::try_from(pages).unwrap_or(PageId::MAX);
        Self {
            pages: vec![Page::FREE; count as usize],
            // Taken from the end: the lowest first, so that memory which was never needed is never touched.
            free: (0..count).rev().collect(),
            index: PrefixIndex::default(),
            leaves: BTreeSet::new(),
            cached: 0,
            clock: 0,
            evictions: 0,
        }
    }

    /// Begins a sequence with what is cached of its tokens; never all of them, because somebody has to compute the last
    /// one to know what follows. A copy that is asked for has to be made at once.
    pub(crate) fn begin(&mut self, tokens: &[u32]) -> (PageTable, Option<PageCopy>) {
        let reusable = &tokens[..tokens.len().saturating_sub(1)];
        let mut table = PageTable::default();
        while let Some(page) = self.next_full(&table, reusable) {
            self.hold(page);
            table.pages.push(page);
            table.tokens += PAGE_TOKENS;
        }
        let copy = self.copy_beginning(&mut table, reusable);
        (table, copy)
    }

    /// How many tokens [`PageCache::begin`] would find in whole pages.
    pub(crate) fn cached_tokens(&self, tokens: &[u32]) -> usize {
        self.full_pages(tokens).count() * PAGE_TOKENS
    }

    /// Whether a sequence of these tokens can be begun and extended to `room` tokens with `spare` pages left.
    pub(crate) fn fits(&self, tokens: &[u32], room: usize, spare: usize) -> bool {
        let (mut found, mut unheld) = (0, 0);
        for page in self.full_pages(tokens) {
            found += 1;
            unheld += usize::from(self.page(page).holders == 0);
        }
        let missing = room.div_ceil(PAGE_TOKENS).saturating_sub(found);
        missing + unheld + spare <= self.available()
    }

    /// Makes room for `more` tokens after those that are there.
    ///
    /// # Errors
    /// There are not enough pages; nothing has changed then.
    pub(crate) fn extend(&mut self, table: &mut PageTable, more: usize) -> Result<(), OutOfPages> {
        let missing = (table.tokens + more).div_ceil(PAGE_TOKENS).saturating_sub(table.pages.len());
        if missing > self.available() {
            return Err(OutOfPages);
        }
        for _ in 0..missing {
            let page = self.take().ok_or(OutOfPages)?;
            table.pages.push(page);
        }
        Ok(())
    }

    /// Notes that the keys and values of these tokens have been computed into the sequence's pages, which must have
    /// room for them. Full pages can be shared from now on; where somebody else has computed the same meanwhile, the
    /// sequence goes on with that page and its own is free again.
    pub(crate) fn commit(&mut self, table: &mut PageTable, mut tokens: &[u32]) {
        while !tokens.is_empty() {
            let place = table.tokens / PAGE_TOKENS;
            let page = self.page_mut(table.pages[place]);
            let taken = page.block.fill(tokens);
            let is_full = page.block.is_full();
            table.tokens += taken;
            tokens = &tokens[taken..];
            if is_full {
                self.share(table, place);
            }
        }
    }

    /// Ends a sequence. What was committed stays cached; pages with anything else in them are free again.
    pub(crate) fn release(&mut self, table: PageTable) {
        self.clock += 1;
        if !table.tokens.is_multiple_of(PAGE_TOKENS) {
            self.keep_beginning(&table);
        }
        for &page in table.pages.iter().rev() {
            self.let_go(page);
        }
    }

    /// Ends a sequence whose keys and values can't be trusted: its pages are free again, but for those that others use.
    pub(crate) fn discard(&mut self, table: PageTable) {
        self.clock += 1;
        for &page in table.pages.iter().rev() {
            self.let_go(page);
            let Page { indexed, holders, children, .. } = *self.page(page);
            if indexed && holders == 0 && children == 0 {
                self.remove(page);
                self.free.push(page);
            }
        }
    }

    /// Pages that could be had now.
    pub(crate) fn available(&self) -> usize {
        self.free.len() + self.cached
    }

    pub(crate) fn counts(&self) -> PageCounts {
        PageCounts {
            used: self.pages.len() - self.available(),
            cached: self.cached,
            free: self.free.len(),
            evictions: self.evictions,
        }
    }

    /// The cached page that goes on with the next full page of `tokens`.
    fn next_full(&self, table: &PageTable, tokens: &[u32]) -> Option<PageId> {
        self.full_after(table.pages.last().copied(), &tokens[table.tokens..])
    }

    fn full_after(&self, parent: Parent, tokens: &[u32]) -> Option<PageId> {
        let block = Block::of(tokens);
        block.is_full().then(|| self.index.exact(parent, block)).flatten()
    }

    /// The cached pages that [`PageCache::begin`] would hold.
    fn full_pages<'a>(&'a self, tokens: &'a [u32]) -> impl Iterator<Item = PageId> + 'a {
        let mut parent = None;
        let mut rest = &tokens[..tokens.len().saturating_sub(1)];
        std::iter::from_fn(move || {
            parent = Some(self.full_after(parent, rest)?);
            rest = &rest[PAGE_TOKENS..];
            parent
        })
    }

    /// Adds a page that begins like a cached one, if there is one and a page can be had.
    fn copy_beginning(&mut self, table: &mut PageTable, tokens: &[u32]) -> Option<PageCopy> {
        let rest = Block::of(&tokens[table.tokens..]);
        let (from, shared) = self.index.longest(table.pages.last().copied(), rest)?;
        // Held meanwhile: the new page must not be the old one, evicted.
        self.hold(from);
        let to = self.take();
        self.let_go(from);
        let to = to?;
        self.page_mut(to).block = Block::of(&rest.as_slice()[..shared]);
        table.pages.push(to);
        table.tokens += shared;
        Some(PageCopy { from, to })
    }

    /// Puts the full page at `place` into the tree, or takes the one that is there already.
    fn share(&mut self, table: &mut PageTable, place: usize) {
        let page = table.pages[place];
        let parent = place.checked_sub(1).map(|before| table.pages[before]);
        match self.index.exact(parent, self.page(page).block) {
            Some(twin) => {
                self.hold(twin);
                self.let_go(page);
                table.pages[place] = twin;
            }
            None => self.add(page, parent),
        }
    }

    /// Puts the last page of an ended sequence into the tree, unless all of it is there already.
    fn keep_beginning(&mut self, table: &PageTable) {
        let place = table.tokens / PAGE_TOKENS;
        let page = table.pages[place];
        let parent = place.checked_sub(1).map(|before| table.pages[before]);
        let block = self.page(page).block;
        let known = self.index.longest(parent, block).map_or(0, |(_, tokens)| tokens);
        if known < block.as_slice().len() {
            self.add(page, parent);
        }
    }

    fn add(&mut self, page: PageId, parent: Parent) {
        let block = self.page(page).block;
        // A page of which this one is the continuation has nothing more to give.
        if let Some(beginning) = self.index.beginning(parent, block)
            && self.page(beginning).holders == 0
        {
            self.remove(beginning);
            self.free.push(beginning);
        }
        self.index.insert(parent, block, page);
        let entry = self.page_mut(page);
        (entry.indexed, entry.parent) = (true, parent);
        if let Some(parent) = parent {
            self.page_mut(parent).children += 1;
        }
    }

    fn hold(&mut self, page: PageId) {
        let entry = self.page_mut(page);
        entry.holders += 1;
        if entry.holders == 1 && entry.indexed {
            let leaf = (entry.left, page);
            self.cached -= 1;
            self.leaves.remove(&leaf);
        }
    }

    fn let_go(&mut self, page: PageId) {
        let now = self.clock;
        let entry = self.page_mut(page);
        entry.holders -= 1;
        if entry.holders > 0 {
            return;
        }
        if !entry.indexed {
            *entry = Page::FREE;
            self.free.push(page);
            return;
        }
        entry.left = now;
        let is_leaf = entry.children == 0;
        self.cached += 1;
        if is_leaf {
            self.leaves.insert((now, page));
        }
    }

    /// A page for one holder: a free one, else the least recently used.
    fn take(&mut self) -> Option<PageId> {
        let page = self.free.pop().or_else(|| self.evict())?;
        self.page_mut(page).holders = 1;
        Some(page)
    }

    fn evict(&mut self) -> Option<PageId> {
        let &(_, page) = self.leaves.first()?;
        self.remove(page);
        self.evictions += 1;
        Some(page)
    }

    /// Takes a page that nobody holds and that has no children out of the tree.
    fn remove(&mut self, page: PageId) {
        let Page { block, parent, left, .. } = std::mem::replace(self.page_mut(page), Page::FREE);
        self.index.remove(parent, block);
        self.leaves.remove(&(left, page));
        self.cached -= 1;
        let Some(parent) = parent else { return };
        let above = self.page_mut(parent);
        above.children -= 1;
        if above.children == 0 && above.holders == 0 {
            let leaf = (above.left, parent);
            self.leaves.insert(leaf);
        }
    }

    fn page(&self, page: PageId) -> &Page {
        &self.pages[page as usize]
    }

    fn page_mut(&mut self, page: PageId) -> &mut Page {
        &mut self.pages[page as usize]
    }
}

#[cfg(test)]
mod tests;
