//! From a verified event to an inbox entry: which lane, which order, and what is not worth a worker's time.

use crate::card::Language;
use crate::clock::UnixMillis;
use crate::conversation::scope_key;
use crate::event::{Action, Body, Event, Lifecycle};
use crate::ids::{EventId, ScopeKey};
use crate::inbox::{Entry, Lane};
use crate::platform::Toast;
use crate::settings::BotSettings;
use crate::texts::Text;

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

/// What to tell the person who pressed a button, at once.
#[must_use]
pub fn toast(event: &Event) -> Option<Toast> {
    let Body::Action(action) = &event.body else { return None };
    let text = match action.press.as_ref()?.action {
        Action::Stop => Text::Stopping,
        Action::VoteUp | Action::VoteDown => Text::ThanksForVote,
        Action::NewTopic => Text::NewTopic,
    };
    let language = Language::default();
    Some(Toast { text: text.of(language).to_owned(), success: true, language })
}

/// Why nothing is to be done about an event, if so.
fn idle_reason(body: &Body) -> Option<&'static str> {
    match body {
        Body::Message(_) | Body::Action(_) => None,
        Body::Lifecycle(Lifecycle::Recalled { .. } | Lifecycle::QuotaExhausted { .. }) => None,
        Body::Lifecycle(_) => Some("noted"),
        Body::Other { .. } => Some("unknown_type"),
    }
}
