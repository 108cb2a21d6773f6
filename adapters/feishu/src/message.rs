//! Messages that people (and other bots) wrote, from both versions of the envelope.
//!
//! Source: "Receive message" (<https://open.feishu.cn/document/server-docs/im-v1/message/events/receive>) and the
//! old `message` event, checked May 2026.

use magpie_core::event::{Addressed, Body, Chat, ChatKind, Content, Message, Quote, ReplyTo, Sender};
use magpie_core::ids::{ChatId, MessageId, ThreadId, UserId};
use serde_json::{Value, json};

use crate::content::{Converted, convert};
use crate::field;
use crate::mentions::{self, Mentioned};
use crate::route::{FeishuRoute, Unsettled};

/// Reads `im.message.receive_v1`. `bot` is this bot's open id, if known. `None` without chat or message id.
pub(crate) fn receive(event: &Value, bot: Option<&str>) -> Option<Body> {
    let message = event.get("message")?;
    let chat_type = field::text(message, "chat_type").unwrap_or_default();
    let sender = event.get("sender").unwrap_or(&Value::Null);
    let content = field::text(message, "content").and_then(|text| serde_json::from_str(text).ok());
    let message_type = field::text(message, "message_type").unwrap_or("unknown");
    let draft = Draft {
        id: field::text(message, "message_id")?,
        chat: field::text(message, "chat_id")?,
        chat_kind: chat_kind(chat_type),
        sender: read_sender(sender, bot),
        thread: thread(message, chat_type),
        in_topic: field::text(message, "thread_id").is_some(),
        parent: field::text(message, "parent_id"),
        content: convert(message_type, &content.unwrap_or(Value::Null)),
        mentions: mentions::read(message),
    };
    Some(Body::Message(Box::new(draft.finish(bot))))
}

/// Reads the old `message` event, in which the platform itself has taken the mention of the bot out of the text.
pub(crate) fn receive_v1(event: &Value, bot: Option<&str>) -> Option<Body> {
    let text = event.get("text_without_at_bot").or_else(|| event.get("text")).and_then(Value::as_str);
    let mut content = event.clone();
    content["text"] = json!(without_tags(text.unwrap_or_default()));
    let message_type = field::text(event, "msg_type").unwrap_or("unknown");
    let open_id = field::text(event, "open_id").or_else(|| field::text(event, "user_open_id"));
    let chat_kind = chat_kind(field::text(event, "chat_type").unwrap_or_default());
    let draft = Draft {
        id: field::text(event, "open_message_id")?,
        chat: field::text(event, "open_chat_id")?,
        chat_kind,
        sender: Sender { id: UserId::from(open_id.unwrap_or_default()), name: None, is_bot: false },
        thread: None,
        in_topic: false,
        parent: field::text(event, "parent_id"),
        content: convert(message_type, &content),
        mentions: Vec::new(),
    };
    let mut message = draft.finish(bot);
    if event.get("is_mention").and_then(Value::as_bool) == Some(true) {
        message.addressed = Addressed::Bot;
    }
    Some(Body::Message(Box::new(message)))
}

/// Decides again what could not be known without the bot's own open id.
pub(crate) fn settle(message: &mut Message, bot: &str) {
    let mut route = FeishuRoute::of(&message.reply_to);
    let Some(Unsettled { text, mentions }) = route.unsettled.take() else { return };
    let cleaned = mentions::clean(&text, &mentions, Some(bot));
    message.addressed = mentions::addressed(message.chat.kind, &cleaned, &mentions, Some(bot));
    message.mentions = mentions::others(&mentions, Some(bot));
    message.text = cleaned.text;
    message.sender.is_bot |= message.sender.id.as_str() == bot;
    message.reply_to.route = route.into_route();
}

/// A message whose text is not cleaned up yet.
struct Draft<'a> {
    id: &'a str,
    chat: &'a str,
    chat_kind: ChatKind,
    sender: Sender,
    thread: Option<ThreadId>,
    in_topic: bool,
    parent: Option<&'a str>,
    content: Converted,
    mentions: Vec<Mentioned>,
}

