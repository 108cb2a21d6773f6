//! Cuts long Markdown into pages: on line ends where possible, with code blocks closed and opened again.

use crate::fence::Fences;

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
    let end = from + cut(&source[from..], limit);
    let part = &source[from..end];
    let mut text = String::with_capacity(part.len() + 16);
    let opened_before = Fences::after(&source[..from]).open.filter(|_| from > 0);
    if let Some(open) = opened_before {
        text.push_str(&open.opening());
        text.push('\n');
    }
    text.push_str(part);
    if end < source.len()
        && let Some(open) = Fences::after(&source[..end]).open
    {
        if !text.ends_with('\n') {
            text.push('\n');
        }
        text.push_str(&open.closing());
    }
    Page { text, end }
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
