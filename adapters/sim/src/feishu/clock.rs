//! The platform's clock: real time that a test can shift or stop.
//!
//! Token lifetimes, rate windows, the 10 minutes of streaming mode and the timestamps of pushed events all read it,
//! so a test moves hours ahead without waiting.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const RUNNING: i64 = i64::MIN;

/// Clones share one clock. Pushes are stamped and signed by it: after a large shift a service refuses them as stale.
#[derive(Debug, Clone)]
pub struct SimClock {
    hands: Arc<Hands>,
}

#[derive(Debug)]
struct Hands {
    offset_ms: AtomicI64,
    /// Unix time at which the clock was stopped, or [`RUNNING`].
    stopped_at_ms: AtomicI64,
}

impl Default for SimClock {
    fn default() -> Self {
        Self { hands: Arc::new(Hands { offset_ms: AtomicI64::new(0), stopped_at_ms: AtomicI64::new(RUNNING) }) }
    }
}

impl SimClock {
    /// Unix time in milliseconds.
    #[must_use]
    pub fn now_ms(&self) -> i64 {
        let stopped = self.hands.stopped_at_ms.load(Ordering::Relaxed);
        let base = if stopped == RUNNING { real_now_ms() } else { stopped };
        base + self.hands.offset_ms.load(Ordering::Relaxed)
    }

    /// Moves the clock ahead.
    pub fn advance(&self, by: Duration) {
        self.shift_ms(millis(by));
    }

    /// Sets the clock back: what is pushed from now on looks old.
    pub fn set_back(&self, by: Duration) {
        self.shift_ms(-millis(by));
    }

    /// Stops the clock; [`SimClock::advance`] still moves it. Rate windows become exact in tests.
    pub fn stop(&self) {
        self.hands.stopped_at_ms.store(real_now_ms(), Ordering::Relaxed);
    }

    fn shift_ms(&self, by_ms: i64) {
        self.hands.offset_ms.fetch_add(by_ms, Ordering::Relaxed);
    }
}

/// A duration as signed milliseconds, saturating.
pub(super) fn millis(of: Duration) -> i64 {
    i64::try_from(of.as_millis()).unwrap_or(i64::MAX / 4)
}

#[expect(clippy::disallowed_methods, reason = "the simulated platform is the outside world; this is its only clock")]
fn real_now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stopped_clock_moves_only_when_told() {
        let clock = SimClock::default();
        clock.stop();
        let before = clock.now_ms();
        clock.advance(Duration::from_secs(600));
        assert_eq!(clock.now_ms() - before, 600_000);
        clock.set_back(Duration::from_secs(900));
        assert_eq!(clock.now_ms() - before, -300_000);
    }
}
