//! Chats without any scheduler: each has its own pages, and nothing is shared.

use crate::network::{Batch, Chunk, Network, NetworkError, PAGE_TOKENS, PageId, Wanted};

/// Rows of a prompt that are computed at once.
const PROMPT_ROWS: usize = 512;

/// One sequence of tokens in a network's memory.
#[derive(Debug, Clone)]
pub(super) struct Chat {
    pages: Vec<PageId>,
    /// Tokens that the network has seen.
    pub length: usize,
}

impl Chat {
    /// A chat with memory for `tokens`. `next` is the first page that is free, and afterwards the next one that is.
    pub(super) fn new(tokens: usize, next: &mut PageId) -> Self {
        let first = *next;
        *next += u32::try_from(tokens.div_ceil(PAGE_TOKENS)).unwrap_or(u32::MAX);
        Self { pages: (first..*next).collect(), length: 0 }
    }

    /// Adds tokens, and writes the logits after the last of them.
    pub(super) fn read(
        &mut self,
        network: &mut dyn Network,
        tokens: &[u32],
        logits: &mut Vec<f32>,
    ) -> Result<(), NetworkError> {
        let mut chunks = tokens.chunks(PROMPT_ROWS).peekable();
        while let Some(tokens) = chunks.next() {
            let wanted = if chunks.peek().is_none() { Wanted::Last } else { Wanted::Nothing };
            let chunk = Chunk { pages: &self.pages, position: self.length, rows: tokens.len(), logits: wanted };
            network.step(&Batch { tokens: tokens.to_vec(), chunks: vec![chunk] }, logits)?;
            self.length += tokens.len();
        }
        Ok(())
    }

    /// Begins where another chat is, with a copy of its memory.
    pub(super) fn copy(&mut self, network: &mut dyn Network, other: &Self) {
        let filled = other.length.div_ceil(PAGE_TOKENS);
        for (&from, &to) in other.pages.iter().zip(&self.pages).take(filled) {
            network.copy_page(from, to);
        }
        self.length = other.length;
    }
}

/// Adds one token to each chat in one step, and writes the logits after each.
pub(super) fn step(
    network: &mut dyn Network,
    chats: &mut [Chat],
    token: impl Fn(usize) -> u32,
    logits: &mut Vec<f32>,
) -> Result<(), NetworkError> {
    let chunks =
        chats.iter().map(|chat| Chunk { pages: &chat.pages, position: chat.length, rows: 1, logits: Wanted::Last });
    let batch = Batch { tokens: (0..chats.len()).map(token).collect(), chunks: chunks.collect() };
    network.step(&batch, logits)?;
    for chat in chats {
        chat.length += 1;
    }
    Ok(())
}
