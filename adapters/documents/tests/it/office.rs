//! Word, PowerPoint, Excel.

use crate::make::{archive, docx};
use crate::{read, reason_of, text_of};

fn paragraph(properties: &str, text: &str) -> String {
    format!("<w:p><w:pPr>{properties}</w:pPr><w:r><w:t>{text}</w:t></w:r></w:p>")
}

#[tokio::test]
async fn paragraphs_headings_and_lists_of_a_docx_become_markdown() {
    let item = |level: u8, text: &str| paragraph(&format!("<w:numPr><w:ilvl w:val=\"{level}\"/></w:numPr>"), text);
    let body = [
        paragraph("<w:pStyle w:val=\"Heading1\"/><w:tabs><w:tab w:val=\"left\"/></w:tabs>", "差旅制度"),
        paragraph("", "第一条 &lt;住宿&gt; &amp; &#20132;&#36890;"),
        item(0, "市内"),
        item(1, "地铁"),
        paragraph("<w:pStyle w:val=\"ListBullet2\"/>", "公交"),
        "<w:p><w:r><w:t>a</w:t><w:tab/><w:t>b</w:t><w:br/><w:t>c</w:t></w:r></w:p>".to_owned(),
        paragraph("<w:outlineLvl w:val=\"1\"/>", "Part"),
    ];
    let read = read("制度.docx", docx(&body.concat())).await.expect("it can be read");
    assert_eq!(read.text, "# 差旅制度\n第一条 <住宿> & 交通\n- 市内\n  - 地铁\n  - 公交\na\tb\nc\n\n## Part");
    assert_eq!((read.kind, read.cut), ("docx", false));
}

#[tokio::test]
async fn tables_keep_their_rows_and_nested_ones_become_words() {
    let cell = |content: &str| format!("<w:tc>{content}</w:tc>");
    let row = |cells: &[String]| format!("<w:tr>{}</w:tr>", cells.concat());
    let plain = |text: &str| cell(&paragraph("", text));
    let nested = format!("<w:tbl>{}</w:tbl>", row(&[plain("x"), plain("y")]));
    let rows = [
        row(&[plain("姓名"), plain("a|b")]),
        row(&[cell(&(paragraph("", "张三") + &paragraph("", "李四"))), cell(&nested)]),
    ];
    let body = format!("{}<w:tbl>{}</w:tbl>{}", paragraph("", "before"), rows.concat(), paragraph("", "after"));
    let expected = "before\n\n| 姓名 | a\\|b |\n| --- | --- |\n| 张三 李四 | x y |\n\nafter";
    assert_eq!(text_of("a.docx", docx(&body)).await, expected);
}

#[tokio::test]
async fn what_was_deleted_or_is_there_twice_is_left_out() {
    let body = "<w:p><w:del><w:r><w:delText>old</w:delText></w:r></w:del><w:ins><w:r><w:t>new</w:t></w:r></w:ins>\
                <mc:AlternateContent><mc:Choice><w:r><w:t>!</w:t></w:r></mc:Choice>\
                <mc:Fallback><w:r><w:t>twice</w:t></w:r></mc:Fallback></mc:AlternateContent>\
                <w:r><w:instrText>PAGE</w:instrText></w:r></w:p>";
    assert_eq!(text_of("a.docx", docx(body)).await, "new!");
}

#[tokio::test]
async fn slides_come_in_the_order_of_their_numbers() {
    let slide = |text: &str| format!("<p:sld><a:p><a:r><a:t>{text}</a:t></a:r></a:p></p:sld>");
    let (second, tenth) = (slide("two"), slide("ten"));
    let file = archive(&[
        ("ppt/presentation.xml", "<p:presentation/>"),
        ("ppt/slides/slide10.xml", &tenth),
        ("ppt/slides/slide2.xml", &second),
        ("ppt/slides/_rels/slide2.xml.rels", "<Relationships/>"),
    ]);
    let read = read("a.pptx", file).await.expect("it can be read");
    assert_eq!((read.kind, read.text.as_str()), ("pptx", "## 1\n\ntwo\n\n## 2\n\nten"));
}

