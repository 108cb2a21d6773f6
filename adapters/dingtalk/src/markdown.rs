//! A model's Markdown in the dialects that DingTalk renders.
//!
//! Outside of code a line break is lost on the platform unless it is written in the dialect's own way, and angle
//! brackets could be read as the platform's tags: `<a atId=…>` would mention somebody in the bot's name. Inside of code
//! nothing changes. The text is read by lines and fences, which is what the platform's own clients do; a full parser
//! would have to print everything again and would lose what it does not know.
//! Sources: open.dingtalk.com "卡片 Markdown", "机器人消息类型 markdown", August 2026.

use crate::fence::{Fence, Fences, Kind};

/// How a dialect writes a line break within a paragraph.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dialect {
    Card,
    Message,
}

/// For Markdown variables of cards.
pub(crate) fn for_card(text: &str) -> String {
    Writer::new(Dialect::Card).write(text)
}

/// For messages by webhook and robot API.
pub(crate) fn for_message(text: &str) -> String {
    Writer::new(Dialect::Message).write(text)
}

/// Text that something may follow, or that is still growing: trailing line breaks go (the client flickers otherwise), an
/// open code block is closed.
pub(crate) fn closed(markdown: &str) -> String {
    let mut text = markdown.trim_end_matches(['\n', ' ']).to_owned();
    if let Some(open) = Fences::after(&text).open {
        text = format!("{text}\n{}", open.closing());
    }
    text
}

/// The first words as plain text, for the chat list; at most `max_chars`.
pub(crate) fn first_words(text: &str, max_chars: usize) -> String {
    let line =
        text.lines().map(|line| line.trim_start_matches(['#', '>', '*', '-', '`', ' '])).find(|line| !line.is_empty());
    let plain: String = line.unwrap_or_default().chars().filter(|c| !matches!(c, '*' | '`' | '<' | '>')).collect();
    let mut words: String = plain.chars().take(max_chars).collect();
    if plain.chars().count() > max_chars {
        words.push('…');
    }
    words
}

/// What a line of prose begins or goes on with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Block {
    Blank,
    Heading,
    Rule,
    List,
    /// With its depth.
    Quote(usize),
    Table,
    Paragraph,
    Code,
}

struct Writer {
    dialect: Dialect,
    out: String,
    last: Option<Block>,
}

impl Writer {
    fn new(dialect: Dialect) -> Self {
        Self { dialect, out: String::new(), last: None }
    }

    fn write(mut self, text: &str) -> String {
        let text = text.replace("\r\n", "\n");
        let lines: Vec<&str> = text.split('\n').collect();
        let mut fences = Fences::default();
        let mut marks = String::new();
        for (number, line) in lines.iter().enumerate() {
            let kind = fences.next(line);
            match kind {
                Kind::Opening => {
                    marks = fences.open.map_or_else(String::new, |open| code_marks(&open, &lines[number + 1..]));
                    let indent = &line[..line.len() - line.trim_start().len()];
                    let info = fences.open.map_or("", |open| open.info).replace(['`', '<'], "");
                    self.code(&format!("{indent}{marks}{info}"));
                }
                Kind::Code => self.code(&guard(line)),
                Kind::Closing => self.code(&line.replace(line.trim(), &marks)),
                Kind::Prose => {
                    let next = lines.get(number + 1).copied().unwrap_or_default();
                    self.prose(line, next);
                }
            }
        }
        self.out
    }

    fn code(&mut self, line: &str) {
        if self.last.is_some() {
            self.out.push('\n');
        }
        self.out.push_str(line);
        self.last = Some(Block::Code);
    }

    fn prose(&mut self, line: &str, next: &str) {
        let block = self.block(line, next);
        let mut text = neutralise(line.trim_end());
        if let Some(last) = self.last {
            let (separator, joined) = self.between(last, block);
            self.out.push_str(separator);
            if joined {
                let markers: &[char] = if matches!(block, Block::Quote(_)) { &['>', ' '] } else { &[' ', '\t'] };
                text = text.trim_start_matches(markers).to_owned();
            }
        }
        self.out.push_str(&text);
        self.last = Some(block);
    }

    /// What stands between two lines, and whether the second one becomes a part of the first.
    fn between(&self, last: Block, block: Block) -> (&'static str, bool) {
        use Block::{Blank, Code, Heading, List, Paragraph, Quote, Rule, Table};
        let soft = match self.dialect {
            Dialect::Card => "<br>",
            Dialect::Message => "  \n  ",
        };
        match (last, block) {
            (Blank | Code, _) | (_, Blank | Code) | (Table, Table) => ("\n", false),
            // A table wants an empty line before it; these blocks would swallow the text that follows them.
            (_, Table) | (Heading | Rule | Table, Paragraph) => ("\n\n", false),
            (Quote(above), Quote(below)) if above == below && self.dialect == Dialect::Card => (soft, true),
            (Quote(_), Quote(_)) => ("  \n", false),
            (_, Heading | Rule | List | Quote(_)) => ("\n", false),
            (_, Paragraph) => (soft, true),
        }
    }

