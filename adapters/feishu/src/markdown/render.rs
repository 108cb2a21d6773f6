//! From the tree to the platform's Markdown.

use std::ops::Range;

use pulldown_cmark::{CodeBlockKind, Event, LinkType, Tag, TagEnd};

use super::links::{may_be_followed, misleads};
use super::source::{Placed, masked, parse};
use super::{INVISIBLE, MAX_TABLES};

/// Whether more text may follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    Closed,
    Open,
}

/// Writes `text` as the platform renders it.
pub(super) fn render(text: &str, ending: Ending) -> String {
    let hidden = masked(text);
    let mut writer = Writer {
        text,
        out: String::with_capacity(text.len() + text.len() / 16),
        at: 0,
        tables: 0,
        open: Vec::new(),
        ending,
    };
    for placed in parse(&hidden) {
        writer.take(placed, &hidden);
    }
    writer.text_to(text.len());
    writer.out
}

/// A link or image that is being written.
struct OpenLink {
    target: String,
    /// What is seen of it.
    shown: String,
    /// Where its text ends, as far as it is read.
    text_end: usize,
    image: bool,
}

struct Writer<'a> {
    text: &'a str,
    out: String,
    /// Everything before this place is written.
    at: usize,
    tables: usize,
    open: Vec<OpenLink>,
    ending: Ending,
}

