//! One engine with what the router remembers about it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use metrics::{counter, gauge};
use tokio::time::Instant;

use super::breaker::{Breaker, BreakerSettings, Pass};
use crate::engine::{Completion, Engine, EngineError, EngineInfo};
use crate::platform::Health;

pub(super) struct Slot {
    pub engine: Arc<dyn Engine>,
    pub name: String,
    breaker: Breaker,
    last_delta: Mutex<Option<Instant>>,
}

impl Slot {
    pub(super) fn new(engine: Arc<dyn Engine>, breaker: BreakerSettings) -> Self {
        let name = engine.info().name;
        Self { engine, name, breaker: Breaker::new(breaker), last_delta: Mutex::default() }
    }

    /// Asked each time: an engine that is still loading does not know its model yet. Its name never changes.
    pub(super) fn info(&self) -> EngineInfo {
        self.engine.info()
    }

    /// Leave to ask this engine.
    pub(super) fn pass(&self) -> Result<Pass, EngineError> {
        self.breaker.pass(Instant::now()).map_err(|wait| EngineError::Unavailable {
            engine: self.name.clone(),
            what: format!("it failed repeatedly and is asked again in {} s", wait.as_secs() + 1),
            source: None,
        })
    }

    /// Whether it is asked at all at the moment.
    pub(super) fn is_asked(&self) -> bool {
        !self.breaker.is_open(Instant::now())
    }

    /// How long a prompt would have to wait for it, if that is longer than `patience`.
    pub(super) fn wait_beyond(&self, patience: Duration) -> Option<Duration> {
        self.engine.backlog().expected_wait.filter(|wait| *wait > patience)
    }

    /// It said something, to whomever.
    pub(super) fn spoke(&self, pass: &mut Pass) {
        pass.succeeded();
        *self.last_delta.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// Counts a failure, if it is one of the engine and not of the moment or the prompt: an engine that is busy with
    /// other answers is not broken, even if it keeps some waiting too long.
    pub(super) fn failed(&self, pass: &mut Pass, error: &EngineError) {
        let counts = match error {
            EngineError::Overloaded { .. } | EngineError::Rejected { .. } => false,
            EngineError::Timeout { waited, .. } => !self.spoke_within(*waited),
            _ => true,
        };
        if counts {
            pass.failed(Instant::now());
        }
        self.health();
    }

    /// Health for people, and the gauge for machines.
    pub(super) fn health(&self) -> Health {
        let health = if self.breaker.is_open(Instant::now()) {
            Health::Degraded { detail: "it failed repeatedly and is not asked for a while".to_owned() }
        } else {
            self.engine.health()
        };
        let state = if health == Health::Ok { 1.0 } else { 0.0 };
        gauge!("magpie_engine_state", "engine" => self.name.clone()).set(state);
        health
    }

    pub(super) fn count_tokens(&self, completion: Completion) {
        let engine = &self.name;
        counter!("magpie_prompt_tokens_total", "engine" => engine.clone()).increment(completion.prompt_tokens.into());
        counter!("magpie_generated_tokens_total", "engine" => engine.clone())
            .increment(completion.completion_tokens.into());
    }

    fn spoke_within(&self, time: Duration) -> bool {
        let last = *self.last_delta.lock().unwrap_or_else(PoisonError::into_inner);
        last.is_some_and(|at| at.elapsed() < time)
    }
}
