//! Keeping under the platform's rates before it has to refuse.
//!
//! The platform counts calls per app and kind of API (50 a second and 1000 a minute by default); a bot is given a share
//! of that. A second's worth may go out at once, after that calls leave at even distances, in the order in which they
//! came.
//!
//! Source: "Frequency control" (<https://open.feishu.cn/document/server-docs/api-call-guide/frequency-control>),
//! checked May 2026.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// Calls that are counted together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Messages,
    Cards,
    Streaming,
}

impl Kind {
    /// The kind of the call at `path` below `/open-apis/`; rare calls are not counted.
    fn of(path: &str) -> Option<Self> {
        if path.starts_with("cardkit/") {
            return Some(if path.ends_with("/content") { Self::Streaming } else { Self::Cards });
        }
        path.starts_with("im/").then_some(Self::Messages)
    }
}

/// The pace of one app.
pub(crate) struct Pace {
    /// Between two calls of a kind; zero if there is no limit.
    gap: Duration,
    /// When each kind would have worked off what has left so far.
    settled_at: Mutex<[Option<Instant>; 3]>,
}

impl Pace {
    /// So many calls a second of each kind; 0 for no limit.
    pub(crate) fn new(calls_per_second: u32) -> Self {
        let gap = Duration::from_secs(1).checked_div(calls_per_second).unwrap_or_default();
        Self { gap, settled_at: Mutex::new([None; 3]) }
    }

    /// Waits until the call at `path` may leave.
    pub(crate) async fn turn(&self, path: &str) {
        let Some(kind) = Kind::of(path).filter(|_| !self.gap.is_zero()) else { return };
        let now = Instant::now();
        let leaves_at = {
            let mut settled = self.settled_at.lock().unwrap_or_else(PoisonError::into_inner);
            let slot = &mut settled[kind as usize];
            let begins = slot.map_or(now, |at| at.max(now));
            *slot = Some(begins + self.gap);
            // A second's worth of calls may be ahead of its time.
            begins.checked_sub(Duration::from_secs(1) - self.gap).unwrap_or(now)
        };
        if leaves_at > now {
            sleep_until(leaves_at).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONTENT: &str = "cardkit/v1/cards/7/elements/answer/content";

    #[tokio::test(start_paused = true)]
    async fn a_seconds_worth_leaves_at_once_and_the_rest_at_even_distances() {
        let (pace, began) = (Pace::new(10), Instant::now());
        for _ in 0..10 {
            pace.turn(CONTENT).await;
        }
        assert_eq!(began.elapsed(), Duration::ZERO);
        for _ in 0..5 {
            pace.turn(CONTENT).await;
        }
        assert_eq!(began.elapsed().as_millis() / 100, 5);
    }

    #[tokio::test(start_paused = true)]
    async fn kinds_of_calls_do_not_wait_for_each_other() {
        let (pace, began) = (Pace::new(1), Instant::now());
        for path in [CONTENT, "cardkit/v1/cards", "im/v1/messages", "bot/v3/info", "bot/v3/info"] {
            pace.turn(path).await;
        }
        assert_eq!(began.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn no_limit_means_no_wait() {
        let (pace, began) = (Pace::new(0), Instant::now());
        for _ in 0..1_000 {
            pace.turn(CONTENT).await;
        }
        assert_eq!(began.elapsed(), Duration::ZERO);
    }
}
