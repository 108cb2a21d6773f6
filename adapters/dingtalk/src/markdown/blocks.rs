//! Blocks: what stands between them, and how each begins and ends.

use std::ops::Range;

use pulldown_cmark::{CodeBlockKind, HeadingLevel, LinkType, Tag, TagEnd};

use super::Dialect;
use super::inline::{guarded, longest_run};
use super::link::OpenLink;
use super::table::Table;
use super::writer::{Around, Block, Writer};

/// Quotes and lists deeper than this are written as if they were this deep.
const DEEPEST: usize = 8;
/// Lower headings are not known to cards.
const LOWEST_HEADING_OF_CARDS: usize = 5;
const SHORTEST_RULE: usize = 3;

impl Writer<'_> {
    pub fn start(&mut self, tag: Tag<'_>, range: &Range<usize>) {
        match tag {
            Tag::Emphasis => self.mark("*"),
            Tag::Strong => self.mark("**"),
            Tag::Strikethrough => self.mark(self.strike(range)),
            Tag::Link { link_type, dest_url, title, .. } | Tag::Image { link_type, dest_url, title, .. } => {
                self.open_link(link_type, &dest_url, &title);
            }
            Tag::TableCell => self.cell_from = self.out.len(),
            Tag::TableHead | Tag::TableRow => {
                if let Some(table) = &mut self.table {
                    table.rows.push(Vec::new());
                }
                self.done = range.start;
            }
            block => self.start_block(block, range),
        }
    }

    fn start_block(&mut self, tag: Tag<'_>, range: &Range<usize>) {
        self.leave_text();
        self.show_left_out(range.start);
        self.done = range.start;
        match tag {
            Tag::Heading { level, .. } if !self.is_underlined(level, range) => {
                self.begin(Block::Heading);
                let level = match self.dialect {
                    Dialect::Card => (level as usize).min(LOWEST_HEADING_OF_CARDS),
                    Dialect::Message => level as usize,
                };
                self.out.extend(["#".repeat(level).as_str(), " "]);
                self.text_block = Some(Block::Heading);
            }
            Tag::BlockQuote(_) => {
                self.begin(Block::Quote);
                if self.depth() < DEEPEST {
                    self.out.push_str("> ");
                }
                self.around.push(Around::Quote);
                self.fresh = true;
            }
            Tag::List(first) => {
                self.begin(Block::List);
                self.around.push(Around::List(first.map(|first| first.saturating_sub(1))));
            }
            Tag::Item => self.start_item(range),
            Tag::CodeBlock(kind) => {
                let info = match kind {
                    CodeBlockKind::Fenced(_) => self.info(range),
                    CodeBlockKind::Indented => String::new(),
                };
                self.begin(Block::Code);
                self.code = Some((info, String::new()));
            }
            Tag::Table(alignments) => {
                self.begin(Block::Table);
                self.table = Some(Table::new(alignments));
            }
            Tag::FootnoteDefinition(label) => {
                self.begin(Block::Paragraph);
                self.text_block = Some(Block::Paragraph);
                self.plain(&format!("[^{label}] "));
                self.text_block = None;
                self.fresh = true;
                let slice = &self.source[range.clone()];
                self.done = range.start + slice.find("]:").map_or(0, |at| at + 2);
            }
            Tag::Paragraph | Tag::Heading { .. } => self.enter_text(),
            _ => {}
        }
    }

    /// What follows the marks that open a code block.
    fn info(&self, range: &Range<usize>) -> String {
        let line = self.source[range.clone()].lines().next().unwrap_or_default();
        line.trim_start_matches(['`', '~']).trim().replace('`', "'").replace('<', "&lt;")
    }

    fn start_item(&mut self, range: &Range<usize>) {
        let slice = &self.source[range.clone()];
        let digits = slice.bytes().take_while(u8::is_ascii_digit).count();
        let told = slice[..digits].parse::<u64>().unwrap_or(0);
        let in_list = self.around.iter().rev().skip(1).any(|around| matches!(around, Around::List(_)));
        let marker = match self.around.last_mut() {
            Some(Around::List(Some(number))) => {
                // Models number every entry 1, and clients show what stands there.
                *number = told.max(number.saturating_add(1));
                // Cards know numbers in outermost lists only.
                if in_list && self.dialect == Dialect::Card { format!("- ({number}) ") } else { format!("{number}. ") }
            }
            _ => "- ".to_owned(),
        };
        self.begin(Block::Item);
        self.out.push_str(&marker);
        self.around.push(Around::Item);
        self.fresh = true;
        self.done = range.start + if digits > 0 { digits + 1 } else { 1 };
    }

    pub fn end(&mut self, tag: TagEnd, range: &Range<usize>) {
        match tag {
            TagEnd::Emphasis => return self.out.push('*'),
            TagEnd::Strong => return self.out.push_str("**"),
            TagEnd::Strikethrough => return self.out.push_str(self.strike(range)),
            TagEnd::Link | TagEnd::Image => {
                if let Some(link) = self.links.pop() {
                    link.close(&mut self.out);
                }
            }
            TagEnd::TableCell => self.end_cell(),
            TagEnd::TableHead => {}
            TagEnd::TableRow => self.end_row(range),
            TagEnd::Table => self.end_table(),
            TagEnd::CodeBlock => self.end_code(range),
            TagEnd::Heading(level) if self.is_underlined(level, range) => {
                let line = self.source[range.clone()].trim_end().rsplit(['\n', '>', ' ']).next().unwrap_or_default();
                if line.len() < SHORTEST_RULE {
                    // A list that has just begun.
                    self.line_break();
                    self.plain(line);
                    self.leave_text();
                } else {
                    self.rule(range);
                }
            }
            TagEnd::List(_) => self.end_container(Block::List, range),
            TagEnd::Item => self.end_container(Block::Item, range),
            TagEnd::BlockQuote(_) => self.end_container(Block::Quote, range),
            TagEnd::FootnoteDefinition => {
                self.leave_text();
                self.show_left_out(range.end);
                self.fresh = false;
                self.last = Some(Block::Paragraph);
            }
            _ => self.leave_text(),
        }
        self.done = self.done.max(range.end);
    }

    fn end_container(&mut self, block: Block, range: &Range<usize>) {
        self.leave_text();
        self.show_left_out(range.end);
        self.around.pop();
        self.fresh = false;
        self.last = Some(block);
    }

    pub fn rule(&mut self, range: &Range<usize>) {
        self.leave_text();
        self.show_left_out(range.start);
        self.begin(Block::Rule);
        self.out.push_str("***");
        self.last = Some(Block::Rule);
    }

    fn mark(&mut self, mark: &str) {
        self.enter_text();
        self.out.push_str(mark);
        self.at_line_start = false;
    }

    /// No dialect knows it, but everybody reads it so; as many marks as the source has.
    fn strike(&self, range: &Range<usize>) -> &'static str {
        if self.source[range.clone()].starts_with("~~") { "~~" } else { "~" }
    }

    fn open_link(&mut self, kind: LinkType, address: &str, title: &str) {
        self.enter_text();
        self.at_line_start = false;
        let mut link = OpenLink::new(kind, address, title, !self.links.is_empty(), self.place());
        link.open(&mut self.out);
        self.links.push(link);
    }

    /// A line of hyphens below a paragraph: a heading by the rules, and a rule to every model that writes one.
    fn is_underlined(&self, level: HeadingLevel, range: &Range<usize>) -> bool {
        level == HeadingLevel::H2 && !self.source[range.clone()].starts_with('#')
    }

    fn end_cell(&mut self) {
        let cell = self.out.split_off(self.cell_from).trim().to_owned();
        if let Some(row) = self.table.as_mut().and_then(|table| table.rows.last_mut()) {
            row.push(cell);
        }
    }

    /// Cells beyond the header's are left out by the parser; they go into the last one.
    fn end_row(&mut self, range: &Range<usize>) {
        let surplus = self.source.get(self.done..range.end).unwrap_or_default().trim_matches(['|', ' ', '\t', '\n']);
        if surplus.is_empty() {
            return;
        }
        self.cell_from = self.out.len();
        self.plain(surplus);
        let surplus = self.out.split_off(self.cell_from);
        if let Some(cell) = self.table.as_mut().and_then(|table| table.rows.last_mut()).and_then(|row| row.last_mut()) {
            cell.extend([" ", &surplus]);
        }
    }

    fn end_table(&mut self) {
        let Some(table) = self.table.take() else { return };
        let lines = match self.dialect {
            Dialect::Card => table.for_card(),
            Dialect::Message => table.for_message(),
        };
        self.lines(lines.iter().map(String::as_str));
        self.last = Some(Block::Table);
    }

    fn end_code(&mut self, range: &Range<usize>) {
        let Some((info, mut code)) = self.code.take() else { return };
        // A closing line that has just begun would be shown as code for a moment.
        let begun = code.len() - code.trim_end_matches('`').len();
        let before = &code[..code.len() - begun];
        let own_line = before.is_empty() || before.ends_with('\n');
        if range.end == self.source.len() && own_line && (1..3).contains(&begun) {
            code.truncate(code.len() - begun);
        }
        let marks = "`".repeat(longest_run(&code, '`').max(2) + 1);
        let opening = format!("{marks}{info}");
        let code = guarded(code.strip_suffix('\n').unwrap_or(&code));
        let inside = code.split('\n').filter(|_| !code.is_empty());
        self.lines(std::iter::once(opening.as_str()).chain(inside).chain([marks.as_str()]));
        self.last = Some(Block::Code);
    }

    fn lines<'l>(&mut self, lines: impl Iterator<Item = &'l str>) {
        for (number, line) in lines.enumerate() {
            match (number, line) {
                (0, _) => {}
                (_, "") => self.empty_line(),
                _ => self.new_line(),
            }
            self.out.push_str(line);
        }
    }

    /// What the parser took for definitions of links and gives no event for.
    pub fn show_left_out(&mut self, until: usize) {
        let gap = self.source.get(self.done..until).unwrap_or_default();
        self.done = self.done.max(until);
        if !gap.contains("]:") {
            return;
        }
        for line in gap.lines().map(|line| line.trim_matches(['>', ' ', '\t'])).filter(|line| !line.is_empty()) {
            if self.text_block.is_some() {
                self.line_break();
            }
            self.plain(line);
        }
        self.leave_text();
    }

    /// Goes to where the next block stands.
    pub fn begin(&mut self, block: Block) {
        if self.fresh {
            self.fresh = matches!(block, Block::List);
            if matches!(block, Block::Code | Block::Table) {
                self.begin_lines_of_item();
            }
            return;
        }
        let Some(last) = self.last else { return };
        let in_item = self.around.last() == Some(&Around::Item);
        match (last, block) {
            // The list itself has taken care.
            (_, Block::Item) => self.new_line(),
            (Block::Paragraph, Block::List) if in_item => {}
            (Block::Paragraph, Block::Paragraph) if in_item && self.dialect == Dialect::Card => {
                self.out.push_str("<br>")
            }
            (_, Block::List) => self.empty_line(),
            _ => {
                self.empty_line();
                self.new_line();
            }
        }
    }

    /// All lines of a block must begin in one column, so the first one goes there behind the entry's marker; if it
    /// can't, it takes the next line.
    fn begin_lines_of_item(&mut self) {
        let Some(Around::Item) = self.around.last() else { return };
        let line = self.out.rfind('\n').map_or(0, |at| at + 1);
        let column = self.prefix().len();
        let written = self.out.len() - line;
        if (column - 2..=column).contains(&written) {
            self.out.push_str(&" ".repeat(column - written));
        } else {
            self.new_line();
        }
    }

    fn new_line(&mut self) {
        let prefix = self.prefix();
        self.out.push('\n');
        self.out.push_str(&prefix);
    }

    fn empty_line(&mut self) {
        let prefix = self.prefix();
        self.out.push('\n');
        self.out.push_str(prefix.trim_end());
    }

    /// What every line within the current containers begins with.
    pub fn prefix(&self) -> String {
        let marks = self.around.iter().filter_map(|around| match around {
            Around::Quote => Some("> "),
            Around::Item => Some("    "),
            Around::List(_) => None,
        });
        marks.take(DEEPEST).collect()
    }

    fn depth(&self) -> usize {
        self.around.iter().filter(|around| !matches!(around, Around::List(_))).count()
    }
}
