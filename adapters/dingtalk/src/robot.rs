//! Robot messages: what people write to the bot, over HTTP or as `data` of a Stream frame.
//! Source: open.dingtalk.com "机器人接收消息", August 2026.

use std::time::Duration;

use magpie_core::clock::UnixMillis;
use magpie_core::event::{
    Addressed, Body, Chat, ChatKind, Event, Lifecycle, Mention, Message, PlatformKind, ReplyTo, Sender,
};
use magpie_core::ids::{BotId, ChatId, MessageId, UserId};
use magpie_core::platform::WebhookError;

use crate::content;
use crate::fields::Fields;
use crate::quote;
use crate::route::{WayBack, WebhookHosts};
use crate::verify::Verified;

/// `errorCode` of a message that the platform withholds because the organisation's quota is used up.
const QUOTA_EXCEEDED: &str = "20001";

/// Life of a session webhook.
const WEBHOOK_LIFE: Duration = Duration::from_secs(90 * 60);

/// What reading a message needs to know of the bot it came to.
#[derive(Debug, Clone)]
pub(crate) struct Recipient {
    pub bot: BotId,
    pub robot_code: String,
    pub hosts: WebhookHosts,
}

/// Reads a robot message. Unknown fields and types are no error.
///
/// # Errors
/// [`WebhookError::Malformed`] without the few fields that nothing works without.
pub(crate) fn read(verified: &Verified<'_>, recipient: &Recipient) -> Result<Event, WebhookError> {
    let object = verified.object()?;
    let message = Fields::exact(&object);
    let id = message.text("msgId").ok_or(WebhookError::Malformed("msgId is missing"))?;
    let chat = chat(message)?;
    let error = message.text_or_number("errorCode").filter(|code| code != "0");
    let body = match (error.as_deref(), message.text("msgtype")) {
        (Some(QUOTA_EXCEEDED), _) => Body::Lifecycle(Lifecycle::QuotaExhausted {
            chat: chat.id,
            detail: message.text("errorMessage").unwrap_or_default().to_owned(),
        }),
        (Some(code), _) => Body::Other { type_name: format!("robot_message_error.{code}") },
        (None, Some(msgtype)) => Body::Message(Box::new(spoken(message, chat, msgtype, recipient)?)),
        (None, None) => return Err(WebhookError::Malformed("msgtype is missing")),
    };
    Ok(Event {
        bot: recipient.bot.clone(),
        platform: PlatformKind::DingTalk,
        platform_event_id: id.to_owned(),
        occurred_at: message.integer("createAt").map(UnixMillis),
        body,
    })
}

fn chat(message: Fields<'_>) -> Result<Chat, WebhookError> {
    let id = message.text("conversationId").ok_or(WebhookError::Malformed("conversationId is missing"))?;
    let kind = match message.text_or_number("conversationType").as_deref() {
        Some("1") => ChatKind::Direct,
        Some("2") => ChatKind::Group,
        Some(_) => return Err(WebhookError::Malformed("conversationType is neither 1 nor 2")),
        None => return Err(WebhookError::Malformed("conversationType is missing")),
    };
    Ok(Chat { id: ChatId::from(id), kind, title: message.text("conversationTitle").map(str::to_owned) })
}

fn spoken(message: Fields<'_>, chat: Chat, msgtype: &str, recipient: &Recipient) -> Result<Message, WebhookError> {
    let id = MessageId::from(message.text("msgId").unwrap_or_default());
    let staff_id = message.text("senderStaffId");
    let user = staff_id
        .or_else(|| message.text("senderId"))
        .map(UserId::from)
        .ok_or(WebhookError::Malformed("senderStaffId and senderId are missing"))?;
    let payload = match msgtype {
        "text" => message.get("text").or_else(|| message.get("content")),
        _ => message.get("content").or_else(|| message.get(msgtype)),
    };
    let reading = content::read(msgtype, payload);
    let way = WayBack {
        session_webhook: message
            .text("sessionWebhook")
            .filter(|address| recipient.hosts.believes(address))
            .map(str::to_owned),
        session_webhook_expires_at: webhook_end(message),
        staff_id: staff_id.map(str::to_owned),
        robot_code: Some(message.text("robotCode").unwrap_or(&recipient.robot_code).to_owned()),
        no_staff_id: staff_id.is_none(),
    };
    Ok(Message {
        reply_to: ReplyTo {
            chat: chat.id.clone(),
            chat_kind: chat.kind,
            user: Some(user.clone()),
            message: Some(id.clone()),
            thread: None,
            route: way.into_route(),
        },
        id,
        addressed: addressed(message, chat.kind),
        chat,
        thread: None,
        sender: Sender { id: user, name: message.text("senderNick").map(str::to_owned), is_bot: false },
        content: reading.content,
        text: reading.text,
        mentions: mentions(message),
        quote: quote::read(message),
    })
}

/// When the session webhook ends; where the message does not say so, by the life that every example has.
fn webhook_end(message: Fields<'_>) -> Option<UnixMillis> {
    let told = message.integer("sessionWebhookExpiredTime").map(UnixMillis);
    told.or_else(|| message.integer("createAt").map(|created| UnixMillis(created) + WEBHOOK_LIFE))
}

/// The platform calls a robot only when it is spoken to; `isInAtList` says so in groups.
fn addressed(message: Fields<'_>, kind: ChatKind) -> Addressed {
    let bot = message.text("chatbotUserId");
    let in_list = || bot.is_some() && message.objects("atUsers").any(|user| user.text("dingtalkId") == bot);
    if kind == ChatKind::Direct || message.is_true("isInAtList") || in_list() {
        Addressed::Bot
    } else {
        Addressed::NotBot
    }
}

/// Everybody mentioned but the bot, by member id where there is one.
fn mentions(message: Fields<'_>) -> Vec<Mention> {
    let bot = message.text("chatbotUserId");
    message
        .objects("atUsers")
        .filter(|user| bot.is_none() || user.text("dingtalkId") != bot)
        .filter_map(|user| user.text("staffId").or_else(|| user.text("dingtalkId")))
        .map(|id| Mention { id: Some(UserId::from(id)), name: None })
        .collect()
}
