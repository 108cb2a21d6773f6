//! The claim loop: takes events from the inbox and gives each to a handler, under a lease that is kept alive.
//!
//! A claim ends in one of four ways. The handler settles it; or says how to settle it; or the lease is lost, then the
//! handler is dropped where it stands and writes nothing more, because every write is fenced; or the process stops,
//! then the claim is handed back.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout_at};
use tracing::{Instrument, debug, info_span, warn};

use super::{CancelCause, Claim, Fence, Inbox, Lane, Outcome};
use crate::cancel::CancelToken;
use crate::clock::UnixMillis;
use crate::ids::{EventId, WorkerId};
use crate::store::StoreError;

/// Works on one claimed event.
pub trait Handler: Send + Sync + 'static {
    /// May be dropped at any await when the lease is lost.
    fn handle(&self, claim: Claim, cancel: Cancellation) -> BoxFuture<'_, Result<Ended, StoreError>>;
}

/// What is left to do for the worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// The handler settled the claim together with its own last write.
    Settled,
    Settle(Outcome),
}

/// Tells a handler that its work is no longer wanted, and why.
#[derive(Debug, Clone, Default)]
pub struct Cancellation {
    pub token: CancelToken,
    cause: Arc<OnceLock<CancelCause>>,
}

impl Cancellation {
    /// Why, once cancelled.
    #[must_use]
    pub fn cause(&self) -> Option<CancelCause> {
        self.cause.get().copied()
    }

    /// Cancels; the first cause stands.
    pub fn cancel(&self, cause: CancelCause) {
        // A second cause changes nothing.
        let _ = self.cause.set(cause);
        self.token.cancel();
    }
}

/// How a worker works.
#[derive(Debug, Clone, Copy)]
pub struct WorkerSettings {
    /// Claims are leased for this long and renewed four times in it.
    pub lease: Duration,
    /// With nothing to do, look again after this long at the latest.
    pub poll: Duration,
    /// Messages worked on at once.
    pub messages: usize,
    /// Card actions and lifecycle events worked on at once.
    pub control: usize,
    /// Messages whose place in the queue is shown at once.
    pub waiting: usize,
}

impl Default for WorkerSettings {
    /// Another instance takes over within lease plus poll, under 30 s.
    fn default() -> Self {
        Self { lease: Duration::from_secs(20), poll: Duration::from_secs(2), messages: 64, control: 16, waiting: 8 }
    }
}

/// Claims and works until told to stop.
pub struct Worker<H> {
    inbox: Arc<dyn Inbox>,
    handler: H,
    id: WorkerId,
    settings: WorkerSettings,
    running: Mutex<HashMap<EventId, (Fence, Cancellation)>>,
}

impl<H: Handler> Worker<H> {
    pub fn new(inbox: Arc<dyn Inbox>, handler: H, id: WorkerId, settings: WorkerSettings) -> Arc<Self> {
        Arc::new(Self { inbox, handler, id, settings, running: Mutex::default() })
    }

    /// Takes back what this worker's predecessor held, then works until `stop`; then gives running work `grace` to
    /// end, and hands the rest back.
    pub async fn run(self: Arc<Self>, stop: CancelToken, grace: Duration) {
        self.hand_back().await;
        let listener = tokio::spawn(self.clone().listen(stop.clone()));
        let messages = self.clone().lane(Lane::Messages, self.settings.messages, stop.clone(), grace);
        let control = self.clone().lane(Lane::Control, self.settings.control, stop.clone(), grace);
        let waiting = self.clone().lane(Lane::Waiting, self.settings.waiting, stop, grace);
        futures::join!(messages, control, waiting);
        listener.abort();
        self.hand_back().await;
    }

    async fn hand_back(&self) {
        match self.inbox.release(&self.id).await {
            Ok(0) => {}
            Ok(events) => debug!(events, "claims handed back"),
            Err(error) => warn!(error = &error as &dyn std::error::Error, "claims stay leased until their leases end"),
        }
    }

    async fn lane(self: Arc<Self>, lane: Lane, width: usize, stop: CancelToken, grace: Duration) {
        let places = Arc::new(Semaphore::new(width));
        let mut tasks = JoinSet::new();
        while !stop.is_cancelled() {
            tokio::select! {
                () = stop.cancelled() => break,
                () = self.claim_once(lane, &places, &mut tasks) => {}
            }
            while tasks.try_join_next().is_some() {}
        }
        let deadline = Instant::now() + grace;
        while let Ok(Some(_)) = timeout_at(deadline, tasks.join_next()).await {}
        tasks.shutdown().await;
    }

