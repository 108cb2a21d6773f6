//! What the server threads, the pushes and the handle have in common.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::Value;
use tokio::sync::watch;

use super::clock::SimClock;
use super::config::FeishuConfig;
use super::faults::{Call, Faults};
use super::press::Toast;
use super::push::DeliveryReport;
use super::world::World;
use crate::tally::Counter;

pub(super) struct Shared {
    pub(super) config: FeishuConfig,
    pub(super) clock: SimClock,
    pub(super) faults: Faults,
    pub(super) http: reqwest::Client,
    /// The platform's own runtime: pushes and their retries live there, whichever runtime asked for them.
    pub(super) runtime: tokio::runtime::Handle,
    pub(super) origin: String,
    pub(super) changes: watch::Sender<u64>,
    world: Mutex<World>,
    webhook: Mutex<Option<String>>,
    toasts: Mutex<Vec<Toast>>,
    deliveries: Mutex<HashMap<String, DeliveryReport>>,
    held: Mutex<Vec<Value>>,
    calls: Mutex<HashMap<Call, u64>>,
    counter: Mutex<Counter>,
}

impl Shared {
    pub(super) fn new(
        config: FeishuConfig,
        origin: String,
        http: reqwest::Client,
        runtime: tokio::runtime::Handle,
    ) -> Self {
        let clock = SimClock::default();
        Self {
            world: Mutex::new(World::seeded(config.clone(), clock.clone())),
            webhook: Mutex::new(config.webhook_url.clone()),
            config,
            clock,
            faults: Faults::default(),
            http,
            runtime,
            origin,
            changes: watch::channel(0).0,
            toasts: Mutex::default(),
            deliveries: Mutex::default(),
            held: Mutex::default(),
            calls: Mutex::default(),
            counter: Mutex::default(),
        }
    }

    pub(super) fn world(&self) -> MutexGuard<'_, World> {
        lock(&self.world)
    }

    pub(super) fn webhook(&self) -> MutexGuard<'_, Option<String>> {
        lock(&self.webhook)
    }

    pub(super) fn toasts(&self) -> MutexGuard<'_, Vec<Toast>> {
        lock(&self.toasts)
    }

    /// By event id.
    pub(super) fn deliveries(&self) -> MutexGuard<'_, HashMap<String, DeliveryReport>> {
        lock(&self.deliveries)
    }

    /// Events held back by a fault, oldest first.
    pub(super) fn held(&self) -> MutexGuard<'_, Vec<Value>> {
        lock(&self.held)
    }

    /// Calls received so far, by kind.
    pub(super) fn calls(&self) -> MutexGuard<'_, HashMap<Call, u64>> {
        lock(&self.calls)
    }

    /// The same by class of API, with how they ended.
    pub(super) fn counter(&self) -> MutexGuard<'_, Counter> {
        lock(&self.counter)
    }

    /// Something visible changed.
    pub(super) fn changed(&self) {
        self.changes.send_modify(|count| *count += 1);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
