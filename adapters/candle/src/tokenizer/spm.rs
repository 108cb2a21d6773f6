//! SentencePiece's byte pair encoding, as Llama 2 and Mistral use it.
//!
//! A text is cut into characters; then, again and again, the two neighbours whose union is the token with the highest
//! score become one, the leftmost first where scores are equal. Characters that are no token become their bytes.
//! Spaces are written as [`SPACE`]. Source: the SentencePiece paper's `bpe` model and its `byte_fallback` option.

use std::cmp::Ordering;
use std::collections::{BinaryHeap, HashMap};

/// A space inside a token.
pub(crate) const SPACE: &str = "\u{2581}";

/// A vocabulary with scores.
#[derive(Debug)]
pub(crate) struct SentencePiece {
    ids: HashMap<String, u32>,
    scores: Vec<f32>,
    byte_ids: Vec<u32>,
    adds_space: bool,
}

/// The byte that a token such as `<0x0A>` stands for.
pub(crate) fn byte(token: &str) -> Option<u8> {
    let digits = token.strip_prefix("<0x")?.strip_suffix('>')?;
    if digits.len() == 2 { u8::from_str_radix(digits, 16).ok() } else { None }
}

/// A stretch of the text that is a token or a character; neighbours by place, `None` at the ends.
#[derive(Debug, Clone, Copy)]
struct Symbol {
    start: usize,
    /// Equal to `start` once it was merged into its left neighbour.
    end: usize,
    left: Option<usize>,
    right: Option<usize>,
}

/// Two neighbours that may become one.
#[derive(Debug, Clone, Copy)]
struct Pair {
    score: f32,
    left: usize,
    right: usize,
    /// Length of both together when the pair was found; another length now means that it is outdated.
    length: usize,
}

impl Ord for Pair {
    fn cmp(&self, other: &Self) -> Ordering {
        self.score.total_cmp(&other.score).then(other.left.cmp(&self.left))
    }
}

impl PartialOrd for Pair {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Pair {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Pair {}

impl SentencePiece {
    /// `None` if a byte has no token. `scores` are by id.
    pub(crate) fn new(
        ids: HashMap<String, u32>,
        scores: Vec<f32>,
        byte_tokens: &HashMap<u8, u32>,
        adds_space: bool,
    ) -> Option<Self> {
        let byte_ids = (0..=u8::MAX).map(|byte| byte_tokens.get(&byte).copied()).collect::<Option<_>>()?;
        Some(Self { ids, scores, byte_ids, adds_space })
    }

    /// Appends the ids of a text. A text at the beginning or after a special token is preceded by a space, where the
    /// model was trained so.
    pub(crate) fn encode(&self, text: &str, after_special: bool, out: &mut Vec<u32>) {
        let prefix = if self.adds_space && after_special { SPACE } else { "" };
        let text = format!("{prefix}{}", text.replace(' ', SPACE));
        let mut symbols = characters(&text);
        let mut pairs = BinaryHeap::new();
        for right in 1..symbols.len() {
            pairs.extend(self.pair(&text, &symbols, right - 1, right));
        }
        while let Some(pair) = pairs.pop() {
            let (left, right) = (symbols[pair.left], symbols[pair.right]);
            let gone = left.start == left.end || right.start == right.end;
            if gone || right.end - left.start != pair.length {
                continue;
            }
            symbols[pair.left].end = right.end;
            symbols[pair.left].right = right.right;
            symbols[pair.right].end = right.start;
            if let Some(next) = right.right {
                symbols[next].left = Some(pair.left);
                pairs.extend(self.pair(&text, &symbols, pair.left, next));
            }
            if let Some(before) = left.left {
                pairs.extend(self.pair(&text, &symbols, before, pair.left));
            }
        }
        for symbol in symbols.iter().filter(|symbol| symbol.start < symbol.end) {
            let piece = &text[symbol.start..symbol.end];
            match self.ids.get(piece) {
                Some(&id) => out.push(id),
                None => out.extend(piece.bytes().map(|byte| self.byte_ids[usize::from(byte)])),
            }
        }
    }

    fn pair(&self, text: &str, symbols: &[Symbol], left: usize, right: usize) -> Option<Pair> {
        let (start, end) = (symbols[left].start, symbols[right].end);
        let id = *self.ids.get(&text[start..end])?;
        let score = *self.scores.get(usize::try_from(id).ok()?)?;
        Some(Pair { score, left, right, length: end - start })
    }
}

fn characters(text: &str) -> Vec<Symbol> {
    let count = text.chars().count();
    text.char_indices()
        .enumerate()
        .map(|(place, (start, c))| Symbol {
            start,
            end: start + c.len_utf8(),
            left: place.checked_sub(1),
            right: (place + 1 < count).then_some(place + 1),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes first, then these tokens, whose scores fall from one to the next.
    fn model(tokens: &[&str], adds_space: bool) -> SentencePiece {
        let byte_tokens: HashMap<u8, u32> = (0..=u8::MAX).map(|byte| (byte, u32::from(byte))).collect();
        let ids: HashMap<String, u32> = (256..).zip(tokens).map(|(id, text)| ((*text).to_owned(), id)).collect();
        let mut scores = vec![0.0; 256];
        scores.extend((0..tokens.len()).map(|place| -(place as f32)));
        SentencePiece::new(ids, scores, &byte_tokens, adds_space).expect("every byte has a token")
    }

    fn encode(model: &SentencePiece, text: &str) -> Vec<u32> {
        let mut ids = Vec::new();
        model.encode(text, true, &mut ids);
        ids
    }

    #[test]
    fn the_highest_score_is_merged_first() {
        let letters = ["bc", "ab", "abc", "a", "b", "c"];
        assert_eq!(encode(&model(&letters, false), "abc"), [258]);
        assert_eq!(encode(&model(&letters, false), "ab"), [257]);
        let without_union = ["bc", "ab", "a", "b", "c"];
        assert_eq!(encode(&model(&without_union, false), "abc"), [258, 256]);
    }

    #[test]
    fn equal_pairs_are_merged_from_the_left() {
        let model = model(&["aa", "a"], false);
        assert_eq!(encode(&model, "aaa"), [256, 257]);
        assert_eq!(encode(&model, "aaaa"), [256, 256]);
    }

    #[test]
    fn spaces_are_marked_and_one_is_put_before_the_text() {
        let model = model(&["▁a", "▁", "a"], true);
        assert_eq!(encode(&model, "a a"), [256, 256]);
        let mut ids = Vec::new();
        model.encode("a", false, &mut ids);
        assert_eq!(ids, [258]);
    }

    #[test]
    fn what_is_no_token_becomes_its_bytes() {
        assert_eq!(encode(&model(&["a"], false), "aé"), [256, 0xc3, 0xa9]);
        assert_eq!(encode(&model(&["a"], false), ""), [0; 0]);
    }

    #[test]
    fn byte_tokens_are_recognised_by_name() {
        assert_eq!((byte("<0x0A>"), byte("<0xA>"), byte("0x0A"), byte("<0xZZ>")), (Some(10), None, None, None));
    }
}