impl Draft<'_> {
    fn finish(self, bot: Option<&str>) -> Message {
        let cleaned = mentions::clean(&self.content.text, &self.mentions, bot);
        let undecided = bot.is_none() && !self.mentions.is_empty();
        let route = FeishuRoute {
            to_person: false,
            in_topic: self.in_topic,
            unsettled: undecided.then(|| Unsettled { text: self.content.text, mentions: self.mentions.clone() }),
        };
        let quoted = |parent: &str| Quote { message_id: Some(MessageId::from(parent)), text: None, from_bot: false };
        Message {
            id: MessageId::from(self.id),
            chat: Chat { id: ChatId::from(self.chat), kind: self.chat_kind, title: None },
            thread: self.thread.clone(),
            content: Content { kind: self.content.kind, resources: self.content.resources },
            addressed: mentions::addressed(self.chat_kind, &cleaned, &self.mentions, bot),
            mentions: mentions::others(&self.mentions, bot),
            text: cleaned.text,
            quote: self.parent.map(quoted),
            reply_to: ReplyTo {
                chat: ChatId::from(self.chat),
                chat_kind: self.chat_kind,
                user: Some(self.sender.id.clone()),
                message: Some(MessageId::from(self.id)),
                thread: self.thread,
                route: route.into_route(),
            },
            sender: self.sender,
        }
    }
}

fn chat_kind(chat_type: &str) -> ChatKind {
    if matches!(chat_type, "p2p" | "private") { ChatKind::Direct } else { ChatKind::Group }
}

/// The topic; in topic groups a reply may name only the message that began it.
fn thread(message: &Value, chat_type: &str) -> Option<ThreadId> {
    let root = || matches!(chat_type, "topic" | "topic_group").then(|| field::text(message, "root_id")).flatten();
    field::text(message, "thread_id").or_else(root).map(ThreadId::from)
}

fn read_sender(sender: &Value, bot: Option<&str>) -> Sender {
    let id = sender.get("sender_id").and_then(field::user_id).unwrap_or_default();
    let machine = matches!(field::text(sender, "sender_type"), Some("bot" | "app"));
    Sender { id: UserId::from(id), name: None, is_bot: machine || bot == Some(id) }
}

/// Old events mark mentions of other people as `<at open_id="…">@name</at>`; the name is enough.
fn without_tags(text: &str) -> String {
    let mut readable = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("<at ") {
        let Some(length) = rest[start..].find('>') else { break };
        readable.push_str(&rest[..start]);
        rest = &rest[start + length + 1..];
    }
    readable.push_str(rest);
    readable.replace("</at>", "")
}

#[cfg(test)]
mod tests {
    use magpie_core::event::ContentKind;

    use super::*;

    fn group_message() -> Value {
        json!({
            "message": {
                "message_id": "om_1", "chat_id": "oc_1", "chat_type": "group", "message_type": "text",
                "content": "{\"text\":\"@_user_1 hi @_user_2\"}", "root_id": "om_0", "parent_id": "om_0",
                "mentions": [
                    {"key": "@_user_1", "id": {"open_id": "ou_bot"}, "name": "Bot"},
                    {"key": "@_user_2", "id": {"open_id": "ou_2"}, "name": "Li"},
                ]
            },
            "sender": {"sender_id": {"open_id": "ou_1"}, "sender_type": "user"}
        })
    }

    fn read(event: &Value, bot: Option<&str>) -> Message {
        match receive(event, bot) {
            Some(Body::Message(message)) => *message,
            other => panic!("no message: {other:?}"),
        }
    }

    #[test]
    fn settling_gives_the_message_that_a_known_own_id_would_have_given() {
        let mut message = read(&group_message(), None);
        assert_eq!((message.addressed, message.text.as_str()), (Addressed::Unknown, "@Bot hi @Li"));
        settle(&mut message, "ou_bot");
        assert_eq!(message, read(&group_message(), Some("ou_bot")));
        assert_eq!((message.addressed, message.text.as_str()), (Addressed::Bot, "hi @Li"));
    }

    #[test]
    fn plain_quote_opens_no_thread_but_a_topic_group_does() {
        let mut event = group_message();
        assert_eq!(read(&event, None).thread, None);
        event["message"]["chat_type"] = json!("topic_group");
        let message = read(&event, None);
        assert_eq!(message.thread, Some(ThreadId::from("om_0")));
        assert!(!FeishuRoute::of(&message.reply_to).in_topic);
    }

    #[test]
    fn broken_content_is_kept_as_unknown_with_its_type() {
        let mut event = group_message();
        event["message"]["content"] = json!("{not json");
        let message = read(&event, None);
        assert_eq!(message.content.kind, ContentKind::Unknown("text".into()));
    }

    #[test]
    fn mention_tags_of_old_events_leave_the_names() {
        assert_eq!(without_tags("<at open_id=\"ou_1\">@Li</at> 1 < 2 <at x"), "@Li 1 < 2 <at x");
    }
}
