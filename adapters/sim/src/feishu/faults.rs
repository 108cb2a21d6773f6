//! Switchable faults: what goes wrong, at which call, from when and how often.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// An OpenAPI call of the platform, as faults and rates name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Call {
    /// `POST auth/v3/tenant_access_token/internal`
    TenantToken,
    /// `POST auth/v3/app_access_token/internal`
    AppToken,
    /// `GET bot/v3/info`
    BotInfo,
    /// `POST im/v1/messages`
    SendMessage,
    /// `POST im/v1/messages/:id/reply`
    ReplyMessage,
    /// `PATCH im/v1/messages/:id`
    PatchMessage,
    /// `PUT im/v1/messages/:id`
    EditMessage,
    /// `DELETE im/v1/messages/:id`
    RecallMessage,
    /// `GET im/v1/messages/:id`
    ReadMessage,
    /// `GET im/v1/messages`
    ListMessages,
    /// `POST im/v1/messages/:id/reactions`
    AddReaction,
    /// `DELETE im/v1/messages/:id/reactions/:reaction_id`
    RemoveReaction,
    /// `GET im/v1/messages/:id/resources/:file_key`
    Download,
    /// `POST im/v1/images`
    UploadImage,
    /// `POST im/v1/files`
    UploadFile,
    /// `GET im/v1/chats/:id`
    ReadChat,
    /// `GET contact/v3/users/:id`
    ReadUser,
    /// `POST cardkit/v1/cards`
    CreateCard,
    /// `PUT cardkit/v1/cards/:id`
    ReplaceCard,
    /// `PATCH cardkit/v1/cards/:id/settings`
    CardSettings,
    /// `POST cardkit/v1/cards/:id/batch_update`
    BatchUpdate,
    /// `POST cardkit/v1/cards/:id/elements`
    AddElements,
    /// `PUT cardkit/v1/cards/:id/elements/:element_id`
    ReplaceElement,
    /// `PATCH cardkit/v1/cards/:id/elements/:element_id`
    PatchElement,
    /// `PUT cardkit/v1/cards/:id/elements/:element_id/content`
    ElementContent,
    /// `DELETE cardkit/v1/cards/:id/elements/:element_id`
    DeleteElement,
    /// `POST cardkit/v1/cards/id_convert`
    ConvertCardId,
    /// `POST interactive/v1/card/update`
    UpdateByToken,
}

impl Call {
    /// Whether frequency limits and the monthly quota count the call: all but the token calls.
    #[must_use]
    pub fn is_counted(self) -> bool {
        !matches!(self, Self::TenantToken | Self::AppToken)
    }

    /// Whether the call needs the scope `cardkit:card:write`.
    #[must_use]
    pub fn is_cardkit(self) -> bool {
        matches!(
            self,
            Self::CreateCard
                | Self::ReplaceCard
                | Self::CardSettings
                | Self::BatchUpdate
                | Self::AddElements
                | Self::ReplaceElement
                | Self::PatchElement
                | Self::ElementContent
                | Self::DeleteElement
                | Self::ConvertCardId
        )
    }
}

/// Which calls a fault hits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// Every call, tokens included: the platform is down.
    Everything,
    /// Every CardKit call.
    CardKit,
    Only(Call),
}

impl Target {
    fn hits(self, call: Call) -> bool {
        match self {
            Self::Everything => true,
            Self::CardKit => call.is_cardkit(),
            Self::Only(only) => only == call,
        }
    }
}

/// What goes wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// The app lacks a scope (99991672).
    NoScope,
    /// A gateway's HTML error page with this status; nothing happens.
    ServerError(u16),
    /// The connection is closed without an answer; nothing happens.
    Dropped,
    /// The call takes effect, then the connection is closed without an answer.
    AnswerLost,
    /// The call takes effect at once, the answer comes late.
    Slow(Duration),
    /// App-wide limit (HTTP 429, 99991400) with this many seconds in `x-ogw-ratelimit-reset`.
    RateLimited { reset_s: u32 },
    /// All tokens become invalid (99991663), answered with this HTTP status (200, 400 and 401 occur).
    TokenInvalid { status: u16 },
    /// Any business error; nothing happens. 300309, for instance, is "streaming closed".
    Refused { status: u16, code: i64 },
}

