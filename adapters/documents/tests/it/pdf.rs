//! PDFs.

use std::io::Write;

use flate2::Compression;
use flate2::write::ZlibEncoder;
use lopdf::{Document, EncryptionState, EncryptionVersion, Object, Permissions};

use crate::make::{LATIN, page, stream};
use crate::{read, reason_of, text_of};

async fn shown(content: &str) -> String {
    text_of("a.pdf", page("", stream("", content.as_bytes()), LATIN, &[])).await
}

#[tokio::test]
async fn words_lines_and_paragraphs_are_told_by_their_distances() {
    let content = "BT /F 10 Tf 50 700 Td (Hel) Tj (lo) Tj 40 0 Td (world) Tj -40 -12 Td [(sec) 20 (ond) -600 (line)] TJ \
                   0 -40 Td (paragraph) Tj ET";
    assert_eq!(shown(content).await, "Hello world\nsecond line\n\nparagraph");
}

#[tokio::test]
async fn lines_by_leading_and_turned_pages_are_read() {
    let content = "BT /F 10 Tf 12 TL 0 1 -1 0 300 50 Tm (one) Tj (two) ' 1 0 (three) \" ET";
    assert_eq!(shown(content).await, "one\ntwo\nthree");
}

const TO_UNICODE: &str = "/CIDInit /ProcSet findresource begin 12 dict begin begincmap\n\
    1 begincodespacerange <0000> <FFFF> endcodespacerange\n\
    3 beginbfchar <0001> <62A5> <0002> <9500> <0003> <D840DC00> endbfchar\n\
    1 beginbfrange <0010> <0012> <4E00> endbfrange\nendcmap end end";

fn composite(encoding: &str, further: &str) -> String {
    format!(
        "<< /Type /Font /Subtype /Type0 /BaseFont /Song /Encoding /{encoding} /DescendantFonts [6 0 R] {further} >>"
    )
}

const DESCENDANT: &str = "<< /Type /Font /Subtype /CIDFontType2 /BaseFont /Song /DW 1000 /W [1 [500 500] 16 18 250] >>";

#[tokio::test]
async fn chinese_is_read_by_the_fonts_own_table() {
    let font = composite("Identity-H", "/ToUnicode 7 0 R");
    let content = stream("", b"BT /F 10 Tf <000100020003> Tj 29 0 Td <001000110012> Tj ET");
    let further = [DESCENDANT.as_bytes().to_vec(), stream("", TO_UNICODE.as_bytes())];
    assert_eq!(text_of("a.pdf", page("", content, &font, &further)).await, "报销𠀀一丁丂");
}

#[tokio::test]
async fn widths_of_a_font_tell_where_a_gap_begins() {
    let font = composite("Identity-H", "/ToUnicode 7 0 R");
    let further = [DESCENDANT.as_bytes().to_vec(), stream("", TO_UNICODE.as_bytes())];
    // The first string is 5 + 5 + 10 wide, the second 2.5: gaps of 9 and of 11, where characters are 10 high.
    let content = stream("", b"BT /F 10 Tf <000100020003> Tj 29 0 Td <0010> Tj 13.5 0 Td <0011> Tj ET");
    assert_eq!(text_of("a.pdf", page("", content, &font, &further)).await, "报销𠀀一 丁");
}

#[tokio::test]
async fn chinese_is_read_by_the_name_of_its_encoding() {
    for (encoding, bytes) in [("GBK-EUC-H", "B1A8CFFA"), ("UniGB-UCS2-H", "62A59500")] {
        let content = stream("", format!("BT /F 10 Tf <{bytes}> Tj ET").as_bytes());
        let further = [DESCENDANT.as_bytes().to_vec()];
        assert_eq!(text_of("a.pdf", page("", content, &composite(encoding, ""), &further)).await, "报销");
    }
}

#[tokio::test]
async fn glyphs_that_nothing_explains_are_no_text() {
    let content = stream("", b"BT /F 10 Tf <00010002> Tj ET");
    let file = page("", content, &composite("Identity-H", ""), &[DESCENDANT.as_bytes().to_vec()]);
    assert_eq!(reason_of("a.pdf", file).await, "no_text");
}

#[tokio::test]
async fn text_inside_forms_is_read_and_forms_inside_themselves_end() {
    let form = stream("/Type /XObject /Subtype /Form /Matrix [1 0 0 1 0 0]", b"BT /F 10 Tf (inside) Tj ET /X Do");
    let file = page("/XObject << /X 6 0 R >>", stream("", b"/X Do"), LATIN, &[form]);
    let text = text_of("a.pdf", file).await;
    assert!(text.starts_with("inside") && text.matches("inside").count() < 20, "{text}");
}

