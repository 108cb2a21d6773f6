//! Concurrent callers share commits.
//!
//! A durable commit costs a disk flush, whatever it holds. So one task stores events: while a transaction of it runs,
//! callers line up, and all of them go into the next transaction as one set of multi-row statements. A lone caller
//! waits for nobody.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use magpie_core::clock::Clock;
use magpie_core::inbox::{Acceptance, Entry};
use tokio::sync::{mpsc, oneshot};

use super::accept;
use super::wake::Waker;
use crate::errors::Failure;
use crate::session::Pools;

/// Callers that may wait; beyond it the platform is told to send again.
const QUEUE: usize = 4096;
/// Events of one transaction: large enough to be limited by the disk, small enough to take well under a second.
const BATCH: usize = 512;

struct Waiting {
    entry: Entry,
    reply: oneshot::Sender<Result<Acceptance, Failure>>,
}

/// The way to the storing task; the task ends when it is dropped.
pub(crate) struct GroupCommit {
    queue: mpsc::Sender<Waiting>,
    transactions: Arc<AtomicU64>,
}

impl GroupCommit {
    pub(crate) fn start(pools: Pools, clock: Arc<dyn Clock>, waker: Arc<Waker>) -> Self {
        let (queue, waiting) = mpsc::channel(QUEUE);
        let transactions = Arc::new(AtomicU64::new(0));
        let batcher = Batcher { pools, clock, waker, transactions: Arc::clone(&transactions) };
        tokio::spawn(batcher.run(waiting));
        Self { queue, transactions }
    }

    /// Returns after the commit that holds the event.
    pub(crate) async fn accept(&self, entry: Entry) -> Result<Acceptance, Failure> {
        let (reply, answer) = oneshot::channel();
        self.queue.try_send(Waiting { entry, reply }).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => Failure::Refused("too many events wait to be stored"),
            mpsc::error::TrySendError::Closed(_) => Failure::Refused("the store is closed"),
        })?;
        answer.await.unwrap_or(Err(Failure::Refused("the store is closed")))
    }

    pub(crate) fn transactions(&self) -> u64 {
        self.transactions.load(Ordering::Relaxed)
    }
}

struct Batcher {
    pools: Pools,
    clock: Arc<dyn Clock>,
    waker: Arc<Waker>,
    transactions: Arc<AtomicU64>,
}

impl Batcher {
    async fn run(self, mut queue: mpsc::Receiver<Waiting>) {
        let mut batch = Vec::with_capacity(BATCH);
        while queue.recv_many(&mut batch, BATCH).await > 0 {
            // Whoever gave up has not acknowledged anything, and the platform sends again.
            batch.retain(|waiting| !waiting.reply.is_closed());
            if !batch.is_empty() {
                self.store(std::mem::take(&mut batch)).await;
            }
        }
    }

    async fn store(&self, batch: Vec<Waiting>) {
        let (entries, replies): (Vec<_>, Vec<_>) =
            batch.into_iter().map(|waiting| (waiting.entry, waiting.reply)).unzip();
        match self.commit(&entries).await {
            Ok(accepted) => {
                for (reply, acceptance) in replies.into_iter().zip(accepted) {
                    answer(reply, Ok(acceptance));
                }
            }
            Err(failure) => self.store_each(entries, replies, failure).await,
        }
    }

    /// After a shared transaction failed: waits for a better time together, or stores each event by itself, so that
    /// one the database refuses does not take the others with it.
    async fn store_each(
        &self,
        entries: Vec<Entry>,
        replies: Vec<oneshot::Sender<Result<Acceptance, Failure>>>,
        failure: Failure,
    ) {
        let shared = Arc::new(failure.during("storing events"));
        let refused = !matches!(*shared, magpie_core::store::StoreError::Unavailable { .. });
        let alone = refused && entries.len() > 1;
        for (entry, reply) in entries.into_iter().zip(replies) {
            let outcome = if alone {
                self.commit(std::slice::from_ref(&entry)).await.map(|accepted| accepted[0])
            } else {
                Err(Failure::Shared(Arc::clone(&shared)))
            };
            answer(reply, outcome);
        }
    }

    async fn commit(&self, entries: &[Entry]) -> Result<Vec<Acceptance>, Failure> {
        self.transactions.fetch_add(1, Ordering::Relaxed);
        let storing = accept::store(&self.pools, entries, self.clock.now());
        let accepted = tokio::time::timeout(super::LONGEST_CALL, storing).await.unwrap_or(Err(Failure::TimedOut))?;
        if accepted.contains(&Acceptance::New) {
            self.waker.wake();
        }
        Ok(accepted)
    }
}

fn answer(reply: oneshot::Sender<Result<Acceptance, Failure>>, outcome: Result<Acceptance, Failure>) {
    // A caller that is gone does not acknowledge; a repeated delivery will be a duplicate.
    let _caller_is_gone = reply.send(outcome);
}
