//! SentencePiece's unigram model, as T5 and XLM-RoBERTa use it: of all ways to write a text in tokens, the likeliest.
//!
//! The way there is Viterbi's: each place of the text remembers the best way to reach it. Source: the paper "Subword
//! Regularization" (Kudo, 2018) and SentencePiece's treatment of unknown characters and of spaces.

use rustc_hash::FxHashMap;

use super::charsmap::CharsMap;
use super::spm::SPACE;
use super::vocabulary::{Kind, Vocabulary};

/// A vocabulary with log probabilities.
#[derive(Debug)]
pub(crate) struct Unigram {
    trie: Trie,
    scores: Vec<f32>,
    unknown: u32,
    unknown_score: f64,
    spaces: Spaces,
    charsmap: Option<CharsMap>,
}

/// How spaces are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Spaces {
    /// One is put before the text, or after it where they end words.
    pub added: bool,
    /// Several become one, and none stays at the ends.
    pub merged: bool,
    pub end_words: bool,
}

/// How much less likely an unknown character is than the rarest token.
const UNKNOWN_PENALTY: f64 = 10.0;

impl Unigram {
    /// `scores` are by id, one for each token.
    pub(crate) fn new(
        vocabulary: &Vocabulary<'_>,
        scores: Vec<f32>,
        unknown: u32,
        spaces: Spaces,
        charsmap: Option<CharsMap>,
    ) -> Self {
        let mut trie = Trie::default();
        let mut lowest = f32::MAX;
        for ((id, text, _), &score) in vocabulary.all().zip(&scores).filter(|((_, _, kind), _)| *kind == Kind::Text) {
            trie.insert(text.as_bytes(), id);
            lowest = lowest.min(score);
        }
        Self { trie, scores, unknown, unknown_score: f64::from(lowest) - UNKNOWN_PENALTY, spaces, charsmap }
    }

    /// Appends the ids of a text.
    pub(crate) fn encode(&self, text: &str, out: &mut Vec<u32>) {
        let text = self.normalise(text);
        let best = self.best_ways(&text);
        let start = out.len();
        let (mut at, mut after_unknown) = (text.len(), false);
        while at > 0 {
            let Way { token, from, .. } = best[at];
            let unknown = token == self.unknown;
            // Characters without tokens that follow each other are one unknown.
            if !(unknown && after_unknown) {
                out.push(token);
            }
            after_unknown = unknown;
            at = from;
        }
        out[start..].reverse();
    }

    /// The best way to each place of the text. Every place can be reached, if need be by unknown characters.
    fn best_ways(&self, text: &str) -> Vec<Way> {
        let mut best = vec![Way { token: self.unknown, from: 0, score: f64::NEG_INFINITY }; text.len() + 1];
        best[0].score = 0.0;
        for (from, c) in text.char_indices() {
            let so_far = best[from].score;
            let mut arrive = |to: usize, token, score| {
                if score > best[to].score {
                    best[to] = Way { token, from, score };
                }
            };
            let mut whole_character = false;
            for (length, token) in self.trie.prefixes(&text.as_bytes()[from..]) {
                whole_character |= length == c.len_utf8();
                let score = usize::try_from(token).ok().and_then(|place| self.scores.get(place));
                arrive(from + length, token, so_far + score.copied().map_or(0.0, f64::from));
            }
            if !whole_character {
                arrive(from + c.len_utf8(), self.unknown, so_far + self.unknown_score);
            }
        }
        best
    }

    fn normalise(&self, text: &str) -> String {
        let Spaces { added, merged, end_words } = self.spaces;
        let mut normal = Vec::with_capacity(text.len() * 2);
        let (mut begun, mut in_word) = (false, false);
        let mut rest = text;
        while let Some(c) = rest.chars().next() {
            let (length, replacement) = match self.charsmap.as_ref().and_then(|map| map.replacement(rest.as_bytes())) {
                Some(found) => found,
                None => (c.len_utf8(), &rest.as_bytes()[..c.len_utf8()]),
            };
            for &byte in replacement {
                if byte != b' ' {
                    if !in_word && (merged || (added && !end_words && !begun)) {
                        normal.extend_from_slice(SPACE.as_bytes());
                        begun = true;
                    }
                    normal.push(byte);
                } else if !merged {
                    normal.extend_from_slice(SPACE.as_bytes());
                }
                in_word = byte != b' ';
            }
            // A table that cuts a character in two is damaged; the rest of the character then stays as it is.
            rest = rest.get(length..).unwrap_or_else(|| &rest[c.len_utf8()..]);
        }
        if added && end_words {
            normal.extend_from_slice(SPACE.as_bytes());
        }
        String::from_utf8(normal).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
    }
}

