//! The port to a chat platform: events in, cards out.

use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::card::{Card, Language};
use crate::clock::UnixMillis;
use crate::event::{Event, Message, PlatformKind, ReplyTo, Resource};
use crate::ids::{CardId, ChatId, EventId, MessageId, UserId};

/// One bot on one platform.
///
/// Object-safe. `open` and `ack` are pure: no I/O, no clock of their own. The sending calls are made by one task
/// at a time for one card, and each may be repeated after a crash with the [`CardRef`] that was saved last.
pub trait Platform: Send + Sync {
    fn kind(&self) -> PlatformKind;

    fn limits(&self) -> &Limits;

    /// Verifies, decrypts and parses one HTTP request.
    ///
    /// # Errors
    /// [`WebhookError`] by cause; the sender learns nothing but the status.
    fn open(&self, raw: &RawRequest, now: UnixMillis) -> Result<Inbound, WebhookError>;

    /// The body to answer a verified event with, once it is stored. `toast` is shown to the person who pressed a
    /// button, where the platform can.
    fn ack(&self, received: &Received, toast: Option<&Toast>) -> AckBody;

    /// Prepares the bot: its own id, callback registration. Called at start and again until it succeeds.
    fn connect(&self) -> BoxFuture<'_, Result<(), SendError>>;

    /// Completes what `open` could not know without I/O ([`crate::event::Addressed::Unknown`]).
    fn settle<'a>(&'a self, message: &'a mut Message) -> BoxFuture<'a, Result<(), SendError>>;

    /// Chooses the form of a delivery and makes what has to exist before it can be sent. Nothing is visible yet.
    /// The result is saved before [`Self::start`], so a crash between the two sends nothing twice.
    fn prepare<'a>(
        &'a self,
        to: &'a ReplyTo,
        card: &'a Card,
        key: &'a DeliveryKey,
    ) -> BoxFuture<'a, Result<CardRef, SendError>>;

    /// Makes the card visible, if its form shows anything before the end. Repeating it sends nothing twice.
    fn start<'a>(
        &'a self,
        to: &'a ReplyTo,
        card: &'a Card,
        at: &'a mut CardRef,
    ) -> BoxFuture<'a, Result<(), SendError>>;

    /// Replaces what the card shows. The caller keeps one call in flight and the pace of [`Limits`].
    fn update<'a>(
        &'a self,
        to: &'a ReplyTo,
        card: &'a Card,
        at: &'a mut CardRef,
    ) -> BoxFuture<'a, Result<(), SendError>>;

    /// Shows the final card by whatever form still works, down to plain text. Repeating it shows nothing twice.
    fn finish<'a>(
        &'a self,
        to: &'a ReplyTo,
        card: &'a Card,
        at: &'a mut CardRef,
    ) -> BoxFuture<'a, Result<(), SendError>>;

    /// Shows another finished card in place of a finished one: another version, an open form, other buttons. Parts of
    /// a long answer that were sent as further messages stay as they are.
    ///
    /// # Errors
    /// [`SendError::Unchangeable`] if the delivery's form can't be changed any more.
    fn revise<'a>(
        &'a self,
        to: &'a ReplyTo,
        card: &'a Card,
        at: &'a mut CardRef,
    ) -> BoxFuture<'a, Result<(), SendError>>;

    /// Brings a finished card back to running, showing `card`; then `update` and `finish` work on it again.
    ///
    /// # Errors
    /// [`SendError::Unchangeable`] if the delivery's form can't be changed any more.
    fn reopen<'a>(
        &'a self,
        to: &'a ReplyTo,
        card: &'a Card,
        at: &'a mut CardRef,
    ) -> BoxFuture<'a, Result<(), SendError>>;

    /// Fetches what the event only points to and an answer needs: the quoted message's text and author, the messages
    /// inside a forwarded one. Called for messages that are about to be answered. What can't be had stays as it was.
    fn enrich<'a>(&'a self, message: &'a mut Message) -> BoxFuture<'a, Result<(), SendError>>;

    /// Begins the download of something attached to a message.
    fn fetch<'a>(&'a self, message: &'a Message, resource: &'a Resource) -> BoxFuture<'a, Result<Download, SendError>>;

    /// Where something goes that nobody asked for.
    fn address(&self, target: &Target) -> ReplyTo;

    /// What the last calls to the platform taught, for `/health`.
    fn health(&self) -> Health;
}

/// Whom something is sent to that nobody asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A group, or a direct chat by its id.
    Chat(ChatId),
    /// A person, in the direct chat with the bot.
    User(UserId),
}

/// A file on its way from the platform.
pub struct Download {
    /// Media type as the platform tells it, such as `application/pdf`; empty if it does not.
    pub media_type: String,
    /// Length as the platform announces it; the stream may be longer or shorter.
    pub bytes: Option<u64>,
    pub stream: BoxStream<'static, Result<Bytes, SendError>>,
}

/// A request exactly as it came.
#[derive(Clone, Default)]
pub struct RawRequest {
    /// Decoded query parameters in order.
    pub query: Vec<(String, String)>,
    /// Header names in any case; values that are not visible ASCII are left out, which makes them missing.
    pub headers: Vec<(String, String)>,
    /// Untouched bytes.
    pub body: Bytes,
}

impl RawRequest {
    /// The first header of that name, whatever its case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The first query parameter of that name.
    #[must_use]
    pub fn query(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

impl std::fmt::Debug for RawRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RawRequest").field("body_bytes", &self.body.len()).finish_non_exhaustive()
    }
}

/// What a verified request is.
#[derive(Debug, Clone)]
pub enum Inbound {
    /// The platform checks the address. Answered at once, never stored.
    Challenge(AckBody),
    Event(Box<Received>),
}

