use proptest::prelude::*;
use pulldown_cmark::{Event, Parser, Tag};

use super::*;

#[test]
fn single_line_breaks_survive() {
    assert_eq!(for_card("a\nb\n\nc"), "a<br>b\n\nc");
    assert_eq!(for_card("a\n- x\n- y\n  more\n\nz"), "a\n\n- x\n- y<br>more\n\nz");
    assert_eq!(
        for_card("# T\ntext\n## U\n1. x\n2. y\n***\nz\r\nz"),
        "# T\n\ntext\n\n## U\n\n1. x\n2. y\n\n***\n\nz<br>z"
    );
    assert_eq!(for_message("a\nb\n- c\n  d"), "a  \n  b\n\n- c  \n    d");
    assert_eq!(for_card("a  \nb<br/>c"), "a<br>b<br>c");
}

#[test]
fn headings_keep_to_what_the_dialect_knows() {
    assert_eq!(for_card("###### Six"), "##### Six");
    assert_eq!(for_message("###### Six"), "###### Six");
    assert_eq!(for_card("One\n==="), "# One");
    assert_eq!(for_card("a list begins\n-"), "a list begins<br>-");
    assert_eq!(for_card("a paragraph\n---\nanother"), "a paragraph\n\n***\n\nanother");
}

#[test]
fn lists_nest_and_keep_their_numbers() {
    assert_eq!(for_card("3. a\n   - b\n     - c\n7. d"), "3. a\n    - b\n        - c\n7. d");
    assert_eq!(for_card("1. a\n1. b\n1. c"), "1. a\n2. b\n3. c");
    assert_eq!(for_card("1. a\n   1. b\n   2. c"), "1. a\n    - (1) b\n    - (2) c");
    assert_eq!(for_message("1. a\n   1. b\n   2. c"), "1. a\n    1. b\n    2. c");
    assert_eq!(for_card("- [x] a\n- [ ] b"), "- ☑ a\n- ☐ b");
    assert_eq!(for_card("- a\n\n  b\n\n- c"), "- a<br>b\n- c");
}

#[test]
fn quotes_and_code_keep_their_place() {
    assert_eq!(for_card("> a\n> b\n>\n> c\n\nd"), "> a<br>b\n>\n> c\n\nd");
    assert_eq!(for_card("- a\n  ```py\n  x = 1\n\n    y\n  ```"), "- a\n\n    ```py\n    x = 1\n\n      y\n    ```");
    assert_eq!(for_card("-     a\n-     b"), "-   ```\n    a\n    ```\n-   ```\n    b\n    ```");
    let code = "```rust\nfn f<T>() {}\n\n  x\n```";
    assert_eq!(for_card(code), code);
    assert_eq!(for_message(code), code);
    assert_eq!(for_card("    indented"), "```\nindented\n```");
}

#[test]
fn code_is_fenced_so_that_it_holds() {
    assert_eq!(for_card("```\na < b"), "```\na < b\n```", "an open block is closed");
    assert_eq!(for_card("~~~html\n<a atId=1>\n```\n~~~\nb"), "````html\n<\u{200b}a atId=1>\n```\n````\n\nb");
    assert_eq!(for_card("`` a`b ``"), "``a`b``");
}

#[test]
fn tables_are_tables_in_cards_and_lines_in_messages() {
    let table = "x\n|姓名|电话|\n|---|--:|\n|张三|`1|2`|3|\n|李四|\ny";
    let table = table.replace("`1|2`", "`1\\|2`");
    assert_eq!(for_card(&table), "x\n\n| 姓名 | 电话 |\n| --- | ---: |\n| 张三 | `1\\|2` 3 |\n| 李四 |  |\n| y |  |");
    assert_eq!(for_message(&table), "x\n\n- 姓名: 张三; 电话: `1|2` 3\n- 姓名: 李四; 电话: –\n- 姓名: y; 电话: –");
    assert_eq!(for_card("| a |\n|---|\n| b<br>c |"), "| a |\n| --- |\n| b<br>c |");
    assert_eq!(for_message("| a | b |\n|---|---|"), "- a; b");
}

