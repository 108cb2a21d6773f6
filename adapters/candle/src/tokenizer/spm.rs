//! SentencePiece's byte pair encoding, as Llama 2 and Mistral use it.
//!
//! A text is cut into characters; then, again and again, the two neighbours whose union is the token with the highest
//! score become one. Characters that are no token become their bytes. Spaces are written as [`SPACE`]. Source: the
//! SentencePiece paper's `bpe` model and its `byte_fallback` option.

use rustc_hash::FxHashMap;

use super::merge::{self, Seen, Symbol, Union};
use super::vocabulary::{Kind, Vocabulary};

/// A space inside a token.
pub(crate) const SPACE: &str = "\u{2581}";

/// A vocabulary with scores.
#[derive(Debug)]
pub(crate) struct SentencePiece {
    /// Only the file puts anything in, so a fast hash does no harm.
    unions: FxHashMap<Box<str>, Union>,
    byte_ids: Vec<u32>,
    adds_space: bool,
    /// Whether no token goes on after the end of a word, so that words can be encoded one by one.
    in_words: bool,
}

/// The byte that a token such as `<0x0A>` stands for.
pub(crate) fn byte(token: &str) -> Option<u8> {
    let digits = token.strip_prefix("<0x")?.strip_suffix('>')?;
    if digits.len() == 2 { u8::from_str_radix(digits, 16).ok() } else { None }
}

/// What a token of SentencePiece stands for.
pub(crate) fn plain(token: &str) -> Vec<u8> {
    byte(token).map_or_else(|| token.replace(SPACE, " ").into_bytes(), |byte| vec![byte])
}

impl SentencePiece {
    /// `None` if a byte has no token. `scores` are by id, one for each token.
    pub(crate) fn new(vocabulary: &Vocabulary<'_>, scores: &[f32], adds_space: bool) -> Option<Self> {
        let bytes: FxHashMap<u8, u32> =
            vocabulary.of(Kind::Byte).filter_map(|(id, text)| Some((byte(text)?, id))).collect();
        let byte_ids = (0..=u8::MAX).map(|byte| bytes.get(&byte).copied()).collect::<Option<_>>()?;
        let ranks = ranks(scores);
        let ranked = vocabulary.all().zip(ranks).filter(|((_, _, kind), _)| *kind == Kind::Text);
        let unions: FxHashMap<Box<str>, Union> =
            ranked.map(|((token, text, _), rank)| (text.into(), Union { rank, token })).collect();
        let in_words = !unions.keys().any(|text| words(text).nth(1).is_some());
        Some(Self { unions, byte_ids, adds_space, in_words })
    }

    /// Appends the ids of a text that stands at the beginning or after a special token: it is preceded by a space, where
    /// the model was trained so.
    pub(crate) fn encode(&self, text: &str, out: &mut Vec<u32>) {
        let prefix = if self.adds_space { SPACE } else { "" };
        let text = format!("{prefix}{}", text.replace(' ', SPACE));
        if !self.in_words {
            return self.encode_word(&text, out);
        }
        let mut seen = Seen::default();
        for word in words(&text) {
            seen.encode(word, out, |word, out| self.encode_word(word, out));
        }
    }

    fn encode_word(&self, word: &str, out: &mut Vec<u32>) {
        let union = |start, end| self.unions.get(&word[start..end]).copied();
        let mut symbols: Vec<_> = word
            .char_indices()
            .map(|(start, c)| {
                let end = start + c.len_utf8();
                Symbol { start, end, token: union(start, end).map(|union| union.token) }
            })
            .collect();
        merge::merge(&mut symbols, |left, right| union(left.start, right.end));
        for symbol in symbols.iter().filter(|symbol| symbol.start < symbol.end) {
            match symbol.token {
                Some(id) => out.push(id),
                None => {
                    let bytes = word[symbol.start..symbol.end].bytes();
                    out.extend(bytes.map(|byte| self.byte_ids[usize::from(byte)]));
                }
            }
        }
    }
}

/// Cuts before each mark of a space that follows something else.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let blanks = rest.len() - rest.trim_start_matches(SPACE).len();
        let end = rest[blanks..].find(SPACE).map_or(rest.len(), |place| blanks + place);
        let (word, after) = rest.split_at(end);
        rest = after;
        Some(word)
    })
}

/// The place of each score, the highest first; equal scores have equal places.
fn ranks(scores: &[f32]) -> Vec<u32> {
    let mut sorted = scores.to_vec();
    sorted.sort_unstable_by(|a, b| b.total_cmp(a));
    sorted.dedup_by(|a, b| a.total_cmp(b).is_eq());
    let place = |score: &f32| sorted.binary_search_by(|other| score.total_cmp(other)).unwrap_or_else(|place| place);
    scores.iter().map(|score| u32::try_from(place(score)).unwrap_or(u32::MAX)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes first, then these tokens, whose scores fall from one to the next.
    fn model(tokens: &[&str], adds_space: bool) -> SentencePiece {
        let bytes: Vec<String> = (0..=u8::MAX).map(|byte| format!("<0x{byte:02X}>")).collect();
        let all = bytes.iter().map(String::as_str).chain(tokens.iter().copied()).collect();
        let mut kinds = vec![Kind::Byte; 256];
        kinds.resize(256 + tokens.len(), Kind::Text);
        let mut scores = vec![0.0; 256];
        scores.extend((0..u16::try_from(tokens.len()).unwrap()).map(|place| -f32::from(place)));
        SentencePiece::new(&Vocabulary { tokens: all, kinds }, &scores, adds_space).expect("every byte has a token")
    }

    fn encode(model: &SentencePiece, text: &str) -> Vec<u32> {
        let mut ids = Vec::new();
        model.encode(text, &mut ids);
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
    fn spaces_are_marked_and_one_is_put_before_the_text() {
        let tokens = ["▁a", "▁", "a"];
        assert_eq!(encode(&model(&tokens, true), "a a"), [256, 256]);
        assert_eq!(encode(&model(&tokens, false), "a a"), [258, 256]);
    }

    #[test]
    fn a_token_that_spans_words_is_found() {
        assert_eq!(encode(&model(&["a▁b", "a▁", "a", "b", "▁"], false), "a b"), [256]);
        assert_eq!(words("a▁▁b▁c").collect::<Vec<_>>(), ["a", "▁▁b", "▁c"]);
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

    #[test]
    fn equal_scores_have_equal_ranks() {
        assert_eq!(ranks(&[-1.0, 0.0, -1.0, -5.5]), [1, 0, 1, 2]);
    }
}
