//! The arithmetic of a rate.
//!
//! A bucket of the full rate could let twice the rate through in one second: what it holds, and what flows in. So a
//! quarter of the rate may leave at once and three quarters flow in; together that is the rate, in any second.

use std::time::Duration;

use tokio::time::Instant;

/// Calls a second, as what may leave at once and the distance after that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rate {
    /// So many may leave at the same time after a pause.
    pub burst: u32,
    /// Distance of calls in a long line.
    pub gap: Duration,
}

impl Rate {
    /// `None` for zero, which is no limit.
    pub(super) fn new(calls_per_second: u32) -> Option<Self> {
        let calls = u64::from(calls_per_second);
        // Rounded up to whole microseconds, which is how lines are stored.
        let gap = Duration::from_micros(4_000_000_u64.checked_div(3 * calls)? + 1);
        Some(Self { burst: (calls_per_second / 4).max(1), gap })
    }

    /// How far a call may be ahead of its place.
    fn tolerance(self) -> Duration {
        self.gap * (self.burst - 1)
    }

    /// When the call at place `n` of a line may leave that begins at `begins`; not before `now`.
    pub(super) fn leaves(self, begins: Instant, n: u32, now: Instant) -> Instant {
        (begins + self.gap * n).checked_sub(self.tolerance()).map_or(now, |at| at.max(now))
    }
}

/// The line of this process alone: it holds even if there is no store, or one that answers late.
#[derive(Debug, Default)]
pub(super) struct Line {
    reaches: Option<Instant>,
}

impl Line {
    /// When the next call may leave.
    pub(super) fn next(&self, rate: Rate, now: Instant) -> Instant {
        self.reaches.map_or(now, |reaches| rate.leaves(reaches, 0, now))
    }

    /// A call leaves.
    pub(super) fn advance(&mut self, rate: Rate, now: Instant) {
        self.reaches = Some(self.reaches.map_or(now, |reaches| reaches.max(now)) + rate.gap);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_may_leave_at_once_and_what_flows_in_are_the_rate_together() {
        let now = Instant::now();
        for calls in 1..=500 {
            let rate = Rate::new(calls).unwrap();
            let within = (0..=calls).filter(|n| rate.leaves(now, *n, now) < now + Duration::from_secs(1)).count();
            assert!(within <= calls as usize, "{within} at {calls} a second");
            assert!(within * 4 >= calls as usize * 3 - 3, "{within} is far too few for {calls} a second");
        }
        assert_eq!(Rate::new(0), None);
    }
}
