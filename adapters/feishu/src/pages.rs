//! Splitting an answer that is too long for one card. Nothing is lost, and code stays code on the next page.

/// Room for text on one page, as it counts inside a JSON string. With title, reasoning, buttons and footer a card
/// stays under the 28 KB that are safe below the platform's 30 KB.
pub(crate) const PAGE_BYTES: usize = 20_000;

/// Kept free on each page for closing a code block.
const MARGIN: usize = 16;
/// A line that opens a code block is repeated on the next page if it is no longer than this.
const LONGEST_OPENING: usize = 40;

/// Splits safe Markdown into pages of at most `limit` bytes each, as written inside a JSON string. Always at least one.
pub(crate) fn split(text: &str, limit: usize) -> Vec<String> {
    let mut pages = Pages { done: Vec::new(), page: String::new(), used: 0, fence: None, limit };
    for line in text.split_inclusive('\n') {
        pages.line(line);
    }
    pages.done.push(pages.page);
    pages.done
}

/// Bytes of a character inside a JSON string.
fn cost(character: char) -> usize {
    match character {
        '"' | '\\' | '\n' | '\r' | '\t' | '\u{8}' | '\u{c}' => 2,
        '\0'..='\u{1f}' => 6,
        other => other.len_utf8(),
    }
}

/// Bytes of a text inside a JSON string.
pub(crate) fn json_bytes(text: &str) -> usize {
    text.chars().map(cost).sum()
}

struct Pages {
    done: Vec<String>,
    page: String,
    used: usize,
    /// The line that opened the code block we are in.
    fence: Option<String>,
    limit: usize,
}

impl Pages {
    fn line(&mut self, line: &str) {
        let marker = fence_marker(line);
        if self.used > 0 && self.used + json_bytes(line) + MARGIN > self.limit {
            self.turn();
        }
        self.push_long(line);
        match (&self.fence, marker) {
            (None, Some(_)) if line.len() <= LONGEST_OPENING => self.fence = Some(line.trim_end().to_owned()),
            (None, Some(marker)) if marker.len() <= LONGEST_OPENING => self.fence = Some(marker.to_owned()),
            (Some(open), Some(marker)) if closes(open, marker, line) => self.fence = None,
            _ => {}
        }
    }

    /// Adds a line, cutting it where it alone is longer than a page.
    fn push_long(&mut self, line: &str) {
        for character in line.chars() {
            if self.used + cost(character) + MARGIN > self.limit && self.used > self.limit / 2 {
                self.turn();
            }
            self.page.push(character);
            self.used += cost(character);
        }
    }

    fn turn(&mut self) {
        let mut page = std::mem::take(&mut self.page);
        self.used = 0;
        if let Some(open) = self.fence.clone() {
            if let Some(marker) = fence_marker(&open) {
                if !page.ends_with('\n') {
                    page.push('\n');
                }
                page.push_str(marker);
            }
            self.page = format!("{open}\n");
            self.used = json_bytes(&self.page);
        }
        self.done.push(page);
    }
}

/// The backticks or tildes that a line begins with, if they are a fence.
fn fence_marker(line: &str) -> Option<&str> {
    let line = line.trim_start();
    let first = line.chars().next().filter(|first| matches!(first, '`' | '~'))?;
    let length = line.chars().take_while(|character| *character == first).count();
    (length >= 3).then(|| &line[..length])
}

fn closes(open: &str, marker: &str, line: &str) -> bool {
    let fits = fence_marker(open).is_some_and(|open| marker.starts_with(open));
    fits && line.trim() == marker
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn code_block_goes_on_as_code_on_the_next_page() {
        let text = format!("intro\n```rust\n{}```\nend\n", "let x = 1;\n".repeat(20));
        let pages = split(&text, 120);
        assert!(pages.len() > 2);
        assert!(pages[0].ends_with("\n```") && pages[1].starts_with("```rust\n"));
        assert!(pages.last().expect("a page").ends_with("```\nend\n"));
    }

    #[test]
    fn short_text_is_one_page_and_so_is_none() {
        assert_eq!(split("hello\n", 100), ["hello\n"]);
        assert_eq!(split("", 100), [""]);
    }

    proptest! {
        #[test]
        fn splitting_loses_no_character(text in "[a-z\"é\n 你]{0,600}", limit in 60_usize..300) {
            let pages = split(&text, limit);
            prop_assert_eq!(pages.concat(), text);
            prop_assert!(pages.iter().all(|page| json_bytes(page) <= limit));
        }
    }
}
