use proptest::prelude::*;

use super::*;
use crate::regions::closed;

/// The pages, and the parts of the source in them.
fn pages(source: &str, limit: PageLimit) -> (Vec<String>, Vec<&str>) {
    let (mut from, mut pages, mut parts) = (0, Vec::new(), Vec::new());
    while from < source.len() {
        let page = page(source, from, limit);
        assert!(page.end > from, "every page moves on");
        parts.push(&source[from..page.end]);
        assert!(page.text.contains(&source[from..page.end]), "{:?} is not in {page:?}", &source[from..page.end]);
        from = page.end;
        pages.push(page.text);
    }
    (pages, parts)
}

fn limit(chars: usize) -> PageLimit {
    PageLimit { chars, bytes: 4 * chars }
}

#[test]
fn pages_end_with_lines() {
    assert_eq!(pages("12345\n6789\nabc", limit(10)).0, ["12345\n", "6789\nabc"]);
    assert_eq!(pages("一二三四五六七八九十百千", limit(10)).0, ["一二三四五六七八九十", "百千"]);
}

#[test]
fn a_code_block_goes_on_over_pages() {
    assert_eq!(
        pages("```py\naaaa\nbbbb\ncccc\n```\nend", limit(16)).0,
        ["```py\naaaa\nbbbb\n```", "```py\ncccc\n```\n", "end"]
    );
    assert_eq!(
        pages("> ```py\n> aaaa\n> bbbb\n> ```\n", limit(20)).0,
        ["> ```py\n> aaaa\n> ```", "> ```py\n> bbbb\n> ```", "\n"],
        "a quote's block stays in its quote"
    );
}

#[test]
fn a_table_goes_on_with_its_header() {
    let table = "| a | b |\n|---|---|\n| 1 | 2 |\n| 3 | 4 |\n| 5 | 6 |\n";
    assert_eq!(
        pages(table, limit(45)).0,
        ["| a | b |\n|---|---|\n| 1 | 2 |\n| 3 | 4 |\n", "| a | b |\n|---|---|\n| 5 | 6 |\n"]
    );
    let after_text = format!("some words before it\n\n{table}");
    assert_eq!(pages(&after_text, limit(35)).0[0], "some words before it\n\n", "a header is not parted from its rows");
}

#[test]
fn an_offset_beyond_the_end_gives_nothing() {
    assert_eq!(page("ab", 9, limit(5)), Page { text: String::new(), end: 2 });
}

#[test]
fn what_is_followed_by_something_is_closed() {
    assert_eq!(closed("a\n\n"), "a");
    assert_eq!(closed("```py\nx\n"), "```py\nx\n```");
    assert_eq!(closed("```py\nx\n```\n"), "```py\nx\n```");
    assert_eq!(closed("> ~~~\n> x"), "> ~~~\n> x\n> ~~~");
    assert_eq!(closed("```py"), "```py\n```");
}

/// Pieces of which the regions are made.
const PIECES: &str = "(a|文|🚀| |\n|\n\n|```|~~~|py|> |- |    |\\||\n\\| c \\| d \\|\n\\|---\\|---\\|\n\\| e \\| f \\|\n|\n```\nx\n```\n){0,40}";

proptest! {
    #[test]
    fn splitting_loses_no_character(text in PIECES, chars in 1usize..40, bytes in 1usize..80) {
        prop_assert_eq!(pages(&text, PageLimit { chars, bytes }).1.concat(), text);
    }

    #[test]
    fn any_text_is_split_without_panic(text: String, chars in 1usize..30, bytes in 1usize..60, from in 0usize..80) {
        pages(&text, PageLimit { chars, bytes });
        page(&text, from, PageLimit { chars, bytes });
        closed(&text);
    }
}