impl Writer<'_> {
    fn take(&mut self, (event, range): Placed<'_>, hidden: &str) {
        if range.end <= self.at {
            return;
        }
        match event {
            Event::Start(Tag::CodeBlock(kind)) => self.code_block(&kind, range),
            Event::Start(Tag::Table(_)) => {
                self.tables += 1;
                if self.tables > MAX_TABLES {
                    self.table_as_code(range);
                }
            }
            Event::Start(Tag::Link { link_type: LinkType::Autolink, dest_url, .. }) => self.autolink(&dest_url, range),
            Event::Start(Tag::Link { dest_url, .. }) => self.begin_link(&dest_url, range.start, false),
            Event::Start(Tag::Image { dest_url, .. }) => self.begin_link(&dest_url, range.start, true),
            Event::End(TagEnd::Link | TagEnd::Image) => self.end_link(range),
            Event::TaskListMarker(done) => self.instead(range, if done { "☑" } else { "☐" }),
            Event::Code(shown) => {
                let written = &self.text[range.clone()];
                // On a line of its own a tag would come before the code around it.
                let written = if written.contains('\n') { without_tags(written) } else { code(written) };
                self.instead(range.clone(), &written);
                self.show(&shown, range.end);
            }
            Event::Text(shown) => {
                // An entity: the platform must not make a tag of it after all.
                if &*shown == "<" && hidden[range.clone()].starts_with('&') {
                    self.instead(range.clone(), "&#60;");
                }
                self.show(&shown, range.end);
            }
            _ => {
                if let Some(link) = self.open.last_mut() {
                    link.text_end = link.text_end.max(if matches!(event, Event::Start(_)) { 0 } else { range.end });
                }
            }
        }
    }

    fn show(&mut self, shown: &str, end: usize) {
        for link in &mut self.open {
            link.shown.push_str(shown);
            link.text_end = end;
        }
    }

    /// Writes text and markers up to `end` as they are, without tags and definitions.
    fn text_to(&mut self, end: usize) {
        let text = self.text;
        if end <= self.at {
            return;
        }
        let mut before = text[..self.at].chars().next_back().unwrap_or(' ');
        for character in text[self.at..end].chars() {
            match character {
                '<' => {
                    // An escaped `<` would leave `\&`, which escapes the entity.
                    if ends_in_escape(&self.out) {
                        self.out.pop();
                    }
                    self.out.push_str("&#60;");
                }
                ':' if before == ']' => self.out.push_str("&#58;"),
                other => self.out.push(other),
            }
            before = character;
        }
        self.at = end;
    }

    fn instead(&mut self, range: Range<usize>, written: &str) {
        self.text_to(range.start);
        self.out.push_str(written);
        self.at = range.end;
    }

    /// Indented code may be read as text by the client, so no tag in it stays whole.
    fn code_block(&mut self, kind: &CodeBlockKind<'_>, range: Range<usize>) {
        let written = match kind {
            CodeBlockKind::Fenced(_) => code(&self.text[range.clone()]),
            CodeBlockKind::Indented => without_tags(&self.text[range.clone()]),
        };
        self.instead(range, &written);
    }

    /// Begins a link where the text has none: a mark before it would make an image of it.
    fn open_bracket(&mut self) {
        if self.out.ends_with('!') {
            self.out.pop();
            self.out.push_str(if ends_in_escape(&self.out) { "!" } else { "&#33;" });
        }
        self.out.push('[');
    }

    /// An image loses its mark and is a link then.
    fn begin_link(&mut self, target: &str, start: usize, image: bool) {
        self.text_to(start);
        let mark = if image { "![" } else { "[" };
        let inside = !self.open.is_empty();
        self.at = start + mark.len();
        if !(image && inside) {
            self.open_bracket();
        }
        if image && self.text[self.at..].starts_with(']') {
            self.out.push_str("image");
        }
        self.open.push(OpenLink { target: target.to_owned(), shown: String::new(), text_end: self.at, image });
    }

    fn end_link(&mut self, range: Range<usize>) {
        let Some(link) = self.open.pop() else { return };
        let Some(gap) = self.text[link.text_end..range.end].find("](") else { return };
        self.text_to(link.text_end + gap);
        let nested = link.image && !self.open.is_empty();
        if may_be_followed(&link.target) && !nested {
            self.text_to(range.end);
            if misleads(&link.shown, &link.target) {
                self.out.push_str(&format!(" ({})", code_span(&link.target)));
            }
        } else {
            // A parenthesis that is none to the client: target and text stay readable, and nothing is a link.
            self.out.push_str(if nested { " &#40;" } else { "]&#40;" });
            self.at += "](".len();
            self.text_to(range.end);
        }
        if let Some(outer) = self.open.last_mut() {
            outer.text_end = range.end;
        }
    }

    fn autolink(&mut self, target: &str, range: Range<usize>) {
        let mut shown = String::new();
        for character in target.chars() {
            if character.is_ascii_punctuation() && !matches!(character, '/' | ':' | '.' | '-' | '&' | ';' | '#') {
                shown.push('\\');
            }
            shown.push(character);
        }
        let target = target.replace('(', "%28").replace(')', "%29").replace('\\', "%5C");
        self.text_to(range.start);
        self.open_bracket();
        self.out.push_str(&format!("{shown}]({target})"));
        self.at = range.end;
    }

    /// Every row as it was, inside a fence that stands where the table stood. It stays open while the table may grow.
    fn table_as_code(&mut self, range: Range<usize>) {
        self.text_to(range.start);
        let line = self.text[..range.start].rfind('\n').map_or(0, |end| end + 1);
        let quoted: String = self.text[line..range.start].chars().map(|c| if c == '>' { '>' } else { ' ' }).collect();
        let grows = self.ending == Ending::Open && range.end == self.text.len();
        let rows = code(self.text[range.clone()].trim_end_matches('\n'));
        self.out.push_str(&format!("````\n{quoted}{rows}"));
        if !grows {
            self.out.push_str(&format!("\n{quoted}````\n"));
        }
        self.at = range.end;
    }
}

pub(super) fn ends_in_escape(out: &str) -> bool {
    out.bytes().rev().take_while(|byte| *byte == b'\\').count() % 2 == 1
}

/// Code as it is, but for tags that would mention somebody: where code ends may be read differently by the client.
fn code(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for (at, character) in text.char_indices() {
        out.push(character);
        if character == '<' && mentions_somebody(&text[at + 1..]) {
            out.push(INVISIBLE);
        }
    }
    out
}

/// Code in which no tag stays whole.
fn without_tags(text: &str) -> String {
    text.replace('<', &format!("<{INVISIBLE}"))
}

fn mentions_somebody(after: &str) -> bool {
    let name: String = after.chars().take_while(char::is_ascii_alphanumeric).take(7).collect();
    ["at", "person"].iter().any(|tag| name.eq_ignore_ascii_case(tag))
}

/// A target that nothing can follow and nothing changes.
fn code_span(target: &str) -> String {
    let target: String = target.split_whitespace().collect::<String>().replace('`', "%60");
    format!("`{}`", code(&target))
}
