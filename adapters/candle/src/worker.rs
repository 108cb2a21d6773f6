//! The thread of one model: loads it, then computes for whoever asks, until nobody can ask any more.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Weak};

use magpie_core::causes::with_causes;
use magpie_core::clock::Clock;
use tokio::sync::{mpsc, oneshot};

use crate::config::CandleConfig;
use crate::error::LoadError;
use crate::file::{Reporter, Stage};
use crate::model::{Loaded, ModelSummary};
use crate::phase::{Arrival, Running, Shared};
use crate::prepare::{Defaults, Language};
use crate::scheduler::{FirstSteps, Pace, Rates, Request, Scheduler, warm_up};

/// Makes a model of its configuration. Tests have one that needs no file.
pub(crate) type Loader = Arc<dyn Fn(&Order) -> Result<Loaded, LoadError> + Send + Sync>;

/// A model to load.
pub(crate) struct Order {
    pub arrival: Arrival,
    /// The model that answers meanwhile. Weak, since whoever holds a model keeps its memory.
    pub present: Weak<Running>,
    pub clock: Arc<dyn Clock>,
}

impl Order {
    pub(crate) fn config(&self) -> &CandleConfig {
        &self.arrival.config
    }

    pub(crate) fn reporter(&self) -> &Reporter {
        &self.arrival.reporter
    }

    /// Memory that the present model may yet take, and that so is not free even if the system says so: the system gives
    /// pages of keys and values when they are first written.
    pub(crate) fn promised_bytes(&self) -> u64 {
        self.present.upgrade().map_or(0, |running| running.standing.free_bytes())
    }
}

/// Loads a model and lets it answer. `told` hears how the loading ended. Nothing here keeps `shared` alive for longer
/// than that: an engine that is dropped ends its threads.
pub(crate) fn run(
    order: &Order,
    load: &Loader,
    shared: Shared,
    told: oneshot::Sender<Result<ModelSummary, LoadError>>,
) {
    let loaded = loaded(order, load);
    let (scheduler, running, requests) = match loaded {
        Ok((loaded, first)) => assemble(order.config(), loaded, &first),
        Err(error) => {
            if !matches!(error, LoadError::Cancelled) {
                tracing::error!(error = &error as &dyn std::error::Error, "local model can't be loaded");
            }
            shared.failed(&order.arrival, with_causes(&error));
            told.send(Err(error)).ok();
            return;
        }
    };
    let summary = running.language.summary.clone();
    let is_wanted = shared.arrived(&order.arrival, running);
    drop(shared);
    if !is_wanted {
        told.send(Err(LoadError::Cancelled)).ok();
        return;
    }
    tracing::info!(
        model = summary.name,
        architecture = summary.architecture,
        parameters = summary.parameters,
        context_tokens = summary.context_tokens,
        "local model is ready"
    );
    told.send(Ok(summary)).ok();
    serve(scheduler, requests);
}

/// Steps as long as there is anything to do, and sleeps while there is not.
pub(crate) fn serve(mut scheduler: Scheduler, mut requests: mpsc::UnboundedReceiver<Request>) {
    loop {
        if scheduler.is_idle() {
            let Some(request) = requests.blocking_recv() else { return };
            scheduler.submit(request);
        }
        while let Ok(request) = requests.try_recv() {
            scheduler.submit(request);
        }
        scheduler.step();
    }
}

fn loaded(order: &Order, load: &Loader) -> Result<(Loaded, FirstSteps), LoadError> {
    let path = || order.config().path.clone();
    // A damaged file can make a loader panic; that must not look like loading for ever.
    let loaded = catch_unwind(AssertUnwindSafe(|| {
        let mut loaded = load(order)?;
        order.reporter().report(Stage::WarmingUp, 0, None);
        let first = warm_up(&mut *loaded.network, &*order.clock).map_err(|error| LoadError::Broken {
            path: path(),
            what: "its first computation failed".to_owned(),
            source: Some(Box::new(error)),
        })?;
        Ok((loaded, first))
    }));
    loaded.unwrap_or_else(|_| {
        let what = "it made the loader panic; it is damaged or not supported".to_owned();
        Err(LoadError::Broken { path: path(), what, source: None })
    })
}

fn assemble(
    config: &CandleConfig,
    loaded: Loaded,
    first: &FirstSteps,
) -> (Scheduler, Arc<Running>, mpsc::UnboundedReceiver<Request>) {
    let Loaded { network, tokenizer, grammars, template, summary } = loaded;
    let rates = Rates::rough(first, config.max_tokens);
    let scheduler = Scheduler::new(network, Arc::clone(&tokenizer), Pace::new(config.max_batch_size), rates);
    let defaults = Defaults { max_tokens: config.max_tokens, temperature: config.temperature, top_p: config.top_p };
    let language = Arc::new(Language { tokenizer, grammars, template, summary, defaults });
    let (requests, queue) = mpsc::unbounded_channel();
    let running = Arc::new(Running { language, requests, standing: scheduler.standing() });
    (scheduler, running, queue)
}
