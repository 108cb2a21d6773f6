//! Sending messages and replacing the card in one.
//!
//! Sources: "Send message", "Reply message", "Update card message", checked May 2026.

use magpie_core::event::ReplyTo;
use magpie_core::ids::MessageId;
use reqwest::Method;
use serde_json::{Value, json};

use crate::api::{Api, Call};
use crate::errors::{ApiError, Class};
use crate::field;
use crate::form::Progress;
use crate::route::FeishuRoute;

/// A message to send.
pub(crate) struct Outgoing {
    /// `interactive` or `text`.
    pub(crate) kind: &'static str,
    /// The content object as JSON text.
    pub(crate) content: String,
    /// The platform sends a message once per such key and hour.
    pub(crate) uuid: String,
}

impl Outgoing {
    pub(crate) fn card(json: String, uuid: String) -> Self {
        Self { kind: "interactive", content: json, uuid }
    }

    /// A card entity, which can be sent once.
    pub(crate) fn entity(card_id: &str, uuid: String) -> Self {
        Self::card(json!({"type": "card", "data": {"card_id": card_id}}).to_string(), uuid)
    }

    pub(crate) fn text(text: &str, uuid: String) -> Self {
        Self { kind: "text", content: json!({"text": text}).to_string(), uuid }
    }
}

/// Answers the message of `to`; where that can't be answered any more, sends to its chat.
pub(crate) async fn send(
    api: &Api,
    to: &ReplyTo,
    progress: &mut Progress,
    message: &Outgoing,
) -> Result<MessageId, ApiError> {
    let route = FeishuRoute::of(to);
    let target = to.message.as_ref().filter(|_| !progress.to_chat);
    if let Some(target) = target {
        let mut replied = reply(api, target, message, route.in_topic).await;
        if route.in_topic && class_of(&replied) == Some(Class::NoThread) {
            replied = reply(api, target, message, false).await;
        }
        if !matches!(class_of(&replied), Some(Class::Recalled | Class::NoThread)) {
            return replied;
        }
        progress.to_chat = true;
    }
    let id_type = if route.to_person { "open_id" } else { "chat_id" };
    let mut body = body_of(message);
    body["receive_id"] = json!(to.chat);
    let path = format!("im/v1/messages?receive_id_type={id_type}");
    let answer = api.call(&Call::new("send_message", Method::POST, path, body)).await?;
    message_id(&answer)
}

/// Replaces the card of a message of ours.
pub(crate) async fn patch(api: &Api, message: &MessageId, card: &str) -> Result<(), ApiError> {
    let path = format!("im/v1/messages/{message}");
    api.call(&Call::new("patch_message", Method::PATCH, path, json!({"content": card}))).await.map(|_| ())
}

/// Reads a message, and those inside of a forwarded one. Cards come as they were sent.
///
/// Source: "Get message content", checked May 2026.
pub(crate) async fn read(api: &Api, message: &MessageId) -> Result<Vec<Value>, ApiError> {
    let path = format!("im/v1/messages/{message}?card_msg_content_type=user_card_content");
    let answer = api.call(&Call::get("read_message", path)).await?;
    Ok(answer.get("data").map_or(&[][..], |data| field::list(data, "items")).to_vec())
}

/// Takes a message of ours back.
pub(crate) async fn recall(api: &Api, message: &MessageId) -> Result<(), ApiError> {
    let path = format!("im/v1/messages/{message}");
    api.call(&Call::delete("recall_message", path)).await.map(|_| ())
}

async fn reply(api: &Api, target: &MessageId, message: &Outgoing, in_thread: bool) -> Result<MessageId, ApiError> {
    let mut body = body_of(message);
    body["reply_in_thread"] = json!(in_thread);
    let path = format!("im/v1/messages/{target}/reply");
    let answer = api.call(&Call::new("reply_message", Method::POST, path, body)).await?;
    message_id(&answer)
}

fn body_of(message: &Outgoing) -> Value {
    json!({"msg_type": message.kind, "content": message.content, "uuid": message.uuid})
}

fn message_id(answer: &Value) -> Result<MessageId, ApiError> {
    let id = answer.get("data").and_then(|data| field::text(data, "message_id"));
    id.map(MessageId::from).ok_or(ApiError::Gateway { call: "send_message", status: 200 })
}

fn class_of<T>(result: &Result<T, ApiError>) -> Option<Class> {
    result.as_ref().err().map(ApiError::class)
}
