//! What a person sees of past talk, and what the bot remembers beside it.

use std::time::Duration;

use futures::future::BoxFuture;

use super::StoreError;
use crate::clock::UnixMillis;
use crate::ids::{BotId, ChatId, ConversationId, EventId, ScopeKey, ThreadId, UserId};
use crate::inbox::Fence;

/// Topics, summaries, choices, allowances and what was overheard.
pub trait Topics {
    /// The latest conversations of a scope, the most recently used first.
    fn topics<'a>(
        &'a self,
        bot: &'a BotId,
        scope: &'a ScopeKey,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<Topic>, StoreError>>;

    /// Ends the current conversation of the scope and goes on with an earlier one of the same scope. False if there is
    /// no such one there.
    fn resume<'a>(
        &'a self,
        bot: &'a BotId,
        scope: &'a ScopeKey,
        conversation: ConversationId,
    ) -> BoxFuture<'a, Result<bool, StoreError>>;

    /// What stands for the older turns of a conversation, if they were summarised.
    fn summary(&self, conversation: ConversationId) -> BoxFuture<'_, Result<Option<Summary>, StoreError>>;

    /// Replaces the summary of a conversation, unless the one that is there reaches further.
    fn save_summary<'a>(
        &'a self,
        fence: Fence,
        conversation: ConversationId,
        summary: &'a Summary,
    ) -> BoxFuture<'a, Result<(), StoreError>>;

    /// Messages of a group that were not meant for the bot (done as `not_mentioned`), oldest first.
    fn overheard<'a>(&'a self, listening: &'a Listening) -> BoxFuture<'a, Result<Vec<Overheard>, StoreError>>;

    /// What was chosen for a subject (a scope, a chat, a person) under a name, if anything.
    fn choice<'a>(
        &'a self,
        bot: &'a BotId,
        subject: &'a str,
        name: &'a str,
    ) -> BoxFuture<'a, Result<Option<String>, StoreError>>;

    /// Sets it, or with `None` takes it away. Gives what was there before.
    fn choose<'a>(
        &'a self,
        bot: &'a BotId,
        subject: &'a str,
        name: &'a str,
        value: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Option<String>, StoreError>>;

    /// Whether a person may ask now, by how much they asked lately. Decided once per event: a repeat gets the same
    /// answer and costs nothing.
    fn admit<'a>(&'a self, fence: Fence, allowance: &'a Allowance) -> BoxFuture<'a, Result<Admission, StoreError>>;
}

/// A conversation as a person knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topic {
    pub conversation: ConversationId,
    /// The first question.
    pub question: String,
    pub updated_at: UnixMillis,
    /// Questions in it.
    pub questions: u32,
    /// The next message would go on with it.
    pub current: bool,
    pub summary: Option<String>,
}

/// Stands for all messages of a conversation up to and including those of one event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    pub text: String,
    pub upto: EventId,
}

/// Which messages of a group are wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listening {
    pub bot: BotId,
    pub chat: ChatId,
    /// Those of this topic; `None`: those outside topics.
    pub thread: Option<ThreadId>,
    /// None of this or later events.
    pub before: EventId,
    /// None that were received earlier.
    pub since: UnixMillis,
    pub limit: u32,
}

/// A message that was not meant for the bot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overheard {
    pub user: UserId,
    pub name: Option<String>,
    pub text: String,
    pub received_at: UnixMillis,
}

/// What one person may ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allowance {
    pub bot: BotId,
    pub user: UserId,
    /// Above 0. So many may come at once; after that they come back evenly over the minute.
    pub messages_per_minute: u32,
    pub now: UnixMillis,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    Allowed,
    /// Not before `wait` is over. `tell`: the person has not been told within the last minute.
    Refused {
        wait: Duration,
        tell: bool,
    },
}
