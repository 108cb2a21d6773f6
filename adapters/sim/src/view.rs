//! What a person would see on a simulated platform, in one shape for both platforms.
//! The playground draws it and the tests assert on it.

use std::pin::Pin;

use serde::Serialize;
use tokio::sync::watch;

/// A chat as its members see it.
#[derive(Debug, Clone, Serialize)]
pub struct ChatView {
    pub id: String,
    pub title: String,
    pub direct: bool,
    /// Oldest first.
    pub messages: Vec<MessageView>,
}

/// A visible message or card.
#[derive(Debug, Clone, Serialize)]
pub struct MessageView {
    /// The platform's message id (Feishu `om_…`; DingTalk `outTrackId`, process query key or `msgId`).
    pub id: String,
    /// Display name of the author.
    pub sender: String,
    pub from_bot: bool,
    /// Id of the message this one answers or quotes, if it says so.
    pub reply_to: Option<String>,
    pub card: bool,
    /// Card header or message title; empty if none.
    pub title: String,
    /// Body in Markdown, as the platform would be asked to render it.
    pub markdown: String,
    /// `markdown` as the platform would render it: safe HTML without scripts or foreign tags.
    pub html: String,
    pub state: CardState,
    /// Small print under the body; empty if none.
    pub note: String,
    pub buttons: Vec<ButtonView>,
    /// How often the service changed this message after sending it.
    pub updates: u64,
}

/// How far a card is, as the client would show it. Plain messages are `Final`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CardState {
    /// The client shows "generating".
    Streaming,
    Final,
    Failed,
    Recalled,
}

#[derive(Debug, Clone, Serialize)]
pub struct ButtonView {
    /// What [`SimulatedPlatform::press`] wants; unique in its message.
    pub id: String,
    pub label: String,
    /// `primary`, `danger` or `default`.
    pub style: String,
}

/// What a person typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Utterance {
    /// Chat id of one of [`SimulatedPlatform::chats`].
    pub chat: String,
    /// User id of one of the platform's people.
    pub user: String,
    pub text: String,
    /// Whether the bot is @mentioned (in a direct chat it makes no difference).
    pub mention_bot: bool,
}

/// What came of a push to the service.
#[derive(Debug, Clone)]
pub struct Pushed {
    /// Platform message id of what was said, or of the pressed card.
    pub id: String,
    /// HTTP status of the last delivery attempt; 0 when nothing answered.
    pub status: u16,
    /// Body of the service's answer (decrypted where the platform would decrypt it).
    pub answer: String,
}

pub type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A running stand-in platform, as the playground and the tests drive it.
pub trait SimulatedPlatform: Send + Sync {
    /// `feishu` or `dingtalk`.
    fn name(&self) -> &'static str;
    /// Origin of its OpenAPI, such as `http://127.0.0.1:40123`.
    fn base_url(&self) -> String;
    /// All chats with what is visible in them.
    fn chats(&self) -> Vec<ChatView>;
    /// Ids and names of the people who can type: `(user id, name)`.
    fn people(&self) -> Vec<(String, String)>;
    /// Types a message: it becomes visible and is pushed to the service, signed as the platform signs it.
    fn say(&self, utterance: Utterance) -> Boxed<'_, Pushed>;
    /// Presses a button of a card as `user`; applies what the service answers (toast, new card).
    fn press<'a>(&'a self, message_id: &'a str, button_id: &'a str, user: &'a str) -> Boxed<'a, Pushed>;
    /// Goes up with every visible change; a test waits on it instead of sleeping.
    fn changes(&self) -> watch::Receiver<u64>;
}
