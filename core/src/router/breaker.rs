//! A circuit breaker: after failures in a row an engine is not asked for a while, then by one request alone.
//!
//! ```text
//!            failures in a row            cooldown over: one probe
//!   closed ─────────────────────▶ open ─────────────────────────▶ half open
//!     ▲                             ▲                                │   │
//!     └──────── probe works ────────┼────────────────────────────────┘   │
//!                                   └───────────── probe fails ──────────┘
//! ```

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// When a breaker opens, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BreakerSettings {
    /// Failures in a row that open it.
    pub failures: u32,
    /// How long it stays open before a probe.
    pub cooldown: Duration,
}

impl Default for BreakerSettings {
    fn default() -> Self {
        Self { failures: 5, cooldown: Duration::from_secs(30) }
    }
}

/// Clones share one state.
#[derive(Debug, Clone)]
pub(super) struct Breaker {
    settings: BreakerSettings,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Closed { failures: u32 },
    Open { until: Instant },
    HalfOpen { probing: bool },
}

impl Breaker {
    pub(super) fn new(settings: BreakerSettings) -> Self {
        Self { settings, state: Arc::new(Mutex::new(State::Closed { failures: 0 })) }
    }

    /// Leave to ask the engine once, or how long to wait for it. The pass wants to hear how it went.
    pub(super) fn pass(&self, now: Instant) -> Result<Pass, Duration> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let probe = match *state {
            State::Closed { .. } => false,
            State::Open { until } if now < until => return Err(until - now),
            State::HalfOpen { probing: true } => return Err(Duration::ZERO),
            State::Open { .. } | State::HalfOpen { probing: false } => {
                *state = State::HalfOpen { probing: true };
                true
            }
        };
        Ok(Pass { breaker: self.clone(), probe })
    }

    /// Whether requests are turned away.
    pub(super) fn is_open(&self, now: Instant) -> bool {
        matches!(*self.state.lock().unwrap_or_else(PoisonError::into_inner), State::Open { until } if now < until)
    }

    fn set(&self, change: impl FnOnce(State) -> State) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        *state = change(*state);
    }
}

/// One request's leave. Dropped without a word (the person went away) it changes nothing, but frees the probe.
#[derive(Debug)]
pub(super) struct Pass {
    breaker: Breaker,
    probe: bool,
}

impl Pass {
    /// The engine works.
    pub(super) fn succeeded(&mut self) {
        self.probe = false;
        self.breaker.set(|_| State::Closed { failures: 0 });
    }

    /// The engine failed; to be said once.
    pub(super) fn failed(&mut self, now: Instant) {
        let was_probe = std::mem::take(&mut self.probe);
        let BreakerSettings { failures: limit, cooldown } = self.breaker.settings;
        let open = State::Open { until: now + cooldown };
        self.breaker.set(|state| match state {
            State::HalfOpen { .. } if was_probe => open,
            State::Closed { failures } if failures + 1 >= limit => open,
            State::Closed { failures } => State::Closed { failures: failures + 1 },
            // A request from before it opened: known already.
            State::Open { .. } | State::HalfOpen { .. } => state,
        });
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        if self.probe {
            self.breaker.set(|state| match state {
                State::HalfOpen { probing: true } => State::HalfOpen { probing: false },
                other => other,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COOLDOWN: Duration = Duration::from_secs(30);

    fn opened(now: Instant) -> Breaker {
        let breaker = Breaker::new(BreakerSettings { failures: 2, cooldown: COOLDOWN });
        for _ in 0..2 {
            breaker.pass(now).unwrap().failed(now);
        }
        breaker
    }

    #[test]
    fn failures_in_a_row_open_it_and_a_success_between_them_does_not() {
        let now = Instant::now();
        let breaker = Breaker::new(BreakerSettings { failures: 2, cooldown: COOLDOWN });
        breaker.pass(now).unwrap().failed(now);
        breaker.pass(now).unwrap().succeeded();
        breaker.pass(now).unwrap().failed(now);
        assert!(!breaker.is_open(now));
        breaker.pass(now).unwrap().failed(now);
        assert_eq!(breaker.pass(now).unwrap_err(), COOLDOWN);
    }

    #[test]
    fn after_the_cooldown_one_probe_decides() {
        let now = Instant::now();
        let breaker = opened(now);
        let later = now + COOLDOWN;
        let mut probe = breaker.pass(later).unwrap();
        assert!(breaker.pass(later).is_err(), "one probe at a time");
        probe.failed(later);
        assert!(breaker.is_open(later));
        let later = later + COOLDOWN;
        breaker.pass(later).unwrap().succeeded();
        assert!(breaker.pass(later).is_ok() && breaker.pass(later).is_ok());
    }

    #[test]
    fn a_probe_that_is_given_up_lets_the_next_one_try() {
        let now = Instant::now();
        let breaker = opened(now);
        let later = now + COOLDOWN;
        drop(breaker.pass(later).unwrap());
        assert!(breaker.pass(later).is_ok());
    }

    #[test]
    fn late_failures_do_not_prolong_the_cooldown() {
        let now = Instant::now();
        let breaker = Breaker::new(BreakerSettings { failures: 1, cooldown: COOLDOWN });
        let mut slow = breaker.pass(now).unwrap();
        breaker.pass(now).unwrap().failed(now);
        slow.failed(now + COOLDOWN / 2);
        assert!(!breaker.is_open(now + COOLDOWN));
    }
}
