use std::hash::{DefaultHasher, Hash, Hasher};

use proptest::prelude::*;

use super::*;

/// A cache with the memory it manages: every slot holds a digest of all tokens up to its own.
struct Memory {
    cache: PageCache,
    slots: Vec<[u64; PAGE_TOKENS]>,
    running: Vec<Running>,
}

struct Running {
    table: PageTable,
    tokens: Vec<u32>,
    /// Tokens written after the committed ones.
    written: usize,
}

fn digest(tokens: &[u32]) -> u64 {
    let mut hasher = DefaultHasher::new();
    tokens.hash(&mut hasher);
    hasher.finish()
}

impl Memory {
    fn new(pages: usize) -> Self {
        Self { cache: PageCache::new(pages), slots: vec![[0; PAGE_TOKENS]; pages], running: Vec::new() }
    }

    /// Gives the number of tokens found.
    fn begin(&mut self, tokens: Vec<u32>) -> usize {
        let (table, copy) = self.cache.begin(&tokens);
        if let Some(PageCopy { from, to }) = copy {
            self.slots[to as usize] = self.slots[from as usize];
        }
        let found = table.tokens();
        self.running.push(Running { table, tokens, written: 0 });
        found
    }

    fn extend(&mut self, which: usize, more: usize) -> Result<(), OutOfPages> {
        let running = &mut self.running[which];
        self.cache.extend(&mut running.table, more)
    }

    /// Computes up to `more` tokens as far as there is room, without committing them.
    fn write(&mut self, which: usize, more: usize) {
        let Running { table, tokens, written } = &mut self.running[which];
        let room = table.pages().len() * PAGE_TOKENS - table.tokens();
        *written = more.min(room);
        for place in table.tokens()..table.tokens() + *written {
            if place >= tokens.len() {
                tokens.push((place % 3) as u32);
            }
            self.slots[table.pages()[place / PAGE_TOKENS] as usize][place % PAGE_TOKENS] = digest(&tokens[..=place]);
        }
    }

    fn commit(&mut self, which: usize) {
        let Running { table, tokens, written } = &mut self.running[which];
        let from = table.tokens();
        self.cache.commit(table, &tokens[from..from + *written]);
        *written = 0;
    }

    fn release(&mut self, which: usize) {
        let running = self.running.swap_remove(which);
        self.cache.release(running.table);
    }

    /// A whole sequence from beginning to end; gives the number of tokens found.
    fn play(&mut self, tokens: &[u32]) -> usize {
        let found = self.begin(tokens.to_vec());
        let which = self.running.len() - 1;
        self.extend(which, tokens.len() - found).unwrap();
        self.write(which, tokens.len() - found);
        self.commit(which);
        self.release(which);
        found
    }

    fn check(&self) {
        let PageCounts { used, cached, free, .. } = self.cache.counts();
        let mut holders = vec![0; self.slots.len()];
        for Running { table, tokens, .. } in &self.running {
            for &page in table.pages() {
                holders[page as usize] += 1;
            }
            for place in 0..table.tokens() {
                let held = self.slots[table.pages()[place / PAGE_TOKENS] as usize][place % PAGE_TOKENS];
                assert_eq!(held, digest(&tokens[..=place]), "somebody else's keys and values at {place}");
            }
        }
        let free_pages: BTreeSet<_> = self.cache.free.iter().copied().collect();
        assert_eq!(free_pages.len(), free, "a page is free twice");
        assert_eq!(used, holders.iter().filter(|count| **count > 0).count(), "pages leaked");
        assert_eq!(used + cached + free, self.slots.len());
        for (id, page) in (0..).zip(&self.cache.pages) {
            assert_eq!(page.holders, holders[id as usize], "holders of {id}");
            assert!(page.indexed || page.holders <= 1, "{id} is shared before it may be");
            assert_eq!(free_pages.contains(&id), !page.indexed && page.holders == 0);
            let children = self.cache.pages.iter().filter(|other| other.indexed && other.parent == Some(id)).count();
            assert_eq!(page.children as usize, children);
            let is_leaf = page.indexed && page.holders == 0 && children == 0;
            assert_eq!(self.cache.leaves.contains(&(page.left, id)), is_leaf);
            if let Some(parent) = page.parent.filter(|_| page.indexed) {
                assert!(self.cache.page(parent).indexed, "{id} hangs below a page that is gone");
            }
        }
    }
}

#[derive(Debug, Clone)]
enum Action {
    Begin(Vec<u32>),
    Extend(usize, usize),
    Write(usize, usize),
    Commit(usize),
    Release(usize),
    Discard(usize),
}

/// Texts with long common beginnings that part anywhere.
fn prompt() -> impl Strategy<Value = Vec<u32>> {
    (0usize..70, 1usize..70, 0u32..3).prop_map(|(same, length, then)| {
        (0..length).map(|place| if place < same { (place % 5) as u32 } else { 10 + then }).collect()
    })
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        3 => prompt().prop_map(Action::Begin),
        3 => (any::<usize>(), 1usize..40).prop_map(|(which, more)| Action::Extend(which, more)),
        4 => (any::<usize>(), 1usize..40).prop_map(|(which, more)| Action::Write(which, more)),
        4 => any::<usize>().prop_map(Action::Commit),
        2 => any::<usize>().prop_map(Action::Release),
        1 => any::<usize>().prop_map(Action::Discard),
    ]
}

