//! From the bytes of tokens to the pieces of an answer.
//!
//! Three steps, each of which holds back what may still become something else: half characters (`utf8`), the
//! beginning of a reasoning tag (`think`), the beginning of a stop string (`stop`).

mod stop;
mod think;
mod utf8;

use magpie_core::engine::Delta;

use stop::StopStrings;
use think::{Part, ThinkSplitter};
use utf8::Utf8Assembler;

/// One answer on its way from tokens to deltas.
#[derive(Debug)]
pub(crate) struct Decoder {
    characters: Utf8Assembler,
    parts: ThinkSplitter,
    stops: StopStrings,
}

impl Decoder {
    /// `in_reasoning`: the prompt has opened the reasoning already.
    pub(crate) fn new(stops: &[String], in_reasoning: bool) -> Self {
        Self {
            characters: Utf8Assembler::default(),
            parts: ThinkSplitter::new(in_reasoning),
            stops: StopStrings::new(stops),
        }
    }

    /// Takes a token's bytes and gives what is certain now. Says whether a stop string has ended the answer.
    pub(crate) fn push(&mut self, bytes: &[u8], out: &mut Vec<Delta>) -> bool {
        let text = self.characters.push(bytes);
        let parts = self.parts.push(&text);
        self.give(parts, out)
    }

    /// Gives what was held back: nothing more will come.
    pub(crate) fn finish(&mut self, out: &mut Vec<Delta>) {
        let text = self.characters.finish();
        let mut parts = self.parts.push(&text);
        parts.extend(self.parts.finish());
        if self.give(parts, out) {
            return;
        }
        push_text(self.stops.finish(), out);
    }

    fn give(&mut self, parts: Vec<Part>, out: &mut Vec<Delta>) -> bool {
        for part in parts {
            match part {
                Part::Reasoning(text) => out.push(Delta::Reasoning(text)),
                Part::Answer(text) => {
                    let (text, stopped) = self.stops.push(&text);
                    push_text(text, out);
                    if stopped {
                        return true;
                    }
                }
            }
        }
        false
    }
}

fn push_text(text: String, out: &mut Vec<Delta>) {
    if !text.is_empty() {
        out.push(Delta::Text(text));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decode(bytes: &[u8], cuts: &[usize], stops: &[String]) -> (String, String, bool) {
        let mut positions: Vec<usize> = cuts.iter().map(|cut| cut % (bytes.len() + 1)).collect();
        positions.extend([0, bytes.len()]);
        positions.sort_unstable();
        let mut decoder = Decoder::new(stops, false);
        let mut out = Vec::new();
        let stopped = positions.windows(2).any(|pair| decoder.push(&bytes[pair[0]..pair[1]], &mut out));
        if !stopped {
            decoder.finish(&mut out);
        }
        let (mut answer, mut reasoning) = (String::new(), String::new());
        for delta in out {
            match delta {
                Delta::Text(text) => answer.push_str(&text),
                Delta::Reasoning(text) => reasoning.push_str(&text),
                other => panic!("unexpected {other:?}"),
            }
        }
        (answer, reasoning, stopped)
    }

    #[test]
    fn reasoning_answer_and_stop_string_are_told_apart() {
        let bytes = "<think>\nhm 鹊\n</think>\n\nYes!\nUser: more".as_bytes();
        let every_byte: Vec<usize> = (0..bytes.len()).collect();
        let (answer, reasoning, stopped) = decode(bytes, &every_byte, &["\nUser:".to_owned()]);
        assert_eq!((answer.as_str(), reasoning.trim(), stopped), ("Yes!", "hm 鹊", true));
    }

    proptest! {
        #[test]
        fn any_chopping_gives_the_same_answer(
            text in "(<think>[a鹊 \n]{0,6}</think>)?[\n ]?[ab鹊🐦<\n]{0,24}",
            cuts in prop::collection::vec(any::<usize>(), 0..40),
        ) {
            let stops = ["ab鹊".to_owned(), "ba\n".to_owned()];
            let whole = decode(text.as_bytes(), &[], &stops);
            prop_assert_eq!(decode(text.as_bytes(), &cuts, &stops), whole);
        }

        #[test]
        fn without_tags_and_stops_nothing_is_lost(
            text in "[a鹊🐦\n]{0,24}",
            cuts in prop::collection::vec(any::<usize>(), 0..40),
        ) {
            let (answer, reasoning, stopped) = decode(text.as_bytes(), &cuts, &[]);
            prop_assert_eq!((answer, reasoning, stopped), (text, String::new(), false));
        }

        #[test]
        fn any_bytes_become_text(bytes in prop::collection::vec(any::<u8>(), 0..64), cuts in prop::collection::vec(any::<usize>(), 0..20)) {
            prop_assume!(!bytes.contains(&b'<') );
            let (answer, _, _) = decode(&bytes, &cuts, &[]);
            prop_assert_eq!(answer, String::from_utf8_lossy(&bytes));
        }
    }
}
