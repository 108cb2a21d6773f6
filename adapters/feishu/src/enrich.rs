//! What an event only points to: the quoted message, and the messages inside of a forwarded one.
//!
//! Source: "Get message content" (`items` of a `merge_forward` message hold its children, with `upper_message_id`),
//! checked May 2026.

use magpie_core::event::{ContentKind, Message};
use magpie_core::ids::MessageId;
use serde_json::Value;

use crate::api::Api;
use crate::content::{Converted, convert, sent_card};
use crate::errors::ApiError;
use crate::field;
use crate::{mentions, messages};

/// Longest text that is taken over, in characters.
const MOST_CHARS: usize = 8_000;
/// Most messages that are taken over from a forwarded one.
const MOST_MESSAGES: usize = 50;
/// Forwarded messages inside of each other.
const MOST_LEVELS: usize = 4;

/// Completes a message as well as that goes: what can't be read stays as it was.
pub(crate) async fn enrich(api: &Api, message: &mut Message) {
    if message.content.kind == ContentKind::Forwarded && message.text.is_empty() {
        match messages::read(api, &message.id).await {
            Ok(items) => message.text = forwarded(&items, message.id.as_str()),
            Err(error) => skipped("forwarded", &error),
        }
    }
    let Some(quote) = message.quote.as_mut().filter(|quote| quote.text.is_none()) else { return };
    let Some(id) = quote.message_id.clone() else { return };
    match messages::read(api, &id).await {
        Ok(items) => {
            let item = items.iter().find(|item| is(item, &id)).or(items.first());
            let Some(item) = item.filter(|item| item.get("deleted") != Some(&Value::Bool(true))) else { return };
            quote.from_bot = is_by(item, api.app_id());
            let text = if kind(item) == "merge_forward" { forwarded(&items, id.as_str()) } else { text_of(item) };
            quote.text = Some(text).filter(|text| !text.is_empty());
        }
        Err(error) => skipped("quoted", &error),
    }
}

fn skipped(what: &str, error: &ApiError) {
    tracing::debug!(what, error = %error, "a message could not be read along");
}

fn is(item: &Value, id: &MessageId) -> bool {
    field::text(item, "message_id") == Some(id.as_str())
}

fn kind(item: &Value) -> &str {
    field::text(item, "msg_type").unwrap_or("unknown")
}

fn sender(item: &Value) -> &str {
    item.get("sender").and_then(|sender| field::text(sender, "id")).unwrap_or_default()
}

/// Apps are named by their app id where the OpenAPI answers.
fn is_by(item: &Value, app_id: &str) -> bool {
    let machine = item.get("sender").and_then(|sender| field::text(sender, "sender_type")) == Some("app");
    machine && sender(item) == app_id
}

/// What one message says, at most [`MOST_CHARS`] of it; what can't be read as text is named.
fn text_of(item: &Value) -> String {
    let body = item.get("body").and_then(|body| field::text(body, "content"));
    let content: Value = body.and_then(|text| serde_json::from_str(text).ok()).unwrap_or(Value::Null);
    let converted = match sent_card(&content).filter(|_| kind(item) == "interactive") {
        Some(text) => return shortened(&text),
        None => convert(kind(item), &content),
    };
    let text = mentions::clean(&converted.text, &mentions::read(item), None).text;
    if text.is_empty() { named(&converted) } else { shortened(&text) }
}

fn named(converted: &Converted) -> String {
    let name = converted.resources.first().and_then(|resource| resource.name.as_deref());
    let kind = match &converted.kind {
        ContentKind::Image => "image",
        ContentKind::Audio => "audio",
        ContentKind::Video => "video",
        ContentKind::File => "file",
        ContentKind::Folder => "folder",
        ContentKind::Sticker => "sticker",
        ContentKind::Contact => "contact",
        _ => return String::new(),
    };
    name.map_or_else(|| format!("[{kind}]"), |name| format!("[{kind}: {name}]"))
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(MOST_CHARS) {
        Some((end, _)) => format!("{} […]", &text[..end]),
        None => text.to_owned(),
    }
}

/// The messages below `root`, one after the other, each with a number for whoever wrote it: the platform gives no
/// names.
fn forwarded(items: &[Value], root: &str) -> String {
    let mut list = Listing { items, people: Vec::new(), lines: Vec::new(), chars: 0, left_out: 0 };
    list.below(root, 0);
    if list.left_out > 0 {
        list.lines.push(format!("[… {} more]", list.left_out));
    }
    list.lines.join("\n")
}

