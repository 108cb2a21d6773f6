//! How often the platform is called: a token bucket for each kind of call, and pauses that the platform imposes.
//!
//! The limit is per app and API, so cards that stream at the same time share one bucket. A bucket of the full rate
//! could let twice the rate through in one second; so a quarter of it is the burst and three quarters flow back.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::api::Call;

/// A pause up to this long is waited for; a longer one is the caller's to plan.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

pub(crate) struct Pace {
    calls_per_second: u32,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    buckets: HashMap<Call, Bucket>,
    paused: HashMap<Call, Instant>,
    all_paused: Option<Instant>,
}

/// `level` may go below zero: those who wait have their calls taken out already, so they leave in order.
struct Bucket {
    level: f64,
    seen: Instant,
}

impl Pace {
    /// Zero is unlimited.
    pub fn new(calls_per_second: u32) -> Self {
        Self { calls_per_second, state: Mutex::default() }
    }

    /// Returns when the call may be made.
    ///
    /// # Errors
    /// The time that is left of a long pause.
    pub async fn permit(&self, call: Call) -> Result<(), Duration> {
        let wait = self.reserve(call, Instant::now())?;
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
        Ok(())
    }

    /// No such call for so long.
    pub fn pause(&self, call: Call, pause: Duration) {
        self.lock().paused.insert(call, Instant::now() + pause);
    }

    /// No call at all for so long.
    pub fn pause_all(&self, pause: Duration) {
        self.lock().all_paused = Some(Instant::now() + pause);
    }

    fn reserve(&self, call: Call, now: Instant) -> Result<Duration, Duration> {
        let mut state = self.lock();
        let until = state.paused.get(&call).copied().max(state.all_paused);
        let pause = until.map_or(Duration::ZERO, |until| until.saturating_duration_since(now));
        if pause > LONGEST_WAIT {
            return Err(pause);
        }
        if self.calls_per_second == 0 {
            return Ok(pause);
        }
        let rate = f64::from(self.calls_per_second);
        let (burst, refill) = ((rate / 4.0).max(1.0), rate * 0.75);
        let bucket = state.buckets.entry(call).or_insert(Bucket { level: burst, seen: now });
        let flowed = now.saturating_duration_since(bucket.seen).as_secs_f64() * refill;
        bucket.level = (bucket.level + flowed).min(burst) - 1.0;
        bucket.seen = now;
        let wait = if bucket.level < 0.0 { Duration::from_secs_f64(-bucket.level / refill) } else { Duration::ZERO };
        Ok(wait.max(pause))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn no_second_sees_more_calls_than_allowed() {
        let pace = Pace::new(20);
        let mut at = Vec::new();
        for _ in 0..100 {
            pace.permit(Call::StreamCard).await.unwrap();
            at.push(Instant::now());
        }
        let most =
            at.iter().map(|start| at.iter().filter(|t| **t >= *start && **t < *start + Duration::from_secs(1)).count());
        assert!(most.max().unwrap() <= 20);
    }

    #[tokio::test(start_paused = true)]
    async fn kinds_of_call_do_not_wait_for_each_other() {
        let pace = Pace::new(1);
        let before = Instant::now();
        pace.permit(Call::StreamCard).await.unwrap();
        pace.permit(Call::UpdateCard).await.unwrap();
        assert_eq!(Instant::now(), before);
    }

    #[tokio::test(start_paused = true)]
    async fn a_short_pause_is_waited_for_and_a_long_one_reported() {
        let pace = Pace::new(0);
        pace.pause(Call::StreamCard, Duration::from_secs(2));
        let before = Instant::now();
        pace.permit(Call::StreamCard).await.unwrap();
        assert_eq!(Instant::now() - before, Duration::from_secs(2));
        pace.pause_all(Duration::from_secs(300));
        assert!(pace.permit(Call::Token).await.unwrap_err() > Duration::from_secs(299));
    }
}
