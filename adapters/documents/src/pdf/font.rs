//! What a font says about the codes in a text: which characters they are, and how far they reach.

use std::collections::HashMap;

use encoding_rs::{BIG5, EUC_KR, GB18030, SHIFT_JIS, UTF_16BE};
use lopdf::{Dictionary, Document, Encoding, Object};

use super::table::Table;

/// Bytes of a font's table of characters after decompression.
const MAX_TABLE_BYTES: usize = 4 << 20;

/// Ranges of equal width that are kept of a font.
const MAX_RANGES: usize = 4096;

pub(super) struct Font<'d> {
    characters: Characters<'d>,
    widths: Widths,
}

enum Characters<'d> {
    /// By the font's own table; with how many bytes a code has, if not the table decides that.
    Own(Table, Option<usize>),
    /// By one of the encodings for letters.
    Letters(Encoding<'d>),
    /// By an encoding that has a name of its own.
    Named(&'static encoding_rs::Encoding),
    /// Glyphs without a word about what they mean.
    Unknown,
}

/// In thousandths of the font's size.
enum Widths {
    /// One byte a character: the first code and the widths from there.
    Bytes { first: usize, widths: Vec<f32> },
    /// Two bytes a character.
    Pairs { default: f32, single: HashMap<u16, f32>, ranges: Vec<(u16, u16, f32)> },
    /// Not told by code: by character.
    Guessed,
}

/// A piece of text as it will appear.
pub(super) struct Shown {
    pub text: String,
    /// In parts of the font's size, without further spacing.
    pub width: f32,
    /// How many characters the page sets apart with its own spacing, and how many of those are one-byte spaces.
    pub codes: usize,
    pub spaces: usize,
}

impl<'d> Font<'d> {
    pub(super) fn new(dict: &'d Dictionary, document: &'d Document) -> Self {
        let composite = dict.get(b"Subtype").and_then(Object::as_name).is_ok_and(|subtype| subtype == b"Type0");
        let encoding = dict.get_deref(b"Encoding", document).and_then(Object::as_name).unwrap_or_default();
        let pairs = matches!(encoding, b"Identity-H" | b"Identity-V");
        let length = if composite { pairs.then_some(2) } else { Some(1) };
        let own = own_table(dict, document).map(|table| Characters::Own(table, length));
        let characters = own.unwrap_or_else(|| {
            if let Some(named) = named(encoding) {
                Characters::Named(named)
            } else if composite {
                Characters::Unknown
            } else {
                let encoding = dict.get_font_encoding_with_limit(document, MAX_TABLE_BYTES);
                encoding.map_or(Characters::Unknown, Characters::Letters)
            }
        });
        let widths = match (composite, pairs) {
            (false, _) => byte_widths(dict, document),
            (true, true) => pair_widths(dict, document),
            (true, false) => Widths::Guessed,
        };
        Self { characters, widths }
    }

    pub(super) fn show(&self, bytes: &[u8]) -> Shown {
        let text = match &self.characters {
            Characters::Own(table, length) => table.decode(bytes, *length),
            Characters::Letters(encoding) => encoding.bytes_to_string(bytes).unwrap_or_default(),
            Characters::Named(encoding) => encoding.decode_without_bom_handling(bytes).0.into_owned(),
            Characters::Unknown => String::new(),
        };
        let text: String = text.chars().filter(|c| *c != char::REPLACEMENT_CHARACTER).collect();
        let (width, codes) = match &self.widths {
            Widths::Bytes { first, widths } => {
                let of = |byte: &u8| usize::from(*byte).checked_sub(*first).and_then(|place| widths.get(place));
                // A font that tells no widths is one of the fourteen that every program knows.
                let width = bytes.iter().map(|byte| of(byte).copied().unwrap_or(500.0)).sum::<f32>();
                (width, bytes.len())
            }
            Widths::Pairs { default, single, ranges } => {
                let of = |pair: &[u8; 2]| {
                    let code = u16::from_be_bytes(*pair);
                    let range = || ranges.iter().find(|(from, to, _)| (*from..=*to).contains(&code));
                    single.get(&code).copied().or_else(|| range().map(|(.., width)| *width)).unwrap_or(*default)
                };
                let (pairs, _) = bytes.as_chunks::<2>();
                (pairs.iter().map(of).sum::<f32>(), pairs.len())
            }
            Widths::Guessed => {
                let wide = |c: char| if c >= '\u{2e80}' { 1000.0 } else { 500.0 };
                (text.chars().map(wide).sum::<f32>(), text.chars().count())
            }
        };
        let spaces = match self.widths {
            Widths::Bytes { .. } => bytes.iter().filter(|byte| **byte == b' ').count(),
            Widths::Pairs { .. } | Widths::Guessed => 0,
        };
        Shown { text, width: width / 1000.0, codes, spaces }
    }
}

/// The font's own table. It counts for more than the font's encoding: many programs write a made-up one.
fn own_table(dict: &Dictionary, document: &Document) -> Option<Table> {
    let stream = dict.get_deref(b"ToUnicode", document).and_then(Object::as_stream).ok()?;
    Table::parse(&stream.get_plain_content_with_limit(MAX_TABLE_BYTES).ok()?)
}

/// The predefined encodings for East Asia whose codes are characters (ISO 32000-1, table 118).
fn named(name: &[u8]) -> Option<&'static encoding_rs::Encoding> {
    let name = std::str::from_utf8(name).ok()?;
    let name = name.strip_suffix("-H").or_else(|| name.strip_suffix("-V"))?;
    Some(match name {
        "GB-EUC" | "GBpc-EUC" | "GBK-EUC" | "GBKp-EUC" | "GBK2K" => GB18030,
        "B5pc" | "HKscs-B5" | "ETen-B5" | "ETenms-B5" => BIG5,
        "83pv-RKSJ" | "90ms-RKSJ" | "90msp-RKSJ" | "90pv-RKSJ" | "Add-RKSJ" | "Ext-RKSJ" => SHIFT_JIS,
        "KSC-EUC" | "KSCms-UHC" | "KSCms-UHC-HW" | "KSCpc-EUC" => EUC_KR,
        "UniGB-UCS2" | "UniGB-UTF16" | "UniCNS-UCS2" | "UniCNS-UTF16" | "UniJIS-UCS2" | "UniJIS-UCS2-HW"
        | "UniJIS-UTF16" | "UniKS-UCS2" | "UniKS-UTF16" => UTF_16BE,
        _ => return None,
    })
}

