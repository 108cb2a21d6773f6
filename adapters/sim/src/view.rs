//! What a person would see on a simulated platform, in one shape for both platforms, and what a person can do there.
//! The playground draws it and the tests assert on it.

use std::pin::Pin;

use bytes::Bytes;
use serde::Serialize;
use serde_json::Value;
use tokio::sync::watch;

use crate::tally::Tally;

/// A chat as its members see it.
#[derive(Debug, Clone, Serialize)]
pub struct ChatView {
    pub id: String,
    pub title: String,
    pub direct: bool,
    /// Ids of the people in it.
    pub members: Vec<String>,
    /// Whether the bot is in it; always so in a direct chat.
    pub bot_inside: bool,
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
    /// Id of the person who wrote it; empty for the bot.
    pub sender_id: String,
    pub from_bot: bool,
    /// Id of the message this one answers or quotes, if it says so.
    pub reply_to: Option<String>,
    /// Topic it lies in (Feishu `omt_…`).
    pub thread: Option<String>,
    pub card: bool,
    /// Card header or message title; empty if none.
    pub title: String,
    /// Body in Markdown, as the platform would be asked to render it.
    pub markdown: String,
    /// `markdown` as the platform would render it: safe HTML without scripts or foreign tags.
    pub html: String,
    /// Parts that fold in, in reading order.
    pub panels: Vec<PanelView>,
    pub state: CardState,
    /// Small print under the body; empty if none.
    pub note: String,
    /// All that can be pressed, those of forms included.
    pub buttons: Vec<ButtonView>,
    pub forms: Vec<FormView>,
    /// How often the service changed this message after sending it.
    pub updates: u64,
}

/// A part of a card that a person folds in and out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PanelView {
    pub title: String,
    pub markdown: String,
    /// As [`MessageView::html`].
    pub html: String,
    /// Whether it is open before anybody touches it.
    pub expanded: bool,
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
    /// Takes a line of its own and may have several lines of text.
    pub wide: bool,
    pub disabled: bool,
    /// Name of the form it lies in.
    pub form: Option<String>,
    /// What it does beside calling back.
    pub role: ButtonRole,
}

/// What a button means to the form around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ButtonRole {
    /// Nothing.
    Plain,
    /// It sends the fields: [`SimulatedPlatform::submit_form`].
    Submit,
    /// The client empties the fields; the service hears nothing.
    Reset,
}

/// Fields that are sent together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FormView {
    /// Unique in its message.
    pub name: String,
    /// What it says above its fields.
    pub markdown: String,
    /// As [`MessageView::html`].
    pub html: String,
    pub fields: Vec<FieldView>,
}

/// One field of a form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FieldView {
    /// Key of its value in what is sent.
    pub name: String,
    pub kind: FieldKind,
    /// Empty if it has none.
    pub label: String,
    pub placeholder: String,
    pub required: bool,
    /// Most characters of a text.
    pub max_length: Option<u64>,
    /// Choices as `(value, label)`; empty for texts.
    pub options: Vec<(String, String)>,
    /// What it holds before anybody touches it; null if nothing.
    pub initial: Value,
}

/// How a field is filled in, and what its value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FieldKind {
    /// One line; a string.
    Text,
    /// Several lines; a string.
    LongText,
    /// One of the options; its value as a string.
    Choice,
    /// Some of the options; their values as an array of strings.
    Choices,
    /// Yes or no; a boolean.
    Check,
    /// Anything else; taken as it is.
    Other,
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

/// What a person sends, with all that both platforms' clients offer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Speech {
    /// With an attachment its text is what the message says beside it, where the platform allows that.
    pub said: Utterance,
    /// Id of the message it quotes or replies to.
    pub quote: Option<String>,
    /// With a quote: inside the topic of that message, opened if need be, where the platform has topics.
    pub in_topic: bool,
    pub attachment: Option<Attachment>,
}

impl From<Utterance> for Speech {
    fn from(said: Utterance) -> Self {
        Self { said, quote: None, in_topic: false, attachment: None }
    }
}

