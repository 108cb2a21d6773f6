//! The least pause between two calls for one card: closer ones race with the client's loading and sometimes show that
//! the content could not be loaded.
//!
//! Kept in memory only: it changes with every call, and after a restart more time has passed anyway.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Longer gaps than this are not kept for anybody.
const LONGEST: Duration = Duration::from_secs(10);
/// From this many cards on, those that ended without a word are forgotten.
const PRUNE_FROM: usize = 256;

#[derive(Default)]
pub(crate) struct Gaps {
    last_calls: Mutex<HashMap<String, Instant>>,
}

impl Gaps {
    /// Returns when the next call for the card may be made: `least` after the last one.
    pub async fn keep(&self, out_track_id: &str, least: Duration) {
        let last = self.lock().get(out_track_id).copied();
        if let Some(last) = last {
            tokio::time::sleep_until(last + least.min(LONGEST)).await;
        }
    }

    /// A call for the card was answered.
    pub fn note(&self, out_track_id: &str) {
        let now = Instant::now();
        let mut last_calls = self.lock();
        if last_calls.len() >= PRUNE_FROM {
            last_calls.retain(|_, last| now.saturating_duration_since(*last) < LONGEST);
        }
        last_calls.insert(out_track_id.to_owned(), now);
    }

    /// The card is finished.
    pub fn forget(&self, out_track_id: &str) {
        self.lock().remove(out_track_id);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Instant>> {
        self.last_calls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HALF: Duration = Duration::from_millis(500);

    #[tokio::test(start_paused = true)]
    async fn calls_for_one_card_keep_their_distance_and_others_do_not_wait() {
        let gaps = Gaps::default();
        let begin = Instant::now();
        gaps.keep("a", HALF).await;
        gaps.note("a");
        gaps.keep("b", HALF).await;
        assert_eq!(begin.elapsed(), Duration::ZERO);
        gaps.keep("a", HALF).await;
        assert_eq!(begin.elapsed(), Duration::from_millis(500));
        gaps.forget("a");
        assert!(gaps.lock().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn cards_that_ended_without_a_word_are_forgotten() {
        let gaps = Gaps::default();
        for number in 0..PRUNE_FROM {
            gaps.note(&number.to_string());
        }
        tokio::time::advance(LONGEST).await;
        gaps.note("new");
        assert_eq!(gaps.lock().len(), 1);
    }
}
