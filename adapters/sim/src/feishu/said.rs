//! What a person sends: texts with mentions, rich text, pictures, files, voice; replies and topics.

use bytes::Bytes;
use serde_json::{Value, json};

use super::ids;
use super::world::message::{Author, Body, Mention, Message};
use super::world::{Upload, World};

/// A message of a person, before it is sent. Begin with one of the constructors.
#[derive(Debug, Clone)]
pub struct Said {
    chat: String,
    user: String,
    msg_type: String,
    /// The content object; for text, what was typed.
    content: Value,
    mention_bot: bool,
    reply_to: Option<String>,
    in_thread: bool,
    /// With their keys.
    attachments: Vec<(String, Upload)>,
    /// Messages merged into this one.
    children: Vec<Said>,
}

impl Said {
    /// A text. `@` before the name of a person or the bot becomes a mention, `@所有人` one of everyone.
    #[must_use]
    pub fn text(chat: &str, user: &str, text: &str) -> Self {
        Self::of_type(chat, user, "text", json!({"text": text}))
    }

    /// Any type with its content in the received form, such as `sticker` or one the service has never heard of.
    #[must_use]
    pub fn of_type(chat: &str, user: &str, msg_type: &str, content: Value) -> Self {
        Self {
            chat: chat.into(),
            user: user.into(),
            msg_type: msg_type.into(),
            content,
            mention_bot: false,
            reply_to: None,
            in_thread: false,
            attachments: Vec::new(),
            children: Vec::new(),
        }
    }

    /// Rich text: a title and one paragraph per line.
    #[must_use]
    pub fn post(chat: &str, user: &str, title: &str, lines: &[&str]) -> Self {
        let paragraphs: Vec<Value> =
            lines.iter().map(|line| json!([{"tag": "text", "text": line, "style": []}])).collect();
        Self::of_type(chat, user, "post", json!({"title": title, "content": paragraphs}))
    }

    /// A picture that the service can download.
    #[must_use]
    pub fn image(chat: &str, user: &str, bytes: impl Into<Bytes>) -> Self {
        let key = ids::fresh("img_v3_");
        let content = json!({"image_key": key});
        Self::of_type(chat, user, "image", content).with_file(key, "image", "image", bytes.into())
    }

    /// A file that the service can download.
    #[must_use]
    pub fn file(chat: &str, user: &str, name: &str, bytes: impl Into<Bytes>) -> Self {
        let key = ids::fresh("file_v3_");
        let content = json!({"file_key": key, "file_name": name});
        Self::of_type(chat, user, "file", content).with_file(key, name, "stream", bytes.into())
    }

    /// A voice message (Opus) of this length.
    #[must_use]
    pub fn audio(chat: &str, user: &str, duration_ms: u64, bytes: impl Into<Bytes>) -> Self {
        let key = ids::fresh("file_v3_");
        let content = json!({"file_key": key, "duration": duration_ms});
        Self::of_type(chat, user, "audio", content).with_file(key, "voice.opus", "opus", bytes.into())
    }

    /// A video of this length.
    #[must_use]
    pub fn media(chat: &str, user: &str, name: &str, bytes: impl Into<Bytes>) -> Self {
        let key = ids::fresh("file_v3_");
        let content = json!({"file_key": key, "file_name": name, "duration": 61_000});
        Self::of_type(chat, user, "media", content).with_file(key, name, "mp4", bytes.into())
    }

    /// Messages forwarded in one: the service is told only that there are some and reads them by a call.
    #[must_use]
    pub fn merge_forward(chat: &str, user: &str, children: Vec<Self>) -> Self {
        let told = json!({"content": "Merged and Forwarded Message"});
        Self { children, ..Self::of_type(chat, user, "merge_forward", told) }
    }

    /// Adds a picture as the last paragraph of a rich text.
    #[must_use]
    pub fn with_image(mut self, bytes: impl Into<Bytes>) -> Self {
        let key = ids::fresh("img_v3_");
        if let Some(paragraphs) = self.content["content"].as_array_mut() {
            paragraphs.push(json!([{"tag": "img", "image_key": key}]));
        }
        self.with_file(key, "image", "image", bytes.into())
    }

    /// Puts a mention of the bot in front (text and rich text).
    #[must_use]
    pub fn mentioning_bot(mut self) -> Self {
        self.mention_bot = true;
        self
    }

    /// Quotes a message.
    #[must_use]
    pub fn replying_to(mut self, message_id: &str) -> Self {
        self.reply_to = Some(message_id.into());
        self
    }

    /// With [`Said::replying_to`]: inside the topic of that message, opened if need be.
    #[must_use]
    pub fn in_thread(mut self) -> Self {
        self.in_thread = true;
        self
    }

    fn with_file(mut self, key: String, name: &str, kind: &str, bytes: Bytes) -> Self {
        self.attachments.push((key, Upload { name: name.into(), kind: kind.into(), bytes, message_id: None }));
        self
    }

    /// Makes the message visible; gives its id, or `None` if there is no such chat.
    pub(super) fn post_into(mut self, world: &mut World) -> Option<String> {
        world.chat(&self.chat)?;
        let children = std::mem::take(&mut self.children);
        let message = self.into_message(world, None);
        let id = message.id.clone();
        world.post(message);
        for child in children {
            let child = child.into_message(world, Some(id.clone()));
            world.keep(child);
        }
        Some(id)
    }

