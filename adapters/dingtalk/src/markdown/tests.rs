use proptest::prelude::*;
use pulldown_cmark::{Event, Parser};

use super::*;

#[test]
fn single_line_breaks_survive_in_cards() {
    assert_eq!(for_card("a\nb\n\nc"), "a<br>b\n\nc");
    assert_eq!(for_card("a\n- x\n- y\n  more\nz"), "a\n- x\n- y<br>more<br>z");
    assert_eq!(for_card("# T\ntext\n## U\n1. x\n2) y\n***\nz"), "# T\n\ntext\n## U\n1. x\n2) y\n***\n\nz");
    assert_eq!(for_card("a\r\nb"), "a<br>b");
}

#[test]
fn quotes_are_joined_and_tables_stand_apart() {
    assert_eq!(for_card("> a\n> b\n>> c\nd"), "> a<br>b  \n>> c<br>d");
    assert_eq!(for_card("x\n| a | b |\n|---|---|\n| 1 | 2 |\ny"), "x\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\ny");
    assert_eq!(for_card("x\na | b\n--- | ---\n1 | 2"), "x\n\na | b\n--- | ---\n1 | 2");
}

#[test]
fn code_blocks_are_left_alone() {
    let text = "a\n```rust\nfn f<T>() {}\n\n  x\n```\nb";
    assert_eq!(for_card(text), text);
    assert_eq!(for_card("```\na < b"), "```\na < b");
}

#[test]
fn tilde_fences_become_backticks_that_hold() {
    assert_eq!(for_card("~~~html\n<a atId=1>\n```\n~~~\nb"), "````html\n<\u{200b}a atId=1>\n```\n````\nb");
}

#[test]
fn messages_break_lines_with_blanks() {
    assert_eq!(for_message("a\nb\n- c"), "a  \n  b\n- c");
    assert_eq!(for_message("> a\n> b"), "> a  \n> b");
}

#[test]
fn tags_lose_their_power_and_comparisons_stay() {
    assert_eq!(for_card("<a atId=u1>你</a> 1 < 2 > 0"), "&lt;a atId=u1>你&lt;/a> 1 < 2 > 0");
    assert_eq!(for_card("| a<br/>b |"), "| a<br>b |");
    assert_eq!(for_card("`<a atId=1>` and `` x`<y ``"), "`<\u{200b}a atId=1>` and `` x`<y ``");
    assert_eq!(for_card("```\n<b> <A ATID=1>\n```"), "```\n<b> <\u{200b}A ATID=1>\n```");
    assert_eq!(for_card("```\n<a href=1>\n```"), "```\n<a href=1>\n```");
    assert_eq!(for_card("`open <font>"), "`open &lt;font>");
}

#[test]
fn growing_text_is_closed() {
    assert_eq!(closed("a\n\n"), "a");
    assert_eq!(closed("```py\nx\n"), "```py\nx\n```");
    assert_eq!(closed("```py\nx\n```\n"), "```py\nx\n```");
}

#[test]
fn first_words_are_plain() {
    assert_eq!(first_words("\n## **值班** 表\nx", 10), "值班 表");
    assert_eq!(first_words("一二三四五", 3), "一二三…");
    assert_eq!(first_words("", 3), "");
}

proptest! {
    /// Whatever a model writes, no reading of the result finds a tag that mentions somebody.
    #[test]
    fn no_mention_gets_through(text in "([ab`~<>/ \n|#-]|<a atId=1>|<A\nATID=1>|    |```|~~~){0,40}") {
        for dialect in [for_card(&text), for_message(&text)] {
            let lower = dialect.to_lowercase();
            prop_assert!(!lower.contains("<a atid") && !lower.contains("<a\natid"), "{dialect:?}");
            for event in Parser::new(&dialect) {
                if let Event::InlineHtml(html) | Event::Html(html) = event {
                    prop_assert!(!html.to_lowercase().contains("atid"), "{dialect:?} holds {html:?}");
                }
            }
        }
    }

    #[test]
    fn no_visible_character_is_lost(text in "[a-z0-9\n *#>|-]{0,60}") {
        let visible = |text: &str| text.replace("<br>", "").chars().filter(char::is_ascii_alphanumeric).collect::<String>();
        prop_assert_eq!(visible(&for_card(&text)), visible(&text));
        prop_assert_eq!(visible(&for_message(&text)), visible(&text));
    }
}
