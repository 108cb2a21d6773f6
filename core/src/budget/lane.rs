//! The line in which calls of one class wait.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, sleep_until};

use super::ledger::Ledger;
use super::rate::{Line, Rate};
use super::{CallClass, scope};

/// Where there is no rate, calls are counted together that leave within this time.
const COUNT_EVERY: Duration = Duration::from_secs(1);

pub(super) struct Lane {
    class: CallClass,
    rate: Option<Rate>,
    ledger: Arc<Ledger>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    first: VecDeque<oneshot::Sender<()>>,
    frames: VecDeque<oneshot::Sender<()>>,
    own: Line,
    /// A task serves this line.
    is_served: bool,
}

impl Lane {
    pub(super) fn new(class: CallClass, rate: Option<Rate>, ledger: Arc<Ledger>) -> Self {
        Self { class, rate, ledger, state: Mutex::default() }
    }

    /// Returns when one call may leave.
    pub(super) async fn enter(self: &Arc<Self>) {
        match self.rate {
            Some(rate) => self.stand_in_line(rate).await,
            None => {
                self.ledger.count_later(self.class, 1);
                if self.ledger.is_connected() && self.begins_to_be_served() {
                    tokio::spawn(Arc::clone(self).count());
                }
            }
        }
    }

    async fn stand_in_line(self: &Arc<Self>, rate: Rate) {
        let (come, called) = oneshot::channel();
        {
            let mut state = self.state();
            if scope::is_frame() { state.frames.push_back(come) } else { state.first.push_back(come) }
        }
        if self.begins_to_be_served() {
            tokio::spawn(Arc::clone(self).serve(rate));
        }
        scope::waits(true);
        // The line ends without a word only with the runtime, and with it every call.
        let _ = called.await;
        scope::waits(false);
    }

    fn begins_to_be_served(&self) -> bool {
        !std::mem::replace(&mut self.state().is_served, true)
    }

    /// Serves the line until nobody stands in it.
    async fn serve(self: Arc<Self>, rate: Rate) {
        while let Some(places) = self.places(rate) {
            let backlog = self.ledger.take(self.class, places, rate.gap).await.unwrap_or_default();
            let begins = Instant::now() + backlog;
            for place in 0..places {
                let now = Instant::now();
                let own = self.state().own.next(rate, now);
                sleep_until(rate.leaves(begins, place, now).max(own)).await;
                if !self.call_next(rate) {
                    break;
                }
            }
        }
    }

    /// How many places to take for those who wait; `None` ends the service.
    fn places(&self, rate: Rate) -> Option<u32> {
        let mut state = self.state();
        state.first.retain(|waiting| !waiting.is_closed());
        state.frames.retain(|waiting| !waiting.is_closed());
        let waiting = u32::try_from(state.first.len() + state.frames.len()).unwrap_or(u32::MAX);
        if waiting == 0 {
            state.is_served = false;
            return None;
        }
        Some(waiting.min(rate.burst))
    }

    /// Lets the first one go who is still there.
    fn call_next(&self, rate: Rate) -> bool {
        let mut state = self.state();
        while let Some(next) = state.first.pop_front().or_else(|| state.frames.pop_front()) {
            if next.send(()).is_ok() {
                state.own.advance(rate, Instant::now());
                return true;
            }
        }
        false
    }

    /// Tells the store of calls that wait for nobody, until there are none.
    async fn count(self: Arc<Self>) {
        loop {
            sleep(COUNT_EVERY).await;
            {
                let mut state = self.state();
                if !self.ledger.has_uncounted(self.class) {
                    state.is_served = false;
                    return;
                }
            }
            // While the store is away they stay uncounted until the next round.
            let _ = self.ledger.take(self.class, 0, Duration::ZERO).await;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
