//! The text as the parser is given it.

use std::ops::Range;

use pulldown_cmark::{Event, OffsetIter, Options, Parser};

/// Beginnings of addresses that may stand between `<` and `>`.
pub(super) const AUTOLINKS: [&str; 3] = ["http://", "https://", "mailto:"];

/// Stands for a character that must not mean anything. It may be escaped as that one may, is punctuation as well and
/// as long, and begins nothing in Markdown.
const MASK: char = ',';

/// Hides what the platform shall not see as such either: `<`, since there is no HTML, and the `:` of definitions of
/// links and footnotes. Addresses in angle brackets stay. Every character keeps its place.
pub(super) fn masked(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut before = ' ';
    for (at, character) in text.char_indices() {
        let hidden = match character {
            '<' => !is_autolink(&text[at + 1..]),
            ':' => before == ']',
            _ => false,
        };
        out.push(if hidden { MASK } else { character });
        before = character;
    }
    out
}

/// Whether what follows a `<` is an address up to a `>`.
fn is_autolink(after: &str) -> bool {
    let end = after.find(|c: char| c.is_whitespace() || c == '<' || c == '>');
    let Some((address, _)) = end.filter(|end| after[*end..].starts_with('>')).map(|end| after.split_at(end)) else {
        return false;
    };
    AUTOLINKS.iter().any(|scheme| address.len() > scheme.len() && starts_with_ignoring_case(address, scheme))
}

pub(super) fn starts_with_ignoring_case(text: &str, beginning: &str) -> bool {
    text.get(..beginning.len()).is_some_and(|start| start.eq_ignore_ascii_case(beginning))
}

/// Parses a masked text with what the platform understands.
pub(super) fn parse(masked: &str) -> OffsetIter<'_> {
    let options = Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH | Options::ENABLE_TASKLISTS;
    Parser::new_ext(masked, options).into_offset_iter()
}

/// Events with their places.
pub(super) type Placed<'a> = (Event<'a>, Range<usize>);
