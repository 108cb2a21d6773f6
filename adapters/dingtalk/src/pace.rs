//! When a call may leave: after the pauses that the platform imposes, and within the app's budget.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use magpie_core::budget::Budget;
use tokio::time::Instant;

use crate::api::Call;

/// A pause up to this long is waited for; a longer one is the caller's to plan.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

pub(crate) struct Pace {
    budget: Arc<Budget>,
    pauses: Mutex<Pauses>,
}

#[derive(Default)]
struct Pauses {
    by_call: HashMap<Call, Instant>,
    all: Option<Instant>,
}

impl Pace {
    pub fn new(budget: Arc<Budget>) -> Self {
        Self { budget, pauses: Mutex::default() }
    }

    /// Returns when the call may be made.
    ///
    /// # Errors
    /// The time that is left of a long pause.
    pub async fn permit(&self, call: Call) -> Result<(), Duration> {
        // Before the permit, which a call that is not made would waste; and after it, as others were refused meanwhile.
        self.wait(call).await?;
        if let Some(class) = call.class() {
            self.budget.permit(class).await;
            self.wait(call).await?;
        }
        Ok(())
    }

    /// No such call for so long.
    pub fn pause(&self, call: Call, pause: Duration) {
        self.lock().by_call.insert(call, Instant::now() + pause);
    }

    /// No call at all for so long.
    pub fn pause_all(&self, pause: Duration) {
        self.lock().all = Some(Instant::now() + pause);
    }

    async fn wait(&self, call: Call) -> Result<(), Duration> {
        let until = {
            let pauses = self.lock();
            pauses.by_call.get(&call).copied().max(pauses.all)
        };
        let pause = until.map_or(Duration::ZERO, |until| until.saturating_duration_since(Instant::now()));
        if pause > LONGEST_WAIT {
            return Err(pause);
        }
        if !pause.is_zero() {
            tokio::time::sleep(pause).await;
        }
        Ok(())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Pauses> {
        self.pauses.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_short_pause_is_waited_for_and_a_long_one_reported() {
        let pace = Pace::new(Budget::unlimited());
        pace.pause(Call::StreamCard, Duration::from_secs(2));
        let before = Instant::now();
        pace.permit(Call::StreamCard).await.unwrap();
        assert_eq!(Instant::now() - before, Duration::from_secs(2));
        pace.pause_all(Duration::from_secs(300));
        assert!(pace.permit(Call::Token).await.unwrap_err() > Duration::from_secs(299));
    }

    #[tokio::test(start_paused = true)]
    async fn calls_that_the_platform_does_not_count_are_not_counted() {
        let budget = Budget::unlimited();
        let pace = Pace::new(Arc::clone(&budget));
        for call in [Call::Token, Call::SessionWebhook, Call::CreateCard, Call::StreamCard, Call::SendToGroup] {
            pace.permit(call).await.unwrap();
        }
        assert_eq!(budget.spent().calls, 3);
    }
}
