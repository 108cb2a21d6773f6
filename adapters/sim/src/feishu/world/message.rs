//! A message in a chat, by a person or by the bot.

use serde_json::{Value, json};

use super::World;
use crate::feishu::face::Face;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::feishu) enum Author {
    Bot,
    /// open_id
    Person(String),
}

#[derive(Debug, Clone)]
pub(in crate::feishu) enum Body {
    /// The `content` JSON as text.
    Plain(String),
    /// Shows this card entity.
    Card(String),
}

/// Someone named in a message.
#[derive(Debug, Clone)]
pub(in crate::feishu) struct Mention {
    /// `@_user_1`
    pub(in crate::feishu) key: String,
    pub(in crate::feishu) open_id: String,
    pub(in crate::feishu) name: String,
    pub(in crate::feishu) bot: bool,
}

#[derive(Debug, Clone)]
pub(in crate::feishu) struct Message {
    pub(in crate::feishu) id: String,
    pub(in crate::feishu) chat_id: String,
    pub(in crate::feishu) author: Author,
    pub(in crate::feishu) msg_type: String,
    pub(in crate::feishu) body: Body,
    pub(in crate::feishu) mentions: Vec<Mention>,
    pub(in crate::feishu) root_id: Option<String>,
    pub(in crate::feishu) parent_id: Option<String>,
    pub(in crate::feishu) thread_id: Option<String>,
    /// The merged message that this one is part of.
    pub(in crate::feishu) upper_id: Option<String>,
    pub(in crate::feishu) created_ms: i64,
    pub(in crate::feishu) updated_ms: i64,
    pub(in crate::feishu) recalled: bool,
    /// Edits by the PUT call.
    pub(in crate::feishu) edits: u32,
    /// `(reaction id, emoji type)`
    pub(in crate::feishu) reactions: Vec<(String, String)>,
    /// The event by which a person's message was pushed, for redeliveries.
    pub(in crate::feishu) event: Option<Value>,
}

/// How much of a card the message calls answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::feishu) enum CardContent {
    /// The JSON as it stands: `card_msg_content_type=user_card_content`.
    Whole,
    /// Title and lines of text.
    Reduced,
}

impl Message {
    pub(in crate::feishu) fn is_by_bot(&self) -> bool {
        self.author == Author::Bot
    }

    pub(in crate::feishu) fn card_id(&self) -> Option<&str> {
        match &self.body {
            Body::Card(id) => Some(id),
            Body::Plain(_) => None,
        }
    }

    /// As the message calls answer it.
    pub(in crate::feishu) fn to_json(&self, world: &World, cards: CardContent) -> Value {
        let content = match &self.body {
            Body::Plain(content) => content.clone(),
            Body::Card(id) => world.cards.get(id).map_or_else(String::new, |card| match cards {
                CardContent::Whole => card.json.to_string(),
                CardContent::Reduced => reduced(&card.json).to_string(),
            }),
        };
        let tenant_key = &world.config.tenant_key;
        let sender = match &self.author {
            Author::Bot => {
                json!({"id": world.config.app_id, "id_type": "app_id", "sender_type": "app", "tenant_key": tenant_key})
            }
            Author::Person(id) => {
                json!({"id": id, "id_type": "open_id", "sender_type": "user", "tenant_key": tenant_key})
            }
        };
        let mut shown = json!({
            "message_id": self.id,
            "msg_type": self.msg_type,
            "create_time": self.created_ms.to_string(),
            "update_time": self.updated_ms.to_string(),
            "deleted": self.recalled,
            "updated": self.updated_ms != self.created_ms,
            "chat_id": self.chat_id,
            "sender": sender,
            "body": {"content": content},
        });
        for (key, id) in [
            ("root_id", &self.root_id),
            ("parent_id", &self.parent_id),
            ("thread_id", &self.thread_id),
            ("upper_message_id", &self.upper_id),
        ] {
            if let Some(id) = id {
                shown[key] = json!(id);
            }
        }
        if !self.mentions.is_empty() {
            // Unlike in events, `id` is a string here.
            let named = self.mentions.iter().map(
                |of| json!({"key": of.key, "id": of.open_id, "id_type": "open_id", "name": of.name, "tenant_key": tenant_key}),
            );
            shown["mentions"] = named.collect();
        }
        shown
    }
}

/// A card as people's clients of old read it: `{"title","elements":[[{tag…}]]}`.
fn reduced(card: &Value) -> Value {
    let face = Face::of(card);
    let in_forms = face.forms.into_iter().flat_map(|form| form.texts);
    let texts =
        face.body.into_iter().chain(in_forms).chain(face.note).map(|text| json!([{"tag": "text", "text": text}]));
    let buttons = face.buttons.into_iter().map(|button| json!([{"tag": "button", "text": button.label}]));
    let title = card["header"]["title"]["content"].as_str().unwrap_or_default();
    json!({"title": title, "elements": texts.chain(buttons).collect::<Vec<_>>()})
}
