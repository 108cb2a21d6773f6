//! The store port: conversations, messages, deliveries, votes and what went wrong.
//!
//! It is one port in three parts: what every answer needs (here), what a person sees of past talk ([`Topics`]), and the
//! several answers to one question ([`Versions`]).

mod topics;
mod versions;

use std::time::Duration;

use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};

pub use topics::{Admission, Allowance, Listening, Overheard, Summary, Topic, Topics};
pub use versions::{StoredVersion, VersionChoice, Versions};

use crate::card::Card;
use crate::clock::UnixMillis;
use crate::engine::{Choice, Completion, Role};
use crate::event::{Event, PlatformKind};
use crate::ids::{BotId, CardId, ChatId, ConversationId, DeliveryId, EventId, MessageId, ScopeKey, ThreadId, UserId};
use crate::inbox::Fence;
use crate::platform::CardRef;

/// Everything a turn keeps. Writes that carry a [`Fence`] fail with [`StoreError::Fenced`] once the claim is lost.
pub trait Store: Topics + Versions + Send + Sync {
    /// The current conversation of a scope, or a new one: when there is none, when it was ended, or when it has been
    /// idle longer than `idle`. Repeating it for the same event gives the same conversation.
    fn open_conversation(&self, fence: Fence, opening: Opening) -> BoxFuture<'_, Result<Conversation, StoreError>>;

    /// Ends the current conversation of a scope, so that the next message begins a new one. Gives whether one was open.
    fn end_conversation<'a>(&'a self, bot: &'a BotId, scope: &'a ScopeKey) -> BoxFuture<'a, Result<bool, StoreError>>;

    /// The last `limit` messages, oldest first, without those of `before` and later events.
    fn history(
        &self,
        conversation: ConversationId,
        before: EventId,
        limit: u32,
    ) -> BoxFuture<'_, Result<Vec<StoredMessage>, StoreError>>;

    /// Writes the question down; once per event.
    fn add_question(&self, fence: Fence, question: Question) -> BoxFuture<'_, Result<(), StoreError>>;

    /// The delivery of an event's part (`answer`, `notice`), if one was begun.
    fn delivery<'a>(&'a self, event: EventId, part: &'a str) -> BoxFuture<'a, Result<Option<Delivery>, StoreError>>;

    /// The delivery that a card on a platform belongs to.
    fn delivery_of_card<'a>(
        &'a self,
        bot: &'a BotId,
        message: Option<&'a MessageId>,
        card: Option<&'a CardId>,
    ) -> BoxFuture<'a, Result<Option<Delivery>, StoreError>>;

    /// Inserts or replaces a delivery. It may be another event's than the fence's: a task works on the card of the
    /// question that it is about.
    fn save_delivery<'a>(&'a self, fence: Fence, delivery: &'a Delivery) -> BoxFuture<'a, Result<(), StoreError>>;

    /// Replaces a final delivery, if nobody has changed it since it was read: it must still be final and have `sequence`
    /// as its number. False, and nothing is changed, otherwise. So two who press on the same card do not undo each
    /// other's numbering.
    fn revise_delivery<'a>(
        &'a self,
        fence: Fence,
        delivery: &'a Delivery,
        sequence: u64,
    ) -> BoxFuture<'a, Result<bool, StoreError>>;

    /// Writes the answer, its usage and the final card into the delivery, in one transaction; once per event.
    /// From then on a retry only delivers.
    fn record_answer<'a>(&'a self, fence: Fence, answer: &'a Answer) -> BoxFuture<'a, Result<(), StoreError>>;

    /// The last step of a delivered answer: the delivery is final and the event done, in one transaction.
    fn complete<'a>(
        &'a self,
        fence: Fence,
        delivery: &'a Delivery,
        reason: Option<&'a str>,
    ) -> BoxFuture<'a, Result<(), StoreError>>;

    /// Keeps one vote per person and answer; a repeat replaces it. False if the event has no stored answer.
    fn vote<'a>(&'a self, vote: &'a Vote) -> BoxFuture<'a, Result<bool, StoreError>>;

    /// Adds a row to `bot_error_logs`: somebody did not get what they asked for.
    fn log_error<'a>(&'a self, row: &'a ErrorRow) -> BoxFuture<'a, Result<(), StoreError>>;

    /// An event as it was stored, whatever became of it.
    fn event(&self, event: EventId) -> BoxFuture<'_, Result<Option<StoredEvent>, StoreError>>;

    /// A value that all instances share, such as a generated secret.
    fn setting<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<String>, StoreError>>;

    /// Sets it unless it is there; gives the value that stands.
    fn set_setting_once<'a>(&'a self, name: &'a str, value: &'a str) -> BoxFuture<'a, Result<String, StoreError>>;

    /// A round trip to the database.
    fn ping(&self) -> BoxFuture<'_, Result<(), StoreError>>;

    /// Removes dedupe keys older than `dedupe`, allowances that are all back and, if not zero, history older than
    /// `history`; in small batches. What people have chosen stays.
    fn tidy(&self, dedupe: Duration, history: Duration) -> BoxFuture<'_, Result<(), StoreError>>;
}