/// A workbook with one sheet that has these rows.
fn xlsx(rows: &str, strings: &str) -> Vec<u8> {
    let main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main";
    let kinds = "http://schemas.openxmlformats.org/officeDocument/2006/relationships";
    let packages = "http://schemas.openxmlformats.org/package/2006/relationships";
    let workbook = format!(
        "<workbook xmlns=\"{main}\" xmlns:r=\"{kinds}\"><sheets><sheet name=\"预算\" sheetId=\"1\" r:id=\"r1\"/></sheets></workbook>"
    );
    let relations = format!(
        "<Relationships xmlns=\"{packages}\"><Relationship Id=\"r1\" Type=\"{kinds}/worksheet\" Target=\"worksheets/sheet1.xml\"/>\
         <Relationship Id=\"r2\" Type=\"{kinds}/sharedStrings\" Target=\"sharedStrings.xml\"/></Relationships>"
    );
    let sheet = format!("<worksheet xmlns=\"{main}\"><sheetData>{rows}</sheetData></worksheet>");
    let strings = format!("<sst xmlns=\"{main}\">{strings}</sst>");
    let root = format!(
        "<Relationships xmlns=\"{packages}\"><Relationship Id=\"r1\" Type=\"{kinds}/officeDocument\" Target=\"xl/workbook.xml\"/>\
         </Relationships>"
    );
    archive(&[
        ("_rels/.rels", &root),
        ("xl/workbook.xml", &workbook),
        ("xl/_rels/workbook.xml.rels", &relations),
        ("xl/worksheets/sheet1.xml", &sheet),
        ("xl/sharedStrings.xml", &strings),
    ])
}

#[tokio::test]
async fn sheets_become_rows_and_far_cells_cost_nothing() {
    let rows = "<row r=\"1\"><c r=\"A1\" t=\"s\"><v>0</v></c><c r=\"C1\"><v>1.5</v></c></row>\
                <row r=\"7\"><c r=\"B7\" t=\"b\"><v>1</v></c><c r=\"C7\" t=\"inlineStr\"><is><t>two\nlines</t></is></c></row>\
                <row r=\"1048576\"><c r=\"XFD1048576\"><v>42</v></c></row>";
    let read = read("a.xlsx", xlsx(rows, "<si><t>项目</t></si>")).await.expect("it can be read");
    assert_eq!(read.text, "## 预算\n\n项目 |  | 1.5\n | true | two lines\n | 42");
    assert_eq!((read.kind, read.cut), ("xlsx", false));
}

#[tokio::test]
async fn an_empty_document_or_workbook_has_no_text() {
    assert_eq!(reason_of("a.docx", docx("<w:p/>")).await, "no_text");
    assert_eq!(reason_of("a.xlsx", xlsx("", "")).await, "no_text");
}

#[tokio::test]
async fn a_long_document_is_cut_before_it_is_unpacked_to_its_end() {
    let read = read("a.docx", docx(&paragraph("", "好多字").repeat(100_000))).await.expect("it can be read");
    assert!(read.cut && read.text.chars().count() <= crate::ENOUGH);
}

#[tokio::test]
async fn bombs_are_not_unpacked() {
    let nothing = "<w:p/>".repeat(crate::UNPACKED_BYTES / 4);
    assert_eq!(reason_of("a.docx", docx(&nothing)).await, "too_large");
    let strings = "<si/>".repeat(crate::UNPACKED_BYTES / 4);
    assert_eq!(reason_of("a.xlsx", xlsx("<row r=\"1\"><c r=\"A1\"><v>1</v></c></row>", &strings)).await, "too_large");
}

#[tokio::test]
async fn entities_of_a_documents_own_are_not_expanded() {
    let document = "<!DOCTYPE d [<!ENTITY a \"boom\"><!ENTITY b \"&a;&a;\">]>\
                    <w:document><w:p><w:r><w:t>x&b;y</w:t></w:r></w:p></w:document>";
    assert_eq!(text_of("a.docx", archive(&[("word/document.xml", document)])).await, "xy");
}

#[tokio::test]
async fn archives_without_a_document_and_broken_ones_are_refused() {
    assert_eq!(reason_of("a.zip", archive(&[("a.txt", "a")])).await, "unsupported");
    let mut broken = docx(&paragraph("", "text"));
    broken.truncate(broken.len() / 2);
    assert_eq!(reason_of("a.docx", broken).await, "damaged");
    assert_eq!(reason_of("a.docx", archive(&[("word/document.xml", "<w:p><w:t a=></")])).await, "damaged");
}
