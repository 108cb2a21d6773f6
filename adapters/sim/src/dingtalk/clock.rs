//! The platform's clock: wall time plus an offset that a test may move, so that tokens, sessions and signatures age
//! without anybody waiting.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A movable clock; clones move together.
#[derive(Debug, Clone, Default)]
pub struct SimClock {
    offset_ms: Arc<AtomicI64>,
}

impl SimClock {
    /// Milliseconds since 1970 as the platform sees them.
    #[must_use]
    #[expect(
        clippy::disallowed_methods,
        reason = "a stand-in platform has a clock of its own, apart from the service's"
    )]
    pub fn now_ms(&self) -> i64 {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let wall_ms = i64::try_from(since_1970.as_millis()).unwrap_or(i64::MAX);
        wall_ms.saturating_add(self.offset_ms.load(Ordering::Relaxed))
    }

    /// Lets the platform age by `by`; the service's clock is not touched.
    pub fn advance(&self, by: Duration) {
        let by_ms = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        self.offset_ms.fetch_add(by_ms, Ordering::Relaxed);
    }

    /// Sets the distance from wall time, in milliseconds; negative puts the platform behind.
    pub fn set_offset_ms(&self, offset_ms: i64) {
        self.offset_ms.store(offset_ms, Ordering::Relaxed);
    }
}
