//! The XML of a document's body or of a slide as text.
//!
//! Word's and PowerPoint's vocabularies share the local names that matter: `p` is a paragraph, `r` a run, `t` its text,
//! `tbl`, `tr` and `tc` are a table, a row and a cell (ECMA-376 part 1, §17 and §21.1). Headings and lists become
//! Markdown, since models read that.

use std::io::BufRead;

use magpie_core::attachment::ReadError;
use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use super::is_too_long;
use crate::output::{Halt, Output};

/// Reads until the end or until `output` is full.
pub(super) fn read(part: impl BufRead, output: &mut Output) -> Result<(), Halt> {
    let mut reader = Reader::from_reader(part);
    // Markup that is a little wrong still has its text.
    reader.config_mut().check_end_names = false;
    let mut body = Body::default();
    let mut buffer = Vec::new();
    loop {
        output.check()?;
        buffer.clear();
        match reader.read_event_into(&mut buffer) {
            Ok(Event::Start(element)) => body.open(&element, output)?,
            Ok(Event::Empty(element)) => {
                body.open(&element, output)?;
                body.close(element.local_name().as_ref(), output)?;
            }
            Ok(Event::End(element)) => body.close(element.local_name().as_ref(), output)?,
            Ok(Event::Text(text)) => body.text(&text.xml10_content()),
            Ok(Event::CData(text)) => body.text(&text.xml10_content()),
            Ok(Event::GeneralRef(reference)) => body.text(&resolved(&reference)),
            Ok(Event::Eof) => return body.end(output),
            Ok(_) => {}
            Err(quick_xml::Error::Io(error)) if is_too_long(&error) => {
                return Err(ReadError::TooLarge { what: "it is too long when unpacked" }.into());
            }
            Err(_) => return Err(ReadError::Damaged { what: "its markup can't be read" }.into()),
        }
    }
}

/// Only what XML itself defines; a document type's own entities are never expanded.
fn resolved(reference: &quick_xml::events::BytesRef<'_>) -> String {
    match reference.resolve_char_ref() {
        Ok(Some(character)) => character.to_string(),
        _ => quick_xml::escape::resolve_predefined_entity(reference).unwrap_or_default().to_owned(),
    }
}

/// What is open at the moment.
#[derive(Default)]
struct Body {
    in_text: bool,
    in_run: bool,
    /// Elements open inside a copy of the same content for old programs.
    skipped: usize,
    paragraph: String,
    /// Level of the heading that the paragraph is, 1 to 6; 0 if it is none.
    heading: usize,
    /// Level of the list item that the paragraph is, from 0.
    item: Option<usize>,
    /// Tables inside one another; only the outermost keeps its shape.
    tables: usize,
    cells: Vec<String>,
    /// Rows of this table so far.
    rows: usize,
}

impl Body {
    fn open(&mut self, element: &BytesStart<'_>, output: &mut Output) -> Result<(), Halt> {
        let name = element.local_name();
        if self.skipped > 0 || name.as_ref() == "Fallback" {
            self.skipped += 1;
            return Ok(());
        }
        match name.as_ref() {
            "t" => self.in_text = true,
            "r" => self.in_run = true,
            "tab" if self.in_run => self.paragraph.push('\t'),
            "br" | "cr" => self.paragraph.push('\n'),
            "noBreakHyphen" => self.paragraph.push('-'),
            "pStyle" => {
                let style = value(element);
                self.heading = heading_of_style(&style);
                self.item = item_of_style(&style).or(self.item);
            }
            "outlineLvl" => self.heading = value(element).parse().map_or(0, |level: usize| (level + 1).min(6)),
            "numPr" => self.item = Some(self.item.unwrap_or_default()),
            "ilvl" => self.item = value(element).parse().ok().map(|level: usize| level.min(8)),
            "tbl" => {
                if self.tables == 0 {
                    output.push("\n\n")?;
                    self.rows = 0;
                }
                self.tables += 1;
            }
            "tc" if self.tables == 1 => self.cells.push(String::new()),
            _ => {}
        }
        Ok(())
    }

    fn close(&mut self, name: &str, output: &mut Output) -> Result<(), Halt> {
        if self.skipped > 0 {
            self.skipped -= 1;
            return Ok(());
        }
        match name {
            "t" => self.in_text = false,
            "r" => self.in_run = false,
            "p" => self.end_paragraph(output)?,
            "tr" if self.tables == 1 => self.end_row(output)?,
            "tbl" => {
                self.tables = self.tables.saturating_sub(1);
                if self.tables == 0 {
                    output.push("\n\n")?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn text(&mut self, text: &str) {
        if self.in_text && self.skipped == 0 {
            self.paragraph.push_str(text);
        }
    }

    fn end_paragraph(&mut self, output: &mut Output) -> Result<(), Halt> {
        let paragraph = std::mem::take(&mut self.paragraph);
        let (heading, item) = (std::mem::take(&mut self.heading), self.item.take());
        if self.tables > 0 {
            let Some(cell) = self.cells.last_mut() else { return Ok(()) };
            let words = paragraph.split_whitespace().flat_map(|word| [" ", word]);
            cell.extend(words.skip(usize::from(cell.is_empty())));
            return Ok(());
        }
        if paragraph.trim().is_empty() {
            return output.push("\n");
        }
        match (heading, item) {
            (0, None) => {}
            (0, Some(level)) => output.push(&format!("{}- ", "  ".repeat(level)))?,
            (level, _) => output.push(&format!("\n{} ", "#".repeat(level)))?,
        }
        output.push(&paragraph)?;
        output.push("\n")
    }

    fn end_row(&mut self, output: &mut Output) -> Result<(), Halt> {
        let cells = std::mem::take(&mut self.cells);
        for cell in &cells {
            output.push(&format!("| {} ", cell.replace('|', "\\|")))?;
        }
        output.push("|\n")?;
        self.rows += 1;
        if self.rows == 1 {
            output.push(&"| --- ".repeat(cells.len()))?;
            output.push("|\n")?;
        }
        Ok(())
    }

    /// What a file that breaks off had begun.
    fn end(&mut self, output: &mut Output) -> Result<(), Halt> {
        if self.paragraph.is_empty() { Ok(()) } else { self.end_paragraph(output) }
    }
}

/// The element's `val`, whatever its prefix.
fn value(element: &BytesStart<'_>) -> String {
    let mut attributes = element.attributes();
    let found = attributes
        .with_checks(false)
        .filter_map(Result::ok)
        .find(|attribute| attribute.key.local_name().as_ref() == "val");
    found.map(|attribute| attribute.value.into_owned()).unwrap_or_default()
}

/// Level of the built-in styles that number by themselves: `ListBullet`, `ListNumber2`, ….
fn item_of_style(style: &str) -> Option<usize> {
    let level = style.strip_prefix("ListBullet").or_else(|| style.strip_prefix("ListNumber"))?;
    Some(level.parse().map_or(0, |level: usize| level.saturating_sub(1).min(8)))
}

/// Word's built-in headings are called `Heading1` … `Heading9` and `Title`, in Chinese versions `1` … `9`.
fn heading_of_style(style: &str) -> usize {
    let level = style.strip_prefix("Heading").or_else(|| style.strip_prefix("heading")).unwrap_or(style);
    match level.trim() {
        "Title" => 1,
        level => level.parse().ok().filter(|level| (1..=9).contains(level)).map_or(0, |level: usize| level.min(6)),
    }
}
