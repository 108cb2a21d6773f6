//! A meter in memory, by the runtime's clock.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::time::{Instant, sleep};

use crate::budget::meter::LONGEST_BACKLOG;
use crate::budget::{CallClass, Day, Meter, Month, Take, Taken};
use crate::store::StoreError;

/// What several budgets draw on, as instances do on one store.
#[derive(Debug, Default)]
pub struct MemoryMeter {
    latency: Duration,
    away: AtomicBool,
    accounts: Mutex<Accounts>,
    open: Mutex<HashMap<(String, CallClass), u32>>,
    most_open: AtomicU32,
}

#[derive(Debug, Default)]
struct Accounts {
    reaches: HashMap<(String, CallClass), Instant>,
    calls: HashMap<(String, Month), u64>,
    told: HashMap<String, Day>,
    transactions: u32,
}

impl MemoryMeter {
    /// Each of its transactions takes so long.
    #[must_use]
    pub fn slow(latency: Duration) -> Self {
        Self { latency, ..Self::default() }
    }

    /// From now on it fails, or works again.
    pub fn set_away(&self, away: bool) {
        self.away.store(away, Ordering::SeqCst);
    }

    /// Transactions so far.
    #[must_use]
    pub fn transactions(&self) -> u32 {
        self.accounts().transactions
    }

    /// The most transactions that one app and class had open at the same time.
    #[must_use]
    pub fn most_open(&self) -> u32 {
        self.most_open.load(Ordering::SeqCst)
    }

    fn accounts(&self) -> MutexGuard<'_, Accounts> {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open(&self, key: &(String, CallClass)) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.entry(key.clone()).or_default();
        *count += 1;
        self.most_open.fetch_max(*count, Ordering::SeqCst);
    }

    fn close(&self, key: &(String, CallClass)) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        *open.entry(key.clone()).or_default() -= 1;
    }

    fn record(&self, take: Take, key: (String, CallClass)) -> Taken {
        let now = Instant::now();
        let mut accounts = self.accounts();
        accounts.transactions += 1;
        let reaches = accounts.reaches.entry(key).or_insert(now);
        let begins = (*reaches).max(now).min(now + LONGEST_BACKLOG);
        *reaches = begins + take.gap * take.calls;
        let month = accounts.calls.entry((take.app, Month::of(take.now))).or_default();
        *month += u64::from(take.calls) + take.uncounted;
        Taken { backlog: begins - now, month_calls: *month }
    }
}

fn away() -> StoreError {
    StoreError::Unavailable { doing: "counting calls", source: "away".into() }
}

impl Meter for MemoryMeter {
    fn take(&self, take: Take) -> BoxFuture<'_, Result<Taken, StoreError>> {
        Box::pin(async move {
            let key = (take.app.clone(), take.class);
            self.open(&key);
            sleep(self.latency).await;
            self.close(&key);
            if self.away.load(Ordering::SeqCst) { Err(away()) } else { Ok(self.record(take, key)) }
        })
    }

    fn is_first_to_tell<'a>(&'a self, app: &'a str, month: Month, day: Day) -> BoxFuture<'a, Result<bool, StoreError>> {
        Box::pin(async move {
            let mut accounts = self.accounts();
            let counts = accounts.calls.contains_key(&(app.to_owned(), month));
            Ok(counts && accounts.told.insert(app.to_owned(), day) != Some(day))
        })
    }
}