#[tokio::test]
async fn a_page_of_pictures_has_no_text() {
    let picture = stream("/Type /XObject /Subtype /Image /Width 1 /Height 1", b"\xff");
    let file = page("/XObject << /X 6 0 R >>", stream("", b"q 100 0 0 100 0 0 cm /X Do Q"), LATIN, &[picture]);
    assert_eq!(reason_of("scan.pdf", file).await, "no_text");
}

fn deflated(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).expect("memory takes everything");
    encoder.finish().expect("memory takes everything")
}

#[tokio::test]
async fn compressed_pages_are_read_and_bombs_are_not_unpacked() {
    let small = stream("/Filter /FlateDecode", &deflated(b"BT /F 10 Tf (small) Tj ET"));
    assert_eq!(text_of("a.pdf", page("", small, LATIN, &[])).await, "small");

    let bytes = deflated(&vec![b' '; crate::UNPACKED_BYTES * 2]);
    let bomb = stream("/Filter /FlateDecode", &bytes);
    assert_eq!(reason_of("a.pdf", page("", bomb, LATIN, &[])).await, "too_large");
    let twice = stream("/Filter [/FlateDecode /FlateDecode]", &deflated(&bytes));
    assert_eq!(reason_of("a.pdf", page("", twice, LATIN, &[])).await, "too_large");
    let objects = stream("/Type /ObjStm /N 1 /First 4 /Filter /FlateDecode", &bytes);
    let file = page("", stream("", b"BT /F 10 Tf (text) Tj ET"), LATIN, &[objects]);
    assert_eq!(reason_of("a.pdf", file).await, "too_large");
}

#[tokio::test]
async fn a_text_longer_than_asked_for_is_cut() {
    let content = format!("BT /F 10 Tf {} ET", "(many words ) Tj ".repeat(2000));
    let read = read("a.pdf", page("", stream("", content.as_bytes()), LATIN, &[])).await.expect("it can be read");
    assert!(read.cut);
    assert_eq!((read.kind, read.text.trim_end().chars().count() <= crate::ENOUGH), ("pdf", true));
}

/// The file under a password of its reader.
fn locked(password: &str) -> Vec<u8> {
    let file = page("", stream("", b"BT /F 10 Tf (secret) Tj ET"), LATIN, &[]);
    let mut document = Document::load_mem(&file).expect("the file is all right");
    let id = || Object::string_literal("0123456789abcdef");
    document.trailer.set("ID", vec![id(), id()]);
    let version = EncryptionVersion::V2 {
        document: &document,
        owner_password: "owner",
        user_password: password,
        key_length: 128,
        permissions: Permissions::default(),
    };
    let state = EncryptionState::try_from(version).expect("a version that is known");
    document.encrypt(&state).expect("it can be encrypted");
    let mut bytes = Vec::new();
    document.save_to(&mut bytes).expect("memory takes everything");
    bytes
}

#[tokio::test]
async fn a_password_to_open_locks_a_file_and_one_to_print_does_not() {
    assert_eq!(reason_of("a.pdf", locked("open sesame")).await, "locked");
    assert_eq!(text_of("a.pdf", locked("")).await, "secret");
}

#[tokio::test]
async fn damaged_files_are_read_as_far_as_they_go() {
    assert_eq!(reason_of("a.pdf", b"%PDF-1.7\nand nothing else".to_vec()).await, "damaged");
    let whole = page("", stream("", b"BT /F 10 Tf (still there) Tj ET"), LATIN, &[]);
    let table = whole.windows(4).position(|window| window == b"xref").expect("there is a table");
    let mut wrong = whole[..table].to_vec();
    wrong.extend(b"trailer\n<< /Root 1 0 R >>\nstartxref\n7\n%%EOF");
    assert_eq!(text_of("a.pdf", wrong).await, "still there");
}

#[tokio::test]
async fn deep_nesting_is_no_end_of_the_world() {
    let deep = [b"[".repeat(100_000), b"]".repeat(100_000)].concat();
    let file = page("", stream("", &[&b"BT /F 10 Tf (before) Tj ET "[..], &deep].concat()), LATIN, &[deep]);
    assert_eq!(text_of("a.pdf", file).await, "before");
}
