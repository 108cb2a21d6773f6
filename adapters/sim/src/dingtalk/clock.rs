//! The platform's clock: wall time plus an offset that a test may move, so that tokens, sessions and signatures age
//! without anybody waiting. It can be stopped, so that calls fall into one and the same second.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A movable clock; clones move together.
#[derive(Debug, Clone, Default)]
pub struct SimClock {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    offset_ms: i64,
    stopped_at_ms: Option<i64>,
}

impl SimClock {
    /// Milliseconds since 1970 as the platform sees them.
    #[must_use]
    pub fn now_ms(&self) -> i64 {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.stopped_at_ms.unwrap_or_else(wall_ms).saturating_add(state.offset_ms)
    }

    /// Lets the platform age by `by`; the service's clock is not touched.
    pub fn advance(&self, by: Duration) {
        let by_ms = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.offset_ms = state.offset_ms.saturating_add(by_ms);
    }

    /// Sets the distance from wall time, in milliseconds; negative puts the platform behind.
    pub fn set_offset_ms(&self, offset_ms: i64) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).offset_ms = offset_ms;
    }

    /// Stops the clock; from now on only [`SimClock::advance`] and [`SimClock::set_offset_ms`] move it.
    pub fn stop(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.stopped_at_ms.get_or_insert_with(wall_ms);
    }
}

#[expect(clippy::disallowed_methods, reason = "a stand-in platform has a clock of its own, apart from the service's")]
fn wall_ms() -> i64 {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_1970.as_millis()).unwrap_or(i64::MAX)
}
