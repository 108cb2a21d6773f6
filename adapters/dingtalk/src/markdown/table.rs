//! Tables: as such in cards, row by row as text in messages, where older clients show nothing but bars.

use pulldown_cmark::Alignment;

/// A table that is being read.
pub(super) struct Table {
    pub alignments: Vec<Alignment>,
    /// The header first.
    pub rows: Vec<Vec<String>>,
}

impl Table {
    pub fn new(alignments: Vec<Alignment>) -> Self {
        Self { alignments, rows: Vec::new() }
    }

    /// Lines of a card's table; one blank around every bar, as the platform wants it.
    pub fn for_card(&self) -> Vec<String> {
        let line = |cells: &[String]| format!("| {} |", cells.join(" | "));
        let rule: Vec<String> = self.alignments.iter().map(|alignment| rule(*alignment).to_owned()).collect();
        let mut lines: Vec<String> = self.rows.iter().map(|row| line(row)).collect();
        lines.insert(lines.len().min(1), line(&rule));
        lines
    }

    /// An entry for each row: every cell after the name of its column.
    pub fn for_message(&self) -> Vec<String> {
        let Some((header, rows)) = self.rows.split_first() else { return Vec::new() };
        if rows.is_empty() {
            return vec![format!("- {}", header.join("; "))];
        }
        let entry = |row: &Vec<String>| {
            let cells = row.iter().enumerate().map(|(number, cell)| {
                let cell = if cell.is_empty() { "–" } else { cell };
                match header.get(number).filter(|name| !name.is_empty()) {
                    Some(name) => format!("{name}: {cell}"),
                    None => cell.to_owned(),
                }
            });
            format!("- {}", cells.collect::<Vec<_>>().join("; "))
        };
        rows.iter().map(entry).collect()
    }
}

fn rule(alignment: Alignment) -> &'static str {
    match alignment {
        Alignment::None => "---",
        Alignment::Left => ":---",
        Alignment::Center => ":---:",
        Alignment::Right => "---:",
    }
}