struct Listing<'a> {
    items: &'a [Value],
    people: Vec<&'a str>,
    lines: Vec<String>,
    chars: usize,
    left_out: usize,
}

impl<'a> Listing<'a> {
    fn below(&mut self, upper: &str, level: usize) {
        let items = self.items;
        for item in items.iter().filter(|item| field::text(item, "upper_message_id") == Some(upper)) {
            let nested = field::text(item, "message_id").filter(|id| kind(item) == "merge_forward" && *id != upper);
            let text = if nested.is_some() { String::new() } else { text_of(item) };
            self.add(item, level, &text);
            if let Some(id) = nested.filter(|_| self.left_out == 0 && level + 1 < MOST_LEVELS) {
                self.below(id, level + 1);
            }
        }
    }

    fn add(&mut self, item: &'a Value, level: usize, text: &str) {
        let who = sender(item);
        let number = self.people.iter().position(|known| *known == who).unwrap_or_else(|| {
            self.people.push(who);
            self.people.len() - 1
        });
        let indent = "  ".repeat(level);
        let text = text.replace('\n', &format!("\n{indent}  "));
        let line = format!("{indent}{}: {text}", number + 1);
        self.chars += line.chars().count();
        if self.left_out > 0 || self.lines.len() == MOST_MESSAGES || self.chars > MOST_CHARS {
            self.left_out += 1;
            return;
        }
        self.lines.push(line.trim_end().to_owned());
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn item(id: &str, upper: &str, who: &str, kind: &str, content: &Value) -> Value {
        json!({
            "message_id": id, "upper_message_id": upper, "msg_type": kind, "body": {"content": content.to_string()},
            "sender": {"id": who, "id_type": "open_id", "sender_type": "user"}
        })
    }

    #[test]
    fn forwarded_messages_are_listed_with_a_number_for_each_person() {
        let text = |text: &str| json!({"text": text});
        let items = [
            item("om_0", "", "ou_9", "merge_forward", &json!({"content": "Merged and Forwarded Message"})),
            item("om_1", "om_0", "ou_1", "text", &text("Lunch?\nNoodles?")),
            item("om_2", "om_0", "ou_2", "file", &json!({"file_key": "f", "file_name": "menu.pdf"})),
            item("om_3", "om_0", "ou_1", "merge_forward", &json!({})),
            item("om_4", "om_3", "ou_3", "text", &text("deeper")),
            item("om_5", "om_3", "ou_1", "sticker", &json!({"file_key": "s"})),
        ];
        let expected = "1: Lunch?\n  Noodles?\n2: [file: menu.pdf]\n1:\n  3: deeper\n  1: [sticker]";
        assert_eq!(forwarded(&items, "om_0"), expected);
    }

    #[test]
    fn long_forwarded_messages_are_cut_with_a_note() {
        let many: Vec<Value> = (0..60)
            .map(|number| item(&format!("om_{number}"), "root", "ou_1", "text", &json!({"text": "hi"})))
            .collect();
        let listed = forwarded(&many, "root");
        assert_eq!(listed.lines().count(), 51);
        assert!(listed.ends_with("[… 10 more]"), "{listed}");
        let long = [item("om_1", "root", "ou_1", "text", &json!({"text": "字".repeat(20_000)}))];
        assert!(forwarded(&long, "root").ends_with("[… 1 more]"));
        let own = item("om_7", "om_7", "ou_1", "merge_forward", &json!({}));
        assert_eq!(forwarded(&[own], "om_7"), "1:");
    }

    #[test]
    fn message_of_this_app_is_known_by_its_app_id() {
        let by =
            |id: &str, sender_type: &str| is_by(&json!({"sender": {"id": id, "sender_type": sender_type}}), "cli_1");
        assert_eq!([by("cli_1", "app"), by("cli_2", "app"), by("cli_1", "user")], [true, false, false]);
    }

    #[test]
    fn quoted_text_names_people_and_keeps_its_length() {
        let mut quoted = item("om_1", "", "ou_1", "text", &json!({"text": "@_user_1 look"}));
        quoted["mentions"] = json!([{"key": "@_user_1", "id": "ou_2", "name": "Li"}]);
        assert_eq!(text_of(&quoted), "@Li look");
        let long = item("om_1", "", "ou_1", "text", &json!({"text": "x".repeat(9_000)}));
        assert_eq!(text_of(&long).chars().count(), 8_004);
    }
}
