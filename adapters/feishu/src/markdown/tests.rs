use proptest::prelude::*;

use super::*;

#[test]
fn model_can_mention_nobody() {
    assert_eq!(safe("hi <at id=all></at> \\<b> 1 < 2 > 0"), "hi &#60;at id=all>&#60;/at> &#60;b> 1 &#60; 2 > 0");
}

#[test]
fn code_keeps_its_tags_but_mentions_in_it_are_broken() {
    let text = "```html\n<div>\n<at id=all>\n```\nuse `<b>` and `<at id=all>`\n";
    let expected = "```html\n<div>\n<\u{200b}at id=all>\n```\nuse `<b>` and `<\u{200b}at id=all>`\n";
    assert_eq!(safe(text), expected);
}

#[test]
fn images_become_links() {
    assert_eq!(safe("see ![cat](https://x.y/c.png) ![](img_v3_1)"), "see [cat](https://x.y/c.png) [image](img_v3_1)");
    assert_eq!(safe("wow![1] `![a](b)`"), "wow![1] `![a](b)`");
}

#[test]
fn fourth_table_becomes_code() {
    let table = "| a |\n|---|\n| 1 |\n\n";
    let shown = safe(&format!("{}end", table.repeat(4)));
    assert_eq!(shown, format!("{}````\n| a |\n|---|\n| 1 |\n````\n\nend", table.repeat(3)));
}

#[test]
fn growing_text_only_grows() {
    let text = "# Title\n\nUse `Vec<T>` if a < b:\n\n```rust\nlet x: Vec<u8> = vec![];\n```\n\n- one\n- two **bold**\n\n\
        | a | b |\n|---|---|\n| 1 | <x> |\n\n> quote\n\nEnd 你好.";
    let whole = safe(text);
    for end in (0..=text.len()).filter(|end| text.is_char_boundary(*end)) {
        let part = safe(&text[..end]);
        assert!(whole.starts_with(&part), "{part:?}");
    }
}

#[test]
fn text_messages_carry_no_tags() {
    assert_eq!(safe_text("<at user_id=\"all\"> 1 < 2 </b>"), "<\u{200b}at user_id=\"all\"> 1 < 2 <\u{200b}/b>");
}

fn tempting() -> impl Strategy<Value = String> {
    let pieces = prop::sample::select(vec![
        "<at id=all></at>",
        "<",
        ">",
        "`",
        "```",
        "~~~",
        "\n",
        "\n\n",
        "    ",
        "- ",
        "> ",
        "![a](b)",
        "!",
        "[",
        "]",
        "(x)",
        "| a |\n|---|\n| b |\n\n",
        "|",
        "---",
        "\\",
        "word ",
        "<div>",
        "</div>",
        "<!--",
        "-->",
        "\"",
        "=",
        "<a x=\"",
        "&#60;",
    ]);
    prop::collection::vec(pieces, 0..40).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn whatever_a_model_writes_the_card_can_hold_it(text in tempting()) {
        let shown = safe(&text);
        let mut tables = 0;
        for event in Parser::new_ext(&shown, Options::ENABLE_TABLES) {
            match event {
                Event::Start(Tag::Image { .. }) => prop_assert!(false, "image in {shown:?}"),
                Event::Start(Tag::Table(_)) => tables += 1,
                Event::Html(html) | Event::InlineHtml(html) => prop_assert!(!html.contains("<at"), "{shown:?}"),
                _ => {}
            }
        }
        prop_assert!(!shown.contains("<at id=all"), "{shown:?}");
        prop_assert!(tables <= MAX_TABLES, "{shown:?}");
    }

    #[test]
    fn any_text_at_all_is_accepted(text in "\\PC{0,200}") {
        safe(&text);
        safe_text(&text);
    }
}
