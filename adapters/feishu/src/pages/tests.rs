use proptest::prelude::*;
use pulldown_cmark::{Event, Options, Parser, Tag};

use super::*;

/// The text of all pieces, which must be the whole.
fn rejoined(text: &str, limit: usize) -> String {
    cut(text, limit).iter().map(|piece| piece.text).collect()
}

#[test]
fn code_block_goes_on_as_code_on_the_next_page() {
    let text = format!("intro\n```rust\n{}```\nend\n", "let x = 1;\n".repeat(20));
    let pages = split(&text, 120);
    assert!(pages.len() > 2);
    assert!(pages[0].ends_with("\n```") && pages[1].starts_with("```rust\n"));
    assert!(pages.last().expect("a page").ends_with("```\nend\n"));
    assert_eq!(rejoined(&text, 120), text);
}

#[test]
fn code_under_an_entry_and_in_a_quote_goes_on_as_code() {
    let listed = format!("1. run\n   ```sh\n{}   ```\n\n   then <b>\n", "   echo one\n".repeat(20));
    let pages = split(&listed, 100);
    assert!(pages[0].ends_with("   echo one\n   ```"), "{pages:#?}");
    assert!(pages[1].starts_with("```sh\necho one\n"), "{pages:#?}");
    let quoted = format!("> ```sh\n{}> ```\n", "> echo one\n".repeat(20));
    let pages = split(&quoted, 100);
    assert!(pages[0].ends_with("> ```") && pages[1].starts_with("> ```sh\n> echo"), "{pages:#?}");
}

#[test]
fn table_goes_on_under_its_head() {
    let rows: String = (0..30).map(|row| format!("| {row} | value |\n")).collect();
    let pages = split(&format!("intro\n\n| a | b |\n|---|---|\n{rows}\nend\n"), 150);
    assert!(pages.len() > 3);
    assert!(pages[1..].iter().all(|page| page.starts_with("| a | b |\n|---|---|\n| ")), "{pages:#?}");
}

#[test]
fn entries_of_lists_stay_whole() {
    let entry = "- an entry\n  of two lines\n";
    let pages = split(&entry.repeat(30), 200);
    assert!(pages.len() > 3);
    assert!(
        pages.iter().all(|page| page.starts_with("- an entry\n") && page.ends_with("  of two lines\n")),
        "{pages:#?}"
    );
}

#[test]
fn nested_entries_do_not_become_code() {
    let text = format!("- top\n  - sub\n{}", "    - deep and deeper\n".repeat(20));
    let pages = split(&text, 120);
    assert!(pages[1..].iter().all(|page| page.starts_with("- deep")), "{pages:#?}");
}

#[test]
fn links_and_words_are_not_cut() {
    let text = "some words and [a link](https://x.y/z) &#60;b> ".repeat(20);
    let pages = split(&text, 130);
    let links =
        |page: &String| Parser::new(page).filter(|event| matches!(event, Event::Start(Tag::Link { .. }))).count();
    assert_eq!(pages.iter().map(links).sum::<usize>(), 20, "{pages:#?}");
    assert_eq!(pages.concat(), text);
}

#[test]
fn code_inside_of_text_stays_code() {
    let pages = split(&format!("`{}`", "<font> ".repeat(40)), 100);
    assert!(pages.len() > 2 && pages.iter().all(|page| page.starts_with('`') && page.ends_with('`')), "{pages:#?}");
}

#[test]
fn beginning_of_growing_text_stays() {
    let text = "some words, `code <b>` and [a link](https://x.y/z).\n".repeat(10);
    let whole = beginning(&text, 200);
    assert!(json_bytes(whole) <= 200 && json_bytes(whole) > 150, "{whole}");
    for end in whole.len()..text.len() {
        // A link that is not closed yet is no link.
        let shown = beginning(&text[..end], 200);
        assert!(shown.starts_with(whole) && shown.len() < whole.len() + 15, "{shown}");
    }
    assert_eq!(beginning(&format!("{}`{}`", "word ".repeat(10), "x".repeat(90)), 100), "word ".repeat(10));
}

#[test]
fn short_text_is_one_page_and_so_is_none() {
    assert_eq!(split("hello\n", 100), ["hello\n"]);
    assert_eq!(split("", 100), [""]);
}

fn markdown() -> impl Strategy<Value = String> {
    let pieces = prop::sample::select(vec![
        "# T\n\n",
        "word ",
        "你好",
        "\n",
        "\n\n",
        "- a\n",
        "  - b\n",
        "1. c\n",
        "> q\n",
        "```rust\n",
        "```\n",
        "    x\n",
        "~~~~\n",
        "`code`",
        "``",
        "| a | b |\n|---|---|\n| 1 | 2 |\n",
        "| 3 | 4 |\n",
        "[l](https://a.b)",
        "&#60;",
        "**b**",
        "<at id=all>",
        "<b>",
        "\"\\",
        "verylongwordwithoutanyblankinit",
    ]);
    prop::collection::vec(pieces, 0..120).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn splitting_loses_no_character(text in "[a-z\"é\n 你]{0,600}", limit in 60_usize..300) {
        prop_assert_eq!(rejoined(&text, limit), text.clone());
        prop_assert!(split(&text, limit).iter().all(|page| json_bytes(page) <= limit));
    }

    #[test]
    fn no_page_of_any_markdown_is_too_long_or_holds_a_tag(text in markdown(), limit in 150_usize..400) {
        let shown = crate::markdown::safe(&text);
        prop_assert_eq!(rejoined(&shown, limit), shown.clone());
        for page in split(&shown, limit) {
            prop_assert!(json_bytes(&page) <= limit, "{} {:?}", json_bytes(&page), page);
            let options = Options::ENABLE_TABLES;
            let tag = Parser::new_ext(&page, options).any(|event| matches!(event, Event::Html(_) | Event::InlineHtml(_)));
            prop_assert!(!tag, "{page:?} of {shown:?}");
        }
    }
}
