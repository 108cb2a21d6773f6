//! Cutting text into the words that byte pair encoding works on.
//!
//! Patterns are compiled into automata without backtracking, so that no text, however odd, takes more than linear time.

use std::ops::Range;

use regex_automata::meta::{BuildError, Config, Regex};
use regex_automata::{Anchored, Input};

/// One cut. What a step does not match stays a piece of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// Matches of a pattern.
    Words(&'static str),
    /// The same, then blanks. Most families end their pattern in `\s+(?!\S)|\s+`, which looks ahead; without that it is
    /// regular.
    WordsAndBlanks(&'static str, Blanks),
    /// Runs of digits in groups of three, counted from the right.
    DigitGroups,
}

/// How a run of whitespace that belongs to no word is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Blanks {
    /// The last one goes with the word that follows: `\s+(?!\S)|\s+`.
    AllButLast,
    /// The same in powers of two, from 512 down: `\s{512}(?!\S)|…|\s{4}(?!\S)|\s{1,2}(?!\S)|\s{1}`.
    Powers,
}

/// Compiled steps.
#[derive(Debug)]
pub(crate) struct Splitter(Vec<Cut>);

#[derive(Debug)]
enum Cut {
    Words(Regex),
    WordsAndBlanks(Regex, Blanks),
    DigitGroups(Regex),
}

/// The pattern of blanks, tried after the one of words.
const BLANKS: usize = 1;

/// Room for the automaton of one pattern; with less, texts of many scripts would have it rebuilt over and over.
const CACHE_BYTES: usize = 16 << 20;

impl Splitter {
    /// # Errors
    /// A pattern that does not compile.
    pub(crate) fn new(steps: &[Step]) -> Result<Self, Box<BuildError>> {
        let compile = |patterns: &[&str]| {
            let config = Config::new().hybrid_cache_capacity(CACHE_BYTES);
            Regex::builder().configure(config).build_many(patterns).map_err(Box::new)
        };
        let cut = |step: &Step| -> Result<Cut, Box<BuildError>> {
            Ok(match *step {
                Step::Words(pattern) => Cut::Words(compile(&[pattern])?),
                Step::WordsAndBlanks(pattern, blanks) => Cut::WordsAndBlanks(compile(&[pattern, r"\s+"])?, blanks),
                Step::DigitGroups => Cut::DigitGroups(compile(&[r"\p{N}+"])?),
            })
        };
        Ok(Self(steps.iter().map(cut).collect::<Result<_, _>>()?))
    }

    /// The words of a text in order; together they are the text.
    pub(crate) fn words(&self, text: &str) -> Vec<Range<usize>> {
        let mut pieces: Vec<_> = std::iter::once(0..text.len()).collect();
        for cut in &self.0 {
            let mut finer = Vec::with_capacity(pieces.len());
            for piece in pieces {
                let start = piece.start;
                cut.apply(&text[piece], &mut |word| finer.push(start + word.start..start + word.end));
            }
            pieces = finer;
        }
        pieces
    }
}

impl Cut {
    /// Gives the pieces of `text` that are not empty.
    fn apply(&self, text: &str, give: &mut impl FnMut(Range<usize>)) {
        match self {
            Self::Words(pattern) => with_gaps(text, pattern.find_iter(text).map(|found| found.range()), give),
            Self::DigitGroups(digits) => {
                let groups = digits.find_iter(text).flat_map(|run| thirds_from_the_right(text, run.range()));
                with_gaps(text, groups, give);
            }
            Self::WordsAndBlanks(pattern, blanks) => words_and_blanks(text, pattern, *blanks, give),
        }
    }
}

fn with_gaps(text: &str, found: impl Iterator<Item = Range<usize>>, give: &mut impl FnMut(Range<usize>)) {
    let mut at = 0;
    for piece in found {
        if at < piece.start {
            give(at..piece.start);
        }
        at = piece.end;
        give(piece);
    }
    if at < text.len() {
        give(at..text.len());
    }
}

/// Searches at one place after the other, as nearly every place begins a word: that spares the search for beginnings.
fn words_and_blanks(text: &str, pattern: &Regex, blanks: Blanks, give: &mut impl FnMut(Range<usize>)) {
    let (mut at, mut gap) = (0, 0);
    while at < text.len() {
        let input = Input::new(text).range(at..).anchored(Anchored::Yes);
        let Some(found) = pattern.search(&input).filter(|found| !found.is_empty()) else {
            at += char_len(&text[at..]);
            continue;
        };
        if gap < at {
            give(gap..at);
        }
        let end = if found.pattern().as_usize() == BLANKS {
            at + blanks.first(&text[at..], found.len())
        } else {
            found.end()
        };
        give(at..end);
        (at, gap) = (end, end);
    }
    if gap < at {
        give(gap..at);
    }
}