#[derive(Debug)]
struct Rule {
    target: Target,
    fault: Fault,
    /// Matching calls to let pass first.
    skip: u32,
    /// `None` for always.
    left: Option<u32>,
}

/// Faults of pushes to the service.
#[derive(Debug, Default)]
struct PushFaults {
    duplicates: u32,
    hold: u32,
}

#[derive(Debug, Default)]
struct Armed {
    rules: Vec<Rule>,
    push: PushFaults,
}

/// The switchboard; clones share it. Rules are tried in the order in which they were set.
#[derive(Debug, Clone, Default)]
pub struct Faults {
    armed: Arc<Mutex<Armed>>,
}

impl Faults {
    /// The next matching call fails.
    pub fn once(&self, target: Target, fault: Fault) {
        self.times(target, fault, 1);
    }

    /// The next `times` matching calls fail.
    pub fn times(&self, target: Target, fault: Fault, times: u32) {
        self.after(0, target, fault, times);
    }

    /// After `skip` matching calls have passed, the following `times` fail.
    pub fn after(&self, skip: u32, target: Target, fault: Fault, times: u32) {
        self.with(|armed| armed.rules.push(Rule { target, fault, skip, left: Some(times) }));
    }

    /// Every matching call fails until [`Faults::clear`].
    pub fn always(&self, target: Target, fault: Fault) {
        self.with(|armed| armed.rules.push(Rule { target, fault, skip: 0, left: None }));
    }

    /// Each message event is delivered `extra` more times, at the same moment and under the same event id.
    pub fn duplicate_pushes(&self, extra: u32) {
        self.with(|armed| armed.push.duplicates = extra);
    }

    /// The next `count` message events are held back and delivered, last first, after the one that follows them.
    pub fn hold_pushes(&self, count: u32) {
        self.with(|armed| armed.push.hold = count);
    }

    /// All is well again.
    pub fn clear(&self) {
        self.with(|armed| *armed = Armed::default());
    }

    /// The fault that hits this call now, if any.
    pub(super) fn take(&self, call: Call) -> Option<Fault> {
        self.with(|armed| {
            for rule in armed.rules.iter_mut().filter(|rule| rule.target.hits(call) && rule.left != Some(0)) {
                if rule.skip > 0 {
                    rule.skip -= 1;
                    continue;
                }
                rule.left = rule.left.map(|left| left - 1);
                return Some(rule.fault.clone());
            }
            None
        })
    }

    pub(super) fn duplicates(&self) -> u32 {
        self.with(|armed| armed.push.duplicates)
    }

    pub(super) fn take_hold(&self) -> bool {
        self.with(|armed| {
            let held = armed.push.hold > 0;
            armed.push.hold = armed.push.hold.saturating_sub(1);
            held
        })
    }

    fn with<T>(&self, act: impl FnOnce(&mut Armed) -> T) -> T {
        act(&mut self.armed.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fault_starts_after_its_skip_and_ends_after_its_times() {
        let faults = Faults::default();
        faults.after(1, Target::Only(Call::ElementContent), Fault::Dropped, 2);
        assert_eq!(faults.take(Call::SendMessage), None);
        let hits: Vec<bool> = (0..5).map(|_| faults.take(Call::ElementContent).is_some()).collect();
        assert_eq!(hits, [false, true, true, false, false]);
    }

    #[test]
    fn missing_scope_hits_every_cardkit_call_and_nothing_else() {
        let faults = Faults::default();
        faults.always(Target::CardKit, Fault::NoScope);
        assert_eq!(faults.take(Call::CreateCard), Some(Fault::NoScope));
        assert_eq!(faults.take(Call::PatchMessage), None);
        faults.clear();
        assert_eq!(faults.take(Call::CreateCard), None);
    }
}
