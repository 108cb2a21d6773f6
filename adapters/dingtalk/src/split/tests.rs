use proptest::prelude::*;

use super::*;

fn pages(source: &str, limit: PageLimit) -> Vec<String> {
    let (mut from, mut pages) = (0, Vec::new());
    while from < source.len() {
        let page = page(source, from, limit);
        assert!(page.end > from, "every page moves on");
        from = page.end;
        pages.push(page.text);
    }
    pages
}

#[test]
fn pages_end_with_lines() {
    let limit = PageLimit { chars: 10, bytes: 100 };
    assert_eq!(pages("12345\n6789\nabc", limit), ["12345\n", "6789\nabc"]);
    assert_eq!(pages("一二三四五六七八九十百千", limit), ["一二三四五六七八九十", "百千"]);
}

#[test]
fn a_code_block_goes_on_over_pages() {
    let limit = PageLimit { chars: 14, bytes: 100 };
    assert_eq!(pages("```py\naaaa\nbbbb\ncccc\n```\n", limit), ["```py\naaaa\n```", "```py\nbbbb\ncccc\n```\n"]);
}

#[test]
fn an_offset_beyond_the_end_gives_nothing() {
    assert_eq!(page("ab", 9, PageLimit { chars: 5, bytes: 5 }), Page { text: String::new(), end: 2 });
}

proptest! {
    #[test]
    fn splitting_loses_no_character(text in "[a-z一-三 \n🚀]{0,120}", chars in 1usize..30, bytes in 1usize..60) {
        prop_assert_eq!(pages(&text, PageLimit { chars, bytes }).concat(), text);
    }

    #[test]
    fn any_text_is_split_without_panic(text: String, chars in 1usize..30, bytes in 1usize..60, from in 0usize..80) {
        pages(&text, PageLimit { chars, bytes });
        page(&text, from, PageLimit { chars, bytes });
    }
}