impl Blanks {
    /// How many bytes of the whitespace at the beginning of `text` go together; `run` is all of it.
    fn first(self, text: &str, run: usize) -> usize {
        let at_end = run == text.len();
        match self {
            Self::AllButLast => {
                let last = text[..run].chars().next_back().map_or(0, char::len_utf8);
                if at_end || last == run { run } else { run - last }
            }
            Self::Powers => {
                let available = text[..run].chars().take(513).count() - usize::from(!at_end);
                let count = [512, 256, 128, 64, 32, 16, 8, 4, 2].into_iter().find(|&count| count <= available);
                text.chars().take(count.unwrap_or(1)).map(char::len_utf8).sum()
            }
        }
    }
}

fn thirds_from_the_right(text: &str, run: Range<usize>) -> impl Iterator<Item = Range<usize>> {
    let digits: Vec<usize> = text[run.clone()].char_indices().map(|(place, _)| run.start + place).collect();
    let first = match digits.len() % 3 {
        0 => 3,
        rest => rest,
    };
    let mut starts = vec![run.start];
    starts.extend(digits.iter().skip(first).step_by(3));
    let ends: Vec<usize> = starts.iter().skip(1).copied().chain([run.end]).collect();
    starts.into_iter().zip(ends).map(|(start, end)| start..end)
}

fn char_len(text: &str) -> usize {
    text.chars().next().map_or(1, char::len_utf8)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::tokenizer::pre;

    fn words<'a>(steps: &[Step], text: &'a str) -> Vec<&'a str> {
        Splitter::new(steps).unwrap().words(text).into_iter().map(|word| &text[word]).collect()
    }

    #[test]
    fn the_last_blank_goes_with_the_word_that_follows() {
        let steps = [Step::WordsAndBlanks(" ?[a-z]+", Blanks::AllButLast)];
        assert_eq!(words(&steps, "a   b \tc  "), ["a", "  ", " b", " ", "\t", "c", "  "]);
        assert_eq!(words(&steps, "a 1 2"), ["a", " ", "1", " ", "2"]);
    }

    #[test]
    fn blanks_are_cut_in_powers_of_two() {
        let steps = [Step::WordsAndBlanks(" ?[a-z]+", Blanks::Powers)];
        let lengths = |blanks: usize, after: &str| -> Vec<usize> {
            words(&steps, &format!("{}{after}", " ".repeat(blanks))).iter().map(|word| word.len()).collect()
        };
        assert_eq!(lengths(7, ""), [4, 2, 1]);
        assert_eq!(lengths(4, "a"), [2, 1, 2]);
        assert_eq!(lengths(5, "a"), [4, 2]);
        assert_eq!(lengths(513, "a"), [512, 2]);
    }

    #[test]
    fn digits_are_grouped_from_the_right() {
        assert_eq!(words(&[Step::DigitGroups], "a1234567b12c123"), ["a", "1", "234", "567", "b", "12", "c", "123"]);
    }

    #[test]
    fn the_steps_cut_what_earlier_ones_left() {
        let steps = [Step::Words("[0-9]"), Step::WordsAndBlanks(" ?[a-z]+", Blanks::AllButLast)];
        assert_eq!(words(&steps, "ab12  c!"), ["ab", "1", "2", " ", " c", "!"]);
    }

    proptest! {
        #[test]
        fn words_together_are_the_text(text in any::<String>()) {
            thread_local! {
                static SPLITTERS: Vec<Splitter> = ["gpt-4o", "deepseek-llm", "chameleon", "tiny_aya", "jais-2"]
                    .map(|name| Splitter::new(pre::rules(name).unwrap().steps).unwrap())
                    .into();
            }
            SPLITTERS.with(|splitters| {
                for splitter in splitters {
                    let words = splitter.words(&text);
                    prop_assert!(words.iter().all(|word| !word.is_empty()));
                    prop_assert_eq!(words.into_iter().map(|word| &text[word]).collect::<String>(), text.as_str());
                }
                Ok(())
            })?;
        }
    }
}
