use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use futures::future::{FutureExt, ready};
use tokio::sync::{Notify, broadcast};

use super::*;
use crate::clock::UnixMillis;
use crate::event::{Body, Event, PlatformKind};
use crate::ids::{BotId, MessageId, ScopeKey};
use crate::inbox::{Acceptance, Cancelled, Depth, Entry, OpenEvent};

/// An inbox with a fixed list of events on the message lane.
pub(crate) struct List {
    waiting: Mutex<VecDeque<Fence>>,
    settled: Mutex<Vec<(Fence, Outcome)>>,
    renewals: AtomicUsize,
    /// From this renewal on the lease belongs to somebody else.
    lost_after: AtomicUsize,
    cause: Mutex<Option<CancelCause>>,
    released: AtomicUsize,
    /// So many calls of `settle` still fail.
    away: AtomicUsize,
    news: broadcast::Sender<EventId>,
}

impl List {
    pub(crate) fn of(count: usize) -> Arc<Self> {
        let fence = |_| Fence { event: EventId::new(), attempt: 1 };
        Arc::new(Self {
            waiting: Mutex::new((0..count).map(fence).collect()),
            settled: Mutex::default(),
            renewals: AtomicUsize::new(0),
            lost_after: AtomicUsize::new(usize::MAX),
            cause: Mutex::default(),
            released: AtomicUsize::new(0),
            away: AtomicUsize::new(0),
            news: broadcast::channel(8).0,
        })
    }

    fn claim_of(&self, fence: Fence) -> Claim {
        let event = Event {
            bot: "it".into(),
            platform: PlatformKind::Feishu,
            platform_event_id: fence.event.to_string(),
            occurred_at: None,
            body: Body::Other { type_name: "test".into() },
        };
        Claim {
            fence,
            event,
            scope: "s".into(),
            trace: None,
            received_at: UnixMillis(0),
            ahead: 0,
            cancel: *self.cause.lock().unwrap(),
        }
    }
}

impl Inbox for List {
    fn accept(&self, _: Entry) -> BoxFuture<'_, Result<Acceptance, StoreError>> {
        ready(Ok(Acceptance::New)).boxed()
    }
    fn claim<'a>(
        &'a self,
        _: &'a WorkerId,
        lane: Lane,
        limit: u32,
        _: Duration,
    ) -> BoxFuture<'a, Result<Vec<Claim>, StoreError>> {
        let mut waiting = self.waiting.lock().unwrap();
        let count = if lane == Lane::Messages { waiting.len().min(limit as usize) } else { 0 };
        ready(Ok(waiting.drain(..count).map(|fence| self.claim_of(fence)).collect())).boxed()
    }
    fn renew(&self, fence: Fence, _: Duration) -> BoxFuture<'_, Result<Option<CancelCause>, StoreError>> {
        let nth = self.renewals.fetch_add(1, Ordering::SeqCst);
        if nth >= self.lost_after.load(Ordering::SeqCst) {
            return ready(Err(StoreError::Fenced(fence.event))).boxed();
        }
        ready(Ok(*self.cause.lock().unwrap())).boxed()
    }
    fn settle(&self, fence: Fence, outcome: Outcome) -> BoxFuture<'_, Result<(), StoreError>> {
        if self.away.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok() {
            let away = StoreError::Unavailable { doing: "settling", source: "away".into() };
            return ready(Err(away)).boxed();
        }
        self.settled.lock().unwrap().push((fence, outcome));
        ready(Ok(())).boxed()
    }
    fn release<'a>(&'a self, _: &'a WorkerId) -> BoxFuture<'a, Result<u64, StoreError>> {
        self.released.fetch_add(1, Ordering::SeqCst);
        ready(Ok(0)).boxed()
    }
    fn cancel(&self, _: EventId, _: CancelCause) -> BoxFuture<'_, Result<Cancelled, StoreError>> {
        ready(Ok(Cancelled::Unknown)).boxed()
    }
    fn cancel_message<'a>(
        &'a self,
        _: &'a BotId,
        _: &'a MessageId,
        _: CancelCause,
    ) -> BoxFuture<'a, Result<Cancelled, StoreError>> {
        ready(Ok(Cancelled::Unknown)).boxed()
    }
    fn open_in_scope<'a>(&'a self, _: &'a BotId, _: &'a ScopeKey) -> BoxFuture<'a, Result<Vec<OpenEvent>, StoreError>> {
        ready(Ok(Vec::new())).boxed()
    }
    fn absorb<'a>(&'a self, _: Fence, _: &'a [EventId]) -> BoxFuture<'a, Result<Vec<Event>, StoreError>> {
        ready(Ok(Vec::new())).boxed()
    }
    fn cancellations(&self) -> broadcast::Receiver<EventId> {
        self.news.subscribe()
    }
    fn wait(&self, at_most: Duration) -> BoxFuture<'_, ()> {
        sleep(at_most).boxed()
    }
    fn depth(&self) -> BoxFuture<'_, Result<Depth, StoreError>> {
        ready(Ok(Depth::default())).boxed()
    }
}

/// Works until cancelled or let go; counts how many work at once.
#[derive(Clone, Default)]
struct Busy {
    state: Arc<BusyState>,
}

#[derive(Default)]
struct BusyState {
    now: AtomicUsize,
    most: AtomicUsize,
    let_go: Notify,
    open: AtomicBool,
    dropped: AtomicUsize,
}

struct Leaving(Arc<BusyState>, bool);