/// What opens a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opening {
    pub bot: BotId,
    pub platform: PlatformKind,
    pub scope: ScopeKey,
    pub chat: ChatId,
    pub user: Option<UserId>,
    pub thread: Option<ThreadId>,
    /// Zero: never idle.
    pub idle: Duration,
    pub now: UnixMillis,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conversation {
    pub id: ConversationId,
    pub created_at: UnixMillis,
}

/// A message of a conversation, as kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredMessage {
    pub event: Option<EventId>,
    pub role: Role,
    pub text: String,
    pub created_at: UnixMillis,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    pub conversation: ConversationId,
    pub text: String,
    pub user: UserId,
    pub user_name: Option<String>,
    pub now: UnixMillis,
}

/// One answer (or notice) on its way to a platform.
#[derive(Debug, Clone, PartialEq)]
pub struct Delivery {
    pub id: DeliveryId,
    pub event: EventId,
    pub bot: BotId,
    /// Which delivery of the event; unique with it.
    pub part: String,
    pub state: DeliveryState,
    pub card: CardRef,
    /// The card to end with, once the answer is known.
    pub final_card: Option<Card>,
    pub updated_at: UnixMillis,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryState {
    /// Its form is chosen; nothing is visible as far as we know.
    Prepared,
    /// Visible, being filled.
    Open,
    /// The answer is recorded and not yet shown in its final form.
    Finishing,
    /// Shown in its final form.
    Final,
    /// Can't be shown: the target is gone or the platform refuses.
    Dropped,
}

impl DeliveryState {
    /// As in the table.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Prepared => "prepared",
            Self::Open => "open",
            Self::Finishing => "finishing",
            Self::Final => "final",
            Self::Dropped => "dropped",
        }
    }
}

/// An answer with everything that is recorded of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    pub conversation: ConversationId,
    pub bot: BotId,
    pub user: UserId,
    pub text: String,
    pub reasoning: String,
    /// `None` where no engine answered; then no message is written, only the delivery.
    pub by: Option<(Choice, Completion)>,
    pub delivery: Delivery,
    pub now: UnixMillis,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vote {
    pub bot: BotId,
    /// The event whose answer is judged.
    pub event: EventId,
    pub user: UserId,
    pub up: bool,
    /// Why, by the name of a choice of the form; snake_case.
    pub reason: Option<String>,
    /// Why, in the person's own words.
    pub comment: Option<String>,
    pub now: UnixMillis,
}

/// A row of `bot_error_logs`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrorRow {
    /// Stable snake_case.
    pub error_code: String,
    pub bot: BotId,
    pub request_id: String,
    /// One sentence, no message text and no secrets.
    pub message: String,
    pub detail: serde_json::Value,
    pub now: UnixMillis,
}

/// An event with what it led to.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredEvent {
    pub event: Event,
    pub scope: ScopeKey,
    /// The conversation that its question opened or joined.
    pub conversation: Option<ConversationId>,
}

/// Why the store did not do it, by what the caller can do.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Not reachable, or too slow; try again later.
    #[error("the store is not available while {doing}")]
    Unavailable {
        doing: &'static str,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Another worker has the event now; stop without a further write.
    #[error("the claim of event {0} was taken over")]
    Fenced(EventId),
    /// A row that this version does not understand.
    #[error("a stored row can't be read while {doing}")]
    Corrupt {
        doing: &'static str,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A statement the database refused: a defect.
    #[error("the database refused a statement while {doing}")]
    Bug {
        doing: &'static str,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}