#[test]
fn links_say_where_they_lead() {
    assert_eq!(
        for_card("[bank.com](https://evil.example/x)"),
        "[bank.com](https://evil.example/x) (https://evil.example/x)"
    );
    assert_eq!(
        for_card("[年假](https://hr.example.com/leave)"),
        "[年假](https://hr.example.com/leave) (hr.example.com)"
    );
    assert_eq!(for_card("[a](https://bank.com@evil.example)"), "[a](https://bank.com@evil.example/) (evil.example)");
    assert_eq!(for_card("[a](https://b.example 'bank.com')"), "[a](https://b.example/) (b.example, bank.com)");
    assert_eq!(for_card("<https://a.example/b>"), "[https://a.example/b](https://a.example/b)");
    assert_eq!(for_card("[https://a.example](https://a.example/)"), "[https://a.example](https://a.example/)");
    assert_eq!(for_card("<me@a.example>"), "[me@a.example](mailto:me@a.example)");
    assert_eq!(for_card("![图](https://a.example/b(1).png)"), "[图](https://a.example/b%281%29.png) (a.example)");
    assert_eq!(for_card("![](https://a.example/b)"), "[a.example](https://a.example/b) (https://a.example/b)");
    assert_eq!(
        for_card("[![图](https://a.example/i.png)](https://b.example)"),
        "[图 (https://a.example/i.png)](https://b.example/) (https://b.example/)"
    );
}

#[test]
fn only_the_web_and_mail_can_be_followed() {
    assert_eq!(
        for_card("[点我](dtmd://dingtalkclient/sendMessage?content=x)"),
        "点我 (dtmd:\u{200b}//dingtalkclient/sendMessage?content=x)"
    );
    assert_eq!(for_message("[a](DingTalk://x)"), "a (DingTalk:\u{200b}//x)");
    assert_eq!(for_card("[a](javascript:alert\\(1\\))"), "a (javascript:alert(1))");
    assert_eq!(for_card("[a](b.md)"), "a (b.md)");
    assert_eq!(for_card("dtmd://x"), "dtmd:\u{200b}//x");
    assert_eq!(for_card("<div>\n[a](dtmd://x y)\n</div>"), "&lt;div><br>[a]\u{200b}(dtmd:\u{200b}//x y)<br>&lt;/div>");
    assert_eq!(for_card("[a](https://x.example/?u=dtmd://y)"), "[a](https://x.example/?u=dtmd%3A//y) (x.example)");
}

#[test]
fn what_the_parser_leaves_out_is_shown() {
    assert_eq!(
        for_card("[文档][1]\n\n[1]: https://a.example/b"),
        "[文档](https://a.example/b) (a.example)\n\n[1]\u{200b}: https://a.example/b"
    );
    assert_eq!(for_card("> q\n>\n> [1]: https://a.example"), "> q\n>\n> [1]\u{200b}: https://a.example");
    assert_eq!(for_card("- [1]: https://a.example"), "- [1]\u{200b}: https://a.example");
    assert_eq!(for_card("x[^1]\n\n[^1]: note"), "x[^1]\n\n[^1] note");
    assert_eq!(for_card("a \\*b\\* &amp; &#42; 2 * 3 ~~alt~~ 3~5天"), "a \\*b\\* &amp; &#42; 2 * 3 ~~alt~~ 3~5天");
}

#[test]
fn tags_lose_their_power_and_comparisons_stay() {
    assert_eq!(for_card("<a atId=u1>你</a> 1 < 2 > 0"), "&lt;a atId=u1>你&lt;/a> 1 < 2 > 0");
    assert_eq!(for_card("`<a atId=1>` and `` x`<y ``"), "`<\u{200b}a atId=1>` and ``x`<y``");
    assert_eq!(for_card("```\n<b> <A ATID=1>\n```"), "```\n<b> <\u{200b}A ATID=1>\n```");
    assert_eq!(for_card("```\n<a href=1>\n```"), "```\n<a href=1>\n```");
    assert_eq!(for_card("`open <font> \\<b>"), "`open &lt;font> &lt;b>");
}

#[test]
fn names_of_people_stand_for_themselves() {
    assert_eq!(escaped("*张三* <a atId=1> [x](dtmd://y)"), "\\*张三\\* &lt;a atId=1> \\[x\\](dtmd:\u{200b}//y)");
    assert_eq!(plain("a < b <a atId=1>"), "a < b <\u{200b}a atId=1>");
}

#[test]
fn first_words_are_plain() {
    assert_eq!(first_words("\n## **值班** 表\nx", 10), "值班 表");
    assert_eq!(first_words("一二三四五", 3), "一二三…");
    assert_eq!(first_words("", 3), "");
}

