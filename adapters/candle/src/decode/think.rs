//! Telling a model's reasoning from its answer.
//!
//! Reasoning models put it in front of the answer between two tags. Only there are the tags looked for: an answer may
//! speak about them later.

use super::stop::longest_beginning;

const OPEN: &str = "<think>";
const CLOSE: &str = "</think>";

/// A piece of what a model said. Never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Part {
    Answer(String),
    Reasoning(String),
}

#[derive(Debug)]
pub(crate) struct ThinkSplitter {
    stage: Stage,
    held: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Nothing but white space so far.
    Beginning,
    Reasoning,
    /// Reasoning is over, and no answer has come.
    Between,
    Answer,
}

impl ThinkSplitter {
    pub(crate) fn new(in_reasoning: bool) -> Self {
        Self { stage: if in_reasoning { Stage::Reasoning } else { Stage::Beginning }, held: String::new() }
    }

    pub(crate) fn push(&mut self, text: &str) -> Vec<Part> {
        self.held.push_str(text);
        let mut parts = Vec::new();
        while self.advance(&mut parts) {}
        parts
    }

    /// What was held back, now that it can't become a tag any more.
    pub(crate) fn finish(&mut self) -> Option<Part> {
        let held = std::mem::take(&mut self.held);
        match self.stage {
            _ if held.is_empty() => None,
            Stage::Reasoning => Some(Part::Reasoning(held)),
            Stage::Between => None,
            Stage::Beginning | Stage::Answer => Some(Part::Answer(held)),
        }
    }

    /// Moves what is certain out of `held`; says whether the stage has changed, so that there may be more.
    fn advance(&mut self, parts: &mut Vec<Part>) -> bool {
        match self.stage {
            Stage::Beginning => {
                let text = self.held.trim_start();
                if let Some(rest) = text.strip_prefix(OPEN) {
                    self.held = rest.to_owned();
                    self.stage = Stage::Reasoning;
                    return true;
                }
                if OPEN.starts_with(text) {
                    return false;
                }
                self.stage = Stage::Answer;
                true
            }
            Stage::Reasoning => {
                if let Some((reasoning, rest)) = self.held.split_once(CLOSE) {
                    let (reasoning, rest) = (reasoning.to_owned(), rest.to_owned());
                    self.held = rest;
                    self.stage = Stage::Between;
                    push_unless_empty(parts, Part::Reasoning, reasoning);
                    return true;
                }
                let certain = self.held.len() - longest_beginning(&self.held, [CLOSE].into_iter());
                let held = self.held.split_off(certain);
                let reasoning = std::mem::replace(&mut self.held, held);
                push_unless_empty(parts, Part::Reasoning, reasoning);
                false
            }
            Stage::Between => {
                // The empty lines after the closing tag belong to neither side.
                self.held = self.held.trim_start().to_owned();
                if self.held.is_empty() {
                    return false;
                }
                self.stage = Stage::Answer;
                true
            }
            Stage::Answer => {
                push_unless_empty(parts, Part::Answer, std::mem::take(&mut self.held));
                false
            }
        }
    }
}

fn push_unless_empty(parts: &mut Vec<Part>, part: fn(String) -> Part, text: String) {
    if !text.is_empty() {
        parts.push(part(text));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(in_reasoning: bool, text: &str) -> Vec<Part> {
        let mut splitter = ThinkSplitter::new(in_reasoning);
        let mut parts = splitter.push(text);
        parts.extend(splitter.finish());
        parts
    }

    #[test]
    fn reasoning_in_front_is_told_from_the_answer() {
        let expected = [Part::Reasoning("a".into()), Part::Answer("b".into())];
        assert_eq!(split(false, "\n<think>a</think>\n\nb"), expected);
        assert_eq!(split(true, "a</think>b"), expected);
    }

    #[test]
    fn tags_later_in_the_answer_are_text() {
        assert_eq!(split(false, "a <think>b</think>"), [Part::Answer("a <think>b</think>".into())]);
    }

    #[test]
    fn unfinished_tags_are_not_lost() {
        assert_eq!(split(false, "<thi"), [Part::Answer("<thi".into())]);
        let parts = split(false, "<think>a</thi");
        assert_eq!(parts, [Part::Reasoning("a".into()), Part::Reasoning("</thi".into())]);
    }
}
