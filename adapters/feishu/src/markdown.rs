//! A model's Markdown, made safe for a card.
//!
//! Three things in it could do harm: tags (`<at id=all></at>` would mention everyone), images (a foreign address makes
//! the whole card fail) and too many tables (likewise). Tags are written as text, images become links, tables beyond
//! [`MAX_TABLES`] become code. Nothing else changes, and earlier output stays the same while the text grows, because
//! the client types on only what begins with what it has.
//!
//! Source: "Card JSON 2.0: rich text component", checked May 2026.

use std::ops::Range;

use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

/// Reports of how many tables a card can hold differ between 3 and 5.
pub(crate) const MAX_TABLES: usize = 3;

/// Goes between `<` and a dangerous name where an entity would be shown as such: inside code.
const INVISIBLE: char = '\u{200b}';

/// Makes Markdown safe.
pub(crate) fn safe(text: &str) -> String {
    tame(&escape(text))
}

/// What [`safe`] gave, for places without Markdown.
pub(crate) fn plain(shown: &str) -> String {
    safe_text(&shown.replace("&#60;", "<"))
}

/// Plain text for a text message, in which tags work, too.
pub(crate) fn safe_text(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        out.push(character);
        if character == '<' && characters.peek().is_some_and(|next| next.is_ascii_alphabetic() || *next == '/') {
            out.push(INVISIBLE);
        }
    }
    out
}

/// Writes `<` as an entity outside of code, and breaks mention tags inside of it: where code ends may be read
/// differently by the client.
fn escape(text: &str) -> String {
    let code = code_ranges(text);
    let mut out = String::with_capacity(text.len() + text.len() / 16);
    let mut code = code.iter().peekable();
    for (at, character) in text.char_indices() {
        while code.next_if(|range| range.end <= at).is_some() {}
        let in_code = code.peek().is_some_and(|range| range.contains(&at));
        match character {
            '<' if !in_code => {
                // An escaped `<` would leave `\&`, which escapes the entity.
                if ends_in_escape(&out) {
                    out.pop();
                }
                out.push_str("&#60;");
            }
            '<' => {
                out.push('<');
                if mentions_somebody(&text[at + 1..]) {
                    out.push(INVISIBLE);
                }
            }
            _ => out.push(character),
        }
    }
    out
}

fn ends_in_escape(out: &str) -> bool {
    out.bytes().rev().take_while(|byte| *byte == b'\\').count() % 2 == 1
}

fn mentions_somebody(after: &str) -> bool {
    let name: String = after.chars().take_while(char::is_ascii_alphanumeric).take(7).collect();
    ["at", "person"].iter().any(|tag| name.eq_ignore_ascii_case(tag))
}

/// Where code is, ends exclusive, in order. An inline code span that is still being written counts as one, or its
/// text would change when it closes.
fn code_ranges(text: &str) -> Vec<Range<usize>> {
    let ranges = parsed_code(text);
    let line = text.rfind('\n').map_or(0, |at| at + 1);
    let open = (line..text.len()).find(|&at| {
        let outside = !ranges.iter().any(|range| range.contains(&at));
        text.as_bytes()[at] == b'`' && outside && !ends_in_escape(&text[line..at])
    });
    let Some(open) = open else { return ranges };
    let ticks = text[open..].bytes().take_while(|byte| *byte == b'`').count();
    parsed_code(&format!("{text}{}", "`".repeat(ticks)))
}

fn parsed_code(text: &str) -> Vec<Range<usize>> {
    let events = Parser::new_ext(text, Options::ENABLE_TABLES).into_offset_iter();
    let is_code = |event: &Event<'_>| matches!(event, Event::Start(Tag::CodeBlock(_)) | Event::Code(_));
    events.filter(|(event, _)| is_code(event)).map(|(_, range)| range).collect()
}

/// Turns images into links and tables beyond the limit into code.
fn tame(text: &str) -> String {
    let mut edits: Vec<(Range<usize>, String)> = Vec::new();
    let (mut tables, mut inside_table) = (0, false);
    for (event, range) in Parser::new_ext(text, Options::ENABLE_TABLES).into_offset_iter() {
        match event {
            Event::Start(Tag::Table(_)) => {
                tables += 1;
                inside_table = tables > MAX_TABLES;
                if inside_table {
                    let code = as_code(&text[range.clone()], range.end == text.len());
                    edits.push((range, code));
                }
            }
            Event::End(TagEnd::Table) => inside_table = false,
            Event::Start(Tag::Image { .. }) if !inside_table => edits.push(as_link(text, &range)),
            _ => {}
        }
    }
    let (mut out, mut done) = (String::with_capacity(text.len()), 0);
    for (range, replacement) in edits {
        out.push_str(&text[done..range.start]);
        out.push_str(&replacement);
        done = range.end;
    }
    out.push_str(&text[done..]);
    out
}

/// Takes the `!` away. A `!` before it would make an image of the link again, so it becomes an entity there.
fn as_link(text: &str, image: &Range<usize>) -> (Range<usize>, String) {
    let unnamed = text[image.clone()].starts_with("![]");
    let mark = if text[..image.start].ends_with('!') { "&#33;" } else { "" };
    match unnamed {
        true => (image.start..image.start + 2, format!("{mark}[image")),
        false => (image.start..image.start + 1, mark.to_owned()),
    }
}

/// A table as code. The fence stays open while the table may still grow.
fn as_code(table: &str, open: bool) -> String {
    let rows = table.trim_end_matches('\n').replace("&#60;", "<");
    let rows = escape(&format!("````\n{rows}"));
    if open { rows } else { format!("{rows}\n````\n") }
}

#[cfg(test)]
mod tests;
