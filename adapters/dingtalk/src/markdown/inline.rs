//! Texts within a line, made harmless.

/// Of no width: parts what together would be read as something.
pub(super) const BREAK: char = '\u{200b}';
/// Schemes that make the client act: send a text in the person's name, open its own pages.
const SCHEMES: [&str; 2] = ["dtmd:", "dingtalk:"];

/// Where a text stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Line,
    /// A cell of a table that is written as one.
    Cell,
    /// A cell that becomes a part of a line.
    CellInLine,
}

/// Appends prose that the parser took for plain text; `next` comes after it.
pub(super) fn push_text(out: &mut String, text: &str, next: Option<char>, place: Place) {
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '<' if chars.peek().copied().or(next).is_none_or(|next| !stays_text(next)) => out.push_str("&lt;"),
            // Together they would be a link or the definition of one; the parser says they are not.
            '(' | ':' if out.ends_with(']') => {
                out.push(BREAK);
                out.push(c);
            }
            '|' if place == Place::Cell => out.push_str("\\|"),
            // It would go together with one from another cell.
            '`' if place == Place::CellInLine && !out.ends_with('\\') => out.push_str("\\`"),
            _ => out.push(c),
        }
    }
}

/// After an angle bracket: what can't begin a tag, as in `1 < 2`.
fn stays_text(next: char) -> bool {
    next.is_ascii_digit() || next.is_whitespace() || matches!(next, '=' | '-')
}

/// Whether a line that begins so could be read as something else than the text it is.
pub(super) fn opens_block(text: &str) -> bool {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let rest = &text[digits..];
    if digits > 0 {
        rest.starts_with(['.', ')'])
    } else {
        rest.starts_with(['#', '>', '+', '-', '*', '=', '|', '`', '~'])
    }
}

/// Code within a line, between as many marks as `source` has: others could go together with marks that are text.
pub(super) fn push_code(out: &mut String, code: &str, source: &str, place: Place) {
    let marks = &source[..source.bytes().take_while(|byte| *byte == b'`').count()];
    let pad = if code.starts_with('`') || code.ends_with('`') { " " } else { "" };
    let code = guarded(code);
    let code = if place == Place::Cell { code.replace('|', "\\|") } else { code };
    out.extend([marks, pad, &code, pad, marks]);
}

/// How many of `mark` stand in a row at most.
pub(super) fn longest_run(text: &str, mark: char) -> usize {
    let (mut longest, mut run) = (0, 0);
    for c in text.chars() {
        run = if c == mark { run + 1 } else { 0 };
        longest = longest.max(run);
    }
    longest
}

/// Whether a piece of HTML is a line break: harmless, and models write it in tables.
pub(super) fn is_break_tag(html: &str) -> bool {
    let inside = html.trim().strip_prefix('<').and_then(|rest| rest.strip_suffix('>'));
    inside.is_some_and(|inside| inside.trim_end_matches(['/', ' ']).eq_ignore_ascii_case("br"))
}

/// Breaks the tag that mentions people, and only that. Code is otherwise left as it is, but clients don't agree on
/// where code begins, so this one tag must not stand even there.
pub(super) fn guarded(code: &str) -> String {
    let lower = code.to_ascii_lowercase();
    let mentions = lower.contains("atid");
    let mut out = String::with_capacity(code.len());
    let mut copied = 0;
    for (at, tag) in lower.match_indices("<a") {
        let after = &lower[at + tag.len()..];
        if after.is_empty() || after.starts_with('\n') || (mentions && after.starts_with(char::is_whitespace)) {
            out.push_str(&code[copied..=at]);
            out.push(BREAK);
            copied = at + 1;
        }
    }
    out.push_str(&code[copied..]);
    out
}

/// Breaks the client's own schemes, wherever they stand.
pub(super) fn defused(text: &str) -> String {
    let lower = text.to_ascii_lowercase();
    let mut ends: Vec<usize> =
        SCHEMES.iter().flat_map(|scheme| lower.match_indices(scheme).map(|(at, found)| at + found.len())).collect();
    ends.sort_unstable();
    let mut out = String::with_capacity(text.len() + 3 * ends.len());
    let mut copied = 0;
    for end in ends {
        out.push_str(&text[copied..end]);
        out.push(BREAK);
        copied = end;
    }
    out.push_str(&text[copied..]);
    out
}

/// An address without those schemes' colons: broken by a character of no width it would lead elsewhere.
pub(super) fn defused_address(address: &str) -> String {
    defused(address).replace(&format!(":{BREAK}"), "%3A")
}

/// Every character stands for itself.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' | '`' | '*' | '_' | '[' | ']' | '~' | '|' | '#' => out.extend(['\\', c]),
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            _ => out.push(c),
        }
    }
    defused(&out)
}
