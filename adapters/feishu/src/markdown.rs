//! A model's Markdown as Feishu's card element renders it: CommonMark without HTML, and tables.
//!
//! The text is read into a tree and written again from it. Where the platform renders what the model wrote, the node
//! is written as it was; these are written differently:
//!
//! | node | written as |
//! | --- | --- |
//! | tags, comments, `<` in general | text, so that nobody is mentioned and no card structure comes in |
//! | images | links: the platform takes keys of its own only, and a foreign address makes the card fail |
//! | links to anything but web and mail addresses | text that shows the target |
//! | links whose text looks like another address | the link, and where it really goes |
//! | link definitions and footnotes | text; nothing refers to a place elsewhere in the answer |
//! | boxes of task lists | ☐ and ☑ |
//! | tables beyond [`MAX_TABLES`] | code |
//!
//! The client types on only what begins with what it has. So a running answer is written by [`growing`], which leaves
//! its end out for as long as what follows could still change how it is written.
//!
//! Source: "Card JSON 2.0: rich text component", checked May 2026.

mod links;
mod render;
mod source;
mod undecided;

use render::{Ending, render};

/// Reports of how many tables a card can hold differ between 3 and 5.
pub(crate) const MAX_TABLES: usize = 3;

/// Goes between `<` and a dangerous name where an entity would be shown as such: inside code.
const INVISIBLE: char = '\u{200b}';

/// What characters are written as where they would begin a tag, a target, a definition, an image.
const ENTITIES: [(&str, char); 4] = [("&#60;", '<'), ("&#40;", '('), ("&#58;", ':'), ("&#33;", '!')];

/// Writes a whole answer.
pub(crate) fn safe(text: &str) -> String {
    render(text, Ending::Closed)
}

/// Writes an answer that is not at its end, as far as that is certain.
pub(crate) fn growing(text: &str) -> String {
    render(&text[..undecided::certain(text)], Ending::Open)
}

/// What [`safe`] gave, for places without Markdown.
pub(crate) fn plain(shown: &str) -> String {
    safe_text(&readable(shown))
}

/// What [`safe`] gave, as it was written.
pub(crate) fn readable(shown: &str) -> String {
    let mut text = shown.to_owned();
    for (entity, character) in ENTITIES {
        text = text.replace(entity, character.encode_utf8(&mut [0; 4]));
    }
    text
}

/// Text for places without Markdown in which tags may work all the same: text messages, titles, labels.
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

#[cfg(test)]
mod tests;