proptest! {
    #[test]
    fn pages_are_never_leaked_shared_wrongly_or_evicted_while_held(
        pages in 1usize..14,
        actions in prop::collection::vec(action(), 0..80),
    ) {
        let mut memory = Memory::new(pages);
        for action in actions {
            let count = memory.running.len();
            match action {
                Action::Begin(tokens) => {
                    let length = tokens.len();
                    let whole = memory.cache.cached_tokens(&tokens);
                    let found = memory.begin(tokens);
                    prop_assert!(found < length && found >= whole);
                }
                _ if count == 0 => {}
                Action::Extend(which, more) => {
                    let which = which % count;
                    let before = (memory.cache.counts(), memory.running[which].table.pages().len());
                    if memory.extend(which, more).is_err() {
                        let after = (memory.cache.counts(), memory.running[which].table.pages().len());
                        prop_assert_eq!(before, after);
                    }
                }
                Action::Write(which, more) => memory.write(which % count, more),
                Action::Commit(which) => memory.commit(which % count),
                Action::Release(which) => memory.release(which % count),
                Action::Discard(which) => {
                    let running = memory.running.swap_remove(which % count);
                    memory.cache.discard(running.table);
                }
            }
            memory.check();
        }
        while !memory.running.is_empty() {
            memory.release(0);
        }
        memory.check();
        prop_assert_eq!(memory.cache.available(), pages);
    }

    #[test]
    fn what_fits_can_be_begun_and_extended(
        pages in 1usize..10,
        earlier in prop::collection::vec(prompt(), 0..6),
        held in prop::option::of(prompt()),
        tokens in prompt(),
        answer in 0usize..40,
    ) {
        let mut memory = Memory::new(pages);
        for tokens in earlier.iter().filter(|tokens| tokens.len() <= pages * PAGE_TOKENS) {
            memory.play(tokens);
        }
        if let Some(held) = held {
            memory.begin(held);
        }
        let room = tokens.len() + answer;
        let fits = memory.cache.fits(&tokens, room, 0);
        let found = memory.begin(tokens);
        let which = memory.running.len() - 1;
        prop_assert_eq!(memory.extend(which, room - found).is_ok(), fits);
        memory.check();
    }
}

fn text(from: u32, length: u32) -> Vec<u32> {
    (from..from + length).collect()
}

#[test]
fn the_next_turn_of_a_chat_begins_where_the_last_ended() {
    let mut memory = Memory::new(20);
    assert_eq!(memory.play(&text(0, 45)), 0);
    assert_eq!(memory.play(&text(0, 90)), 45);
    assert_eq!(memory.play(&text(0, 90)), 89, "the last token is always computed");
    // Six pages, not six and the half one that the first turn left.
    assert_eq!(memory.cache.counts().cached, 6);
    memory.check();
}

#[test]
fn prompts_that_part_in_mid_page_share_up_to_the_token() {
    let mut memory = Memory::new(20);
    let with = |end: u32| [text(0, 40), text(end, 30)].concat();
    assert_eq!(memory.play(&with(100)), 0);
    assert_eq!(memory.play(&with(200)), 40);
    assert_eq!(memory.play(&with(300)), 40);
    memory.check();
}

#[test]
fn two_sequences_that_compute_the_same_end_up_with_one_set_of_pages() {
    let mut memory = Memory::new(8);
    for which in 0..2 {
        memory.begin(text(0, 40));
        memory.extend(which, 40).unwrap();
    }
    assert_eq!(memory.cache.counts().used, 6);
    for which in 0..2 {
        memory.write(which, 40);
        memory.commit(which);
    }
    assert_eq!(memory.cache.counts().used, 4, "two full pages shared, two beginnings apart");
    memory.check();
}

#[test]
fn what_was_written_and_not_committed_is_not_reused() {
    let mut memory = Memory::new(8);
    memory.begin(text(0, 40));
    memory.extend(0, 40).unwrap();
    memory.write(0, 20);
    memory.commit(0);
    memory.write(0, 20);
    memory.release(0);
    memory.check();
    assert_eq!(memory.begin(text(0, 40)), 20);
}

#[test]
fn what_is_discarded_is_not_found_again_and_what_others_use_is() {
    let mut memory = Memory::new(12);
    memory.play(&text(0, 40));
    memory.begin([text(0, 32), text(90, 40)].concat());
    memory.begin(text(0, 80));
    for which in 0..2 {
        memory.extend(which, 40).unwrap();
        memory.write(which, 40);
        memory.commit(which);
    }
    let table = memory.running.pop().unwrap().table;
    memory.cache.discard(table);
    memory.check();
    assert_eq!(memory.cache.cached_tokens(&text(0, 80)), 32);
    memory.release(0);
    assert_eq!(memory.cache.cached_tokens(&[text(0, 32), text(90, 40)].concat()), 64);
}

#[test]
fn the_least_recently_used_end_goes_first_and_beginnings_last() {
    let mut memory = Memory::new(6);
    memory.play(&text(0, 32));
    memory.play(&text(100, 32));
    memory.play(&text(0, 32));
    memory.play(&text(200, 48));
    assert_eq!(memory.cache.counts().evictions, 1);
    assert_eq!(memory.cache.cached_tokens(&text(0, 33)), 32);
    assert_eq!(memory.cache.cached_tokens(&text(100, 33)), 16, "its end is gone, its beginning is there");
    memory.check();
}
