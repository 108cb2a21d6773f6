//! The inbox port.

mod accept;
mod cancel;
mod claim;
mod group_commit;
mod scope;
mod settle;
mod wake;

use std::time::Duration;

use futures::future::BoxFuture;
use magpie_core::event::Event;
use magpie_core::ids::{BotId, EventId, MessageId, ScopeKey, WorkerId};
use magpie_core::inbox::{
    Acceptance, CancelCause, Cancelled, Claim, Depth, Entry, Fence, Inbox, Lane, OpenEvent, Outcome,
};
use magpie_core::store::StoreError;
use tokio::sync::broadcast;

#[cfg(test)]
pub(crate) use claim::{CLAIM_MESSAGES, CLAIM_WAITING};
pub(crate) use group_commit::GroupCommit;
pub(crate) use settle::end;
pub(crate) use wake::Waker;

use crate::database::Database;
use crate::errors::Failure;

/// [`Inbox`] over either database.
pub(crate) struct SqlInbox {
    database: Database,
}

impl SqlInbox {
    pub(crate) fn new(database: Database) -> Self {
        Self { database }
    }
}

/// No call takes longer, even when the network swallows packets without a word.
const LONGEST_CALL: Duration = Duration::from_secs(20);

/// Bounds a call, and gives the port's error.
pub(crate) async fn bounded<T>(
    doing: &'static str,
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, StoreError> {
    let finished = tokio::time::timeout(LONGEST_CALL, work).await.unwrap_or(Err(Failure::TimedOut));
    finished.map_err(|failure| failure.during(doing))
}

impl Inbox for SqlInbox {
    fn accept(&self, entry: Entry) -> BoxFuture<'_, Result<Acceptance, StoreError>> {
        Box::pin(bounded("storing an event", self.database.group_commit().accept(entry)))
    }

    fn claim<'a>(
        &'a self,
        worker: &'a WorkerId,
        lane: Lane,
        limit: u32,
        lease: Duration,
    ) -> BoxFuture<'a, Result<Vec<Claim>, StoreError>> {
        let now = self.database.clock().now();
        let wanted = claim::Wanted { worker, lane, limit, now, lease_until: now + lease };
        Box::pin(bounded("claiming events", claim::claim(self.database.pools(), wanted)))
    }

    fn renew(&self, fence: Fence, lease: Duration) -> BoxFuture<'_, Result<Option<CancelCause>, StoreError>> {
        let until = self.database.clock().now() + lease;
        Box::pin(bounded("renewing a lease", settle::renew(self.database.pools(), fence, until)))
    }

    fn settle(&self, fence: Fence, outcome: Outcome) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(bounded("ending a claim", async move {
            settle::settle(self.database.pools(), fence, &outcome, self.database.clock().now()).await?;
            self.database.waker().wake();
            Ok(())
        }))
    }

    fn release<'a>(&'a self, worker: &'a WorkerId) -> BoxFuture<'a, Result<u64, StoreError>> {
        Box::pin(bounded("handing events back", async move {
            let released = settle::release(self.database.pools(), worker).await?;
            self.database.waker().wake();
            Ok(released)
        }))
    }

    fn cancel(&self, event: EventId, cause: CancelCause) -> BoxFuture<'_, Result<Cancelled, StoreError>> {
        Box::pin(bounded("cancelling an event", async move {
            let now = self.database.clock().now();
            let met = cancel::cancel(self.database.pools(), event, cause, now).await?;
            self.tell(Some(event), met);
            Ok(met)
        }))
    }

    fn cancel_message<'a>(
        &'a self,
        bot: &'a BotId,
        message: &'a MessageId,
        cause: CancelCause,
    ) -> BoxFuture<'a, Result<Cancelled, StoreError>> {
        Box::pin(bounded("cancelling a message", async move {
            let now = self.database.clock().now();
            let named = cancel::Named { bot, message };
            let (event, met) = cancel::cancel_message(self.database.pools(), named, cause, now).await?;
            self.tell(event, met);
            Ok(met)
        }))
    }

    fn open_in_scope<'a>(
        &'a self,
        bot: &'a BotId,
        scope: &'a ScopeKey,
    ) -> BoxFuture<'a, Result<Vec<OpenEvent>, StoreError>> {
        Box::pin(bounded("looking at a queue", scope::open(self.database.pools(), bot, scope)))
    }

    fn absorb<'a>(&'a self, fence: Fence, events: &'a [EventId]) -> BoxFuture<'a, Result<Vec<Event>, StoreError>> {
        Box::pin(bounded("merging messages", async move {
            let now = self.database.clock().now();
            let merged = scope::absorb(self.database.pools(), fence, events, now).await?;
            if !events.is_empty() {
                self.database.waker().wake();
            }
            Ok(merged)
        }))
    }

    fn cancellations(&self) -> broadcast::Receiver<EventId> {
        self.database.waker().cancellations()
    }

    fn wait(&self, at_most: Duration) -> BoxFuture<'_, ()> {
        Box::pin(self.database.waker().wait(at_most))
    }

    fn depth(&self) -> BoxFuture<'_, Result<Depth, StoreError>> {
        let now = self.database.clock().now();
        Box::pin(bounded("measuring the inbox", settle::depth(self.database.pools(), now)))
    }
}

impl SqlInbox {
    /// Tells this process of a cancellation at once; other instances hear of it from Postgres.
    fn tell(&self, event: Option<EventId>, met: Cancelled) {
        if let (Some(event), Cancelled::Asked) = (event, met) {
            self.database.waker().cancelled(event);
        }
        if matches!(met, Cancelled::Asked | Cancelled::Ended) {
            self.database.waker().wake();
        }
    }
}