impl Drop for Leaving {
    fn drop(&mut self) {
        self.0.now.fetch_sub(1, Ordering::SeqCst);
        if !self.1 {
            self.0.dropped.fetch_add(1, Ordering::SeqCst);
        }
    }
}

impl Handler for Busy {
    fn handle(&self, _: Claim, cancel: Cancellation) -> BoxFuture<'_, Result<Ended, StoreError>> {
        let state = self.state.clone();
        async move {
            let now = state.now.fetch_add(1, Ordering::SeqCst) + 1;
            state.most.fetch_max(now, Ordering::SeqCst);
            let mut leaving = Leaving(state.clone(), false);
            if !state.open.load(Ordering::SeqCst) {
                tokio::select! {
                    () = state.let_go.notified() => {}
                    () = cancel.token.cancelled() => {}
                }
            }
            leaving.1 = true;
            Ok(Ended::Settle(Outcome::Done(cancel.cause().map(|cause| cause.reason().to_owned()))))
        }
        .boxed()
    }
}

fn worker(inbox: &Arc<List>, busy: &Busy, messages: usize) -> Arc<Worker<Busy>> {
    let settings = WorkerSettings { messages, ..WorkerSettings::default() };
    Worker::new(inbox.clone(), busy.clone(), "w".into(), settings)
}

#[tokio::test(start_paused = true)]
async fn no_more_are_worked_on_at_once_than_there_are_places_and_all_are_settled() {
    let (inbox, busy, stop) = (List::of(10), Busy::default(), CancelToken::new());
    let running = tokio::spawn(worker(&inbox, &busy, 3).run(stop.clone(), Duration::from_secs(5)));
    sleep(Duration::from_secs(1)).await;
    assert_eq!(busy.state.now.load(Ordering::SeqCst), 3);
    busy.state.open.store(true, Ordering::SeqCst);
    busy.state.let_go.notify_waiters();
    sleep(Duration::from_secs(60)).await;
    stop.cancel();
    running.await.unwrap();
    assert_eq!(inbox.settled.lock().unwrap().len(), 10);
    assert_eq!(busy.state.most.load(Ordering::SeqCst), 3);
}

#[tokio::test(start_paused = true)]
async fn a_lost_lease_drops_the_work_and_settles_nothing() {
    let (inbox, busy, stop) = (List::of(1), Busy::default(), CancelToken::new());
    inbox.lost_after.store(2, Ordering::SeqCst);
    let running = tokio::spawn(worker(&inbox, &busy, 3).run(stop.clone(), Duration::from_secs(5)));
    sleep(Duration::from_secs(30)).await;
    assert_eq!(busy.state.dropped.load(Ordering::SeqCst), 1);
    stop.cancel();
    running.await.unwrap();
    assert!(inbox.settled.lock().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_away_for_a_moment_is_told_the_outcome_when_it_is_back() {
    let (inbox, busy, stop) = (List::of(1), Busy::default(), CancelToken::new());
    inbox.away.store(3, Ordering::SeqCst);
    busy.state.open.store(true, Ordering::SeqCst);
    let running = tokio::spawn(worker(&inbox, &busy, 3).run(stop.clone(), Duration::from_secs(5)));
    sleep(Duration::from_secs(7)).await;
    assert_eq!(inbox.settled.lock().unwrap()[0].1, Outcome::Done(None));
    stop.cancel();
    running.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_cancellation_reaches_the_work_at_once_and_without_an_announcement_at_the_next_renewal() {
    for announced in [true, false] {
        let (inbox, busy, stop) = (List::of(1), Busy::default(), CancelToken::new());
        let event = inbox.waiting.lock().unwrap()[0].event;
        let running = tokio::spawn(worker(&inbox, &busy, 3).run(stop.clone(), Duration::from_secs(5)));
        sleep(Duration::from_millis(10)).await;
        *inbox.cause.lock().unwrap() = Some(CancelCause::Stopped);
        if announced {
            inbox.news.send(event).unwrap();
        }
        sleep(Duration::from_millis(if announced { 1 } else { 6_000 })).await;
        assert_eq!(inbox.settled.lock().unwrap()[0].1, Outcome::Done(Some("cancelled".into())));
        stop.cancel();
        running.await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn an_event_that_was_cancelled_before_it_was_claimed_hears_so_at_once() {
    let (inbox, busy, stop) = (List::of(1), Busy::default(), CancelToken::new());
    *inbox.cause.lock().unwrap() = Some(CancelCause::Recalled);
    let running = tokio::spawn(worker(&inbox, &busy, 3).run(stop.clone(), Duration::from_secs(5)));
    sleep(Duration::from_millis(10)).await;
    assert_eq!(inbox.settled.lock().unwrap()[0].1, Outcome::Done(Some("recalled".into())));
    stop.cancel();
    running.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn stopping_lets_work_end_within_the_grace_time_and_hands_the_rest_back() {
    let (inbox, busy, stop) = (List::of(2), Busy::default(), CancelToken::new());
    let running = tokio::spawn(worker(&inbox, &busy, 3).run(stop.clone(), Duration::from_secs(5)));
    sleep(Duration::from_secs(1)).await;
    stop.cancel();
    sleep(Duration::from_secs(1)).await;
    busy.state.let_go.notify_one();
    running.await.unwrap();
    assert_eq!(inbox.settled.lock().unwrap().len(), 1, "one ended in time");
    assert_eq!(busy.state.dropped.load(Ordering::SeqCst), 1, "the other was dropped");
    assert_eq!(inbox.released.load(Ordering::SeqCst), 2, "at the beginning and at the end");
}