    fn block(&self, line: &str, next: &str) -> Block {
        let text = line.trim();
        if text.is_empty() {
            return Block::Blank;
        }
        let in_table = self.last == Some(Block::Table) && text.contains('|');
        if text.starts_with('|') || in_table || (text.contains('|') && is_table_rule(next)) {
            return Block::Table;
        }
        if is_rule(text) {
            return Block::Rule;
        }
        let hashes = text.bytes().take_while(|byte| *byte == b'#').count();
        if (1..=6).contains(&hashes) && text[hashes..].starts_with([' ', '\t']) {
            return Block::Heading;
        }
        if text.starts_with('>') {
            return Block::Quote(text.chars().take_while(|c| matches!(c, '>' | ' ')).filter(|c| *c == '>').count());
        }
        if is_list_item(text) { Block::List } else { Block::Paragraph }
    }
}

/// Backticks for a code block: its own, or, for one fenced by tildes (which clients show as text), more than occur
/// inside.
fn code_marks(open: &Fence<'_>, rest: &[&str]) -> String {
    if !open.is_tilde() {
        return open.closing();
    }
    let mut fences = Fences { open: Some(*open) };
    let inside = rest.iter().take_while(|line| fences.next(line) == Kind::Code);
    let longest = inside.map(|line| line.trim_start().bytes().take_while(|byte| *byte == b'`').count()).max();
    "`".repeat(longest.unwrap_or(0).max(2) + 1)
}

fn is_table_rule(line: &str) -> bool {
    let line = line.trim();
    line.contains('-') && line.contains('|') && line.chars().all(|c| matches!(c, '|' | '-' | ':' | ' '))
}

fn is_rule(text: &str) -> bool {
    ['-', '*', '_']
        .into_iter()
        .any(|mark| text.chars().all(|c| c == mark || c == ' ') && text.chars().filter(|c| *c == mark).count() >= 3)
}

fn is_list_item(text: &str) -> bool {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let rest = if digits > 0 { text[digits..].strip_prefix(['.', ')']) } else { text.strip_prefix(['-', '*', '+']) };
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t']))
}

/// Takes their power from angle brackets that could begin a tag. `<br>` stays: it is harmless, and models write it in
/// tables. Code within the line keeps its look.
fn neutralise(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(at) = rest.find(['<', '`']) {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        if let Some(code) = code_span(rest) {
            out.push_str(&guard(code));
            rest = &rest[code.len()..];
            continue;
        }
        let (special, after) = rest.split_at(1);
        match (special, break_tag(rest)) {
            ("<", Some(length)) => {
                out.push_str("<br>");
                rest = &rest[length..];
                continue;
            }
            ("<", None) if after.starts_with(|c: char| c.is_alphabetic() || matches!(c, '/' | '!' | '?')) => {
                out.push_str("&lt;");
            }
            _ => out.push_str(special),
        }
        rest = after;
    }
    out.push_str(rest);
    out
}

/// Breaks the tag that mentions people, and only that, by a character of no width. Code is otherwise left as it is, but
/// clients don't agree on where code begins, so this one tag must not stand even there.
fn guard(code: &str) -> String {
    let lower = code.to_ascii_lowercase();
    let mentions = lower.contains("atid");
    let mut out = String::with_capacity(code.len());
    let mut copied = 0;
    for (at, tag) in lower.match_indices("<a") {
        let after = &lower[at + tag.len()..];
        if after.is_empty() || (mentions && after.starts_with(char::is_whitespace)) {
            out.push_str(&code[copied..=at]);
            out.push('\u{200b}');
            copied = at + 1;
        }
    }
    out.push_str(&code[copied..]);
    out
}

/// Code in backticks at the beginning of `text`, with its marks.
fn code_span(text: &str) -> Option<&str> {
    let marks = text.bytes().take_while(|byte| *byte == b'`').count();
    if marks == 0 {
        return None;
    }
    let mut from = marks;
    while let Some(at) = text[from..].find('`') {
        let start = from + at;
        let length = text[start..].bytes().take_while(|byte| *byte == b'`').count();
        if length == marks {
            return Some(&text[..start + length]);
        }
        from = start + length;
    }
    None
}

/// Length of a line break tag at the beginning of `text`.
fn break_tag(text: &str) -> Option<usize> {
    let end = text.find('>')? + 1;
    let inside = text.get(1..end - 1)?.trim_end_matches(['/', ' ']);
    inside.eq_ignore_ascii_case("br").then_some(end)
}

#[cfg(test)]
mod tests;
