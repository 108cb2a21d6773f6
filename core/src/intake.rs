//! From a verified event to an inbox entry: which lane, which order, and what is not worth a worker's time.

use crate::clock::UnixMillis;
use crate::conversation::scope_key;
use crate::event::{Body, Event, Lifecycle};
use crate::ids::{EventId, ScopeKey};
use crate::inbox::{Entry, Lane};
use crate::settings::BotSettings;

/// The entry for an event of `bot`, received at `now` under the trace context `trace` (W3C `traceparent`).
#[must_use]
pub fn entry(event: Event, bot: &BotSettings, now: UnixMillis, trace: Option<String>) -> Entry {
    let id = EventId::new();
    let (lane, scope) = match &event.body {
        Body::Message(message) => (Lane::Messages, scope_key(&bot.id, bot.chat.session_scope, message)),
        _ => (Lane::Control, ScopeKey(id.to_string())),
    };
    let done = if bot.enabled { idle_reason(&event.body) } else { Some("bot_disabled") };
    Entry { id, lane, scope, done: done.map(str::to_owned), trace, received_at: now, event }
}

/// Why nothing is to be done about an event, if so.
fn idle_reason(body: &Body) -> Option<&'static str> {
    match body {
        Body::Message(_) | Body::Action(_) | Body::Task(_) => None,
        Body::Lifecycle(Lifecycle::Recalled { .. } | Lifecycle::QuotaExhausted { .. }) => None,
        Body::Lifecycle(_) => Some("noted"),
        Body::Other { .. } => Some("unknown_type"),
    }
}
