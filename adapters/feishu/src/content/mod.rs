//! What a message contains: one converter per message type, a table, and a fallback that cannot fail.
//!
//! Source: "Message content description" for received messages
//! (<https://open.feishu.cn/document/server-docs/im-v1/message-content-description/message_content>), checked May 2026.

mod attachment;
mod notice;
mod rich;
mod sent;

use magpie_core::event::{ContentKind, Resource};
use serde_json::Value;

use crate::field;

pub(crate) use sent::sent_card;

/// A message's content, with mention placeholders still in its text.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Converted {
    pub(crate) kind: ContentKind,
    /// Empty if there is nothing to read.
    pub(crate) text: String,
    pub(crate) resources: Vec<Resource>,
}

impl Converted {
    fn text(kind: ContentKind, text: String) -> Self {
        Self { kind, text, resources: Vec::new() }
    }
}

/// Reads one type's content object; `None` if it does not look like that type.
type Converter = fn(&Value) -> Option<Converted>;

const CONVERTERS: &[(&str, Converter)] = &[
    ("text", text),
    ("post", rich::post),
    ("interactive", rich::card),
    ("image", attachment::image),
    ("file", attachment::file),
    ("folder", attachment::folder),
    ("audio", attachment::audio),
    ("media", attachment::video),
    ("sticker", attachment::sticker),
    ("location", notice::location),
    ("system", notice::system),
    ("share_chat", notice::contact),
    ("share_user", notice::contact),
    ("merge_forward", notice::forwarded),
    ("hongbao", notice::red_packet),
    ("share_calendar_event", notice::calendar),
    ("calendar", notice::calendar),
    ("general_calendar", notice::calendar),
    ("video_chat", notice::meeting),
    ("todo", notice::todo),
    ("vote", notice::vote),
];

/// Converts a content object. A type without a converter, or content that does not fit its type, keeps its name.
pub(crate) fn convert(message_type: &str, content: &Value) -> Converted {
    let converter = CONVERTERS.iter().find(|(name, _)| *name == message_type);
    let converted = converter.and_then(|(_, convert)| convert(content));
    converted.unwrap_or_else(|| Converted::text(ContentKind::Unknown(message_type.to_owned()), String::new()))
}

fn text(content: &Value) -> Option<Converted> {
    let text = content.get("text")?.as_str()?;
    Some(Converted::text(ContentKind::Text, text.to_owned()))
}

/// What can be downloaded by the key in `key_field`.
fn resource(kind: ContentKind, content: &Value, key_field: &str) -> Option<Resource> {
    Some(Resource {
        kind,
        key: field::text(content, key_field)?.to_owned(),
        name: field::text(content, "file_name").map(str::to_owned),
        duration_ms: field::number(content, "duration"),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn content_that_does_not_fit_its_type_keeps_the_name_of_the_type() {
        for (message_type, content) in [("text", json!({"text": 5})), ("image", json!({})), ("hologram", json!([]))] {
            let converted = convert(message_type, &content);
            assert_eq!(converted.kind, ContentKind::Unknown(message_type.into()));
        }
    }

    #[test]
    fn every_type_survives_every_kind_of_json() {
        let odd = [json!(null), json!([]), json!("x"), json!(7), json!({"content": 1, "elements": [[null, 1]]})];
        for (message_type, _) in CONVERTERS {
            for content in &odd {
                convert(message_type, content);
            }
        }
    }
}
