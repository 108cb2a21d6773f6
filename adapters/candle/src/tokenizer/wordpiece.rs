//! WordPiece, as BERT and the embedding models made from it use it.
//!
//! Text is cleaned of control characters, accents and capitals, cut at blanks, punctuation and each Chinese character;
//! then each word is written with the longest tokens from left to right, or as unknown if that fails. Source: BERT's
//! `BasicTokenizer` and `WordpieceTokenizer`. In GGUF files a token that begins a word has `▁` before it, instead of
//! `##` before those that do not.

use regex_automata::meta::{BuildError, Regex};
use rustc_hash::FxHashMap;
use unicode_normalization::UnicodeNormalization;

use super::spm::SPACE;
use super::vocabulary::{Kind, Vocabulary};

/// Control and format characters; those among them that are blanks to people end a word.
const DROPPED: &str = r"[[\p{Cc}\p{Cf}\p{Co}\x{fffd}]--[\t\n\r]]";
const ACCENTS: &str = r"\p{Mn}";
/// A character that is a word of its own, or a run of others that are not blank. One of the ranges of Chinese characters
/// begins too late in the published tokenizers (2B920 for 2B820), and models were trained with that.
const WORDS: &str = r"(?x)
    [\p{P}!-/:-@\[-`{-~\x{4e00}-\x{9fff}\x{3400}-\x{4dbf}\x{20000}-\x{2a6df}\x{2a700}-\x{2b81f}\x{2b920}-\x{2ceaf}\x{f900}-\x{faff}\x{2f800}-\x{2fa1f}]
  | [^\s\p{P}!-/:-@\[-`{-~\x{4e00}-\x{9fff}\x{3400}-\x{4dbf}\x{20000}-\x{2a6df}\x{2a700}-\x{2b81f}\x{2b920}-\x{2ceaf}\x{f900}-\x{faff}\x{2f800}-\x{2fa1f}]+";

/// A vocabulary of word pieces.
#[derive(Debug)]
pub(crate) struct WordPiece {
    ids: FxHashMap<Box<str>, u32>,
    longest_bytes: usize,
    unknown: u32,
    folding: Folding,
    dropped: Regex,
    accents: Regex,
    words: Regex,
}

/// What counts as the same letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Folding {
    pub lowercase: bool,
    pub strip_accents: bool,
}

impl WordPiece {
    /// # Errors
    /// A pattern does not compile.
    pub(crate) fn new(vocabulary: &Vocabulary<'_>, unknown: u32, folding: Folding) -> Result<Self, Box<BuildError>> {
        let ids: FxHashMap<Box<str>, u32> = vocabulary.of(Kind::Text).map(|(id, text)| (text.into(), id)).collect();
        let longest_bytes = ids.keys().map(|text| text.len()).max().unwrap_or_default();
        let [dropped, accents, words] = [DROPPED, ACCENTS, WORDS].map(|pattern| Regex::new(pattern).map_err(Box::new));
        Ok(Self { ids, longest_bytes, unknown, folding, dropped: dropped?, accents: accents?, words: words? })
    }

    /// Appends the ids of a text.
    pub(crate) fn encode(&self, text: &str, out: &mut Vec<u32>) {
        let text = self.fold(text);
        for word in self.words.find_iter(&text) {
            self.encode_word(&format!("{SPACE}{}", &text[word.range()]), out);
        }
    }

    fn fold(&self, text: &str) -> String {
        let mut text = without(&self.dropped, text);
        if self.folding.strip_accents {
            text = without(&self.accents, &text.nfd().collect::<String>());
        }
        if self.folding.lowercase {
            // Letter by letter: the one that Greek has for the ends of words is not in the published lower-casing.
            text = text.chars().flat_map(char::to_lowercase).collect();
        }
        text
    }

    fn encode_word(&self, word: &str, out: &mut Vec<u32>) {
        let start = out.len();
        let mut rest = word;
        while !rest.is_empty() {
            let most = rest.floor_char_boundary(self.longest_bytes);
            let mut lengths = (1..=most).rev().filter(|&length| rest.is_char_boundary(length));
            let Some((length, id)) = lengths.find_map(|length| Some((length, *self.ids.get(&rest[..length])?))) else {
                out.truncate(start);
                out.push(self.unknown);
                return;
            };
            out.push(id);
            rest = &rest[length..];
        }
    }
}

fn without(pattern: &Regex, text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut at = 0;
    for found in pattern.find_iter(text) {
        kept.push_str(&text[at..found.start()]);
        at = found.end();
    }
    kept.push_str(&text[at..]);
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encode(text: &str, folding: Folding) -> Vec<u32> {
        let tokens = vec!["[UNK]", "▁he", "llo", "▁,", "▁我", "l", "▁h", "▁hello", "▁É"];
        let mut kinds = vec![Kind::Text; tokens.len()];
        kinds[0] = Kind::Unknown;
        let model = WordPiece::new(&Vocabulary { tokens, kinds }, 0, folding).unwrap();
        let mut ids = Vec::new();
        model.encode(text, &mut ids);
        ids
    }

    const FOLDED: Folding = Folding { lowercase: true, strip_accents: true };

    #[test]
    fn words_are_written_with_the_longest_pieces() {
        assert_eq!(encode("hello hel, hl我h", FOLDED), [7, 1, 5, 3, 6, 5, 4, 6]);
    }

    #[test]
    fn a_word_that_can_not_be_written_is_unknown_as_a_whole() {
        assert_eq!(encode("hex he", FOLDED), [0, 1]);
    }

    #[test]
    fn capitals_accents_and_control_characters_fall_away() {
        assert_eq!(encode("H\u{200d}É\u{0}LL\u{301}O", FOLDED), [7]);
        assert_eq!(encode("É", Folding { lowercase: false, strip_accents: false }), [8]);
    }
}
