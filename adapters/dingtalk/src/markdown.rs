//! A model's Markdown in the dialects that DingTalk renders.
//!
//! The text is parsed, and written anew from the tree: what a dialect lacks becomes readable text, a line break is
//! written in the dialect's own way (a plain one is lost), and links say where they lead. Nothing a person could read
//! is lost: text is copied from the source with its escapes, and what the parser leaves out (definitions of links,
//! surplus cells) is shown.
//!
//! What must not get through, because it would act in the bot's name: tags (`<a atId=…>` mentions somebody), links
//! with the client's own schemes (`dtmd://` sends messages), and links that look as if they led somewhere else.
//! Sources: open.dingtalk.com "卡片 Markdown", "机器人消息类型 markdown", August 2026.

mod blocks;
mod inline;
mod link;
mod table;
mod writer;

use pulldown_cmark::Options;

use self::writer::Writer;

/// What a model's Markdown is read as, wherever it is read.
pub(crate) const GRAMMAR: Options = Options::ENABLE_TABLES
    .union(Options::ENABLE_STRIKETHROUGH)
    .union(Options::ENABLE_TASKLISTS)
    .union(Options::ENABLE_FOOTNOTES);

/// The dialects differ in line breaks, tables, headings and nesting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dialect {
    Card,
    Message,
}

/// For Markdown variables of cards. Ends with a visible character; an open code block is closed.
pub(crate) fn for_card(text: &str) -> String {
    Writer::render(text, Dialect::Card)
}

/// For messages by webhook and robot API.
pub(crate) fn for_message(text: &str) -> String {
    Writer::render(text, Dialect::Message)
}

/// A short text of a person or a model (a title, a label) in the middle of Markdown: every character stands for itself.
pub(crate) fn escaped(text: &str) -> String {
    inline::escaped(text)
}

/// The same for where no Markdown is read: only what some clients act on everywhere is broken.
pub(crate) fn plain(text: &str) -> String {
    inline::defused(&inline::guarded(text))
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

#[cfg(test)]
mod tests;
