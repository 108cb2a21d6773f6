//! Tokens that are found in text as a whole, and those that end an answer.

use std::collections::HashMap;

use aho_corasick::{AhoCorasick, BuildError, MatchKind};

/// Texts of tokens that end an answer in the common templates; a file names one of them as its end of text at most.
/// The last three end a piece of code: a chat that comes upon them has lost its thread.
const ENDINGS: [&str; 28] = [
    "<|im_end|>",
    "<|eot_id|>",
    "<|eom_id|>",
    "<|end_of_text|>",
    "<|endoftext|>",
    "<|end|>",
    "<|return|>",
    "<|call|>",
    "<|calls|>",
    "<|flush|>",
    "<|END_OF_TURN_TOKEN|>",
    "<end_of_turn>",
    "<end_of_utterance>",
    "<turn|>",
    "<｜end▁of▁sentence｜>",
    "<EOT>",
    "_<EOT>",
    "[EOT]",
    "[EOS]",
    "<eos>",
    "</s>",
    "[e~[",
    "<|tool_response>",
    "<|eos|>",
    "<|plamo:eos|>",
    "<|fim_pad|>",
    "<|repo_name|>",
    "<|file_sep|>",
];

/// In models with both of these, `<|end|>` closes a part of an answer, not the answer.
const PARTS_END_APART: [[&str; 2]; 2] = [["<|return|>", "<|call|>"], ["<|flush|>", "<|calls|>"]];

/// Whether a token of this text ends an answer in some family.
pub(crate) fn ends_answer(text: &str) -> bool {
    ENDINGS.contains(&text)
}

/// Whitespace beside a token that belongs to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Takes {
    pub space_before: bool,
    pub space_after: bool,
}

/// A set of tokens that are looked for in text.
#[derive(Debug, Default)]
pub(crate) struct SpecialTokens {
    /// `None` while there is nothing to find.
    finder: Option<AhoCorasick>,
    found: Vec<(u32, Takes)>,
    ids: HashMap<String, u32>,
}

/// A stretch of text between special tokens, or one of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Piece<'a> {
    Text(&'a str),
    Special(u32, Takes),
}

impl SpecialTokens {
    /// # Errors
    /// More tokens than can be searched for at once.
    pub(crate) fn new(tokens: impl IntoIterator<Item = (String, u32, Takes)>) -> Result<Self, BuildError> {
        let tokens: Vec<_> = tokens.into_iter().filter(|(text, ..)| !text.is_empty()).collect();
        if tokens.is_empty() {
            return Ok(Self::default());
        }
        let finder = AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostLongest)
            .build(tokens.iter().map(|(text, ..)| text))?;
        let found = tokens.iter().map(|&(_, id, takes)| (id, takes)).collect();
        Ok(Self { finder: Some(finder), found, ids: tokens.into_iter().map(|(text, id, _)| (text, id)).collect() })
    }

    pub(crate) fn id(&self, text: &str) -> Option<u32> {
        self.ids.get(text).copied()
    }

    pub(crate) fn ids(&self) -> impl Iterator<Item = u32> + '_ {
        self.ids.values().copied()
    }

    /// The texts of all tokens, in no order.
    pub(crate) fn texts(&self) -> impl Iterator<Item = &str> {
        self.ids.keys().map(String::as_str)
    }

    /// The tokens that end an answer, going by their names.
    pub(crate) fn endings(&self) -> impl Iterator<Item = u32> + '_ {
        let parts_end_apart = PARTS_END_APART.iter().any(|both| both.iter().all(|text| self.ids.contains_key(*text)));
        let endings = ENDINGS.iter().filter(move |text| !(parts_end_apart && **text == "<|end|>"));
        endings.filter_map(|text| self.id(text))
    }

    /// Cuts text at the tokens: the leftmost first, and the longest of those that begin at the same place.
    pub(crate) fn split<'a>(&self, text: &'a str) -> Vec<Piece<'a>> {
        let mut pieces = Vec::new();
        let mut at = 0;
        for found in self.finder.iter().flat_map(|finder| finder.find_iter(text)) {
            if at < found.start() {
                pieces.push(Piece::Text(&text[at..found.start()]));
            }
            let (id, takes) = self.found[found.pattern().as_usize()];
            pieces.push(Piece::Special(id, takes));
            at = found.end();
        }
        if at < text.len() {
            pieces.push(Piece::Text(&text[at..]));
        }
        pieces
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(texts: &[(&str, u32)]) -> SpecialTokens {
        SpecialTokens::new(texts.iter().map(|&(text, id)| (text.to_owned(), id, Takes::default()))).unwrap()
    }

    #[test]
    fn text_is_cut_at_the_longest_special_tokens() {
        let special = tokens(&[("<|a|>", 1), ("<|a|>b", 2), ("é", 3)]);
        let found = |id| Piece::Special(id, Takes::default());
        assert_eq!(
            special.split("x<|a|>c<|a|>bé<|"),
            [Piece::Text("x"), found(1), Piece::Text("c"), found(2), found(3), Piece::Text("<|")]
        );
        assert_eq!(special.split(""), []);
        assert_eq!(tokens(&[]).split("a"), [Piece::Text("a")]);
    }

    #[test]
    fn the_end_of_a_part_does_not_end_the_answer() {
        let ends = |texts: &[(&str, u32)]| tokens(texts).endings().collect::<Vec<_>>();
        assert_eq!(ends(&[("<|end|>", 1), ("<|user|>", 2)]), [1]);
        assert_eq!(ends(&[("<|end|>", 1), ("<|return|>", 2), ("<|call|>", 3)]), [2, 3]);
    }
}
