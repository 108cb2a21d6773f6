//! Office Open XML: what Word, PowerPoint, Excel, WPS and others save since 2007 (ECMA-376).

mod markup;
mod workbook;

use std::io::{BufRead, BufReader, Cursor, Read};

use magpie_core::attachment::ReadError;
use zip::ZipArchive;
use zip::result::ZipError;

use crate::output::{Halt, Output};

pub(crate) use workbook::sheets;

/// Slides that are read.
const MAX_SLIDES: usize = 500;

type Archive<'b> = ZipArchive<Cursor<&'b [u8]>>;

/// A DOCX: the body, without headers, footers, notes and comments.
pub(crate) fn word(bytes: &[u8], unpacked_bytes: usize, output: &mut Output) -> Result<(), Halt> {
    let mut archive = open(bytes)?;
    markup::read(part(&mut archive, "word/document.xml", unpacked_bytes)?, output)
}

/// A PPTX: the slides in the order of their numbers, without notes.
pub(crate) fn slides(bytes: &[u8], unpacked_bytes: usize, output: &mut Output) -> Result<(), Halt> {
    let mut archive = open(bytes)?;
    let number = |name: &str| name.strip_prefix("ppt/slides/slide")?.strip_suffix(".xml")?.parse::<u32>().ok();
    let mut numbers: Vec<u32> = archive.file_names().filter_map(|name| number(&name.ok()?)).collect();
    numbers.sort_unstable();
    if numbers.len() > MAX_SLIDES {
        output.cut();
    }
    for (place, number) in numbers.into_iter().take(MAX_SLIDES).enumerate() {
        output.push(&format!("\n\n## {}\n\n", place + 1))?;
        markup::read(part(&mut archive, &format!("ppt/slides/slide{number}.xml"), unpacked_bytes)?, output)?;
    }
    Ok(())
}

fn open(bytes: &[u8]) -> Result<Archive<'_>, ReadError> {
    ZipArchive::new(Cursor::new(bytes)).map_err(|error| damaged_or_locked(&error))
}

/// One part, which ends with an error where it becomes too long.
fn part<'a>(archive: &'a mut Archive<'_>, name: &str, unpacked_bytes: usize) -> Result<impl BufRead + 'a, ReadError> {
    let file = archive.by_name(name).map_err(|error| damaged_or_locked(&error))?;
    Ok(BufReader::new(Bounded { inner: file, left: unpacked_bytes }))
}

/// What a ZIP library says, in our words.
pub(crate) fn damaged_or_locked(error: &ZipError) -> ReadError {
    match error {
        ZipError::InvalidPassword | ZipError::UnsupportedArchive(ZipError::PASSWORD_REQUIRED) => ReadError::Locked,
        _ => ReadError::Damaged { what: "its archive can't be read" },
    }
}

/// Fails after so many bytes, whatever the archive said about its length.
struct Bounded<R> {
    inner: R,
    left: usize,
}

/// The error of [`Bounded`], to be told from others.
#[derive(Debug)]
struct TooLong;

impl std::fmt::Display for TooLong {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a part is too long")
    }
}

impl std::error::Error for TooLong {}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.left == 0 {
            return Err(std::io::Error::other(TooLong));
        }
        let read = self.inner.read(buffer)?;
        self.left = self.left.saturating_sub(read);
        Ok(read)
    }
}

/// Whether an error of reading came from [`Bounded`].
fn is_too_long(error: &std::io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<TooLong>())
}
