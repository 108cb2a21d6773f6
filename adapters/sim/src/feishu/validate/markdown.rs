//! What a Markdown element refers to: images, mentions, tables.

use pulldown_cmark::{Event, Options, Parser, Tag};

/// References of one Markdown text. Code is no reference.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Survey {
    pub(super) images: Vec<String>,
    /// Ids in `<at id=…>`; `all` for everyone.
    pub(super) mentions: Vec<String>,
    pub(super) tables: usize,
}

pub(super) fn survey(text: &str) -> Survey {
    let mut found = Survey::default();
    for event in Parser::new_ext(text, Options::ENABLE_TABLES) {
        match event {
            Event::Start(Tag::Image { dest_url, .. }) => found.images.push(dest_url.into_string()),
            Event::Start(Tag::Table(_)) => found.tables += 1,
            Event::Html(html) | Event::InlineHtml(html) => found.mentions.extend(mentions(&html)),
            _ => {}
        }
    }
    found
}

fn mentions(html: &str) -> Vec<String> {
    let tags = html.split("<at ").skip(1).filter_map(|rest| rest.split('>').next());
    tags.filter_map(|tag| tag.split_once("id="))
        .map(|(_, id)| id.trim_matches(['"', '\'', ' ', '/']).to_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_found_outside_code_only() {
        let found = survey("![a](img_v3_1) <at id=ou_1></at>\n\n`![b](img_2) <at id=all>`\n\n| a |\n|---|\n| b |\n");
        let expected = Survey { images: vec!["img_v3_1".into()], mentions: vec!["ou_1".into()], tables: 1 };
        assert_eq!(found, expected);
    }
}
