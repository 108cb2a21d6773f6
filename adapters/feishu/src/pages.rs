//! Splitting an answer that is too long for one card. Nothing is lost, and what is cut goes on as what it was: code as
//! code, a table under its head.
//!
//! Where a page ends is chosen from its second half: best before a block, then before an entry of a list, a line, a
//! word. Links and entities are not cut as long as there is another place.

mod layout;

use layout::{Layout, Region};

/// Room for text on one page, as it counts inside a JSON string. With title, buttons, questions and a form a card
/// stays under the 28 KB that are safe below the platform's 30 KB; reasoning gets what is left.
pub(crate) const PAGE_BYTES: usize = 18_000;

/// A table's head and the line that opens a code block are repeated if they are no longer than this part of a page.
const REPEATED_PART: usize = 4;

/// Splits safe Markdown into pages of at most `limit` bytes each, as written inside a JSON string. Always at least one.
pub(crate) fn split(text: &str, limit: usize) -> Vec<String> {
    if json_bytes(text) <= limit {
        return vec![text.to_owned()];
    }
    cut(text, limit).iter().map(Piece::page).collect()
}

/// The beginning of safe Markdown that grows, at most `limit` bytes of it: what is shown once stays when more comes.
pub(crate) fn beginning(text: &str, limit: usize) -> &str {
    if json_bytes(text) <= limit {
        return text;
    }
    let end = farthest(text, 0, limit);
    &text[..Layout::of(text).outside(end)]
}

/// Bytes of a character inside a JSON string.
fn cost(character: char) -> usize {
    match character {
        '"' | '\\' | '\n' | '\r' | '\t' | '\u{8}' | '\u{c}' => 2,
        '\0'..='\u{1f}' => 6,
        other => other.len_utf8(),
    }
}

/// Bytes of a text inside a JSON string.
pub(crate) fn json_bytes(text: &str) -> usize {
    text.chars().map(cost).sum()
}

/// A part of the text on a page of its own.
struct Piece<'a> {
    /// What the page before has opened and this one goes on with.
    before: String,
    text: &'a str,
    /// What closes it again.
    after: String,
    /// Blanks that lines lose at their beginning: they stood under an entry of a list that is on the page before,
    /// and would be code here.
    indent: usize,
}

impl Piece<'_> {
    fn page(&self) -> String {
        let mut page = self.before.clone();
        let mut indent = self.indent;
        for line in self.text.split_inclusive('\n') {
            if !line.trim().is_empty() {
                indent = indent.min(blanks(line));
            }
            page.push_str(&line[indent.min(blanks(line))..]);
        }
        page.push_str(&self.after);
        page
    }
}

fn blanks(line: &str) -> usize {
    line.bytes().take_while(|byte| *byte == b' ').count()
}

fn cut(text: &str, limit: usize) -> Vec<Piece<'_>> {
    let layout = Layout::of(text);
    let mut pieces = Vec::new();
    let (mut start, mut open) = (0, None::<&Region>);
    loop {
        let before = open.map_or_else(String::new, |region| region.reopening(limit / REPEATED_PART));
        let indent = open.map_or_else(|| if start == 0 { 0 } else { blanks(&text[start..]) }, Region::indent);
        let room = limit.saturating_sub(json_bytes(&before));
        let end = if json_bytes(&text[start..]) <= room {
            text.len()
        } else {
            layout.best_cut(start, farthest(text, start, room.saturating_sub(layout.longest_closing())))
        };
        open = layout.region_at(end);
        let after = open.map_or_else(String::new, |region| region.closing(&text[start..end]));
        pieces.push(Piece { before, text: &text[start..end], after, indent });
        if end == text.len() {
            return pieces;
        }
        start = end;
    }
}

/// The last place up to which the text from `start` on takes no more than `room`; at least one character on.
fn farthest(text: &str, start: usize, room: usize) -> usize {
    let (mut used, mut end) = (0, start);
    for character in text[start..].chars() {
        used += cost(character);
        if used > room && end > start {
            break;
        }
        end += character.len_utf8();
    }
    end
}

#[cfg(test)]
mod tests;
