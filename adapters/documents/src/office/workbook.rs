//! The sheets of an XLSX as rows of cells.

use std::io::Cursor;

use calamine::{DataRef, Reader, Xlsx};
use magpie_core::attachment::ReadError;

use super::{is_too_long, open, part};
use crate::output::{Halt, Output};

/// Empty cells between two others that are shown as such; after that, one stands for all.
const MAX_GAP: u32 = 16;

/// Every sheet under its name, a row a line, cells apart by ` | `.
pub(crate) fn sheets(bytes: &[u8], unpacked_bytes: usize, output: &mut Output) -> Result<(), Halt> {
    measure(bytes, unpacked_bytes, output)?;
    let damaged = || ReadError::Damaged { what: "its sheets can't be read" };
    let mut workbook: Xlsx<_> = Xlsx::new(Cursor::new(bytes)).map_err(|_| damaged())?;
    for name in workbook.sheet_names() {
        // Charts have no cells.
        let Ok(mut cells) = workbook.worksheet_cells_reader(&name) else { continue };
        let mut row = Row::default();
        let mut titled = false;
        while let Some(cell) = cells.next_cell().map_err(|_| damaged())? {
            output.check()?;
            let shown = shown(cell.get_value());
            if shown.trim().is_empty() {
                continue;
            }
            if !std::mem::replace(&mut titled, true) {
                output.push(&format!("\n\n## {name}\n\n"))?;
            }
            row.add(cell.get_position(), &shown, output)?;
        }
    }
    Ok(())
}

/// Where the last cell was.
#[derive(Default)]
struct Row {
    last: Option<(u32, u32)>,
}

impl Row {
    fn add(&mut self, (row, column): (u32, u32), shown: &str, output: &mut Output) -> Result<(), Halt> {
        let gap = match self.last.replace((row, column)) {
            Some((last_row, last_column)) if last_row == row => column.saturating_sub(last_column),
            Some(_) => {
                output.push("\n")?;
                column
            }
            None => column,
        };
        let gap = if gap > MAX_GAP { 1 } else { gap };
        output.push(&" | ".repeat(usize::try_from(gap).unwrap_or_default()))?;
        // A cell of several lines must not look like several rows.
        output.push(&shown.split_whitespace().collect::<Vec<_>>().join(" "))
    }
}

fn shown(value: &DataRef<'_>) -> String {
    match value {
        DataRef::Int(number) => number.to_string(),
        DataRef::Float(number) => number.to_string(),
        DataRef::String(text) | DataRef::DateTimeIso(text) | DataRef::DurationIso(text) => text.clone(),
        DataRef::SharedString(text) => (*text).to_owned(),
        DataRef::Bool(yes) => yes.to_string(),
        DataRef::DateTime(time) if time.is_datetime() => {
            let (year, month, day, hour, minute, second, _) = time.to_ymd_hms_milli();
            let date = format!("{year:04}-{month:02}-{day:02}");
            if (hour, minute, second) == (0, 0, 0) { date } else { format!("{date} {hour:02}:{minute:02}:{second:02}") }
        }
        DataRef::DateTime(time) => time.as_f64().to_string(),
        DataRef::Error(error) => error.to_string(),
        DataRef::Empty => String::new(),
    }
}

/// Unpacks once, to nowhere, what the library would unpack into memory without a limit.
fn measure(bytes: &[u8], unpacked_bytes: usize, output: &Output) -> Result<(), Halt> {
    let mut archive = open(bytes)?;
    let names: Vec<String> = archive.file_names().filter_map(|name| Some(name.ok()?.into_owned())).collect();
    // These are strings that all sheets share, and styles: they take many times their length.
    let limit = unpacked_bytes / 2;
    let mut total = 0_u64;
    for name in names.iter().filter(|name| !name.starts_with("xl/worksheets/sheet")) {
        output.check()?;
        let known = name.ends_with(".xml") || name.ends_with(".rels") || name.ends_with(".bin");
        if !known {
            continue;
        }
        let length = std::io::copy(&mut part(&mut archive, name, limit)?, &mut std::io::sink());
        total = match length {
            Ok(length) => total.saturating_add(length),
            Err(error) if is_too_long(&error) => u64::MAX,
            Err(_) => return Err(ReadError::Damaged { what: "its archive can't be read" }.into()),
        };
        if usize::try_from(total).unwrap_or(usize::MAX) > limit {
            return Err(ReadError::TooLarge { what: "it is too long when unpacked" }.into());
        }
    }
    Ok(())
}