    fn into_message(mut self, world: &mut World, upper_id: Option<String>) -> Message {
        let direct = world.chat(&self.chat).is_some_and(|chat| chat.direct);
        let mentions = self.resolve_mentions(world, direct);
        let id = ids::fresh("om_");
        for (key, mut upload) in self.attachments.drain(..) {
            upload.message_id = Some(id.clone());
            world.uploads.insert(key, upload);
        }
        let (root_id, thread_id) = self.thread(world);
        let now = world.now_ms();
        Message {
            id,
            chat_id: self.chat,
            author: Author::Person(self.user),
            msg_type: self.msg_type,
            body: Body::Plain(self.content.to_string()),
            mentions,
            root_id,
            parent_id: self.reply_to,
            thread_id,
            upper_id,
            created_ms: now,
            updated_ms: now,
            recalled: false,
            edits: 0,
            reactions: Vec::new(),
            event: None,
        }
    }

    fn thread(&self, world: &mut World) -> (Option<String>, Option<String>) {
        let Some(parent) = self.reply_to.as_deref().and_then(|id| world.message_mut(id)) else { return (None, None) };
        if self.in_thread && parent.thread_id.is_none() {
            parent.thread_id = Some(ids::fresh("omt_"));
        }
        (Some(parent.root_id.clone().unwrap_or_else(|| parent.id.clone())), parent.thread_id.clone())
    }

    /// Replaces `@name` by `@_user_N` in the content and lists who is meant.
    fn resolve_mentions(&mut self, world: &World, direct: bool) -> Vec<Mention> {
        let bot = (world.config.bot_open_id.as_str(), world.config.bot_name.as_str(), true);
        let mut people: Vec<_> =
            world.people.iter().map(|person| (person.open_id.as_str(), person.name.as_str(), false)).collect();
        // Longer names first, so that `@Al` does not take the beginning of `@Alice`.
        people.sort_by_key(|(_, name, _)| std::cmp::Reverse(name.len()));
        let mut text = self.content["text"].as_str().unwrap_or_default().replace("@所有人", "@_all");
        let mut mentions: Vec<Mention> = Vec::new();
        for (open_id, name, is_bot) in std::iter::once(bot).chain(people) {
            let front = is_bot && self.mention_bot && !direct;
            let typed = format!("@{name}");
            if !front && !text.contains(&typed) {
                continue;
            }
            let key = format!("@_user_{}", mentions.len() + 1);
            match text.contains(&typed) {
                true => text = text.replace(&typed, &key),
                false => text = format!("{key} {text}"),
            }
            mentions.push(Mention { key, open_id: open_id.into(), name: name.into(), bot: is_bot });
        }
        match self.msg_type.as_str() {
            "text" => self.content["text"] = text.into(),
            "post" if !mentions.is_empty() => {
                let runs = mentions
                    .iter()
                    .map(|of| json!({"tag": "at", "user_id": of.key, "user_name": of.name, "style": []}));
                let first: Value = runs.collect();
                if let Some(paragraphs) = self.content["content"].as_array_mut() {
                    paragraphs.insert(0, first);
                }
            }
            _ => mentions.clear(),
        }
        mentions
    }
}

/// The `event` object of `im.message.receive_v1`.
pub(super) fn event_of(world: &World, message: &Message) -> Value {
    let Author::Person(open_id) = &message.author else { return Value::Null };
    let tenant_key = &world.config.tenant_key;
    let sender_ids = world.person(open_id).map_or_else(|| json!({"open_id": open_id}), |person| person.ids());
    let direct = world.chat(&message.chat_id).is_some_and(|chat| chat.direct);
    let content = match &message.body {
        Body::Plain(content) => content.as_str(),
        Body::Card(_) => "{}",
    };
    let mut shown = json!({
        "chat_id": message.chat_id,
        "chat_type": if direct { "p2p" } else { "group" },
        "content": content,
        "create_time": message.created_ms.to_string(),
        "update_time": message.updated_ms.to_string(),
        "message_id": message.id,
        "message_type": message.msg_type,
    });
    for (key, id) in
        [("root_id", &message.root_id), ("parent_id", &message.parent_id), ("thread_id", &message.thread_id)]
    {
        if let Some(id) = id {
            shown[key] = json!(id);
        }
    }
    if !message.mentions.is_empty() {
        shown["mentions"] = message.mentions.iter().map(|mention| mention_of(world, mention)).collect();
    }
    json!({
        "message": shown,
        "sender": {"sender_id": sender_ids, "sender_type": "user", "tenant_key": tenant_key},
    })
}

fn mention_of(world: &World, mention: &Mention) -> Value {
    let bot_ids =
        || json!({"open_id": mention.open_id, "union_id": mention.open_id.replacen("ou_", "on_", 1), "user_id": ""});
    let ids = world.person(&mention.open_id).map_or_else(bot_ids, |person| person.ids());
    json!({
        "key": mention.key,
        "id": ids,
        "mentioned_type": if mention.bot { "bot" } else { "user" },
        "name": mention.name,
        "tenant_key": world.config.tenant_key,
    })
}
