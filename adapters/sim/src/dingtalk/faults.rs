//! Switchable faults: which call goes wrong, in which way, how often.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::api::Api;

/// What goes wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// HTTP 503 `serviceBusy`; nothing happens.
    ServerError,
    /// The connection is closed without an answer; nothing happens.
    Disconnect,
    /// The call is served this much later.
    Slow(Duration),
    /// QPS limit: HTTP 403 (new APIs) or code 88/90018 (old ones).
    RateLimited,
    /// The token is refused although it is right.
    TokenInvalid,
    /// HTTP 403 with the scope that the call needs.
    PermissionMissing,
    /// Creating a card fails with `param.templateNotExist`.
    TemplateNotExist,
    /// The card is made but delivered to nobody: `success: false` under HTTP 200.
    DeliverRefused,
    /// Recipients of a one-to-one message come back in `flowControlledStaffIdList`.
    FlowControlled,
    /// The session webhook answers `300001`.
    SessionExpired,
    /// An HTML page with HTTP 200, as the network's guard sends it.
    PunishPage,
    /// The call takes effect, but its answer never arrives.
    AnswerLost,
}

impl Fault {
    /// Some faults only make sense for some calls; elsewhere they wait.
    fn concerns(&self, api: Api) -> bool {
        match self {
            Self::TemplateNotExist => matches!(api, Api::CardCreate | Api::CardCreateAndDeliver),
            Self::DeliverRefused => matches!(api, Api::CardDeliver | Api::CardCreateAndDeliver),
            Self::FlowControlled => api == Api::OtoSend,
            Self::SessionExpired => api == Api::SessionWebhook,
            Self::TokenInvalid | Self::PermissionMissing => api.needs_token(),
            _ => true,
        }
    }
}

/// Which calls a fault hits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    Everything,
    Api(Api),
    /// Every call of the card APIs.
    Cards,
    /// Streaming frames with `isFinalize` or `isError`.
    FinalFrame,
}

impl Target {
    fn hits(self, api: Api, final_frame: bool) -> bool {
        match self {
            Self::Everything => true,
            Self::Api(wanted) => wanted == api,
            Self::Cards => api.is_card(),
            Self::FinalFrame => api == Api::CardStreaming && final_frame,
        }
    }
}

/// How often a fault strikes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Times {
    Next(u32),
    Always,
}

/// The switchboard; clones switch the same faults.
#[derive(Debug, Clone, Default)]
pub struct Faults {
    inner: Arc<Mutex<Rules>>,
}

#[derive(Debug, Default)]
struct Rules {
    rules: Vec<Rule>,
    next_id: u64,
    struck: u64,
    duplicates: u32,
    messages_exhausted: bool,
}

#[derive(Debug)]
struct Rule {
    id: u64,
    target: Target,
    fault: Fault,
    times: Times,
}

impl Faults {
    /// Switches a fault on; gives its number for [`Faults::remove`].
    pub fn inject(&self, target: Target, fault: Fault, times: Times) -> u64 {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.next_id += 1;
        let id = inner.next_id;
        inner.rules.push(Rule { id, target, fault, times });
        id
    }

    /// Switches one fault off.
    pub fn remove(&self, id: u64) {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).rules.retain(|rule| rule.id != id);
    }

    /// Switches every fault off.
    pub fn clear(&self) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.rules.clear();
        inner.duplicates = 0;
        inner.messages_exhausted = false;
    }

    /// No call is answered any more, until removed.
    pub fn take_down(&self) -> u64 {
        self.inject(Target::Everything, Fault::Disconnect, Times::Always)
    }

    /// The next robot message is pushed `extra` more times at once, each copy with a signature of its own.
    pub fn duplicate_next_push(&self, extra: u32) {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).duplicates = extra;
    }

    /// From now on the organisation's message quota is used up, or no more: messages come with `errorCode` 20001 and
    /// without their content.
    pub fn set_messages_exhausted(&self, exhausted: bool) {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).messages_exhausted = exhausted;
    }

    /// How often any fault has struck so far.
    #[must_use]
    pub fn struck(&self) -> u64 {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).struck
    }

    /// The faults that strike this call; those with a count are used up by it.
    pub(super) fn strike(&self, api: Api, final_frame: bool) -> Vec<Fault> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let mut striking = Vec::new();
        for rule in &mut inner.rules {
            if !rule.target.hits(api, final_frame) || !rule.fault.concerns(api) {
                continue;
            }
            match &mut rule.times {
                Times::Always => {}
                Times::Next(0) => continue,
                Times::Next(left) => *left -= 1,
            }
            striking.push(rule.fault.clone());
        }
        inner.rules.retain(|rule| rule.times != Times::Next(0));
        inner.struck += striking.len() as u64;
        striking
    }

    pub(super) fn messages_exhausted(&self) -> bool {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).messages_exhausted
    }

    pub(super) fn take_duplicates(&self) -> u32 {
        std::mem::take(&mut self.inner.lock().unwrap_or_else(PoisonError::into_inner).duplicates)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counted_fault_is_used_up_and_spares_other_calls() {
        let faults = Faults::default();
        faults.inject(Target::Api(Api::CardUpdate), Fault::ServerError, Times::Next(2));
        assert!(faults.strike(Api::CardStreaming, false).is_empty());
        assert_eq!(faults.strike(Api::CardUpdate, false), [Fault::ServerError]);
        assert_eq!(faults.strike(Api::CardUpdate, false), [Fault::ServerError]);
        assert!(faults.strike(Api::CardUpdate, false).is_empty());
        assert_eq!(faults.struck(), 2);
    }

    #[test]
    fn a_fault_waits_for_a_call_that_it_concerns() {
        let faults = Faults::default();
        faults.inject(Target::Everything, Fault::SessionExpired, Times::Next(1));
        assert!(faults.strike(Api::OtoSend, false).is_empty());
        assert_eq!(faults.strike(Api::SessionWebhook, false), [Fault::SessionExpired]);
    }

    #[test]
    fn a_final_frame_fault_lets_other_frames_pass() {
        let faults = Faults::default();
        faults.inject(Target::FinalFrame, Fault::ServerError, Times::Always);
        assert!(faults.strike(Api::CardStreaming, false).is_empty());
        assert_eq!(faults.strike(Api::CardStreaming, true), [Fault::ServerError]);
    }
}
