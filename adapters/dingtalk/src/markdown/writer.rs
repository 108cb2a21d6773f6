//! From the parsed tree to one dialect's text, in one pass over the parser's events. Here: what stands in a line; see
//! [`super::blocks`] for what encloses it.

use std::ops::Range;

use pulldown_cmark::{Event, Parser};

use super::inline::{BREAK, Place, defused, is_break_tag, opens_block, push_code, push_text};
use super::link::OpenLink;
use super::table::Table;
use super::{Dialect, GRAMMAR};

/// A kind of block, as far as it matters to what comes after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Block {
    Paragraph,
    Heading,
    Code,
    List,
    Item,
    Quote,
    Table,
    Rule,
}

/// What encloses the current block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Around {
    Quote,
    /// With the number of its last entry, if they are numbered.
    List(Option<u64>),
    Item,
}

pub(super) struct Writer<'a> {
    pub dialect: Dialect,
    pub source: &'a str,
    pub out: String,
    pub around: Vec<Around>,
    /// What ended last.
    pub last: Option<Block>,
    /// The marker of an entry or a quote was just written; the block to come stands on its line.
    pub fresh: bool,
    /// The paragraph or the like that text goes into.
    pub text_block: Option<Block>,
    /// Where it begins in the output.
    text_from: usize,
    /// The next text begins a line.
    pub at_line_start: bool,
    /// Where the current event begins in the source.
    at: usize,
    /// The source up to here was dealt with.
    pub done: usize,
    pub links: Vec<OpenLink>,
    pub table: Option<Table>,
    /// Where the current cell begins in the output.
    pub cell_from: usize,
    /// Info and content of a code block.
    pub code: Option<(String, String)>,
}

impl<'a> Writer<'a> {
    pub fn render(text: &str, dialect: Dialect) -> String {
        let source = text.replace("\r\n", "\n").replace(['\r', '\0'], "\n");
        let mut writer = Writer::new(&source, dialect);
        for (event, range) in Parser::new_ext(&source, GRAMMAR).into_offset_iter() {
            writer.take(event, range);
        }
        writer.leave_text();
        writer.show_left_out(source.len());
        defused(writer.out.trim_end())
    }

    fn new(source: &'a str, dialect: Dialect) -> Self {
        Self {
            dialect,
            source,
            out: String::with_capacity(source.len() + source.len() / 8),
            around: Vec::new(),
            last: None,
            fresh: false,
            text_block: None,
            text_from: 0,
            at_line_start: false,
            at: 0,
            done: 0,
            links: Vec::new(),
            table: None,
            cell_from: 0,
            code: None,
        }
    }

    fn take(&mut self, event: Event<'_>, range: Range<usize>) {
        self.at = range.start;
        match event {
            Event::Start(tag) => return self.start(tag, &range),
            Event::End(tag) => return self.end(tag, &range),
            Event::Rule => self.rule(&range),
            Event::Text(text) => self.text(&text, &range),
            Event::Code(code) => {
                self.enter_text();
                let place = self.place();
                push_code(&mut self.out, &code, &self.source[range.clone()], place);
                self.at_line_start = false;
            }
            Event::Html(html) => self.html_lines(&html),
            Event::InlineHtml(html) if is_break_tag(&html) => self.line_break(),
            Event::InlineHtml(html) => self.plain(&html),
            Event::SoftBreak | Event::HardBreak => self.line_break(),
            Event::TaskListMarker(done) => {
                self.enter_text();
                self.out.push_str(if done { "☑ " } else { "☐ " });
            }
            Event::FootnoteReference(label) => self.plain(&format!("[^{label}]")),
            Event::InlineMath(text) | Event::DisplayMath(text) => self.plain(&text),
        }
        self.done = self.done.max(range.end);
    }

    /// Text as the source has it, with its escapes; they are needed as much in the output.
    fn text(&mut self, text: &str, range: &Range<usize>) {
        if let Some((_, code)) = &mut self.code {
            code.push_str(text);
            return;
        }
        self.enter_text();
        let slice = self.source.get(range.clone()).unwrap_or(text);
        let was_escaped = range.start > 0 && self.source.as_bytes()[range.start - 1] == b'\\';
        // Brackets are escaped anew where they must be, bars where there is a table.
        if was_escaped && slice.starts_with(|c: char| c.is_ascii_punctuation() && !matches!(c, '<' | '|')) {
            self.out.push('\\');
            self.at_line_start = false;
        }
        self.plain_before(slice, self.source[range.end..].chars().next());
    }

    /// Text that means nothing but itself.
    pub fn plain(&mut self, text: &str) {
        self.plain_before(text, None);
    }

    fn plain_before(&mut self, text: &str, next: Option<char>) {
        self.enter_text();
        if std::mem::take(&mut self.at_line_start) && opens_block(text) {
            self.out.push(BREAK);
        }
        let place = self.place();
        push_text(&mut self.out, text, next, place);
    }

    /// A block of HTML is text to us. The parser gives it line by line.
    fn html_lines(&mut self, html: &str) {
        for (number, line) in html.trim_end_matches('\n').split('\n').enumerate() {
            let goes_on = number > 0 || self.text_block.is_some();
            self.enter_text();
            if goes_on {
                self.line_break();
            }
            if is_break_tag(line) { self.line_break() } else { self.plain(line.trim_start()) }
        }
    }

    pub fn line_break(&mut self) {
        self.enter_text();
        if self.table.is_none() && self.out.len() == self.text_from {
            // Nothing to part yet; a tag alone in its line would make HTML of what follows.
        } else if self.table.is_some() && self.dialect == Dialect::Message {
            self.out.push_str(" / ");
        } else if !self.links.is_empty() || self.text_block == Some(Block::Heading) {
            self.out.push(' ');
        } else if self.dialect == Dialect::Card {
            self.out.push_str("<br>");
        } else {
            let prefix = self.prefix();
            let prefix = if prefix.is_empty() { "  " } else { &prefix };
            self.out.extend(["  \n", prefix]);
            self.at_line_start = true;
        }
    }

    /// Entries of dense lists hold text without a paragraph.
    pub fn enter_text(&mut self) {
        if self.text_block.is_none() && self.table.is_none() {
            self.show_left_out(self.at);
            self.begin(Block::Paragraph);
            self.text_block = Some(Block::Paragraph);
            self.text_from = self.out.len();
        }
    }

    pub fn leave_text(&mut self) {
        if let Some(block) = self.text_block.take() {
            self.last = Some(block);
            self.at_line_start = false;
        }
    }

    pub fn place(&self) -> Place {
        match (&self.table, self.dialect) {
            (None, _) => Place::Line,
            (Some(_), Dialect::Card) => Place::Cell,
            (Some(_), Dialect::Message) => Place::CellInLine,
        }
    }
}