/// The last step of the best way to a place.
#[derive(Debug, Clone, Copy)]
struct Way {
    token: u32,
    from: usize,
    score: f64,
}

/// Tokens by their bytes.
#[derive(Debug)]
struct Trie {
    children: FxHashMap<(u32, u8), u32>,
    tokens: Vec<Option<u32>>,
}

impl Default for Trie {
    fn default() -> Self {
        Self { children: FxHashMap::default(), tokens: vec![None] }
    }
}

impl Trie {
    fn insert(&mut self, text: &[u8], token: u32) {
        let mut node = 0;
        for &byte in text {
            node = *self.children.entry((node, byte)).or_insert_with(|| {
                self.tokens.push(None);
                u32::try_from(self.tokens.len() - 1).unwrap_or(u32::MAX)
            });
        }
        if let Some(place) = usize::try_from(node).ok().and_then(|node| self.tokens.get_mut(node)) {
            *place = Some(token);
        }
    }

    /// Lengths and ids of the tokens that `text` begins with, the shortest first.
    fn prefixes<'a>(&'a self, text: &'a [u8]) -> impl Iterator<Item = (usize, u32)> + 'a {
        let nodes = text.iter().scan(0, |node, &byte| {
            *node = *self.children.get(&(*node, byte))?;
            Some(*node)
        });
        (1..).zip(nodes).filter_map(|(length, node)| Some((length, (*self.tokens.get(usize::try_from(node).ok()?)?)?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPACES: Spaces = Spaces { added: true, merged: true, end_words: false };

    /// `<unk>` is 0, the others follow.
    fn model(tokens: &[(&'static str, f32)], spaces: Spaces) -> Unigram {
        let mut vocabulary = Vocabulary { tokens: vec!["<unk>"], kinds: vec![Kind::Unknown] };
        let mut scores = vec![0.0];
        for &(text, score) in tokens {
            vocabulary.tokens.push(text);
            vocabulary.kinds.push(Kind::Text);
            scores.push(score);
        }
        Unigram::new(&vocabulary, scores, 0, spaces, None)
    }

    fn encode(model: &Unigram, text: &str) -> Vec<u32> {
        let mut ids = vec![9];
        model.encode(text, &mut ids);
        assert_eq!(ids.remove(0), 9);
        ids
    }

    #[test]
    fn the_likeliest_way_is_taken() {
        let model = model(&[("▁a", -1.0), ("b", -1.0), ("▁ab", -2.5), ("▁", -1.0), ("abb", -1.9)], SPACES);
        assert_eq!(encode(&model, "ab"), [1, 2]);
        assert_eq!(encode(&model, "abb"), [4, 5]);
    }

    #[test]
    fn unknown_characters_in_a_row_are_one() {
        let model = model(&[("▁", -1.0), ("a", -1.0)], SPACES);
        assert_eq!(encode(&model, "aéü a"), [1, 2, 0, 1, 2]);
        assert_eq!(encode(&model, ""), [0; 0]);
    }

    #[test]
    fn spaces_are_written_as_the_model_was_trained() {
        let spaces = |added, merged, end_words| model(&[], Spaces { added, merged, end_words }).normalise("  a  b ");
        assert_eq!(spaces(true, true, false), "▁a▁b");
        assert_eq!(spaces(true, false, false), "▁▁▁a▁▁b▁");
        assert_eq!(spaces(false, false, false), "▁▁a▁▁b▁");
        assert_eq!(spaces(true, false, true), "▁▁a▁▁b▁▁");
    }
}
