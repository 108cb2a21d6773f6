//! Telling what people wrote from what a template wrote, in the text that a template made of both.
//!
//! A template sees the true text of the messages, so it can trim, cut and compare it. Only where that text spells a
//! special token, or could with what stands beside it, its characters are swapped for twins from the area of Unicode
//! for private use. After rendering, the twins are swapped back, and where they stood is text of people.

use std::collections::{BTreeMap, BTreeSet};

use aho_corasick::{AhoCorasick, BuildError, MatchKind};

/// The spellings of a model's special tokens.
#[derive(Debug)]
pub(crate) struct Spellings {
    texts: Vec<String>,
    finder: AhoCorasick,
}

/// Stand-ins for characters, chosen so that nobody has used them.
#[derive(Debug, Default)]
pub(crate) struct Twins {
    of: BTreeMap<char, char>,
    back: BTreeMap<char, char>,
}

impl Spellings {
    /// # Errors
    /// More texts than can be searched for at once.
    pub(crate) fn new(texts: Vec<String>) -> Result<Self, BuildError> {
        let finder = AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(&texts)?;
        Ok(Self { texts, finder })
    }

    /// Where `text` spells a special token, byte by byte. Also its beginning and end, if a token could be completed there
    /// by what stands beside it, and all of it if it could be the inside of a token.
    fn places(&self, text: &str, allowed: &[&str]) -> Vec<bool> {
        let mut places = vec![false; text.len()];
        for found in self.finder.find_iter(text).filter(|found| !allowed.contains(&&text[found.range()])) {
            places[found.range()].fill(true);
        }
        let trimmed = text.trim();
        let start = text.len() - text.trim_start().len();
        let end = start + trimmed.len();
        for token in self.texts.iter().filter(|token| !trimmed.is_empty() && !allowed.contains(&token.as_str())) {
            if token.contains(trimmed) {
                places[start..end].fill(true);
            }
            for (cut, _) in token.char_indices().skip(1) {
                let (head, tail) = token.split_at(cut);
                if trimmed.ends_with(head) {
                    places[end - head.len()..end].fill(true);
                }
                if trimmed.starts_with(tail) {
                    places[start..start + tail.len()].fill(true);
                }
            }
        }
        places
    }

    /// The texts with twins where they spell special tokens, and the way back. `allowed` may be spelled, per text.
    pub(crate) fn mark<'t>(&self, texts: &[(&'t str, &[&str])]) -> (Vec<String>, Twins) {
        let places: Vec<Vec<bool>> = texts.iter().map(|(text, allowed)| self.places(text, allowed)).collect();
        // Quotes and blanks are what templates and `tojson` look at; no token consists of them alone.
        let marked = |(place, c): (usize, char), places: &[bool]| {
            (places[place] && !c.is_whitespace() && !c.is_control() && !['"', '\'', '\\'].contains(&c)).then_some(c)
        };
        let needed: BTreeSet<char> = texts
            .iter()
            .zip(&places)
            .flat_map(|((text, _), places)| text.char_indices().filter_map(move |at| marked(at, places)))
            .collect();
        let used: BTreeSet<char> =
            texts.iter().flat_map(|(text, _)| text.chars()).filter(|c| *c >= FIRST_TWIN).collect();
        let free = (FIRST_TWIN..='\u{10fffd}').filter(|c| !used.contains(c));
        let of: BTreeMap<char, char> = needed.into_iter().zip(free).collect();
        let swap = |((text, _), places): (&(&'t str, &[&str]), &Vec<bool>)| {
            let twin = |at: (usize, char)| marked(at, places).and_then(|c| of.get(&c).copied()).unwrap_or(at.1);
            text.char_indices().map(twin).collect()
        };
        let texts = texts.iter().zip(&places).map(swap).collect();
        let back = of.iter().map(|(&c, &twin)| (twin, c)).collect();
        (texts, Twins { of, back })
    }
}

/// The second area for private use, which hardly any font or template touches.
const FIRST_TWIN: char = '\u{100000}';

impl Twins {
    /// Cuts a rendered text into stretches: true for text of people, with its own characters again.
    pub(crate) fn unmark(&self, rendered: &str) -> Vec<(bool, String)> {
        if self.of.is_empty() {
            return vec![(false, rendered.to_owned())];
        }
        let mut stretches: Vec<(bool, String)> = Vec::new();
        for c in rendered.chars() {
            let original = self.back.get(&c);
            let (people, c) = (original.is_some(), original.copied().unwrap_or(c));
            match stretches.last_mut().filter(|(of_people, _)| *of_people == people) {
                Some((_, stretch)) => stretch.push(c),
                None => stretches.push((people, c.to_string())),
            }
        }
        stretches
    }
}
