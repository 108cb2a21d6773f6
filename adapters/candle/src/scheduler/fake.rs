//! A network that computes nothing but a digest of everything it was given, read back from its own pages.
//!
//! A page that holds anybody else's tokens, a row that was never written or a copy that was forgotten changes the
//! logits, and so the text.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use crate::network::{Batch, Network, NetworkError, NetworkLimits, PAGE_TOKENS, PageId, Wanted};

/// Marks slots that nobody may read.
const NOTHING: u32 = u32::MAX;

/// What a step should do instead of working.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mishap {
    Fail,
    Panic,
    /// Logits that are not numbers.
    Noise,
}

/// Steps so far and mishaps to come, as the test sees them; clones share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Diary(Arc<Mutex<Entries>>);

#[derive(Debug, Default)]
struct Entries {
    /// Rows of each chunk of each step.
    steps: Vec<Vec<usize>>,
    mishaps: Vec<(usize, Mishap)>,
    dropped: bool,
}

impl Diary {
    /// Rows of each chunk of each step.
    pub(crate) fn steps(&self) -> Vec<Vec<usize>> {
        self.0.lock().unwrap().steps.clone()
    }

    /// All rows of all steps.
    pub(crate) fn rows(&self) -> usize {
        self.0.lock().unwrap().steps.iter().flatten().sum()
    }

    /// Plans a mishap for the step after `steps` others.
    pub(crate) fn plan(&self, steps: usize, mishap: Mishap) {
        self.0.lock().unwrap().mishaps.push((steps, mishap));
    }

    /// Lets everything that is planned and has not happened be.
    pub(crate) fn forget_plans(&self) {
        self.0.lock().unwrap().mishaps.clear();
    }

    /// Whether the network is gone.
    pub(crate) fn is_dropped(&self) -> bool {
        self.0.lock().unwrap().dropped
    }
}

pub(crate) struct FakeNetwork {
    limits: NetworkLimits,
    slots: Vec<[u32; PAGE_TOKENS]>,
    diary: Diary,
}

impl FakeNetwork {
    pub(crate) fn new(vocabulary: usize, context_tokens: usize, pages: usize) -> (Self, Diary) {
        let diary = Diary::default();
        let limits = NetworkLimits { vocabulary, context_tokens, pages, page_bytes: 1024 };
        (Self { limits, slots: vec![[NOTHING; PAGE_TOKENS]; pages], diary: diary.clone() }, diary)
    }
}

/// The logits after these tokens.
pub(crate) fn logits_after(tokens: impl IntoIterator<Item = u32>, vocabulary: usize) -> Vec<f32> {
    let digest = tokens.into_iter().fold(0x9e37_79b9, |digest: u64, token| mix(digest ^ u64::from(token)));
    (0..vocabulary as u64).map(|id| (mix(digest ^ (id << 32)) >> 40) as f32 / (1u64 << 22) as f32).collect()
}

fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9).wrapping_add(0x94d0_49bb);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

impl Network for FakeNetwork {
    fn limits(&self) -> NetworkLimits {
        self.limits
    }

    fn step(&mut self, batch: &Batch<'_>, logits: &mut Vec<f32>) -> Result<(), NetworkError> {
        let mut entries = self.diary.0.lock().unwrap();
        let number = entries.steps.len();
        entries.steps.push(batch.chunks.iter().map(|chunk| chunk.rows).collect());
        let mishap = entries.mishaps.iter().find(|(step, _)| *step == number).map(|(_, mishap)| *mishap);
        drop(entries);
        let mut tokens = batch.tokens.iter();
        let mut written = BTreeSet::new();
        for chunk in &batch.chunks {
            let end = chunk.position + chunk.rows;
            assert_eq!(chunk.pages.len(), end.div_ceil(PAGE_TOKENS), "exactly the pages that are needed");
            for place in chunk.position..end {
                let page = chunk.pages[place / PAGE_TOKENS];
                let token = *tokens.next().expect("a token a row");
                let token = if matches!(mishap, None | Some(Mishap::Noise)) { token } else { token + 1 };
                self.slots[page as usize][place % PAGE_TOKENS] = token;
                written.insert((page, chunk.pages[0], chunk.position));
            }
        }
        let pages: BTreeSet<PageId> = written.iter().map(|(page, ..)| *page).collect();
        assert_eq!(pages.len(), written.len(), "a page is written by two sequences");
        match mishap {
            Some(Mishap::Fail) => return Err(NetworkError { what: "as planned".to_owned(), source: None }),
            Some(Mishap::Panic) => panic!("as planned"),
            Some(Mishap::Noise) | None => {}
        }
        for chunk in &batch.chunks {
            let first = match chunk.logits {
                Wanted::Nothing => continue,
                Wanted::Last => chunk.rows - 1,
                Wanted::All => 0,
            };
            for row in first..chunk.rows {
                let read = (0..=chunk.position + row)
                    .map(|place| self.slots[chunk.pages[place / PAGE_TOKENS] as usize][place % PAGE_TOKENS]);
                let read: Vec<u32> = read.collect();
                assert!(!read.contains(&NOTHING), "something was read that was never written");
                let row = logits_after(read, self.limits.vocabulary);
                match mishap {
                    Some(_) => logits.extend(row.iter().map(|_| f32::NAN)),
                    None => logits.extend(row),
                }
            }
        }
        Ok(())
    }

    fn copy_page(&mut self, from: PageId, to: PageId) {
        self.slots[to as usize] = self.slots[from as usize];
    }
}

impl Drop for FakeNetwork {
    fn drop(&mut self) {
        if let Ok(mut entries) = self.diary.0.lock() {
            entries.dropped = true;
        }
    }
}
