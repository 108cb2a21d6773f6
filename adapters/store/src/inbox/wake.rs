//! Wakes whoever waits for something to claim.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use magpie_core::ids::EventId;
use tokio::sync::{Notify, broadcast};
use tokio::time::Instant;

/// A waiter that comes within this time after a wake-up is sent to look once more. A claim loop looks, finds nothing
/// and then waits: what came in between would otherwise go unseen until the slow poll. Longer than a claim takes.
const RECENT: Duration = Duration::from_millis(100);
/// Cancellations kept for a receiver that is behind; a lease's renewal tells it too.
const CANCELLATIONS: usize = 256;

/// In-process wake-ups and cancellations.
#[derive(Debug)]
pub(crate) struct Waker {
    notify: Notify,
    last: Mutex<Option<Instant>>,
    cancellations: broadcast::Sender<EventId>,
}

impl Default for Waker {
    fn default() -> Self {
        let (cancellations, _) = broadcast::channel(CANCELLATIONS);
        Self { notify: Notify::new(), last: Mutex::new(None), cancellations }
    }
}

impl Waker {
    /// Something may be claimable.
    pub(crate) fn wake(&self) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        self.notify.notify_waiters();
    }

    /// Somebody wants the work on `event` ended.
    pub(crate) fn cancelled(&self, event: EventId) {
        // Without a receiver nobody works on anything.
        let _nobody_listens = self.cancellations.send(event);
    }

    pub(crate) fn cancellations(&self) -> broadcast::Receiver<EventId> {
        self.cancellations.subscribe()
    }

    /// Returns at a wake-up, shortly after a recent one, or after `at_most`.
    pub(crate) async fn wait(&self, at_most: Duration) {
        let notified = self.notify.notified();
        tokio::pin!(notified);
        // Registered before the time of the last wake-up is read, so that none falls between.
        notified.as_mut().enable();
        let now = Instant::now();
        let last = *self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let settled = last.map_or(now, |last| last + RECENT);
        let limit = if settled > now { at_most.min(settled - now) } else { at_most };
        let _woken_or_not = tokio::time::timeout(limit, notified).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(3600);

    #[tokio::test(start_paused = true)]
    async fn a_wake_up_between_looking_and_waiting_is_not_missed() {
        let waker = Waker::default();
        waker.wake();
        let began = Instant::now();
        waker.wait(LONG).await;
        assert!(began.elapsed() <= RECENT);
        waker.wait(LONG).await;
        assert!(began.elapsed() >= LONG, "an old wake-up does not count for ever");
    }

    #[tokio::test(start_paused = true)]
    async fn every_waiter_wakes() {
        let waker = std::sync::Arc::new(Waker::default());
        let waiting = [waker.clone(), waker.clone()].map(|waker| tokio::spawn(async move { waker.wait(LONG).await }));
        tokio::task::yield_now().await;
        let began = Instant::now();
        waker.wake();
        for waiter in waiting {
            waiter.await.expect("waiting does not panic");
        }
        assert!(began.elapsed() < LONG);
    }
}
