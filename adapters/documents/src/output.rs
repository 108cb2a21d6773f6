//! Where text goes: bounded, and without what neither a database nor a model wants.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use magpie_core::attachment::{FileText, ReadError};

/// Why reading ends early.
#[derive(Debug)]
pub(crate) enum Halt {
    /// There is as much text as was asked for.
    Full,
    /// Nobody waits for it any more.
    GivenUp,
    Failed(ReadError),
}

impl From<ReadError> for Halt {
    fn from(error: ReadError) -> Self {
        Self::Failed(error)
    }
}

/// The text so far.
pub(crate) struct Output {
    text: String,
    /// Characters that may still come.
    left: usize,
    cut: bool,
    /// Line feeds at the end of `text`.
    line_feeds: usize,
    after_carriage_return: bool,
    given_up: Arc<AtomicBool>,
}

impl Output {
    pub(crate) fn new(max_characters: usize, given_up: Arc<AtomicBool>) -> Self {
        let text = String::new();
        Self { text, left: max_characters, cut: false, line_feeds: 0, after_carriage_return: false, given_up }
    }

    /// Appends text. Line endings become line feeds, of which no more than two follow each other; other control
    /// characters than tabs are left out.
    pub(crate) fn push(&mut self, piece: &str) -> Result<(), Halt> {
        self.check()?;
        for character in piece.chars() {
            let after_carriage_return = std::mem::replace(&mut self.after_carriage_return, character == '\r');
            match character {
                '\n' if after_carriage_return => {}
                '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{85}' | '\u{2028}' | '\u{2029}' => self.line_feed()?,
                '\t' => self.character('\t')?,
                '\u{feff}' => {}
                other if other.is_control() => {}
                other => self.character(other)?,
            }
        }
        Ok(())
    }

    /// An error if there is no use in going on.
    pub(crate) fn check(&self) -> Result<(), Halt> {
        if self.given_up.load(Ordering::Relaxed) { Err(Halt::GivenUp) } else { Ok(()) }
    }

    /// For libraries that know no way to stop.
    pub(crate) fn given_up(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.given_up)
    }

    /// Says that there is more than will be read.
    pub(crate) fn cut(&mut self) {
        self.cut = true;
    }

    /// The last character so far.
    pub(crate) fn last(&self) -> Option<char> {
        self.text.chars().next_back()
    }

    /// Everything, if that is anything.
    pub(crate) fn finish(self, kind: &'static str) -> Result<FileText, ReadError> {
        let Self { mut text, cut, .. } = self;
        text.truncate(text.trim_end().len());
        match (text.is_empty(), cut) {
            (false, _) => Ok(FileText { kind, text, cut }),
            (true, false) => Err(ReadError::NoText),
            (true, true) => Err(ReadError::TooLarge { what: "it is too long when unpacked" }),
        }
    }

    /// Ends a line, without the spaces at its end: lines of nothing else count as empty.
    fn line_feed(&mut self) -> Result<(), Halt> {
        while self.text.ends_with(' ') {
            self.text.pop();
            self.left += 1;
            self.line_feeds = self.text.bytes().rev().take(2).take_while(|byte| *byte == b'\n').count();
        }
        if self.text.is_empty() {
            return Ok(());
        }
        if self.line_feeds >= 2 {
            return Ok(());
        }
        let line_feeds = self.line_feeds + 1;
        self.character('\n')?;
        self.line_feeds = line_feeds;
        Ok(())
    }

    fn character(&mut self, character: char) -> Result<(), Halt> {
        if self.left == 0 {
            // White space at the end is no loss.
            if character.is_whitespace() {
                return Ok(());
            }
            self.cut = true;
            return Err(Halt::Full);
        }
        self.left -= 1;
        self.line_feeds = 0;
        self.text.push(character);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(max_characters: usize) -> Output {
        Output::new(max_characters, Arc::default())
    }

    #[test]
    fn control_characters_and_piles_of_empty_lines_are_left_out() {
        let mut output = output(100);
        output.push("\u{feff}\r\na\0b\r").expect("there is room");
        output.push("\n\u{1b}c\r\r\n\n\n\td\u{c}e \n  \n \nf \n").expect("there is room");
        assert_eq!(output.finish("text").expect("text").text, "ab\nc\n\n\td\ne\n\nf");
    }

    #[test]
    fn what_fills_the_room_exactly_is_not_cut() {
        let mut exact = output(2);
        exact.push("好的\n \n").expect("white space is no more text");
        assert_eq!(exact.finish("text").expect("text"), FileText { kind: "text", text: "好的".into(), cut: false });
        let mut longer = output(2);
        assert!(matches!(longer.push("好的!"), Err(Halt::Full)));
        assert_eq!(longer.finish("text").expect("text"), FileText { kind: "text", text: "好的".into(), cut: true });
    }

    #[test]
    fn white_space_alone_is_no_text() {
        let mut output = output(10);
        output.push(" \n\t\u{0}").expect("there is room");
        assert!(matches!(output.finish("text"), Err(ReadError::NoText)));
    }

    #[test]
    fn a_reader_that_nobody_waits_for_stops() {
        let given_up = Arc::new(AtomicBool::new(false));
        let mut output = Output::new(10, Arc::clone(&given_up));
        output.push("a").expect("somebody waits");
        given_up.store(true, Ordering::Relaxed);
        assert!(matches!(output.push("b"), Err(Halt::GivenUp)));
    }
}
