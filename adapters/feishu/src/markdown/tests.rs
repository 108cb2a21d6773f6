use proptest::prelude::*;

use pulldown_cmark::{Event, LinkType, Options, Parser, Tag};

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
    assert_eq!(safe("see ![cat](https://x.y/c.png) now"), "see [cat](https://x.y/c.png) now");
    assert_eq!(safe("![](https://x.y/c.png) ![a](img_v3_1)"), "[image](https://x.y/c.png) [a]&#40;img_v3_1)");
    assert_eq!(safe("wow![1] `![a](b)`"), "wow![1] `![a](b)`");
    assert_eq!(safe("!![a](https://b)"), "&#33;[a](https://b)");
    assert_eq!(safe("[![badge](https://b)](https://c)"), "[badge &#40;https://b)](https://c)");
}

#[test]
fn links_show_where_they_go() {
    assert_eq!(safe("[manual](https://x.y/m)"), "[manual](https://x.y/m)");
    assert_eq!(
        safe("[https://good.com](https://evil.com/a)"),
        "[https://good.com](https://evil.com/a) (`https://evil.com/a`)"
    );
    assert_eq!(safe("[**good**.com](https://evil.com)!"), "[**good**.com](https://evil.com) (`https://evil.com`)!");
    assert_eq!(safe("[run](javascript:alert(1))"), "[run]&#40;javascript:alert(1))");
    assert_eq!(safe("[x](java&#115;cript:a)"), "[x]&#40;java&#115;cript:a)");
    assert_eq!(safe("<https://x.y/a_b>"), "[https://x.y/a\\_b](https://x.y/a_b)");
}

#[test]
fn nothing_refers_to_a_definition_elsewhere() {
    let text = "[good.com][1] and [^2]\n\n[1]: https://evil.com\n[^2]: note";
    assert_eq!(safe(text), "[good.com][1] and [^2]\n\n[1]&#58; https://evil.com\n[^2]&#58; note");
}

#[test]
fn boxes_of_task_lists_are_characters() {
    assert_eq!(safe("- [ ] one\n- [x] two\n- [y] three"), "- ☐ one\n- ☑ two\n- [y] three");
}

#[test]
fn entities_and_escapes_make_no_tag() {
    assert_eq!(safe("&lt;at id=all&gt; &#x3c;b \\<c"), "&#60;at id=all&gt; &#60;b &#60;c");
}

#[test]
fn indented_code_holds_no_whole_tag() {
    assert_eq!(safe("a\n\n    <font color='red'>\n"), "a\n\n    <\u{200b}font color='red'>\n");
}

#[test]
fn fourth_table_becomes_code() {
    let table = "| a |\n|---|\n| 1 |\n\n";
    let shown = safe(&format!("{}end", table.repeat(4)));
    assert_eq!(shown, format!("{}````\n| a |\n|---|\n| 1 |\n````\n\nend", table.repeat(3)));
    let quoted = safe(&format!("{}> | a |\n> |---|\n> | 1 |\n", table.repeat(3)));
    assert!(quoted.ends_with("> ````\n> | a |\n> |---|\n> | 1 |\n> ````\n"), "{quoted}");
}

/// An answer with everything in it that is written in more than one way.
const EVERYTHING: &str = "# Title\n\nUse `Vec<T>` if a < b && b > c &lt; &amp; wow!! R&D:\n\n```rust\nlet x: Vec<u8> = \
    vec![];\n<at id=all>\n```\n\n- one\n- two **bold** ~~gone~~\n  - [ ] open\n  - [x] <done>\n1. [a link](https://x.y/(z)) and \
    [bad](file:///etc) and [good.com](https://evil.com), [ref][1]\n2. ![cat](https://x.y/c.png) and !![](img_1)! <b>x</b>\n\n\
    | a | b |\n|---|---|\n| 1 | <x> |\n\n> quote <i>\n> > deeper `code <b>`\n\n    indented <code>\n\n[1]: https://evil.com\n\n\
    | c |\n|---|\n\n| d |\n|---|\n\nbetween\n\n| e | `f` |\n|---|---|\n| 1 | <y> |\n\nHeading\n===\n<https://x.y> a\\<b <at id=all></at> \
    End 你好.";

#[test]
fn growing_text_only_grows() {
    let whole = safe(EVERYTHING);
    let mut longest = 0;
    for end in (0..=EVERYTHING.len()).filter(|end| EVERYTHING.is_char_boundary(*end)) {
        let part = growing(&EVERYTHING[..end]);
        assert!(whole.starts_with(&part), "{part:?}");
        assert!(part.len() >= longest, "shorter again: {part:?}");
        assert!(part.len() + 80 > safe(&EVERYTHING[..end]).len(), "too much is left out: {part:?}");
        longest = part.len();
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
        "&lt;",
        "[a](https://b.c)",
        "[b.c](https://d.e/f)",
        "[x]: https://y\n",
        "[x]",
        "<https://a.b>",
        "javascript:",
        "- [ ] ",
        "**",
        "~~",
        "<font color=red>",
    ]);
    prop::collection::vec(pieces, 0..40).prop_map(|pieces| pieces.concat())
}

/// What stays of a text when everything is taken away that is written in another way.
fn letters(text: &str) -> Vec<char> {
    text.chars().filter(|c| c.is_alphanumeric()).collect()
}

fn is_within(part: &[char], whole: &[char]) -> bool {
    let mut rest = whole.iter();
    part.iter().all(|wanted| rest.any(|character| character == wanted))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn whatever_a_model_writes_the_card_can_hold_it(text in tempting()) {
        let shown = safe(&text);
        let mut tables = 0;
        let options = Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH | Options::ENABLE_TASKLISTS;
        for event in Parser::new_ext(&shown, options) {
            match event {
                Event::Start(Tag::Image { .. }) => prop_assert!(false, "image in {shown:?}"),
                Event::Start(Tag::Table(_)) => tables += 1,
                Event::Start(Tag::Link { link_type, dest_url, .. }) => {
                    prop_assert_eq!(link_type, LinkType::Inline, "{:?}", shown);
                    prop_assert!(dest_url.starts_with("https://"), "{shown:?}");
                }
                Event::Html(_) | Event::InlineHtml(_) => prop_assert!(false, "a tag in {shown:?}"),
                _ => {}
            }
        }
        prop_assert!(!shown.contains("<at id=all"), "{shown:?}");
        prop_assert!(tables <= MAX_TABLES, "{shown:?}");
    }

    #[test]
    fn no_word_of_an_answer_is_lost(text in tempting()) {
        let shown = safe(&text);
        prop_assert!(is_within(&letters(&text.replace("&lt;", "")), &letters(&shown)), "{text:?} {shown:?}");
    }

    #[test]
    fn any_text_at_all_is_accepted(text in "\\PC{0,200}") {
        safe(&text);
        growing(&text);
        safe_text(&text);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn blocks_that_are_whole_only_grow(order in prop::collection::vec(0_usize..14, 1..6)) {
        let blocks: Vec<&str> = EVERYTHING.split("\n\n").collect();
        let text = order.iter().map(|index| blocks[index % blocks.len()]).collect::<Vec<_>>().join("\n\n");
        let whole = safe(&text);
        for end in (0..=text.len()).filter(|end| text.is_char_boundary(*end)) {
            let part = growing(&text[..end]);
            prop_assert!(whole.starts_with(&part), "{:?} is no beginning of {:?}", part, whole);
        }
    }
}
