//! The parts of a Markdown text that can't be cut without being mended: code blocks and tables.

use std::ops::Range;

use pulldown_cmark::{CodeBlockKind, Event, Parser, Tag, TagEnd};

use crate::markdown::GRAMMAR;

/// A closing line up to this long may go beyond a page's limit, in bytes.
const LONGEST_CLOSING_LINE: usize = 40;

/// What a cut goes through, and so what has to be mended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Region {
    /// A fenced code block.
    Code {
        range: Range<usize>,
        /// Where its closing line begins, if it has one.
        closing_at: Option<usize>,
        /// Lines that close it at the end of a page and open it on the next.
        closing: String,
        opening: String,
    },
    Table {
        range: Range<usize>,
        /// Where the first row below header and rule begins.
        rows_from: usize,
        /// Header and rule, to be repeated.
        header: String,
    },
}

impl Region {
    /// What is to stand before the rest of it.
    pub fn again(&self) -> &str {
        match self {
            Self::Code { opening, .. } => opening,
            Self::Table { header, .. } => header,
        }
    }

    /// What is to stand after a part of it.
    pub fn closing(&self) -> &str {
        match self {
            Self::Code { closing, .. } => closing,
            Self::Table { .. } => "",
        }
    }

    /// A place nearby where a cut at `at` breaks no marks.
    pub fn better_cut(&self, at: usize) -> usize {
        match self {
            Self::Code { range, opening, .. } if at < range.start + opening.trim_start().len() => range.start,
            // A closing line alone would open the block again for nothing.
            Self::Code { closing_at: Some(closing_at), range, .. } if at >= *closing_at => {
                if range.end - closing_at <= LONGEST_CLOSING_LINE { range.end } else { *closing_at }
            }
            Self::Table { range, rows_from, .. } if at < *rows_from => range.start,
            _ => at,
        }
    }
}

/// The region that `at` lies in.
pub(crate) fn around(source: &str, at: usize) -> Option<Region> {
    let inside = |range: &Range<usize>| range.start < at && at < range.end;
    let mut table: Option<Range<usize>> = None;
    for (event, range) in Parser::new_ext(source, GRAMMAR).into_offset_iter() {
        match event {
            Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(_))) if inside(&range) => {
                return Some(code(source, range));
            }
            Event::Start(Tag::Table(_)) if inside(&range) => table = Some(range),
            Event::End(TagEnd::TableHead) => {
                if let Some(table) = table.take() {
                    return Some(self::table(source, table, range.end));
                }
            }
            _ if range.start > at => return None,
            _ => {}
        }
    }
    None
}

/// `source` with a code block at its end closed, so that something may follow; trailing blanks go.
pub(crate) fn closed(source: &str) -> String {
    let source = source.trim_end();
    let mut last = None;
    for (event, range) in Parser::new_ext(source, GRAMMAR).into_offset_iter() {
        if let Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(_))) = event {
            last = (range.end >= source.len()).then_some(range);
        }
    }
    match last.map(|range| code(source, range)) {
        Some(Region::Code { closing_at: None, closing, .. }) => format!("{source}\n{closing}"),
        _ => source.to_owned(),
    }
}

fn code(source: &str, range: Range<usize>) -> Region {
    let block = source[range.clone()].trim_end_matches('\n');
    let first = block.lines().next().unwrap_or_default().trim_end();
    let mark = first.chars().next().unwrap_or('`');
    let marks = &first[..first.len() - first.trim_start_matches(mark).len()];
    let prefix = prefix(source, range.start);
    let last_line = block.rfind('\n').map(|at| at + 1);
    let closing_at = last_line.filter(|at| {
        let line = block[*at..].trim_start_matches(['>', ' ', '\t']).trim_end();
        line.len() >= marks.len() && line.chars().all(|c| c == mark)
    });
    Region::Code {
        closing_at: closing_at.map(|at| range.start + at),
        closing: format!("{prefix}{marks}"),
        opening: format!("{prefix}{first}\n"),
        range,
    }
}

fn table(source: &str, range: Range<usize>, header_end: usize) -> Region {
    let rule_end = source[header_end..].find('\n').map_or(source.len(), |at| header_end + at + 1);
    let header = format!("{}{}", prefix(source, range.start), &source[range.start..rule_end]);
    Region::Table { range, rows_from: rule_end, header: format!("{}\n", header.trim_end()) }
}

/// What a line of the containers around `at` begins with: the marks of quotes, and blanks where there are none, but
/// not so many that they would mean code.
fn prefix(source: &str, at: usize) -> String {
    let line = source[..at].rfind('\n').map_or(0, |at| at + 1);
    let begin = &source[line..at];
    if begin.contains('>') {
        begin.chars().map(|c| if c == '>' { c } else { ' ' }).collect()
    } else {
        " ".repeat(begin.chars().count().min(3))
    }
}
