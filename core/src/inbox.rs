//! The inbox port: events are on disk before they are acknowledged, and worked off in order from there.

pub mod worker;

use std::time::Duration;

use futures::future::BoxFuture;
use serde::Serialize;
use tokio::sync::broadcast;

use crate::clock::UnixMillis;
use crate::event::Event;
use crate::ids::{BotId, EventId, MessageId, ScopeKey, WorkerId};
use crate::store::StoreError;

/// Durable queue of events with leased, fenced, ordered claims.
pub trait Inbox: Send + Sync {
    /// Stores an event and remembers its ids, in one transaction, and returns after the commit.
    ///
    /// An event is a duplicate when its event id, or its message id, is already known for that bot: nothing is stored.
    /// A message whose recall arrived first is stored as done with reason `recalled`.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]: the platform must be told to send it again.
    fn accept(&self, entry: Entry) -> BoxFuture<'_, Result<Acceptance, StoreError>>;

    /// Leases up to `limit` events of a lane to `worker`, oldest first, and raises their attempt numbers.
    ///
    /// Claimable is what is `received`, `failed` with its time come, or `running` with its lease run out. On
    /// [`Lane::Messages`] never an event whose scope has an older open one or a running one. On [`Lane::Waiting`] just
    /// the others: messages in `received` with older open ones in their scope, whose number has changed since it was
    /// last noted with [`Outcome::Waits`], or that somebody wants ended while their card is on show. A claim there is
    /// no attempt at the work (see [`Fence::WAITING`]): it keeps younger messages from overtaking, and nobody else of
    /// the scope waiting. Whatever becomes of it but an end, the message is back in `received` afterwards.
    fn claim<'a>(
        &'a self,
        worker: &'a WorkerId,
        lane: Lane,
        limit: u32,
        lease: Duration,
    ) -> BoxFuture<'a, Result<Vec<Claim>, StoreError>>;

    /// Extends a lease and tells whether somebody wants the work ended.
    ///
    /// # Errors
    /// [`StoreError::Fenced`]: the claim was lost; stop at once.
    fn renew(&self, fence: Fence, lease: Duration) -> BoxFuture<'_, Result<Option<CancelCause>, StoreError>>;

    /// Ends a claim. Guarded by the fence like every write of a worker.
    fn settle(&self, fence: Fence, outcome: Outcome) -> BoxFuture<'_, Result<(), StoreError>>;

    /// Makes every event that `worker` has leased claimable at once. For a process that comes back under the same
    /// name, and for one that hands back at shutdown. Gives their number.
    fn release<'a>(&'a self, worker: &'a WorkerId) -> BoxFuture<'a, Result<u64, StoreError>>;

    /// Asks whoever works on an event to end it; an event that nobody works on ends at once, as `done` with the
    /// cause as reason, unless an earlier attempt left a delivery unfinished: then it is due at once, so that its card
    /// is brought to an end. Works across processes. A message that was only overheard
    /// (`not_mentioned`) is too late to end, but once recalled it counts as `recalled`.
    fn cancel(&self, event: EventId, cause: CancelCause) -> BoxFuture<'_, Result<Cancelled, StoreError>>;

    /// The same by the platform's message id. If the message is not here yet, that is remembered for when it comes; if it
    /// became part of another question, that question is meant.
    fn cancel_message<'a>(
        &'a self,
        bot: &'a BotId,
        message: &'a MessageId,
        cause: CancelCause,
    ) -> BoxFuture<'a, Result<Cancelled, StoreError>>;

    /// The open events of a scope on [`Lane::Messages`], oldest first.
    fn open_in_scope<'a>(
        &'a self,
        bot: &'a BotId,
        scope: &'a ScopeKey,
    ) -> BoxFuture<'a, Result<Vec<OpenEvent>, StoreError>>;

    /// Makes later messages of the scope part of the claimed event: those of `events` that are still in `received` end
    /// as `done`, reason `merged`. Gives everything that became part of it so far, oldest first; with no `events`
    /// just that.
    fn absorb<'a>(&'a self, fence: Fence, events: &'a [EventId]) -> BoxFuture<'a, Result<Vec<Event>, StoreError>>;

    /// Cancellations as they happen, from any process; [`Inbox::renew`] is the net below.
    fn cancellations(&self) -> broadcast::Receiver<EventId>;

    /// Returns when something may be claimable that was not before, or after `at_most`.
    fn wait(&self, at_most: Duration) -> BoxFuture<'_, ()>;

    /// How many events there are by state, and the age of the oldest open one.
    fn depth(&self) -> BoxFuture<'_, Result<Depth, StoreError>>;
}

