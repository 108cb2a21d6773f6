//! How far the engine is, as everybody sees it.

use std::sync::Arc;

use magpie_core::cancel::CancelToken;
use tokio::sync::{Semaphore, mpsc, watch};

use crate::config::CandleConfig;
use crate::file::Reporter;
use crate::prepare::Language;
use crate::scheduler::{Request, Standing};

/// A model that answers. Its thread goes on until nobody holds this any more and all its answers have ended; then its
/// memory is given back.
pub(crate) struct Running {
    pub language: Arc<Language>,
    pub requests: mpsc::UnboundedSender<Request>,
    pub standing: Standing,
}

#[derive(Clone)]
pub(crate) enum Phase {
    Loading,
    Ready(Arc<Running>),
    /// The reason is for an operator.
    Failed(String),
    Unloaded,
}

/// A model that is on its way.
#[derive(Clone)]
pub(crate) struct Arrival {
    pub config: Arc<CandleConfig>,
    pub reporter: Reporter,
    /// Nobody waits for it any more.
    pub stop: CancelToken,
    number: u64,
}

/// Prompts that the engine takes at once: those that run and those that wait.
#[derive(Clone)]
pub(crate) struct Places {
    pub free: Arc<Semaphore>,
    pub all: usize,
}

#[derive(Clone)]
pub(crate) struct State {
    pub phase: Phase,
    /// What the present model was made with, or will be.
    pub config: Arc<CandleConfig>,
    pub places: Places,
    pub arrival: Option<Arrival>,
    arrivals: u64,
}

/// The state as both sides see it; clones share it.
#[derive(Clone)]
pub(crate) struct Shared(watch::Sender<State>);

impl Places {
    fn of(config: &CandleConfig) -> Self {
        let all = config.queue_limit.saturating_add(config.max_batch_size).clamp(1, Semaphore::MAX_PERMITS);
        Self { free: Arc::new(Semaphore::new(all)), all }
    }

    pub(crate) fn taken(&self) -> usize {
        self.all - self.free.available_permits().min(self.all)
    }
}

impl Shared {
    pub(crate) fn new(config: CandleConfig) -> Self {
        let places = Places::of(&config);
        let config = Arc::new(config);
        Self(watch::Sender::new(State { phase: Phase::Unloaded, config, places, arrival: None, arrivals: 0 }))
    }

    pub(crate) fn get(&self) -> State {
        self.0.borrow().clone()
    }

    pub(crate) fn subscribe(&self) -> watch::Receiver<State> {
        self.0.subscribe()
    }

    /// Notes that another model is to be loaded. One that was on its way is given up.
    pub(crate) fn expect(&self, config: CandleConfig) -> Arrival {
        let config = Arc::new(config);
        let mut arrival = Arrival { config, reporter: Reporter::default(), stop: CancelToken::new(), number: 0 };
        self.0.send_modify(|state| {
            state.arrivals += 1;
            arrival.number = state.arrivals;
            if !matches!(state.phase, Phase::Ready(_)) {
                state.phase = Phase::Loading;
                state.settle_in(&arrival.config);
            }
            if let Some(earlier) = state.arrival.replace(arrival.clone()) {
                earlier.stop.cancel();
            }
        });
        arrival
    }

    /// Puts a loaded model in the place of what was there; `false` if it is not wanted any more.
    pub(crate) fn arrived(&self, arrival: &Arrival, running: Arc<Running>) -> bool {
        self.0.send_if_modified(|state| {
            let wanted = state.is_awaited(arrival);
            if wanted {
                state.phase = Phase::Ready(running);
                state.arrival = None;
                state.settle_in(&arrival.config);
            }
            wanted
        })
    }

    /// Notes that a model could not be loaded. One that is there stays.
    pub(crate) fn failed(&self, arrival: &Arrival, reason: String) {
        self.0.send_if_modified(|state| {
            let wanted = state.is_awaited(arrival);
            if wanted {
                state.arrival = None;
                if !matches!(state.phase, Phase::Ready(_)) {
                    state.phase = Phase::Failed(reason);
                }
            }
            wanted
        });
    }

    /// Lets go of the model, and of one that is on its way.
    pub(crate) fn unload(&self) {
        self.0.send_modify(|state| {
            state.phase = Phase::Unloaded;
            if let Some(arrival) = state.arrival.take() {
                arrival.stop.cancel();
            }
        });
    }
}

impl State {
    fn is_awaited(&self, arrival: &Arrival) -> bool {
        self.arrival.as_ref().is_some_and(|awaited| awaited.number == arrival.number)
    }

    fn settle_in(&mut self, config: &Arc<CandleConfig>) {
        let same = (config.queue_limit, config.max_batch_size) == (self.config.queue_limit, self.config.max_batch_size);
        if !same {
            self.places = Places::of(config);
        }
        self.config = Arc::clone(config);
    }
}