/// A verified event with what its acknowledgement needs.
#[derive(Debug, Clone)]
pub struct Received {
    pub event: Event,
    /// How the sender wants to be answered; the adapter's own, for [`Platform::ack`].
    pub answer_by: Value,
}

/// A JSON body answered with status 200.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AckBody(pub Bytes);

/// A short line shown to one person who pressed a button.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Toast {
    pub text: String,
    pub success: bool,
    pub language: Language,
}

/// Why a request was refused. `Display` is for our log; the sender gets the status alone.
#[derive(Debug, thiserror::Error)]
pub enum WebhookError {
    /// 401: signature missing or wrong.
    #[error("signature refused: {0}")]
    Signature(&'static str),
    /// 401: signed time outside the window.
    #[error("timestamp is {skew_seconds} s off; check this machine's clock or server.timestamp_window_seconds")]
    Timestamp { skew_seconds: i64 },
    /// 401: verification token (or the like) missing or wrong.
    #[error("token refused: {0}")]
    Token(&'static str),
    /// 400: authentic or not decidable, but unreadable.
    #[error("body can't be read: {0}")]
    Malformed(&'static str),
}

impl WebhookError {
    /// `signature`, `timestamp`, `token` or `malformed`: the label in metrics.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Signature(_) => "signature",
            Self::Timestamp { .. } => "timestamp",
            Self::Token(_) => "token",
            Self::Malformed(_) => "malformed",
        }
    }

    /// 401 for everything about trust, 400 otherwise.
    #[must_use]
    pub fn status(&self) -> u16 {
        if matches!(self, Self::Malformed(_)) { 400 } else { 401 }
    }
}

/// What the platform allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// The platform gives up on an acknowledgement after this long.
    pub ack_deadline: Duration,
    /// Updates of one card come no closer than this.
    pub min_update_interval: Duration,
    /// A card that sees no update for this long is touched, so that the platform keeps it open.
    pub max_silence: Duration,
    /// Longest answer text of one card in bytes of UTF-8.
    pub max_card_bytes: usize,
}

/// Names one delivery for the platform's own duplicate check; derived from the event, so a retry makes the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliveryKey {
    pub event: EventId,
    /// Which delivery of the event: `answer`, `notice`, …
    pub part: String,
}

impl DeliveryKey {
    /// At most 64 characters of `[a-z0-9-]`, distinct for distinct `step`s.
    #[must_use]
    pub fn step(&self, step: &str) -> String {
        let id = uuid::Uuid::new_v5(&self.event.0, format!("{}:{step}", self.part).as_bytes());
        format!("magpie-{}", id.simple())
    }
}

/// A delivery on its way: everything another process needs to go on with it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CardRef {
    pub key: DeliveryKey,
    /// Id of the visible message, once there is one.
    pub message: Option<MessageId>,
    /// Id of the card entity, where the platform has such.
    pub card: Option<CardId>,
    /// Number of the last operation; operations carry strictly rising numbers across processes.
    pub sequence: u64,
    /// When it was prepared.
    pub created_at: UnixMillis,
    /// The adapter's own state: form, streaming deadline, pages.
    pub form: Value,
}

/// Numbers skipped when a delivery changes hands. More than this many operations between two saves never happen:
/// the reply saves its [`CardRef`] far more often.
pub const SEQUENCE_STRIDE: u64 = 1_000;

impl CardRef {
    /// The number for the next operation.
    pub fn next_sequence(&mut self) -> u64 {
        self.sequence += 1;
        self.sequence
    }

    /// To be called (and saved) by whoever takes a delivery over: jumps past numbers the predecessor may have used
    /// after its last save.
    pub fn take_over(&mut self) {
        self.sequence += SEQUENCE_STRIDE;
    }
}

/// Why something could not be sent, by what the caller can do.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// Try again, not before `after`: rate limit, overload, no connection, no answer.
    #[error("{call} failed for now ({code}); it will be tried again")]
    Retry {
        call: &'static str,
        code: String,
        after: Option<Duration>,
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// The chat, message or person is gone; nothing can be shown there any more.
    #[error("{call}: the target is gone ({code}); the delivery is dropped")]
    Gone { call: &'static str, code: String },
    /// Credentials, permission or quota: an operator has to act.
    #[error("{call} was refused ({code}): {fix}")]
    Refused { call: &'static str, code: String, fix: String },
    /// The platform does not want this content.
    #[error("{call}: the content was rejected ({code})")]
    Content { call: &'static str, code: String },
    /// What was sent is of a form that can't be changed any more.
    #[error("{call}: this message can't be changed any more")]
    Unchangeable { call: &'static str },
    /// A later operation of another process was accepted already; this one must stop.
    #[error("{call}: another process has taken this card over")]
    Superseded { call: &'static str },
    /// The platform did not understand us: a defect of the adapter.
    #[error("{call} was not understood by the platform ({code}); please report this")]
    Protocol { call: &'static str, code: String },
}

impl SendError {
    /// Stable snake_case name for logs, tables and metrics.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Retry { .. } => "platform_unavailable",
            Self::Gone { .. } => "target_gone",
            Self::Refused { .. } => "platform_refused",
            Self::Content { .. } => "content_rejected",
            Self::Unchangeable { .. } => "unchangeable",
            Self::Superseded { .. } => "superseded",
            Self::Protocol { .. } => "platform_protocol",
        }
    }
}

/// Whether something outside works.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum Health {
    Ok,
    /// Not (yet) known to work, or working in part; `detail` says what to do.
    Degraded {
        detail: String,
    },
}
