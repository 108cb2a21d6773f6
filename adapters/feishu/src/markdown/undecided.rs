//! How far the writing of a text that goes on is certain.
//!
//! Markers of emphasis, lists, headings and tables are written as they came, whatever becomes of them. What is written
//! in different ways depends on something behind it: code that is closed, a target in parentheses, the rest of a tag's
//! name. A text ends before the first such place that is still open in its last block.

use std::ops::Range;

use pulldown_cmark::{Event, Tag};

use super::MAX_TABLES;
use super::render::ends_in_escape;
use super::source::{AUTOLINKS, masked, parse, starts_with_ignoring_case};

/// A target or description longer than this is not waited for.
const LONGEST_WAIT: usize = 2_000;

/// How much of `text` is written the same, whatever follows.
pub(super) fn certain(text: &str) -> usize {
    let end = certain_of(text, &Last::of(text));
    // An escape goes with what it escapes.
    if ends_in_escape(&text[..end]) { end - 1 } else { end }
}

fn certain_of(text: &str, last: &Last) -> usize {
    let end = cut_words(text);
    if let Some(fence) = last.opening_fence {
        return end.min(fence);
    }
    let Some(block) = last.block.clone() else { return end };
    let candidates = [open_code(text, last), open_target(text, last), open_image(text, last), line_start(text, &block)];
    let table = if last.tables >= MAX_TABLES && !last.in_table { open_table(text, &block) } else { None };
    candidates.into_iter().flatten().chain(table).fold(end, usize::min)
}

/// The block that the text ends in.
struct Last {
    /// Where text with markup may go on; `None` in code and after a blank line.
    block: Option<Range<usize>>,
    /// Code inside of text.
    code: Vec<Range<usize>>,
    tables: usize,
    in_table: bool,
    /// Where a line begins that opens a code block, if it is not at its end.
    opening_fence: Option<usize>,
}

impl Last {
    fn of(text: &str) -> Self {
        let hidden = masked(text);
        let mut last = Self { block: None, code: Vec::new(), tables: 0, in_table: false, opening_fence: None };
        let mut in_code = None;
        for (event, range) in parse(&hidden) {
            match event {
                Event::Start(Tag::CodeBlock(_)) => in_code = Some(range),
                Event::Start(Tag::Paragraph | Tag::Heading { .. } | Tag::Item) => {
                    (last.block, last.in_table, in_code) = (Some(range), false, None);
                }
                Event::Start(Tag::Table(_)) => {
                    last.tables += 1;
                    (last.block, last.in_table, in_code) = (Some(range), true, None);
                }
                Event::Code(_) => last.code.push(range),
                _ => {}
            }
        }
        let blank = text[text.trim_end().len()..].bytes().filter(|byte| *byte == b'\n').count() > 1;
        if let Some(code) = in_code {
            last.opening_fence = Some(code.start).filter(|start| !text[*start..].contains('\n'));
            last.block = None;
        } else if blank {
            last.block = None;
        }
        if let Some(block) = &mut last.block {
            block.end = text.len();
        }
        last
    }

    fn in_code(&self, at: usize) -> bool {
        self.code.iter().any(|range| range.contains(&at))
    }

    /// Where `pattern` stands outside of code and not escaped.
    fn places<'a>(&'a self, text: &'a str, pattern: &'a str) -> impl Iterator<Item = usize> + 'a {
        let block = self.block.clone().unwrap_or(0..0);
        let found = text[block.clone()].match_indices(pattern).map(move |(at, _)| block.start + at);
        found.filter(|at| !self.in_code(*at) && !ends_in_escape(&text[..*at]))
    }
}

/// Where a name, entity or mark begins that the text may have been cut in, whatever it stands in.
fn cut_words(text: &str) -> usize {
    let mut end = text.len();
    let tail_start = text.char_indices().rev().take(LONGEST_WAIT).last().map_or(0, |(at, _)| at);
    let tail = &text[tail_start..];
    if let Some(at) = tail.rfind('<').filter(|at| may_become_tag(&tail[at + 1..])) {
        end = end.min(tail_start + at);
    }
    let is_entity = |rest: &str| rest.len() <= 9 && rest.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'#');
    if let Some(at) = tail.rfind('&').filter(|at| is_entity(&tail[at + 1..])) {
        end = end.min(tail_start + at);
    }
    end.min(text.trim_end_matches('!').len())
}

fn may_become_tag(after: &str) -> bool {
    let name = after.len() < 7 && after.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let address = AUTOLINKS.iter().any(|scheme| {
        let shorter = after.len().min(scheme.len());
        after.is_char_boundary(shorter) && starts_with_ignoring_case(scheme, &after[..shorter])
    });
    name || (address && !after.contains(|c: char| c.is_whitespace() || c == '<' || c == '>'))
}

/// Code that is not closed may still be text: from the first character on that the two write differently.
fn open_code(text: &str, last: &Last) -> Option<usize> {
    let open = last.places(text, "`").next()?;
    let differs = |c: char| matches!(c, '<' | ']' | '!' | '&' | '\\');
    text[open..].find(differs).map(|at| open + at)
}

/// The parenthesis of a target that is not closed.
fn open_target(text: &str, last: &Last) -> Option<usize> {
    let open = last.places(text, "](").find(|at| target_is_open(&text[at + 1..]));
    open.map(|at| at + 1)
}

/// Whether the parenthesis that `text` begins with could still be closed.
fn target_is_open(text: &str) -> bool {
    let (mut depth, mut escaped) = (0_usize, false);
    for character in text.chars() {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '(' => depth += 1,
            ')' if depth == 1 => return false,
            ')' => depth -= 1,
            _ => {}
        }
    }
    text.len() < LONGEST_WAIT
}

/// The mark of an image whose text or target is not closed.
fn open_image(text: &str, last: &Last) -> Option<usize> {
    let is_open = |at: &usize| {
        let description = &text[at + 2..];
        let (mut depth, mut escaped) = (1_usize, false);
        for (place, character) in description.char_indices() {
            match character {
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                '[' => depth += 1,
                ']' if depth == 1 => {
                    let after = &description[place + 1..];
                    return after.is_empty() || (after.starts_with('(') && target_is_open(after));
                }
                ']' => depth -= 1,
                _ => {}
            }
        }
        description.len() < LONGEST_WAIT
    };
    let open = last.places(text, "![").find(is_open)?;
    Some(text[..open].trim_end_matches('!').len())
}

/// The beginning of a line that may become a box or a fence.
fn line_start(text: &str, block: &Range<usize>) -> Option<usize> {
    let line = text.rfind('\n').map_or(0, |end| end + 1).max(block.start);
    let markers = |c: char| matches!(c, '-' | '*' | '+' | '>' | '.' | ')' | ' ' | '\t') || c.is_ascii_digit();
    let rest = text[line..].trim_start_matches(markers);
    let may_be = ["[", "[ ", "[x", "[X", "[ ]", "[x]", "[X]", "`", "``", "~", "~~"];
    may_be.contains(&rest).then(|| text.len() - rest.len())
}

/// Lines at the end that may become a table which is too many.
fn open_table(text: &str, block: &Range<usize>) -> Option<usize> {
    let mut start = None;
    let mut at = text.len();
    for line in text[block.clone()].split_inclusive('\n').rev().take(2) {
        at -= line.len();
        if line.contains('|') {
            start = Some(at);
        }
    }
    start
}