    /// Claims as much as there is room for, or waits until there may be something.
    async fn claim_once(self: &Arc<Self>, lane: Lane, places: &Arc<Semaphore>, tasks: &mut JoinSet<()>) {
        let Ok(first) = places.clone().acquire_owned().await else { return };
        let mut held = vec![first];
        while let Ok(more) = places.clone().try_acquire_owned() {
            held.push(more);
        }
        let limit = u32::try_from(held.len()).unwrap_or(u32::MAX);
        match self.inbox.claim(&self.id, lane, limit, self.settings.lease).await {
            Ok(claims) if claims.is_empty() => {
                drop(held);
                self.inbox.wait(self.settings.poll).await;
            }
            Ok(claims) => {
                for (claim, place) in claims.into_iter().zip(held) {
                    tasks.spawn(self.clone().work(claim, place));
                }
            }
            Err(error) => {
                warn!(error = &error as &dyn std::error::Error, "nothing can be claimed");
                drop(held);
                sleep(self.settings.poll).await;
            }
        }
    }

    async fn work(self: Arc<Self>, claim: Claim, place: OwnedSemaphorePermit) {
        let fence = claim.fence;
        let span = info_span!("event", event.id = %fence.event, attempt = fence.attempt, bot.id = %claim.event.bot,
            platform = claim.event.platform.as_str(), traceparent = claim.trace.as_deref());
        let cancel = Cancellation::default();
        if let Some(cause) = claim.cancel {
            cancel.cancel(cause);
        }
        self.running().insert(fence.event, (fence, cancel.clone()));
        let handled = async {
            tokio::select! {
                ended = self.handler.handle(claim, cancel.clone()) => self.settle(fence, ended).await,
                () = self.keep(fence, &cancel) => debug!("claim lost"),
            }
        };
        handled.instrument(span).await;
        self.running().remove(&fence.event);
        drop(place);
    }

    /// Settles for as long as the claim is ours: a store that was away for a moment costs no lease time.
    async fn settle(&self, fence: Fence, ended: Result<Ended, StoreError>) {
        let outcome = match ended {
            Ok(Ended::Settled) | Err(StoreError::Fenced(_)) => return,
            Ok(Ended::Settle(outcome)) => outcome,
            Err(StoreError::Unavailable { .. }) => {
                Outcome::Retry { at: UnixMillis(0), reason: "store_unavailable".to_owned() }
            }
            Err(error) => {
                warn!(error = &error as &dyn std::error::Error, "event left for its lease to end");
                return;
            }
        };
        loop {
            match self.inbox.settle(fence, outcome.clone()).await {
                Ok(()) => return,
                Err(StoreError::Fenced(_)) => return debug!("claim lost"),
                Err(StoreError::Unavailable { .. }) => sleep(self.settings.poll).await,
                Err(error) => {
                    warn!(error = &error as &dyn std::error::Error, "event left for its lease to end");
                    return;
                }
            }
        }
    }

    /// Renews the lease for as long as it is ours; returns when it is not.
    async fn keep(&self, fence: Fence, cancel: &Cancellation) {
        let mut renewed = Instant::now();
        loop {
            sleep(self.settings.lease / 4).await;
            match self.inbox.renew(fence, self.settings.lease).await {
                Ok(cause) => {
                    renewed = Instant::now();
                    if let Some(cause) = cause {
                        cancel.cancel(cause);
                    }
                }
                Err(StoreError::Fenced(_)) => return,
                Err(_) if renewed.elapsed() < self.settings.lease => {}
                Err(_) => return,
            }
        }
    }

    /// Passes cancellations on as they are announced, without waiting for the next renewal.
    async fn listen(self: Arc<Self>, stop: CancelToken) {
        let mut announced = self.inbox.cancellations();
        while !stop.is_cancelled() {
            use tokio::sync::broadcast::error::RecvError;
            match announced.recv().await {
                Ok(event) => self.look_at(event).await,
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return,
            }
        }
    }

    async fn look_at(&self, event: EventId) {
        let Some((fence, cancel)) = self.running().get(&event).cloned() else { return };
        if let Ok(Some(cause)) = self.inbox.renew(fence, self.settings.lease).await {
            cancel.cancel(cause);
        }
    }

    fn running(&self) -> MutexGuard<'_, HashMap<EventId, (Fence, Cancellation)>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
pub(crate) mod tests;
