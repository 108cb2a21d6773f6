//! Where a Markdown text may be cut, and what has to be closed and opened again there.

use std::ops::Range;

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag};

/// The longest closing that is kept room for; longer fences are not closed by their full length.
const LONGEST_FENCE: usize = 40;

/// How good a place is for the end of a page, best last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Quality {
    /// Inside of something that does not go on on another page.
    Last,
    Anywhere,
    Word,
    Line,
    Entry,
    Block,
}

/// Something that can be cut if it is closed and opened again.
pub(super) struct Region {
    range: Range<usize>,
    kind: Kind,
}

enum Kind {
    /// Opening line and fence, both as they stand behind what contains them.
    Code { opening: String, fence: String, container: String },
    /// The two lines of the head.
    Table { head: String, container: String },
    /// Code inside of text, by its backticks.
    Span { ticks: String },
}

impl Region {
    /// What the next page begins with; a shorter form where this takes more than `most` bytes.
    pub(super) fn reopening(&self, most: usize) -> String {
        match &self.kind {
            Kind::Code { opening, fence, container } => {
                let container = kept(container);
                let opening = if opening.len() + container.len() <= most { opening } else { fence };
                format!("{container}{opening}\n")
            }
            Kind::Table { head, .. } if head.len() <= most => head.clone(),
            Kind::Table { .. } => String::new(),
            Kind::Span { ticks } => ticks.clone(),
        }
    }

    /// What `page`, which ends inside, ends with.
    pub(super) fn closing(&self, page: &str) -> String {
        match &self.kind {
            Kind::Code { fence, container, .. } => {
                let line = if page.ends_with('\n') { "" } else { "\n" };
                format!("{line}{container}{fence}")
            }
            Kind::Table { .. } => String::new(),
            Kind::Span { ticks } => ticks.clone(),
        }
    }

    /// The blanks at the beginning of its lines that belong to what contains it.
    pub(super) fn indent(&self) -> usize {
        match &self.kind {
            Kind::Code { container, .. } | Kind::Table { container, .. } if kept(container).is_empty() => {
                container.len()
            }
            _ => 0,
        }
    }
}

/// What contains a block on the next page: a quote goes on, a list does not.
fn kept(container: &str) -> &str {
    if container.contains('>') { container } else { "" }
}

/// A text's structure.
pub(super) struct Layout<'a> {
    text: &'a str,
    /// Beginnings of blocks, entries and lines, in order.
    places: Vec<(usize, Quality)>,
    regions: Vec<Region>,
    /// Links and entities.
    whole: Vec<Range<usize>>,
}

impl<'a> Layout<'a> {
    pub(super) fn of(text: &'a str) -> Self {
        let mut layout = Self { text, places: Vec::new(), regions: Vec::new(), whole: Vec::new() };
        let (mut blocks, mut entries) = (Vec::new(), Vec::new());
        let mut depth = 0_usize;
        for (event, range) in Parser::new_ext(text, Options::ENABLE_TABLES).into_offset_iter() {
            if depth == 0 && matches!(event, Event::Start(_) | Event::Rule) {
                blocks.push(layout.line_of(range.start));
            }
            match &event {
                Event::Start(_) => depth += 1,
                Event::End(_) => depth -= 1,
                _ => {}
            }
            if matches!(event, Event::Start(Tag::Item)) {
                entries.push(layout.line_of(range.start));
            }
            layout.note(&event, range);
        }
        layout.regions.sort_by_key(|region| region.range.start);
        let lines = text.match_indices('\n').map(|(end, _)| end + 1).filter(|start| *start < text.len());
        layout.places = lines
            .map(|start| {
                let quality = match () {
                    () if blocks.binary_search(&start).is_ok() => Quality::Block,
                    () if entries.binary_search(&start).is_ok() => Quality::Entry,
                    () => Quality::Line,
                };
                (start, quality)
            })
            .collect();
        layout
    }