fn byte_widths(dict: &Dictionary, document: &Document) -> Widths {
    let first = dict.get_deref(b"FirstChar", document).and_then(Object::as_i64).ok();
    let first = first.and_then(|first| usize::try_from(first).ok()).unwrap_or_default();
    let widths = dict.get_deref(b"Widths", document).and_then(Object::as_array);
    let widths = widths.map(|widths| numbers(&widths[..widths.len().min(256)], document)).unwrap_or_default();
    Widths::Bytes { first, widths }
}

/// `W` of the descendant: `code [width …]` or `first last width`, again and again (ISO 32000-1, §9.7.4.3).
fn pair_widths(dict: &Dictionary, document: &Document) -> Widths {
    let descendant = dict.get_deref(b"DescendantFonts", document).and_then(Object::as_array).ok();
    let descendant = descendant.and_then(|fonts| document.dereference(fonts.first()?).ok()?.1.as_dict().ok());
    let Some(descendant) = descendant else { return Widths::Guessed };
    let default = descendant.get_deref(b"DW", document).and_then(Object::as_float).unwrap_or(1000.0);
    let (mut single, mut ranges) = (HashMap::new(), Vec::new());
    let entries = descendant.get_deref(b"W", document).and_then(Object::as_array).map_or(&[][..], Vec::as_slice);
    let code = |object: &Object| object.as_i64().ok().and_then(|code| u16::try_from(code).ok());
    let mut rest = entries;
    while let [first, second, after @ ..] = rest {
        let (Some(first), Ok((_, second))) = (code(first), document.dereference(second)) else { break };
        if let Ok(list) = second.as_array() {
            let widths = numbers(&list[..list.len().min(usize::from(u16::MAX - first) + 1)], document);
            single.extend((first..=u16::MAX).zip(widths));
            rest = after;
        } else if let ([width, after @ ..], Some(last)) = (after, code(second))
            && let Ok(width) = width.as_float()
            && ranges.len() < MAX_RANGES
        {
            ranges.push((first, last, width));
            rest = after;
        } else {
            break;
        }
    }
    Widths::Pairs { default, single, ranges }
}

fn numbers(objects: &[Object], document: &Document) -> Vec<f32> {
    let number = |object: &Object| document.dereference(object).ok()?.1.as_float().ok();
    objects.iter().map(|object| number(object).unwrap_or_default()).collect()
}
