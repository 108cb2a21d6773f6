//! Plain text in whatever encoding people save it.

use std::borrow::Cow;

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use encoding_rs::{Encoding, UTF_8};
use magpie_core::attachment::ReadError;

use crate::output::{Halt, Output};

/// So many of the first bytes decide what a file is.
const LOOKED_AT: usize = 64 * 1024;

/// Of a thousand bytes, so many control characters at most are in a text: logs hold escape sequences.
const CONTROLS_IN_A_THOUSAND: usize = 30;

pub(crate) fn read(bytes: &[u8], output: &mut Output) -> Result<(), Halt> {
    let (text, broken) = decoded(bytes);
    if broken * 50 > text.chars().count() {
        return Err(ReadError::Damaged { what: "its characters can't be told" }.into());
    }
    output.push(&text)
}

/// Whether the bytes are text in some encoding and no binary format.
pub(crate) fn is_text(bytes: &[u8]) -> bool {
    if Encoding::for_bom(bytes).is_some() {
        return true;
    }
    let beginning = &bytes[..bytes.len().min(LOOKED_AT)];
    let controls = beginning.iter().filter(|byte| matches!(byte, 0..=8 | 0x0e..=0x1f | 0x7f)).count();
    !beginning.contains(&0) && controls * 1000 <= beginning.len() * CONTROLS_IN_A_THOUSAND
}

/// The text, and how many of its characters stand for broken bytes.
fn decoded(bytes: &[u8]) -> (Cow<'_, str>, usize) {
    if let Some((encoding, length)) = Encoding::for_bom(bytes) {
        return with(encoding, &bytes[length..]);
    }
    let (valid, broken) = as_utf8(bytes);
    // One broken character in a long log does not make it another encoding.
    if broken == 0 || valid > broken * 20 {
        return with(UTF_8, bytes);
    }
    let mut detector = EncodingDetector::new(Iso2022JpDetection::Deny);
    detector.feed(bytes, true);
    // Between encodings that fit equally well, those of China: GBK, whose decoder reads all of GB18030.
    with(detector.guess(Some(b"cn"), Utf8Detection::Deny), bytes)
}

fn with<'b>(encoding: &'static Encoding, bytes: &'b [u8]) -> (Cow<'b, str>, usize) {
    let (text, had_errors) = encoding.decode_without_bom_handling(bytes);
    let broken = if had_errors { text.chars().filter(|c| *c == char::REPLACEMENT_CHARACTER).count() } else { 0 };
    (text, broken)
}

/// Characters of more than one byte, and pieces that are not UTF-8.
fn as_utf8(bytes: &[u8]) -> (usize, usize) {
    let (mut valid, mut broken) = (0, 0);
    for chunk in bytes.utf8_chunks() {
        valid += chunk.valid().chars().filter(|c| !c.is_ascii()).count();
        broken += usize::from(!chunk.invalid().is_empty());
    }
    (valid, broken)
}

#[cfg(test)]
mod tests {
    use encoding_rs::GB18030;

    use super::*;

    const CHINESE: &str = "本季度的销售额增长了百分之十二,主要来自华东地区。\n";

    #[test]
    fn chinese_is_read_in_each_of_its_encodings() {
        let utf16: Vec<u8> = CHINESE.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let utf16_big: Vec<u8> = CHINESE.encode_utf16().flat_map(u16::to_be_bytes).collect();
        let files = [
            CHINESE.as_bytes().to_vec(),
            [b"\xef\xbb\xbf", CHINESE.as_bytes()].concat(),
            [b"\xff\xfe".as_slice(), &utf16].concat(),
            [b"\xfe\xff".as_slice(), &utf16_big].concat(),
            GB18030.encode(CHINESE).0.into_owned(),
            GB18030.encode("姓名,部门\n张三,销售部\n李四,研发部\n").0.into_owned(),
        ];
        for bytes in &files[..5] {
            assert!(is_text(bytes));
            assert_eq!(decoded(bytes), (CHINESE.into(), 0));
        }
        assert_eq!(decoded(&files[5]).0, "姓名,部门\n张三,销售部\n李四,研发部\n");
    }

    #[test]
    fn characters_beyond_gbk_are_read() {
        let text = format!("{CHINESE}㐀𠀀");
        assert_eq!(decoded(&GB18030.encode(&text).0).0, text);
    }

    #[test]
    fn a_broken_character_does_not_change_the_encoding() {
        let mut bytes = CHINESE.as_bytes().to_vec();
        bytes.pop();
        bytes.pop();
        let (text, broken) = decoded(&bytes);
        assert!(text.starts_with("本季度的销售额") && broken == 1, "{text}");
    }

    #[test]
    fn binary_is_no_text_and_coloured_logs_are() {
        assert!(!is_text(b"abc\0def"));
        assert!(!is_text(b"\x01\x02\x03\x04abc"));
        assert!(is_text(
            b"\x1b[32mINFO\x1b[0m the service has started and listens on port 18789, as it was configured\n"
        ));
    }
}
