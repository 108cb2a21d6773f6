//! What came in, in one shape for every platform.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::clock::UnixMillis;
use crate::ids::{BotId, CardId, ChatId, EventId, MessageId, ThreadId, UserId};
use crate::task::Task;

/// The chat platforms; Lark is Feishu's international twin with the same wire format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PlatformKind {
    Feishu,
    Lark,
    DingTalk,
}

impl PlatformKind {
    /// `feishu`, `lark` or `dingtalk`, as in the configuration, the tables and the metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Feishu => "feishu",
            Self::Lark => "lark",
            Self::DingTalk => "dingtalk",
        }
    }
}

/// A verified event of one bot.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    pub bot: BotId,
    pub platform: PlatformKind,
    /// The platform's id of this event, never empty: where the platform has none, the adapter derives one that a
    /// repeated delivery gets again.
    pub platform_event_id: String,
    /// When it happened, by the platform's clock.
    pub occurred_at: Option<UnixMillis>,
    pub body: Body,
}

/// What happened, by kind.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Body {
    Message(Box<Message>),
    Action(Box<CardAction>),
    Lifecycle(Lifecycle),
    /// Work that Magpie gave itself.
    Task(Box<Task>),
    /// Verified, but nothing Magpie acts on (read receipts, contact events, unknown types). Kept with its type.
    Other {
        /// The platform's name of the type, such as `im.message.message_read_v1`.
        type_name: String,
    },
}

impl Event {
    /// `message`, `action`, `lifecycle` or `other`, as in tables and metrics.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self.body {
            Body::Message(_) => "message",
            Body::Action(_) => "action",
            Body::Lifecycle(_) => "lifecycle",
            Body::Task(_) | Body::Other { .. } => "other",
        }
    }

    /// The platform's message id, for messages.
    #[must_use]
    pub fn message_id(&self) -> Option<&MessageId> {
        match &self.body {
            Body::Message(message) => Some(&message.id),
            _ => None,
        }
    }
}

/// Something a person (or a bot) wrote.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Message {
    pub id: MessageId,
    pub chat: Chat,
    pub thread: Option<ThreadId>,
    pub sender: Sender,
    pub content: Content,
    /// Readable text: mentions of this bot removed, other mentions as `@name`, ends trimmed, line breaks kept.
    /// For audio the platform's transcript. Empty if there is none.
    pub text: String,
    /// Everybody mentioned except this bot.
    pub mentions: Vec<Mention>,
    pub addressed: Addressed,
    /// The message this one answers or quotes.
    pub quote: Option<Quote>,
    /// Where an answer goes.
    pub reply_to: ReplyTo,
}

impl Message {
    /// The text without the marks that stand for attachments in it: what a person wrote.
    #[must_use]
    pub fn words(&self) -> String {
        let mark = |text: String, one: &Resource| text.replace(&format!("![image]({})", one.key), "");
        self.content.resources.iter().fold(self.text.clone(), mark).trim().to_owned()
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chat {
    pub id: ChatId,
    pub kind: ChatKind,
    pub title: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChatKind {
    Direct,
    Group,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sender {
    pub id: UserId,
    /// Display name; user-controlled, escape before rendering.
    pub name: Option<String>,
    /// A bot or app. Never answered.
    pub is_bot: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mention {
    pub id: Option<UserId>,
    /// Display name; user-controlled, escape before rendering.
    pub name: Option<String>,
}

/// Whether the message speaks to this bot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Addressed {
    /// A direct chat, or the bot itself is mentioned.
    Bot,
    /// Only everyone (`@all`).
    Everyone,
    /// Other people, or nobody.
    NotBot,
    /// The adapter did not yet know the bot's own id; [`crate::platform::Platform::settle`] will.
    Unknown,
}

/// What kind of message it is, and what can be downloaded from it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Content {
    pub kind: ContentKind,
    pub resources: Vec<Resource>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ContentKind {
    Text,
    RichText,
    Image,
    Audio,
    Video,
    File,
    Folder,
    Sticker,
    Card,
    Location,
    Forwarded,
    Contact,
    System,
    /// The platform's own name of a type that can't be read.
    Unknown(String),
}

/// Something attached to a message, by the platform's key for downloading it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resource {
    pub kind: ContentKind,
    pub key: String,
    pub name: Option<String>,
    pub duration_ms: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quote {
    pub message_id: Option<MessageId>,
    /// The quoted text, if the platform sent it along.
    pub text: Option<String>,
    /// The quoted message is this bot's own.
    pub from_bot: bool,
}

/// Where an answer goes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReplyTo {
    pub chat: ChatId,
    pub chat_kind: ChatKind,
    pub user: Option<UserId>,
    /// The message answered; `None` for a message that starts by itself (welcome, proactive).
    pub message: Option<MessageId>,
    pub thread: Option<ThreadId>,
    /// The adapter's own addressing (for example a session webhook). Opaque to everybody else, may hold credentials:
    /// never logged, never shown.
    pub route: Route,
}

/// An adapter's private addressing; its `Debug` shows nothing.
#[derive(Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Route(pub Value);

impl std::fmt::Debug for Route {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Route(…)")
    }
}

/// A pressed button or submitted form of a card.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CardAction {
    pub operator: UserId,
    pub chat: Option<ChatId>,
    /// The card's message, where the platform names it.
    pub message: Option<MessageId>,
    /// The card's own id, where the platform names it.
    pub card: Option<CardId>,
    /// What the button says it does, if it is one of ours: see [`crate::card::Button`].
    pub press: Option<Press>,
    /// What a submitted form of ours holds, by the names in [`crate::card::Form`]; empty without one.
    #[serde(default)]
    pub inputs: BTreeMap<String, String>,
    /// Everything the platform told of the component: value, option, form values, time zone.
    pub value: Value,
}

/// The meaning of a pressed button of ours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Press {
    pub action: Action,
    /// The event whose answer the card shows.
    pub event: EventId,
    /// What the action is about (a version's number, an engine's name, a question), as in
    /// [`crate::card::Button::argument`]; empty where the action says it all.
    #[serde(default)]
    pub argument: String,
}