/// A file, picture or recording that a person sends along.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attachment {
    pub kind: AttachmentKind,
    pub name: String,
    pub bytes: Bytes,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AttachmentKind {
    Image,
    File,
    Voice,
}

/// What came of a push to the service.
#[derive(Debug, Clone)]
pub struct Pushed {
    /// Platform message id of what was said, or of the pressed card.
    pub id: String,
    /// HTTP status of the last delivery attempt; 0 when nothing answered or nothing was pushed.
    pub status: u16,
    /// Body of the service's answer (decrypted where the platform would decrypt it).
    pub answer: String,
}

impl Pushed {
    /// Nothing was pushed.
    pub(crate) fn nothing(id: &str) -> Self {
        Self { id: id.to_owned(), status: 0, answer: String::new() }
    }
}

/// What only some platforms have, so that the page offers nothing in vain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Abilities {
    /// Topics: replies apart from the chat's main line.
    pub topics: bool,
    /// Tells the bot that a person opened the direct chat.
    pub open_direct: bool,
    /// The bot has a menu.
    pub menu: bool,
}

pub type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A running stand-in platform, as the playground and the tests drive it.
///
/// Everything a person does gives what came of the push that it caused; status 0 where the platform pushes nothing.
pub trait SimulatedPlatform: Send + Sync {
    /// `feishu` or `dingtalk`.
    fn name(&self) -> &'static str;
    /// Origin of its OpenAPI, such as `http://127.0.0.1:40123`.
    fn base_url(&self) -> String;
    /// What this platform has of what only some have.
    fn abilities(&self) -> Abilities;
    /// All chats with what is visible in them.
    fn chats(&self) -> Vec<ChatView>;
    /// Ids and names of the people who can type: `(user id, name)`.
    fn people(&self) -> Vec<(String, String)>;
    /// Types a message: it becomes visible and is pushed to the service, signed as the platform signs it.
    fn say(&self, utterance: Utterance) -> Boxed<'_, Pushed>;
    /// As [`SimulatedPlatform::say`], with quote and attachment.
    fn speak(&self, speech: Speech) -> Boxed<'_, Pushed>;
    /// Presses a button of a card as `user`; applies what the service answers (toast, new card). The submit button
    /// of a form sends the fields as they stand untouched.
    fn press<'a>(&'a self, message_id: &'a str, button_id: &'a str, user: &'a str) -> Boxed<'a, Pushed>;
    /// Presses a form's submit button with these fields filled in, by name; the others stand untouched. The client
    /// sends nothing while a required field is empty or a value does not fit its field.
    fn submit_form<'a>(&'a self, at: FormAt<'a>, values: &'a Value) -> Boxed<'a, Pushed>;
    /// A person takes back a message of their own; nothing happens to others'.
    fn take_back<'a>(&'a self, message_id: &'a str, user: &'a str) -> Boxed<'a, Pushed>;
    /// A person opens the direct chat with the bot.
    fn open_direct<'a>(&'a self, user: &'a str) -> Boxed<'a, Pushed>;
    /// A person picks an entry of the bot's menu.
    fn choose_menu<'a>(&'a self, user: &'a str, key: &'a str) -> Boxed<'a, Pushed>;
    /// A person makes a group with these members, without the bot; gives its chat id.
    fn open_group(&self, title: &str, members: &[String]) -> String;
    /// A person adds the bot to a group.
    fn invite_bot<'a>(&'a self, chat: &'a str, user: &'a str) -> Boxed<'a, Pushed>;
    /// A person removes the bot from a group.
    fn expel_bot<'a>(&'a self, chat: &'a str, user: &'a str) -> Boxed<'a, Pushed>;
    /// The service's calls of the OpenAPI so far.
    fn tally(&self) -> Tally;
    /// Goes up with every visible change; a test waits on it instead of sleeping.
    fn changes(&self) -> watch::Receiver<u64>;
}

/// The submit button of a form, and who presses it.
#[derive(Debug, Clone, Copy)]
pub struct FormAt<'a> {
    /// The card's message.
    pub message_id: &'a str,
    /// One of its [`MessageView::buttons`].
    pub button_id: &'a str,
    /// Id of the person.
    pub user: &'a str,
}