/// An answer with a bit of everything.
const GROWING: &str = "# 值班\n今天是**张三**，见 [排班](https://hr.example.com/a?b=1)：\n\n- 早班 `a_b`\n  - 电话 *110*\n- 晚班\n\n\
    1. 一\n2. 二\n\n```py\nx = \"<a>\"\n```\n\n| 姓名 | 班 |\n|---|---|\n| 张三 | 早 |\n| 李四 | 晚 |\n\n> 注意\n> 交接\n\n完。";

#[test]
fn what_was_shown_stays_while_the_answer_grows() {
    let mut before = String::new();
    for (at, _) in GROWING.char_indices() {
        let now = for_card(&GROWING[..at]);
        let settled = before.rfind("\n\n").unwrap_or(0);
        assert!(now.starts_with(&before[..settled]), "{before:?} became {now:?}");
        // A line that turns out to be an entry loses its line break.
        assert!(now.len() + "<br>".len() > before.len(), "{before:?} became {now:?}");
        before = now;
    }
}

#[test]
fn nesting_without_end_is_harmless() {
    let deep = format!("{} x", ">".repeat(20_000));
    assert!(for_card(&deep).ends_with('x') && for_card(&deep).len() < 1_000);
    let deep = format!("{}x", "- ".repeat(5_000));
    assert!(for_message(&deep).ends_with('x'));
    for_card(&"[".repeat(20_000));
    for_card(&"![a](".repeat(5_000));
}

/// Pieces that models put together in every order.
const PIECES: &str = "(a|b|文|`|``|```|~~~|\\*|\\*\\*|_|~~|<|>|/| |\n|\n\n|\\||#|-|- |> |1\\. |    |\\[|\\]|\\(|\\)|!|:|\\\\|&|&lt;\
    |<a atId=1>|<A\nATID=1>|</a>|<br>|\\[k\\]\\(https://h\\.example\\)|\\[k\\]\\(dtmd://s\\)|\\[k\\]: dtmd://d|!\\[i\\]\\(dingtalk://p\\)\
    |<dtmd://s>|\n\\| c \\| d \\|\n\\|---\\|---\\|\n\\| e \\| f \\| g \\||\\[\\^n\\]|\\[\\^n\\]: m|\\[x\\] ){0,40}";

fn letters(text: &str) -> impl Iterator<Item = char> {
    let text = text.replace("<br>", "");
    text.chars().filter(|c| c.is_alphabetic()).collect::<Vec<_>>().into_iter()
}

proptest! {
    /// Whatever a model writes, no reading of the result finds a tag that mentions somebody or a link that acts.
    #[test]
    fn no_mention_and_no_acting_link_gets_through(text in PIECES) {
        for dialect in [for_card(&text), for_message(&text)] {
            let lower = dialect.to_lowercase();
            prop_assert!(!lower.contains("<a atid") && !lower.contains("<a\natid"), "{dialect:?}");
            prop_assert!(!lower.contains("dtmd:/") && !lower.contains("dingtalk:/"), "{dialect:?}");
            for event in Parser::new_ext(&dialect, GRAMMAR) {
                match event {
                    Event::InlineHtml(html) | Event::Html(html) => prop_assert!(html.replace("<br>", "").trim().is_empty(), "{dialect:?}"),
                    Event::Start(Tag::Link { dest_url, .. }) => {
                        prop_assert!(dest_url.starts_with("https://h.example"), "{dialect:?}");
                    }
                    Event::Start(Tag::Image { .. }) => prop_assert!(false, "{dialect:?}"),
                    _ => {}
                }
            }
        }
    }

    /// Every letter of the source is there; in its order, where a table is not taken apart.
    #[test]
    fn no_letter_is_lost(text in PIECES) {
        // What only names a definition is read there.
        let text = text.replace("]: d", "] d");
        let (card, message) = (for_card(&text), for_message(&text));
        let text = text.replace("[x]", "");
        let mut shown = letters(&card);
        for letter in letters(&text) {
            prop_assert!(shown.any(|c| c == letter), "{letter} of {text:?} in {card:?}");
            let count = |text: &str| letters(text).filter(|c| *c == letter).count();
            prop_assert!(count(&message) >= count(&text), "{letter} of {text:?} in {message:?}");
        }
    }

    #[test]
    fn any_text_is_written(text: String) {
        for_card(&text);
        for_message(&text);
        escaped(&text);
    }
}
