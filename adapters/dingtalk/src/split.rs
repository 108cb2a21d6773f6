//! Cuts long Markdown into pages: on line ends where possible, with code blocks closed and opened again and the header
//! of a table repeated. Nothing is lost: pages without those additions, put together, are the text.

use crate::regions::{Region, around};

/// How long a page may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PageLimit {
    pub chars: usize,
    pub bytes: usize,
}

impl PageLimit {
    pub fn halved(self) -> Self {
        Self { chars: self.chars / 2, bytes: self.bytes / 2 }
    }

    /// Room left beside `text`, but never less than half.
    fn beside(self, text: &str) -> Self {
        Self {
            chars: self.chars.saturating_sub(text.chars().count()).max(self.chars / 2),
            bytes: self.bytes.saturating_sub(text.len()).max(self.bytes / 2),
        }
    }
}

/// A page: what to show, and where in the source it ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Page {
    pub text: String,
    /// Byte offset; always behind the page's beginning unless the source is at its end.
    pub end: usize,
}

/// The page of `source` that begins at byte `from`. An offset that is no character boundary counts as the next one.
pub(crate) fn page(source: &str, from: usize, limit: PageLimit) -> Page {
    let from = (from..source.len()).find(|at| source.is_char_boundary(*at)).unwrap_or(source.len());
    let begun = if from > 0 && from < source.len() { around(source, from) } else { None };
    let again = begun.as_ref().map_or("", Region::again);
    let end = from + cut(&source[from..], limit.beside(again));
    let (end, open) = mended(source, from, end);
    let mut text = format!("{again}{}", &source[from..end]);
    if let Some(closing) = open.as_ref().map(Region::closing).filter(|closing| !closing.is_empty()) {
        if !text.ends_with('\n') {
            text.push('\n');
        }
        text.push_str(closing);
    }
    Page { text, end }
}

/// The cut moved out of marks that it would break, and the region that it goes through nevertheless.
fn mended(source: &str, from: usize, end: usize) -> (usize, Option<Region>) {
    if end >= source.len() {
        return (end, None);
    }
    let Some(region) = around(source, end) else { return (end, None) };
    let better = region.better_cut(end);
    if better == end || better <= from {
        return (end, Some(region));
    }
    (better, around(source, better))
}

/// How many bytes of `text` fit: up to the last line end in the second half, else the last blank, else anywhere.
fn cut(text: &str, limit: PageLimit) -> usize {
    let over = text
        .char_indices()
        .enumerate()
        .find(|(count, (at, c))| *count >= limit.chars.max(1) || at + c.len_utf8() > limit.bytes.max(c.len_utf8()));
    let Some((_, (fits, _))) = over else { return text.len() };
    let half = (0..=fits / 2).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    let second = &text[half..fits];
    let at_break = second.rfind('\n').or_else(|| second.rfind(' ')).map(|at| half + at + 1);
    at_break.unwrap_or(fits)
}

#[cfg(test)]
mod tests;
