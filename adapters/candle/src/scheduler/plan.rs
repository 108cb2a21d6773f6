//! Which rows the next step computes.
//!
//! Every running answer goes on by one token. What is left of the step goes to prompts: much of it while nobody is
//! being answered, little otherwise, so that a long prompt does not make the answers of others stutter. Among prompts
//! the one with the least work done goes first, so that short ones pass long ones; but a quarter is always the oldest
//! one's, so that no stream of short prompts can starve a long one.

use super::sequence::Sequence;
use crate::network::PAGE_TOKENS;

/// The oldest prompt's part of the rows for prompts.
const OLDEST_SHARE: usize = 4;

/// The rows of one step.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Plan {
    /// By place in the batch, in order; only sequences with rows.
    pub shares: Vec<Share>,
    /// Rows that go on with answers.
    pub answer_rows: usize,
    /// Rows of prompts, and of answers that are computed again.
    pub prompt_rows: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Share {
    pub place: usize,
    pub rows: usize,
    /// These rows are all that was due, so that the next token can be chosen after them.
    pub completes: bool,
}

/// Rows of prompts in one step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Budget {
    /// While no answer is going on.
    pub alone: usize,
    /// Beside answers.
    pub beside: usize,
}

impl Plan {
    /// `running`: oldest first.
    pub(super) fn of(running: &[Sequence], budget: Budget) -> Self {
        let mut rows: Vec<usize> = running.iter().map(|sequence| usize::from(sequence.is_decoding())).collect();
        let answer_rows = rows.iter().sum();
        let mut prompts: Vec<usize> = (0..running.len()).filter(|&place| !running[place].is_decoding()).collect();
        let all = if answer_rows == 0 { budget.alone } else { budget.beside };
        let mut left = all;
        let mut give = |place: usize, most: usize| {
            let more = most.min(left).min(running[place].due() - rows[place]);
            rows[place] += more;
            left -= more;
        };
        if let Some(&oldest) = prompts.first() {
            give(oldest, (all / OLDEST_SHARE).max(PAGE_TOKENS));
        }
        prompts.sort_by_key(|&place| (running[place].work, running[place].ticket));
        for place in prompts {
            give(place, usize::MAX);
        }
        let shares = rows.iter().enumerate().filter(|(_, rows)| **rows > 0);
        let shares = shares.map(|(place, &rows)| Share { place, rows, completes: rows == running[place].due() });
        Self { shares: shares.collect(), answer_rows, prompt_rows: all - left }
    }
}
