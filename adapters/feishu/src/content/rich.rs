//! Rich text and cards, as Markdown that a model can read.

use magpie_core::event::{ContentKind, Resource};
use serde_json::Value;

use super::{Converted, resource};
use crate::field;

/// Rich text: paragraphs of tagged runs, as received (without a language around them).
pub(super) fn post(content: &Value) -> Option<Converted> {
    content.get("content")?.as_array()?;
    let mut writer = Writer::default();
    writer.paragraphs(content, "content");
    Some(writer.finish(ContentKind::RichText, content))
}

/// A card in the reduced form of events: title and text of its elements.
pub(super) fn card(content: &Value) -> Option<Converted> {
    content.is_object().then(|| {
        let mut writer = Writer::default();
        writer.paragraphs(content, "elements");
        writer.finish(ContentKind::Card, content)
    })
}

#[derive(Default)]
struct Writer {
    lines: Vec<String>,
    resources: Vec<Resource>,
}

impl Writer {
    fn paragraphs(&mut self, content: &Value, key: &str) {
        for paragraph in field::list(content, key) {
            let mut line = String::new();
            for run in paragraph.as_array().map_or(&[][..], Vec::as_slice) {
                self.run(run, &mut line);
            }
            self.lines.push(line);
        }
    }

    fn run(&mut self, run: &Value, line: &mut String) {
        let text = field::text(run, "text").unwrap_or_default();
        match field::text(run, "tag").unwrap_or_default() {
            "text" | "md" | "plain_text" | "lark_md" => line.push_str(&styled(text, run)),
            "a" => match field::text(run, "href") {
                Some(href) => line.push_str(&format!("[{text}]({href})")),
                None => line.push_str(text),
            },
            "at" => line.push_str(&mention(run)),
            "img" => self.attach(ContentKind::Image, run, "image_key", line),
            "media" => self.attach(ContentKind::Video, run, "file_key", line),
            "emotion" => line.push_str(&format!(":{}:", field::text(run, "emoji_type").unwrap_or_default())),
            "hr" => line.push_str("---"),
            "code_block" => {
                let language = field::text(run, "language").unwrap_or_default().to_lowercase();
                line.push_str(&format!("```{language}\n{}\n```", text.trim_end_matches('\n')));
            }
            "button" if !text.is_empty() => line.push_str(&format!("[{text}]")),
            _ => line.push_str(text),
        }
    }

    fn attach(&mut self, kind: ContentKind, run: &Value, key_field: &str, line: &mut String) {
        if let Some(resource) = resource(kind, run, key_field) {
            if resource.kind == ContentKind::Image {
                line.push_str(&format!("![image]({})", resource.key));
            }
            self.resources.push(resource);
        }
    }

    fn finish(mut self, kind: ContentKind, content: &Value) -> Converted {
        if let Some(title) = field::text(content, "title") {
            self.lines.insert(0, format!("# {title}"));
        }
        Converted { kind, text: self.lines.join("\n"), resources: self.resources }
    }
}

/// A run with its Markdown marks. Blanks stay outside of the marks, or they would not be marks.
fn styled(text: &str, run: &Value) -> String {
    let core = text.trim();
    if core.is_empty() {
        return text.to_owned();
    }
    let has = |style: &str| field::list(run, "style").iter().any(|given| given == style);
    let mut marked = core.to_owned();
    for (style, mark) in [("bold", "**"), ("italic", "*"), ("lineThrough", "~~")] {
        if has(style) {
            marked = format!("{mark}{marked}{mark}");
        }
    }
    text.replacen(core, &marked, 1)
}

/// The placeholder, to be resolved with those of plain text; where there is none, the name.
fn mention(run: &Value) -> String {
    match (field::text(run, "user_id"), field::text(run, "user_name")) {
        (Some("all"), _) => "@_all".to_owned(),
        (Some(key), _) if key.starts_with("@_") => key.to_owned(),
        (_, Some(name)) => format!("@{name}"),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn styles_become_marks_around_the_words_only() {
        let content = json!({"title": "T", "content": [[
            {"tag": "text", "text": " very ", "style": ["bold", "italic"]},
            {"tag": "a", "text": "doc", "href": "https://example.com"},
            {"tag": "text", "text": " ", "style": ["bold"]},
        ]]});
        let converted = post(&content).expect("a post");
        assert_eq!(converted.text, "# T\n ***very*** [doc](https://example.com) ");
    }

    #[test]
    fn card_in_reduced_form_is_readable() {
        let content = json!({"title": "审批", "elements": [[{"tag": "text", "text": "请审批"}], [{"tag": "button", "text": "同意"}]]});
        assert_eq!(card(&content).expect("a card").text, "# 审批\n请审批\n[同意]");
    }
}
