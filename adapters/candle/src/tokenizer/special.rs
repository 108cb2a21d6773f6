//! Special tokens: finding them in text that may contain them, and knowing which end an answer.

use std::collections::{BTreeMap, HashMap};

/// Texts of tokens that end an answer in the common templates; a file names one of them as its end of text at most.
const ENDINGS: [&str; 10] = [
    "<|im_end|>",
    "<|eot_id|>",
    "<|eom_id|>",
    "<|end_of_text|>",
    "<|endoftext|>",
    "<|end|>",
    "<end_of_turn>",
    "<｜end▁of▁sentence｜>",
    "</s>",
    "<|return|>",
];

/// The tokens of a vocabulary that are not made of text.
#[derive(Debug, Default)]
pub(crate) struct SpecialTokens {
    ids: HashMap<String, u32>,
    /// Lengths in bytes that occur, so that a look-up knows what to try, per first byte.
    lengths: BTreeMap<u8, Vec<usize>>,
}

/// A stretch of text between special tokens, or one of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Piece<'a> {
    Text(&'a str),
    Special(u32),
}

impl SpecialTokens {
    pub(crate) fn new(tokens: impl IntoIterator<Item = (String, u32)>) -> Self {
        let mut all = Self::default();
        for (text, id) in tokens {
            let Some(&first) = text.as_bytes().first() else { continue };
            let lengths = all.lengths.entry(first).or_default();
            if !lengths.contains(&text.len()) {
                lengths.push(text.len());
                lengths.sort_unstable_by(|a, b| b.cmp(a));
            }
            all.ids.insert(text, id);
        }
        all
    }

    pub(crate) fn id(&self, text: &str) -> Option<u32> {
        self.ids.get(text).copied()
    }

    /// The tokens that end an answer, going by their names.
    pub(crate) fn endings(&self) -> impl Iterator<Item = u32> + '_ {
        ENDINGS.iter().filter_map(|text| self.id(text))
    }

    /// Cuts text at its special tokens; where several begin, the longest counts.
    pub(crate) fn split<'a>(&self, text: &'a str) -> Vec<Piece<'a>> {
        let mut pieces = Vec::new();
        let mut rest_from = 0;
        let mut at = 0;
        while at < text.len() {
            let Some((length, id)) = self.at(&text[at..]) else {
                at += text[at..].chars().next().map_or(1, char::len_utf8);
                continue;
            };
            if rest_from < at {
                pieces.push(Piece::Text(&text[rest_from..at]));
            }
            pieces.push(Piece::Special(id));
            at += length;
            rest_from = at;
        }
        if rest_from < text.len() {
            pieces.push(Piece::Text(&text[rest_from..]));
        }
        pieces
    }

    fn at(&self, text: &str) -> Option<(usize, u32)> {
        let lengths = self.lengths.get(text.as_bytes().first()?)?;
        lengths.iter().find_map(|&length| Some((length, self.id(text.get(..length)?)?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_cut_at_the_longest_special_tokens() {
        let special = SpecialTokens::new([("<|a|>".into(), 1), ("<|a|>b".into(), 2), ("é".into(), 3)]);
        assert_eq!(
            special.split("x<|a|>c<|a|>bé<|"),
            [
                Piece::Text("x"),
                Piece::Special(1),
                Piece::Text("c"),
                Piece::Special(2),
                Piece::Special(3),
                Piece::Text("<|")
            ]
        );
        assert_eq!(special.split(""), []);
    }
}
