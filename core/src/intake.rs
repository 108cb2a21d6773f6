//! From a verified event to an inbox entry: which lane, which order, and what is not worth a worker's time.

use crate::clock::UnixMillis;
use crate::conversation::command::{self, Command};
use crate::conversation::scope_key;
use crate::event::{Body, Event, Lifecycle};
use crate::ids::{EventId, ScopeKey};
use crate::inbox::{Entry, Lane};
use crate::settings::BotSettings;
use crate::task::Task;

/// The entry for an event of `bot`, received at `now` under the trace context `trace` (W3C `traceparent`).
#[must_use]
pub fn entry(event: Event, bot: &BotSettings, now: UnixMillis, trace: Option<String>) -> Entry {
    let id = EventId::new();
    let control = || (Lane::Control, ScopeKey(id.to_string()));
    let (lane, scope) = match &event.body {
        // *Stop* must not wait behind what it stops.
        Body::Message(message) if command::parse(&message.text) == Some(Command::Stop) => control(),
        Body::Message(message) => {
            let scope = bot.chat_in(&message.chat.id).session_scope;
            (Lane::Messages, scope_key(&bot.id, scope, message))
        }
        _ => control(),
    };
    let done = if bot.enabled { idle_reason(&event.body) } else { Some("bot_disabled") };
    Entry { id, lane, scope, done: done.map(str::to_owned), trace, received_at: now, event }
}

/// The entry for a task of `bot`, done once for each `name` and in order with what is in the same scope.
#[must_use]
pub fn task(task: Task, bot: &BotSettings, name: &str, scope: ScopeKey, now: UnixMillis) -> Entry {
    let event = Event {
        bot: bot.id.clone(),
        platform: bot.platform,
        platform_event_id: name.to_owned(),
        occurred_at: None,
        body: Body::Task(Box::new(task)),
    };
    Entry { id: EventId::new(), event, lane: Lane::Messages, scope, done: None, trace: None, received_at: now }
}

/// Why nothing is to be done about an event, if so.
fn idle_reason(body: &Body) -> Option<&'static str> {
    match body {
        Body::Message(_) | Body::Action(_) | Body::Task(_) => None,
        Body::Lifecycle(
            Lifecycle::Recalled { .. }
            | Lifecycle::QuotaExhausted { .. }
            | Lifecycle::BotAdded { .. }
            | Lifecycle::DirectOpened { .. }
            | Lifecycle::Menu { .. },
        ) => None,
        Body::Lifecycle(_) => Some("noted"),
        Body::Other { .. } => Some("unknown_type"),
    }
}