/// An event about to be stored.
#[derive(Debug, Clone)]
pub struct Entry {
    pub id: EventId,
    pub event: Event,
    pub lane: Lane,
    /// Order is kept among equal keys.
    pub scope: ScopeKey,
    /// `Some(reason)`: nothing is to be done, kept as `done` with that reason.
    pub done: Option<String>,
    /// W3C `traceparent` of the request that brought it.
    pub trace: Option<String>,
    pub received_at: UnixMillis,
}

/// Lanes are claimed apart, so that a *stop* does not wait behind the answer it should stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Lane {
    Messages,
    /// Card actions and lifecycle events; no order among them.
    Control,
    /// Not stored: messages whose turn has not come, claimed for a moment to show their place in the queue.
    Waiting,
}

impl Lane {
    /// `messages` or `control`, as in the table; `waiting` in logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Messages => "messages",
            Self::Control => "control",
            Self::Waiting => "waiting",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acceptance {
    New,
    Duplicate,
}

/// A leased event.
#[derive(Debug, Clone)]
pub struct Claim {
    pub fence: Fence,
    pub event: Event,
    pub scope: ScopeKey,
    pub trace: Option<String>,
    pub received_at: UnixMillis,
    /// On [`Lane::Waiting`]: how many older open events its scope has. 0 on the other lanes.
    pub ahead: u32,
    /// Somebody wanted it ended before it was claimed.
    pub cancel: Option<CancelCause>,
}

/// An event that is not done.
#[derive(Debug, Clone)]
pub struct OpenEvent {
    pub id: EventId,
    pub event: Event,
    /// It is being answered; not: its place in the queue is being shown.
    pub running: bool,
    pub received_at: UnixMillis,
}

/// Proof of a claim: a later attempt makes it void.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fence {
    pub event: EventId,
    /// From 1; from [`Fence::WAITING`] on [`Lane::Waiting`].
    pub attempt: u32,
}

impl Fence {
    /// Numbers from here on are of claims that show a message's place in the queue. They do not count as attempts, or
    /// else a message behind many others would be given up before its turn.
    pub const WAITING: u32 = 1 << 31;
}

/// How a claim ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Answered (`None`), or not to be answered, because (`not_mentioned`, `denied`, `cancelled`, …).
    Done(Option<String>),
    /// Back to `received`, its turn has not come; that it has so many before it is noted, unless it was to be ended
    /// meanwhile: then it is claimable again at once.
    Waits { ahead: u32 },
    /// To be tried again (`failed` in the table).
    Retry { at: UnixMillis, reason: String },
    /// Given up.
    Dead { reason: String },
}

/// Why work is to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CancelCause {
    /// Somebody pressed *stop* or wrote `/stop`.
    Stopped,
    /// The question was taken back.
    Recalled,
    /// The same person asked something new, and the bot is set to answer that instead.
    Interrupted,
}

impl CancelCause {
    /// `cancelled`, `recalled` or `interrupted`: the reason in the table.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::Stopped => "cancelled",
            Self::Recalled => "recalled",
            Self::Interrupted => "interrupted",
        }
    }
}

/// What a cancellation met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cancelled {
    /// Nobody worked on it; it is done now.
    Ended,
    /// It is being worked on and will end soon.
    Asked,
    /// It had ended already.
    TooLate,
    /// No such event (yet).
    Unknown,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Depth {
    pub received: u64,
    pub running: u64,
    pub failed: u64,
    pub dead: u64,
    /// Age of the oldest event in `received`, `running` or `failed`, in seconds; 0 if there is none.
    pub oldest_open_seconds: u64,
}