/// What a button of ours does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// End the running answer. The argument names the event that is worked on, if it is not the card's own.
    Stop,
    /// Answer the question once more, in the same card.
    Regenerate,
    /// The same by the engine that the argument names.
    OtherEngine,
    /// Show the version of the answer whose number is the argument.
    ShowVersion,
    /// 👍
    VoteUp,
    /// 👎; opens a form that asks why.
    VoteDown,
    /// The form is filled in: its values are the inputs, or the reason is the argument.
    VoteReason,
    /// The form is closed without a reason; the vote stands.
    CloseForm,
    /// Begin a new topic.
    NewTopic,
    /// Ask the question that the argument holds.
    Ask,
    /// Run the command that the argument holds, such as `/status`.
    Command,
}

impl Action {
    const ALL: [Self; 11] = [
        Self::Stop,
        Self::Regenerate,
        Self::OtherEngine,
        Self::ShowVersion,
        Self::VoteUp,
        Self::VoteDown,
        Self::VoteReason,
        Self::CloseForm,
        Self::NewTopic,
        Self::Ask,
        Self::Command,
    ];

    /// The name carried in a button, and written to logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Regenerate => "regenerate",
            Self::OtherEngine => "other_engine",
            Self::ShowVersion => "show_version",
            Self::VoteUp => "vote_up",
            Self::VoteDown => "vote_down",
            Self::VoteReason => "vote_reason",
            Self::CloseForm => "close_form",
            Self::NewTopic => "new_topic",
            Self::Ask => "ask",
            Self::Command => "command",
        }
    }

    /// The action of that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|action| action.as_str() == name)
    }
}

/// What happened around the bot, beside messages.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Lifecycle {
    /// The bot was added to a group.
    BotAdded { reply_to: ReplyTo, title: Option<String>, operator: Option<UserId> },
    /// The bot was removed, or the group dissolved: nothing more is sent there.
    BotRemoved { chat: ChatId },
    /// A person opened the direct chat.
    DirectOpened { reply_to: ReplyTo, first_time: bool },
    /// A message was taken back by its author or a group's manager.
    Recalled { message: MessageId, chat: Option<ChatId> },
    /// A person chose an entry of the bot's menu.
    Menu { reply_to: ReplyTo, key: String },
    /// A group got a new name.
    ChatRenamed { chat: ChatId, title: String },
    /// A person reacted to a message with an emoji.
    Reaction { message: MessageId, user: UserId, emoji: String, added: bool },
    /// The organisation's message quota is used up; the platform withheld the text.
    QuotaExhausted { chat: ChatId, detail: String },
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A direct text message, to be bent by a test.
    pub(crate) fn message(text: &str) -> Message {
        let chat = Chat { id: "chat".into(), kind: ChatKind::Direct, title: None };
        Message {
            id: "m1".into(),
            thread: None,
            sender: Sender { id: "user".into(), name: Some("李四".into()), is_bot: false },
            content: Content { kind: ContentKind::Text, resources: Vec::new() },
            text: text.into(),
            mentions: Vec::new(),
            addressed: Addressed::Bot,
            quote: None,
            reply_to: ReplyTo {
                chat: chat.id.clone(),
                chat_kind: chat.kind,
                user: Some("user".into()),
                message: Some("m1".into()),
                thread: None,
                route: Route::default(),
            },
            chat,
        }
    }

    #[test]
    fn marks_of_attachments_are_no_words() {
        let mut pictured = message("see ![image](img_1)\n\n![image](other)");
        let picture = |key: &str| Resource { kind: ContentKind::Image, key: key.into(), name: None, duration_ms: None };
        pictured.content.resources = vec![picture("img_1")];
        assert_eq!(pictured.words(), "see \n\n![image](other)", "what is not attached was written");
        pictured.text = "![image](img_1)".into();
        assert_eq!(pictured.words(), "");
    }
}
