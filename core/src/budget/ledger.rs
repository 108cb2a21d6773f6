//! What an app has used, between this process and the store.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use metrics::gauge;
use tokio::time::{Instant, timeout};
use tracing::{info, warn};

use super::meter::{Meter, Take};
use super::{BudgetSettings, CallClass, Day, Month, Spent};
use crate::clock::Clock;
use crate::store::StoreError;

/// People wait behind it.
const LONGEST_TAKE: Duration = Duration::from_secs(1);
/// After a failure the store is left alone for so long.
const AWAY: Duration = Duration::from_secs(5);

pub(super) struct Ledger {
    settings: BudgetSettings,
    clock: Arc<dyn Clock>,
    meter: OnceLock<Arc<dyn Meter>>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Calls of all instances when the store was last asked, and the month that they belong to.
    known: Option<(Month, u64)>,
    /// By class: calls that left and that no store knows of.
    uncounted: [u64; 4],
    away_until: Option<Instant>,
}

impl Ledger {
    pub(super) fn new(settings: BudgetSettings, clock: Arc<dyn Clock>) -> Self {
        Self { settings, clock, meter: OnceLock::new(), state: Mutex::default() }
    }

    pub(super) fn settings(&self) -> &BudgetSettings {
        &self.settings
    }

    pub(super) fn connect(&self, meter: Arc<dyn Meter>) {
        // An app stays with the store that it has begun with.
        let _ = self.meter.set(meter);
    }

    pub(super) fn is_connected(&self) -> bool {
        self.meter.get().is_some()
    }

    pub(super) fn spent(&self) -> Spent {
        let state = self.state();
        let known =
            state.known.filter(|(month, _)| *month == Month::of(self.clock.now())).map_or(0, |(_, calls)| calls);
        Spent { calls: known + state.uncounted.iter().sum::<u64>(), limit: self.settings.calls_per_month }
    }

    pub(super) fn has_uncounted(&self, class: CallClass) -> bool {
        self.state().uncounted[class as usize] > 0
    }

    /// A call leaves that the store is told of later.
    pub(super) fn count_later(&self, class: CallClass, calls: u64) {
        self.state().uncounted[class as usize] += calls;
    }

    /// Takes `calls` places in the line of a class, and counts them together with what is uncounted. Gives how far the
    /// line reaches; `None` while no store answers, then they are counted later.
    pub(super) async fn take(&self, class: CallClass, calls: u32, gap: Duration) -> Option<Duration> {
        let meter = self.meter.get().filter(|_| !self.is_away());
        let Some(meter) = meter else {
            self.count_later(class, calls.into());
            return None;
        };
        let uncounted = std::mem::take(&mut self.state().uncounted[class as usize]);
        let now = self.clock.now();
        let take = Take { app: self.settings.app.clone(), class, calls, uncounted, gap, now };
        match timeout(LONGEST_TAKE, meter.take(take)).await {
            Ok(Ok(taken)) => {
                self.learn(Month::of(now), taken.month_calls);
                Some(taken.backlog)
            }
            failed => {
                // It may have been counted all the same; too many is the safe side.
                self.count_later(class, uncounted + u64::from(calls));
                self.leave_alone(failed.ok().and_then(Result::err).as_ref());
                None
            }
        }
    }

    pub(super) async fn is_first_to_tell(&self) -> Result<bool, StoreError> {
        let day = Day::of(self.clock.now());
        match self.meter.get() {
            Some(meter) => meter.is_first_to_tell(&self.settings.app, day.month, day).await,
            None => Ok(false),
        }
    }

    fn is_away(&self) -> bool {
        self.state().away_until.is_some_and(|until| Instant::now() < until)
    }

    fn leave_alone(&self, failure: Option<&StoreError>) {
        let before = self.state().away_until.replace(Instant::now() + AWAY);
        if before.is_none() {
            let failure = failure.map(|failure| failure as &dyn std::error::Error);
            warn!(bot.id = %self.settings.bot, error = failure, "calls are not counted for now; this process keeps to the rate by itself");
        }
    }

    fn learn(&self, month: Month, calls: u64) {
        let came_back = {
            let mut state = self.state();
            state.known = Some((month, calls));
            state.away_until.take().is_some()
        };
        if came_back {
            info!(bot.id = %self.settings.bot, "calls are counted again");
        }
        let (bot, limit) = (self.settings.bot.to_string(), self.settings.calls_per_month);
        gauge!("magpie_api_budget_calls", "bot" => bot.clone()).set(whole(calls));
        if limit > 0 {
            gauge!("magpie_api_budget_share", "bot" => bot).set(whole(calls) / whole(limit));
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[expect(clippy::cast_precision_loss, reason = "exact up to 2^53, far beyond any count here")]
fn whole(count: u64) -> f64 {
    count as f64
}
