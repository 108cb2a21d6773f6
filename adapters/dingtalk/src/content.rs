//! What a message holds: one reader per message type, a table, and a fallback that cannot fail.
//!
//! The same readers serve fresh and quoted messages; the platform spells some fields differently in the two.
//! Source: open.dingtalk.com "接收消息", message types, August 2026.

use std::borrow::Cow;

use magpie_core::event::{Content, ContentKind, Resource};
use serde_json::{Map, Value};

use crate::fields::{Fields, object_or_json_text};

/// Readable text (ends trimmed) and what can be downloaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reading {
    pub text: String,
    pub content: Content,
}

type Reader = fn(Fields<'_>) -> (String, Vec<Resource>);

/// Message type, what it is to us, how it is read.
const READERS: [(&str, ContentKind, Reader); 10] = [
    ("text", ContentKind::Text, text),
    ("markdown", ContentKind::Text, text),
    ("richText", ContentKind::RichText, rich_text),
    ("picture", ContentKind::Image, picture),
    ("audio", ContentKind::Audio, audio),
    ("video", ContentKind::Video, video),
    ("file", ContentKind::File, file),
    ("actionCard", ContentKind::Card, card),
    ("interactiveCard", ContentKind::Card, card),
    ("chatRecord", ContentKind::Forwarded, chat_record),
];

/// Reads the payload of a message of the platform's type `msgtype`. Never fails: what is not understood is
/// [`ContentKind::Unknown`] with no text.
pub(crate) fn read(msgtype: &str, payload: Option<&Value>) -> Reading {
    let Some((_, kind, reader)) = READERS.iter().find(|(name, ..)| *name == msgtype) else {
        let content = Content { kind: ContentKind::Unknown(msgtype.to_owned()), resources: Vec::new() };
        return Reading { text: String::new(), content };
    };
    let map = payload.map_or_else(Cow::default, payload_map);
    let (text, resources) = reader(Fields::exact(&map));
    Reading { text: text.trim().to_owned(), content: Content { kind: kind.clone(), resources } }
}

/// The payload as an object: it may be JSON text of one, or, on an old documentation page, the bare message text.
fn payload_map(payload: &Value) -> Cow<'_, Map<String, Value>> {
    match (object_or_json_text(payload), payload) {
        (Some(map), _) => map,
        (None, Value::String(text)) => Cow::Owned(Map::from_iter([("content".to_owned(), Value::from(text.as_str()))])),
        (None, _) => Cow::default(),
    }
}

fn text(fields: Fields<'_>) -> (String, Vec<Resource>) {
    (fields.text("content").or_else(|| fields.text("text")).unwrap_or_default().to_owned(), Vec::new())
}

fn rich_text(fields: Fields<'_>) -> (String, Vec<Resource>) {
    let list = if fields.get("richText").is_some() { "richText" } else { "richTextList" };
    let mut joined = String::new();
    let mut resources = Vec::new();
    for item in fields.objects(list) {
        match item.text("type").or_else(|| item.text("msgType")) {
            Some("picture") => resources.extend(resource(ContentKind::Image, item)),
            // Plain parts, and unknown kinds that carry a text.
            _ => joined.push_str(item.text("text").or_else(|| item.text("content")).unwrap_or_default()),
        }
    }
    (joined, resources)
}

fn picture(fields: Fields<'_>) -> (String, Vec<Resource>) {
    (String::new(), resource(ContentKind::Image, fields).into_iter().collect())
}

/// What the platform recognised is what the person said.
fn audio(fields: Fields<'_>) -> (String, Vec<Resource>) {
    let mut resources: Vec<Resource> = resource(ContentKind::Audio, fields).into_iter().collect();
    for audio in &mut resources {
        audio.duration_ms = fields.integer("duration").and_then(|ms| u64::try_from(ms).ok());
    }
    (fields.text("recognition").unwrap_or_default().to_owned(), resources)
}

/// Official pages disagree on the unit of `duration` here, so it is left out.
fn video(fields: Fields<'_>) -> (String, Vec<Resource>) {
    (String::new(), resource(ContentKind::Video, fields).into_iter().collect())
}

fn file(fields: Fields<'_>) -> (String, Vec<Resource>) {
    let mut resources: Vec<Resource> = resource(ContentKind::File, fields).into_iter().collect();
    for file in &mut resources {
        file.name = fields.text("fileName").map(str::to_owned);
    }
    (String::new(), resources)
}

fn card(fields: Fields<'_>) -> (String, Vec<Resource>) {
    (lines([fields.text("title"), fields.text("text")].into_iter().flatten().map(str::to_owned)), Vec::new())
}

/// Forwarded messages: `summary` is JSON text of a list of `{senderNick, content}`.
fn chat_record(fields: Fields<'_>) -> (String, Vec<Resource>) {
    let summary: Vec<Value> =
        fields.text("summary").and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    let said = summary.iter().filter_map(Value::as_object).filter_map(|entry| {
        let entry = Fields::exact(entry);
        let content = entry.text("content")?;
        Some(entry.text("senderNick").map_or_else(|| content.to_owned(), |nick| format!("{nick}: {content}")))
    });
    (lines(fields.text("title").map(str::to_owned).into_iter().chain(said)), Vec::new())
}

fn lines(parts: impl Iterator<Item = String>) -> String {
    parts.collect::<Vec<_>>().join("\n")
}

fn resource(kind: ContentKind, fields: Fields<'_>) -> Option<Resource> {
    let key = fields.text("downloadCode")?.to_owned();
    Some(Resource { kind, key, name: None, duration_ms: None })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn unknown_parts_of_rich_text_keep_their_text() {
        let payload = json!({"richTextList": [
            {"text": "a"}, {"type": "skill", "skillData": {}}, {"type": "emoji", "text": "[微笑]"}, 7, {"msgType": "text", "content": "b"},
        ]});
        assert_eq!(read("richText", Some(&payload)).text, "a[微笑]b");
    }

    #[test]
    fn forwarded_messages_are_readable() {
        let payload = json!(r#"{"title":"记录","summary":"[{\"senderNick\":\"李四\",\"content\":\"好的\"}]"}"#);
        let reading = read("chatRecord", Some(&payload));
        assert_eq!(reading.text, "记录\n李四: 好的");
        assert_eq!(reading.content.kind, ContentKind::Forwarded);
    }

    #[test]
    fn types_of_the_future_do_not_fail() {
        let reading = read("hologram", Some(&json!([1])));
        assert_eq!(reading.content.kind, ContentKind::Unknown("hologram".to_owned()));
        assert_eq!(read("picture", None).content.resources, []);
    }
}
