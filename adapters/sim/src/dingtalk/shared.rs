//! What the server, the pushes and the handle have in common.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use super::clock::SimClock;
use super::config::DingTalkConfig;
use super::crypto::EventCrypto;
use super::faults::Faults;
use super::world::World;

pub(super) struct Shared {
    pub config: DingTalkConfig,
    pub base_url: String,
    pub clock: SimClock,
    pub faults: Faults,
    pub events: EventCrypto,
    pub http: reqwest::Client,
    /// Pushes run here, so that the caller's runtime may come and go.
    pub runtime: tokio::runtime::Handle,
    pub changes: watch::Sender<u64>,
    world: Mutex<World>,
    webhook_url: Mutex<Option<String>>,
    latency: Mutex<Duration>,
    rate_check: AtomicBool,
}

/// The parts of [`Shared`] that are made outside of it.
pub(super) struct Parts {
    pub config: DingTalkConfig,
    pub base_url: String,
    pub events: EventCrypto,
    pub http: reqwest::Client,
    pub runtime: tokio::runtime::Handle,
}

impl Shared {
    pub fn new(parts: Parts) -> Self {
        let Parts { config, base_url, events, http, runtime } = parts;
        Self {
            base_url,
            clock: SimClock::default(),
            faults: Faults::default(),
            events,
            http,
            runtime,
            changes: watch::Sender::new(0),
            world: Mutex::new(World::seeded(&config)),
            webhook_url: Mutex::new(config.webhook_url.clone()),
            latency: Mutex::new(config.latency),
            rate_check: AtomicBool::new(true),
            config,
        }
    }

    pub fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells everybody who waits that something visible changed.
    pub fn changed(&self) {
        self.changes.send_modify(|count| *count += 1);
    }

    pub fn webhook_url(&self) -> Option<String> {
        self.webhook_url.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn set_webhook_url(&self, url: Option<String>) {
        *self.webhook_url.lock().unwrap_or_else(PoisonError::into_inner) = url;
    }

    pub fn latency(&self) -> Duration {
        *self.latency.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn set_latency(&self, latency: Duration) {
        *self.latency.lock().unwrap_or_else(PoisonError::into_inner) = latency;
    }

    pub fn checks_rate(&self) -> bool {
        self.rate_check.load(Ordering::Relaxed)
    }

    pub fn set_rate_check(&self, on: bool) {
        self.rate_check.store(on, Ordering::Relaxed);
    }
}
