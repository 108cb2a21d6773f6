//! What a file is.

use std::io::Cursor;

use magpie_core::attachment::{File, ReadError};
use zip::ZipArchive;

use crate::office::damaged_or_locked;

/// What can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Pdf,
    Word,
    Slides,
    Sheets,
    /// Plain text of some sort.
    Text(&'static str),
}

impl Kind {
    /// The label in metrics.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Pdf => "pdf",
            Self::Word => "docx",
            Self::Slides => "pptx",
            Self::Sheets => "xlsx",
            Self::Text(sort) => sort,
        }
    }
}

/// First bytes of what can't be read, and what that is.
const UNSUPPORTED: &[(&[u8], &str)] = &[
    (b"\x89PNG", "image"),
    (b"\xff\xd8\xff", "image"),
    (b"GIF8", "image"),
    (b"BM", "image"),
    (b"II*\0", "image"),
    (b"MM\0*", "image"),
    (b"OggS", "audio"),
    (b"ID3", "audio"),
    (b"fLaC", "audio"),
    (b"#!AMR", "audio"),
    (b"\x1a\x45\xdf\xa3", "video"),
    (b"\x1f\x8b", "archive"),
    (b"7z\xbc\xaf\x27\x1c", "archive"),
    (b"Rar!", "archive"),
    (b"\xfd7zXZ", "archive"),
    (b"BZh", "archive"),
    (b"PK\x05\x06", "archive"),
    (b"MZ", "program"),
    (b"\x7fELF", "program"),
    (b"{\\rtf", "rtf"),
];

/// First bytes of Microsoft's compound files: old Office documents, and new ones under a password.
const COMPOUND_FILE: &[u8] = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1";

/// What the file is, by its bytes; the name only tells sorts of text apart, and what a broken file once was.
///
/// # Errors
/// It is something that can't be read.
pub(crate) fn of(file: &File) -> Result<Kind, ReadError> {
    let bytes = &file.bytes[..];
    if bytes.is_empty() {
        return Err(ReadError::NoText);
    }
    // Some programs put a few bytes before it.
    if bytes[..bytes.len().min(1024)].windows(5).any(|window| window == b"%PDF-") {
        return Ok(Kind::Pdf);
    }
    if bytes.starts_with(b"PK\x03\x04") {
        return of_archive(bytes);
    }
    if bytes.starts_with(COMPOUND_FILE) {
        return Err(if contains_wide(bytes, "EncryptedPackage") {
            ReadError::Locked
        } else {
            ReadError::Unsupported { kind: Some("doc") }
        });
    }
    let media = |kind| Err(ReadError::Unsupported { kind: Some(kind) });
    match bytes {
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => return media("image"),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'A', b'V', b'E', ..] => return media("audio"),
        [_, _, _, _, b'f', b't', b'y', b'p', ..] => return media("video"),
        _ => {}
    }
    // Two letters are also how a text may begin, so a text that is one comes first.
    if crate::text::is_text(bytes) && !bytes.starts_with(b"{\\rtf") {
        return Ok(Kind::Text(sort_of_text(&file.name)));
    }
    match UNSUPPORTED.iter().find(|(magic, _)| bytes.starts_with(magic)) {
        Some((_, kind)) => media(kind),
        None if matches!(extension(&file.name).as_str(), "pdf" | "docx" | "xlsx" | "pptx") => {
            Err(ReadError::Damaged { what: "it is not what its name says" })
        }
        None => Err(ReadError::Unsupported { kind: None }),
    }
}

fn of_archive(bytes: &[u8]) -> Result<Kind, ReadError> {
    let archive = ZipArchive::new(Cursor::new(bytes)).map_err(|error| damaged_or_locked(&error))?;
    let kinds =
        [("word/document.xml", Kind::Word), ("ppt/presentation.xml", Kind::Slides), ("xl/workbook.xml", Kind::Sheets)];
    let found = kinds.into_iter().find(|(part, _)| archive.index_for_name(part).is_some());
    found.map(|(_, kind)| kind).ok_or(ReadError::Unsupported { kind: Some("archive") })
}

fn sort_of_text(name: &str) -> &'static str {
    match extension(name).as_str() {
        "md" | "markdown" => "markdown",
        "csv" | "tsv" => "csv",
        _ => "text",
    }
}

/// Lower case, without the dot; empty if there is none.
fn extension(name: &str) -> String {
    name.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase()).unwrap_or_default()
}

/// Whether `text`, which is ASCII, is in there in UTF-16.
fn contains_wide(bytes: &[u8], text: &str) -> bool {
    let wide: Vec<u8> = text.bytes().flat_map(|byte| [byte, 0]).collect();
    bytes.windows(wide.len()).any(|window| window == wide)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(name: &str, bytes: &'static [u8]) -> Result<Kind, ReadError> {
        of(&File { name: name.into(), media_type: String::new(), bytes: bytes.into() })
    }

    fn unsupported(name: &str, bytes: &'static [u8]) -> Option<&'static str> {
        match told(name, bytes) {
            Err(ReadError::Unsupported { kind }) => kind,
            other => panic!("{name}: {other:?}"),
        }
    }

    #[test]
    fn bytes_count_for_more_than_names() {
        assert!(matches!(told("a.txt", b"\n%PDF-1.7\n"), Ok(Kind::Pdf)));
        assert!(matches!(told("a.pdf", b"just words"), Ok(Kind::Text("text"))));
        assert_eq!(unsupported("a.txt", b"\x89PNG\r\n\x1a\n\0\0"), Some("image"));
    }

    #[test]
    fn texts_are_of_their_names_sort_even_if_they_begin_like_something_else() {
        assert!(matches!(told("README.MD", b"# a"), Ok(Kind::Text("markdown"))));
        assert!(matches!(told("a.csv", b"a,b"), Ok(Kind::Text("csv"))));
        assert!(matches!(told("", b"BMW, MZ-80, BZh"), Ok(Kind::Text("text"))));
    }

    #[test]
    fn what_cannot_be_read_is_called_by_its_kind() {
        assert_eq!(unsupported("a", b"RIFF\0\0\0\0WAVEfmt "), Some("audio"));
        assert_eq!(unsupported("a", b"\0\0\0\x18ftypmp42"), Some("video"));
        assert_eq!(unsupported("a", b"PK\x05\x06\0\0"), Some("archive"));
        assert_eq!(unsupported("a", b"{\\rtf1 hello}"), Some("rtf"));
        assert_eq!(unsupported("a", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1\0\0"), Some("doc"));
        assert_eq!(unsupported("a.bin", b"\0\x01\x02\x03"), None);
    }

    #[test]
    fn broken_files_are_told_by_their_names_and_locked_ones_by_their_parts() {
        assert!(matches!(told("a.docx", b"\0\x01\x02\x03"), Err(ReadError::Damaged { .. })));
        assert!(matches!(told("a.docx", b"PK\x03\x04 and no more"), Err(ReadError::Damaged { .. })));
        let locked = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1..E\0n\0c\0r\0y\0p\0t\0e\0d\0P\0a\0c\0k\0a\0g\0e\0";
        assert!(matches!(told("a.docx", locked), Err(ReadError::Locked)));
        assert!(matches!(told("a.txt", b""), Err(ReadError::NoText)));
    }
}
