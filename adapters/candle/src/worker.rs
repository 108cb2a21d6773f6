//! The engine thread: loads the model, then answers one prompt after the other.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use magpie_core::cancel::CancelToken;
use magpie_core::clock::Clock;
use magpie_core::engine::{Completion, Delta, EngineError, Finish, Prompt};
use tokio::sync::{mpsc, watch};

use crate::config::CandleConfig;
use crate::generation::{Defaults, Listener, generate};
use crate::model::{self, LoadedModel, ModelSummary};
use crate::tokenizer::Tokenizer;

/// How far the engine is.
#[derive(Clone)]
pub(crate) enum Phase {
    Loading,
    Ready {
        summary: ModelSummary,
        tokenizer: Arc<Tokenizer>,
    },
    /// For good; the reason is for an operator.
    Failed(String),
}

/// The phase as both sides see it; clones share it.
#[derive(Clone)]
pub(crate) struct SharedPhase(watch::Sender<Phase>);

impl SharedPhase {
    pub(crate) fn new() -> Self {
        Self(watch::Sender::new(Phase::Loading))
    }

    pub(crate) fn get(&self) -> Phase {
        self.0.borrow().clone()
    }

    pub(crate) fn set(&self, phase: Phase) {
        self.0.send_replace(phase);
    }

    /// Returns once loading has ended, well or badly.
    pub(crate) async fn settled(&self) {
        // The sender lives in `self`, so waiting cannot fail.
        let _ = self.0.subscribe().wait_for(|phase| !matches!(phase, Phase::Loading)).await;
    }
}

/// A prompt in the queue.
pub(crate) struct Job {
    pub prompt: Prompt,
    pub stop: CancelToken,
    /// Unbounded, so that a slow reader does not hold up the others; an answer's length is limited anyway.
    pub deltas: mpsc::UnboundedSender<Result<Delta, EngineError>>,
}

impl Job {
    fn is_wanted(&self) -> bool {
        !self.stop.is_cancelled() && !self.deltas.is_closed()
    }

    fn tell(&self, item: Result<Delta, EngineError>) {
        // Nobody listens any more: then nobody needs to know.
        self.deltas.send(item).ok();
    }
}

struct Recipient<'a>(&'a Job);

impl Listener for Recipient<'_> {
    fn tell(&mut self, delta: Delta) {
        self.0.tell(Ok(delta));
    }

    fn wants_more(&self) -> bool {
        self.0.is_wanted()
    }
}

/// Runs until the engine is dropped.
pub(crate) fn run(config: &CandleConfig, clock: Arc<dyn Clock>, phase: &SharedPhase, mut jobs: mpsc::Receiver<Job>) {
    let Some(mut model) = load(config, clock, phase) else { return };
    let defaults = Defaults {
        engine: crate::engine::NAME.to_owned(),
        max_tokens: config.max_tokens,
        temperature: config.temperature,
        top_p: config.top_p,
    };
    while let Some(job) = jobs.blocking_recv() {
        job.tell(answer(&mut model, &defaults, &job).map(Delta::Done));
    }
}

fn load(config: &CandleConfig, clock: Arc<dyn Clock>, phase: &SharedPhase) -> Option<LoadedModel> {
    // A damaged file can make candle panic; that must not look like loading for ever.
    let loaded = catch_unwind(AssertUnwindSafe(|| model::load(config, clock)));
    let failure = match loaded {
        Ok(Ok(model)) => {
            let summary = model.summary.clone();
            tracing::info!(
                model = summary.name,
                architecture = summary.architecture,
                parameters = summary.parameters,
                context_tokens = summary.context_tokens,
                "local model is ready"
            );
            phase.set(Phase::Ready { summary, tokenizer: Arc::clone(&model.tokenizer) });
            return Some(model);
        }
        Ok(Err(error)) => with_causes(&error),
        Err(_) => format!("{} made the loader panic; it is damaged or not supported", config.path.display()),
    };
    tracing::error!(failure, "local model can't be loaded");
    phase.set(Phase::Failed(failure));
    None
}

fn answer(model: &mut LoadedModel, defaults: &Defaults, job: &Job) -> Result<Completion, EngineError> {
    if !job.is_wanted() {
        return Ok(Completion { prompt_tokens: 0, completion_tokens: 0, finish: Finish::Cancelled });
    }
    // The cache is emptied before each answer, so a panic leaves nothing behind that the next one would see.
    catch_unwind(AssertUnwindSafe(|| generate(model, defaults, &job.prompt, &mut Recipient(job)))).unwrap_or_else(
        |_| {
            let what = "the computation panicked".to_owned();
            Err(EngineError::Interrupted { engine: defaults.engine.clone(), what, source: None })
        },
    )
}

fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
