//! Merging neighbours: what byte pair encoding and SentencePiece have in common.
//!
//! A word begins as a row of small symbols. Again and again the two neighbours whose union ranks first become one, the
//! leftmost where ranks are equal. The pairs wait in a heap, so a word of n symbols takes n log n steps; a word that has
//! been seen in the same text is not merged again.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::ops::Range;

/// A stretch of a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Symbol {
    pub start: usize,
    /// Equal to `start` once it was merged into its left neighbour.
    pub end: usize,
    /// `None` for a character that is no token; such a symbol stays as it is.
    pub token: Option<u32>,
}

/// Union of two symbols: the lower its rank, the earlier it is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Union {
    pub rank: u32,
    pub token: u32,
}

/// A symbol's neighbours by place, `None` at the ends of the word.
#[derive(Debug, Clone, Copy)]
struct Neighbours {
    left: Option<usize>,
    right: Option<usize>,
}

/// Merges until no two neighbours have a union. What is left of `symbols` are those with `start < end`.
pub(crate) fn merge(symbols: &mut [Symbol], union: impl Fn(&Symbol, &Symbol) -> Option<Union>) {
    let count = symbols.len();
    let mut neighbours: Vec<_> = (0..count)
        .map(|place| Neighbours { left: place.checked_sub(1), right: Some(place + 1).filter(|&right| right < count) })
        .collect();
    let mut pairs: BinaryHeap<Reverse<(u32, usize, u32)>> = BinaryHeap::with_capacity(count);
    let entry = |symbols: &[Symbol], left: usize, right: usize| {
        let union = union(&symbols[left], &symbols[right])?;
        Some(Reverse((union.rank, left, union.token)))
    };
    for left in 0..count.saturating_sub(1) {
        pairs.extend(entry(symbols, left, left + 1));
    }
    while let Some(pair @ Reverse((_, left, token))) = pairs.pop() {
        let Some(right) = neighbours[left].right else { continue };
        let gone = symbols[left].start == symbols[left].end;
        // Of another union now: one of the two has grown since the pair was found.
        if gone || entry(symbols, left, right) != Some(pair) {
            continue;
        }
        symbols[left].end = symbols[right].end;
        symbols[left].token = Some(token);
        symbols[right].end = symbols[right].start;
        neighbours[left].right = neighbours[right].right;
        if let Some(next) = neighbours[left].right {
            neighbours[next].left = Some(left);
            pairs.extend(entry(symbols, left, next));
        }
        if let Some(before) = neighbours[left].left {
            pairs.extend(entry(symbols, before, left));
        }
    }
}

/// Words of one text that have been encoded, and where their ids lie in its output.
#[derive(Debug, Default)]
pub(crate) struct Seen<'t>(HashMap<&'t str, Range<usize>>);

/// Longer words hardly come twice.
const LONGEST_SEEN_BYTES: usize = 64;

impl<'t> Seen<'t> {
    /// Appends the ids of a word: those of its last time, else what `encode` appends.
    pub(crate) fn encode(&mut self, word: &'t str, out: &mut Vec<u32>, encode: impl FnOnce(&str, &mut Vec<u32>)) {
        if let Some(ids) = self.0.get(word) {
            out.extend_from_within(ids.clone());
            return;
        }
        let start = out.len();
        encode(word, out);
        if word.len() <= LONGEST_SEEN_BYTES {
            self.0.insert(word, start..out.len());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    fn letters(text: &str) -> Vec<Symbol> {
        (0..text.len()).map(|start| Symbol { start, end: start + 1, token: Some(0) }).collect()
    }

    fn merged(text: &str, unions: &[&str]) -> Vec<String> {
        let mut symbols = letters(text);
        merge(&mut symbols, |left, right| {
            let place = unions.iter().position(|union| *union == &text[left.start..right.end])?;
            let rank = u32::try_from(place).unwrap();
            Some(Union { rank, token: rank })
        });
        let left = symbols.iter().filter(|symbol| symbol.start < symbol.end);
        left.map(|symbol| text[symbol.start..symbol.end].to_owned()).collect()
    }

    #[test]
    fn the_first_rank_is_merged_first() {
        assert_eq!(merged("abc", &["bc", "ab", "abc"]), ["abc"]);
        assert_eq!(merged("abc", &["bc", "ab"]), ["a", "bc"]);
        assert_eq!(merged("abab", &["ba", "ab"]), ["a", "ba", "b"]);
        assert_eq!(merged("", &[]), [""; 0]);
    }

    #[test]
    fn equal_pairs_are_merged_from_the_left() {
        assert_eq!(merged("aaa", &["aa"]), ["aa", "a"]);
        assert_eq!(merged("aaaaa", &["aa", "aaaa"]), ["aaaa", "a"]);
    }

    #[test]
    fn a_long_word_of_one_letter_takes_a_few_looks_at_each_letter() {
        let count = 20_000;
        let looks = Cell::new(0_usize);
        let mut symbols = letters(&"a".repeat(count));
        merge(&mut symbols, |left, right| {
            looks.set(looks.get() + 1);
            let length = right.end - left.start;
            (length.is_power_of_two() && length <= 64)
                .then(|| Union { rank: 100 - length.ilog2(), token: length.ilog2() })
        });
        assert!(looks.get() < 10 * count, "{} looks", looks.get());
    }

    #[test]
    fn a_word_that_comes_again_is_not_encoded_again() {
        let (mut seen, mut out, mut encoded) = (Seen::default(), Vec::new(), 0);
        for word in ["ab", "c", "ab", "ab"] {
            seen.encode(word, &mut out, |word, out| {
                encoded += 1;
                out.extend(word.bytes().map(u32::from));
            });
        }
        assert_eq!((out, encoded), (vec![97, 98, 99, 97, 98, 97, 98], 2));
    }
}
