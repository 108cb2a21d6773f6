//! Leaving an endpoint alone for a while after it failed again and again.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use magpie_core::engine::EngineError;
use magpie_core::platform::Health;
use tokio::time::Instant;

/// Failed answers in a row after which an endpoint is left alone. One failure may be chance, three are not.
const FAILURES_IN_A_ROW: u32 = 3;

/// What the last answers taught about an endpoint.
#[derive(Debug)]
pub(crate) struct Cooldown {
    length: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    failures: u32,
    until: Option<Instant>,
    /// The last failure in words, until an answer succeeds.
    last_failure: Option<String>,
    misconfigured: bool,
}

impl Cooldown {
    pub(crate) fn new(length: Duration) -> Self {
        Self { length, state: Mutex::default() }
    }

    /// How long the endpoint is still to be left alone.
    pub(crate) fn remaining(&self, now: Instant) -> Option<Duration> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.until.and_then(|until| until.checked_duration_since(now)).filter(|left| !left.is_zero())
    }

    pub(crate) fn succeeded(&self) {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = State::default();
    }

    /// Counts a failure; a refused prompt is the prompt's fault and counts for nothing.
    pub(crate) fn failed(&self, error: &EngineError, now: Instant) {
        if matches!(error, EngineError::Rejected { .. }) {
            return;
        }
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.failures += 1;
        state.last_failure = Some(error.to_string());
        state.misconfigured = matches!(error, EngineError::Misconfigured { .. });
        if state.failures >= FAILURES_IN_A_ROW {
            state.until = Some(now + self.length);
        }
    }

    pub(crate) fn health(&self, now: Instant) -> Health {
        let cooling = self.remaining(now);
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match (&state.last_failure, cooling) {
            (Some(failure), Some(left)) => Health::Degraded {
                detail: format!("left alone for {} s after {} failures; {failure}", left.as_secs() + 1, state.failures),
            },
            (Some(failure), None) if state.misconfigured => Health::Degraded { detail: failure.clone() },
            _ => Health::Ok,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unavailable() -> EngineError {
        EngineError::Unavailable { engine: "primary".into(), what: "no connection".into(), source: None }
    }

    #[test]
    fn repeated_failures_cool_for_their_time_and_a_success_forgets_them() {
        let cooldown = Cooldown::new(Duration::from_secs(30));
        let now = Instant::now();
        cooldown.failed(&unavailable(), now);
        cooldown.failed(&unavailable(), now);
        assert_eq!(cooldown.remaining(now), None);
        cooldown.failed(&unavailable(), now);
        assert_eq!(cooldown.remaining(now), Some(Duration::from_secs(30)));
        assert!(matches!(cooldown.health(now), Health::Degraded { .. }));
        assert_eq!(cooldown.remaining(now + Duration::from_secs(30)), None);
        cooldown.succeeded();
        assert_eq!((cooldown.remaining(now), cooldown.health(now)), (None, Health::Ok));
    }

    #[test]
    fn a_refused_prompt_is_not_the_endpoints_failure() {
        let cooldown = Cooldown::new(Duration::from_secs(30));
        let now = Instant::now();
        for _ in 0..5 {
            cooldown.failed(&EngineError::Rejected { engine: "primary".into(), what: "status 400".into() }, now);
        }
        assert_eq!((cooldown.remaining(now), cooldown.health(now)), (None, Health::Ok));
    }

    #[test]
    fn a_wrong_key_shows_in_health_at_once() {
        let cooldown = Cooldown::new(Duration::from_secs(30));
        let now = Instant::now();
        cooldown.failed(&EngineError::Misconfigured { engine: "primary".into(), what: "status 401".into() }, now);
        assert!(matches!(cooldown.health(now), Health::Degraded { detail } if detail.contains("401")));
    }
}
