//! What the contract suites run on.

#![expect(clippy::unwrap_used, reason = "a test panics to fail")]

use std::sync::Arc;
use std::time::Duration;

use super::ManualClock;
use super::samples::{BOT, message_entry};
use crate::budget::Meter;
use crate::clock::{Clock, UnixMillis};
use crate::event::PlatformKind;
use crate::ids::WorkerId;
use crate::inbox::{Acceptance, Claim, Entry, Fence, Inbox, Lane};
use crate::store::{Opening, Store};

/// Leases in the cases last this long.
pub const LEASE: Duration = Duration::from_secs(30);

/// An empty, migrated database of its own.
pub struct Fixture {
    pub inbox: Arc<dyn Inbox>,
    /// The same database as another instance sees it, where several can share one; else another handle.
    pub other_inbox: Arc<dyn Inbox>,
    pub store: Arc<dyn Store>,
    pub other_store: Arc<dyn Store>,
    pub meter: Arc<dyn Meter>,
    pub other_meter: Arc<dyn Meter>,
    /// What both go by.
    pub clock: Arc<ManualClock>,
    /// Dropped last: whatever removes the database.
    pub keep: Box<dyn std::any::Any + Send + Sync>,
}

impl Fixture {
    /// The time it is.
    #[must_use]
    pub fn now(&self) -> UnixMillis {
        self.clock.now()
    }

    /// Stores an entry and demands that it is new.
    pub async fn accept(&self, entry: Entry) {
        assert_eq!(self.inbox.accept(entry).await.unwrap(), Acceptance::New);
    }

    /// Stores a new message whose ids are derived from `name`.
    pub async fn message(&self, name: &str, scope: &str) -> Entry {
        let entry = message_entry(name, scope, self.now());
        self.accept(entry.clone()).await;
        entry
    }

    /// Claims messages as `worker`.
    pub async fn claim(&self, worker: &str, limit: u32) -> Vec<Claim> {
        self.inbox.claim(&WorkerId::from(worker), Lane::Messages, limit, LEASE).await.unwrap()
    }

    /// Claims messages whose turn has not come as `worker`.
    pub async fn waiting(&self, worker: &str, limit: u32) -> Vec<Claim> {
        self.inbox.claim(&WorkerId::from(worker), Lane::Waiting, limit, LEASE).await.unwrap()
    }

    /// Stores a message and claims it.
    pub async fn claimed(&self, name: &str, scope: &str) -> Fence {
        let entry = self.message(name, scope).await;
        let claims = self.claim("worker", 1).await;
        assert_eq!(claims.iter().map(|claim| claim.fence.event).collect::<Vec<_>>(), [entry.id]);
        claims[0].fence
    }

    /// What opens a conversation of `scope` that idles after an hour.
    #[must_use]
    pub fn opening(&self, scope: &str) -> Opening {
        Opening {
            bot: BOT.into(),
            platform: PlatformKind::Feishu,
            scope: scope.into(),
            chat: "oc_team".into(),
            user: Some("ou_ada".into()),
            thread: None,
            idle: Duration::from_secs(3600),
            now: self.now(),
        }
    }
}

/// The platform names of claimed messages, in order.
#[must_use]
pub fn names(claims: &[Claim]) -> Vec<&str> {
    claims.iter().map(|claim| claim.event.platform_event_id.trim_start_matches("ev_")).collect()
}