    fn note(&mut self, event: &Event<'_>, range: Range<usize>) {
        let text = self.text;
        match event {
            Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(_))) => {
                let opening = text[range.clone()].lines().next().unwrap_or_default().to_owned();
                let mark = opening.chars().next().unwrap_or('`');
                let fence: String = opening.chars().take_while(|c| *c == mark).take(LONGEST_FENCE).collect();
                let container = self.container(range.start);
                self.regions.push(Region { range, kind: Kind::Code { opening, fence, container } });
            }
            Event::Start(Tag::Table(_)) => {
                let line = self.line_of(range.start);
                let container = self.container(range.start);
                let head: String = text[line..range.end].split_inclusive('\n').take(2).collect();
                let head = head.get(container.len()..).map(|rest| format!("{}{rest}", kept(&container)));
                // The second line has the container's blanks as well.
                let head =
                    head.unwrap_or_default().replace(&format!("\n{container}"), &format!("\n{}", kept(&container)));
                self.regions.push(Region { range, kind: Kind::Table { head, container } });
            }
            Event::Code(_) => {
                let ticks: String = text[range.clone()].chars().take_while(|c| *c == '`').collect();
                self.regions.push(Region { range, kind: Kind::Span { ticks } });
            }
            Event::Start(Tag::Link { .. }) => self.whole.push(range),
            Event::Text(shown) if text[range.clone()].starts_with('&') && text.get(range.clone()) != Some(&**shown) => {
                self.whole.push(range);
            }
            _ => {}
        }
    }

    fn line_of(&self, at: usize) -> usize {
        self.text[..at].rfind('\n').map_or(0, |end| end + 1)
    }

    /// What stands before a block in its line, as it stands before its further lines.
    fn container(&self, start: usize) -> String {
        self.text[self.line_of(start)..start].chars().map(|c| if c == '>' { '>' } else { ' ' }).collect()
    }

    /// The innermost region that `at` lies inside of.
    pub(super) fn region_at(&self, at: usize) -> Option<&Region> {
        self.regions.iter().rev().find(|region| region.range.start < at && at < region.range.end)
    }

    /// `at`, or the beginning of the link, entity or code inside of text that it lies in.
    pub(super) fn outside(&self, at: usize) -> usize {
        let spans = self.regions.iter().filter(|region| matches!(region.kind, Kind::Span { .. }));
        let ranges = self.whole.iter().chain(spans.map(|region| &region.range));
        ranges.filter(|range| range.start < at && at < range.end).map(|range| range.start).min().unwrap_or(at)
    }

    /// Room for whatever has to be closed.
    pub(super) fn longest_closing(&self) -> usize {
        let closing = |region: &Region| match &region.kind {
            Kind::Code { fence, container, .. } => fence.len() + container.len() + 2,
            Kind::Table { .. } => 0,
            Kind::Span { ticks } => ticks.len(),
        };
        self.regions.iter().map(closing).max().unwrap_or(0)
    }

    /// The best place for a page's end after the middle between `start` and `farthest`, and not behind that.
    pub(super) fn best_cut(&self, start: usize, farthest: usize) -> usize {
        let mut middle = start + (farthest - start) / 2;
        while !self.text.is_char_boundary(middle) {
            middle += 1;
        }
        let first = self.places.partition_point(|(at, _)| *at <= middle);
        let last = self.places.partition_point(|(at, _)| *at <= farthest);
        let lines = self.places[first..last.max(first)].iter().map(|(at, quality)| (self.judged(*at, *quality), *at));
        let best = lines.max().filter(|(quality, _)| *quality > Quality::Last);
        best.map_or_else(|| self.cut_in_line(middle.max(start + 1), farthest), |(_, at)| at)
    }

    /// A place inside of a line, behind a blank if there is one.
    fn cut_in_line(&self, middle: usize, farthest: usize) -> usize {
        let Some(range) = self.text.get(middle..farthest) else { return farthest };
        let places = range.char_indices().map(|(at, character)| {
            let quality = if character.is_whitespace() { Quality::Word } else { Quality::Anywhere };
            let at = middle + at + character.len_utf8();
            (self.judged(at, quality), at)
        });
        places.max().map_or(farthest, |(_, at)| at)
    }

    /// A line is no good place right behind a fence or inside a table's head; nothing is inside of links.
    fn judged(&self, at: usize, quality: Quality) -> Quality {
        let inside = |range: &Range<usize>| range.start < at && at < range.end;
        if self.whole.iter().any(inside) {
            return Quality::Last;
        }
        let Some(region) = self.region_at(at) else { return quality };
        let lines_before = self.text[region.range.start..at].matches('\n').take(3).count();
        let at_end = !self.text[at..region.range.end].trim_end().contains('\n');
        match &region.kind {
            Kind::Code { .. } if lines_before < 2 || at_end => quality.min(Quality::Anywhere),
            Kind::Table { .. } if lines_before < 3 => quality.min(Quality::Anywhere),
            Kind::Span { .. } => Quality::Last,
            _ => quality.min(Quality::Line),
        }
    }
}
