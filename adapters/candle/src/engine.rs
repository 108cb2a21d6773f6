//! The engine as the router sees it.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::{self, BoxStream};
use magpie_core::cancel::CancelToken;
use magpie_core::clock::Clock;
use magpie_core::engine::{
    Completion, Delta, Engine, EngineError, EngineInfo, EngineKind, Finish, Prompt, estimate_tokens,
};
use magpie_core::platform::Health;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use crate::config::CandleConfig;
use crate::tokenizer::Specials;
use crate::worker::{self, Job, Phase, SharedPhase};

/// The engine's name in footers, tables, metrics and `GET /v1/models`.
pub(crate) const NAME: &str = "local";

/// How long a prompt waits for a model that is still loading. Long enough that a restart does not fail the answers it
/// takes up again; short enough that with a larger model the next engine is asked soon.
const LOADING_PATIENCE: Duration = Duration::from_secs(10);

type Item = Result<Delta, EngineError>;

/// A local model on a thread of its own. Dropping it ends the thread after the answer that is under way.
pub struct CandleEngine {
    config: CandleConfig,
    phase: SharedPhase,
    jobs: mpsc::Sender<Job>,
}

impl CandleEngine {
    /// Starts loading and returns at once; until it is done, and when it fails, [`Engine::health`] says so. Prompts wait
    /// ten seconds for it and are answered with [`EngineError::Unavailable`] then. `clock` gives templates the date.
    #[must_use]
    pub fn load(config: CandleConfig, clock: Arc<dyn Clock>) -> Self {
        warn_about_threads(config.threads);
        let phase = SharedPhase::new();
        let (jobs, queue) = mpsc::channel(config.queue_limit.max(1));
        let started = std::thread::Builder::new().name("magpie-engine".to_owned()).spawn({
            let (config, phase) = (config.clone(), phase.clone());
            move || worker::run(&config, clock, &phase, queue)
        });
        if let Err(error) = started {
            phase.set(Phase::Failed(format!("the engine thread can't be started: {error}")));
        }
        Self { config, phase, jobs }
    }

    /// Returns once loading has ended, well or badly; [`Engine::health`] then says which. A service does not wait for
    /// this, a command that asks one question does.
    pub async fn loaded(&self) {
        self.phase.settled().await;
    }

    fn enqueue(&self, prompt: Prompt, stop: CancelToken) -> Result<mpsc::UnboundedReceiver<Item>, EngineError> {
        if let Phase::Failed(reason) = self.phase.get() {
            return Err(unavailable(reason));
        }
        let (deltas, answer) = mpsc::unbounded_channel();
        match self.jobs.try_send(Job { prompt, stop, deltas }) {
            Ok(()) => Ok(answer),
            Err(TrySendError::Full(_)) => Err(EngineError::Overloaded { engine: NAME.to_owned(), retry_after: None }),
            Err(TrySendError::Closed(_)) => Err(unavailable("the engine thread has ended".to_owned())),
        }
    }
}

impl Engine for CandleEngine {
    fn info(&self) -> EngineInfo {
        let (model, context_tokens) = match self.phase.get() {
            Phase::Ready { summary, .. } => (summary.name, summary.context_tokens),
            Phase::Loading | Phase::Failed(_) => {
                let name = self.config.path.file_stem().unwrap_or_default();
                (name.to_string_lossy().into_owned(), self.config.context_tokens)
            }
        };
        EngineInfo { name: NAME.to_owned(), kind: EngineKind::Local, model, context_tokens: Some(context_tokens) }
    }

    fn generate(&self, prompt: Prompt, stop: CancelToken) -> BoxStream<'static, Item> {
        match self.enqueue(prompt, stop.clone()) {
            Ok(items) => {
                let answer = Answer { items, phase: self.phase.clone(), stop, begun: false, ended: false };
                stream::unfold(answer, |mut answer| async move { answer.next().await.map(|item| (item, answer)) })
                    .boxed()
            }
            Err(error) => stream::iter([Err(error)]).boxed(),
        }
    }

    fn count_tokens(&self, text: &str) -> usize {
        match self.phase.get() {
            Phase::Ready { tokenizer, .. } => tokenizer.encode(text, Specials::Ignore).len(),
            Phase::Loading | Phase::Failed(_) => estimate_tokens(text),
        }
    }

    fn health(&self) -> Health {
        match self.phase.get() {
            Phase::Ready { .. } if self.jobs.is_closed() => {
                Health::Degraded { detail: "the engine thread has ended; restart the service".to_owned() }
            }
            Phase::Ready { .. } => Health::Ok,
            Phase::Loading => Health::Degraded { detail: "the model is still loading".to_owned() },
            Phase::Failed(reason) => Health::Degraded { detail: reason },
        }
    }
}

/// The reading end of one answer.
struct Answer {
    items: mpsc::UnboundedReceiver<Item>,
    phase: SharedPhase,
    stop: CancelToken,
    begun: bool,
    ended: bool,
}

impl Answer {
    async fn next(&mut self) -> Option<Item> {
        if self.ended {
            return None;
        }
        let (stop, phase) = (self.stop.clone(), self.phase.clone());
        let item = tokio::select! {
            biased;
            // The queue is read once the model is loaded, so nothing can come before.
            Some(failure) = not_loaded(&phase), if !self.begun => Err(failure),
            item = self.items.recv() => item.unwrap_or_else(|| Err(EngineError::Interrupted {
                engine: NAME.to_owned(),
                what: "the engine thread has ended".to_owned(),
                source: None,
            })),
            // Perhaps it is still in the queue: nobody has to wait for the answers before it to be told so.
            () = stop.cancelled(), if !self.begun => {
                let nothing = Completion { prompt_tokens: 0, completion_tokens: 0, finish: Finish::Cancelled };
                Ok(Delta::Done(nothing))
            }
        };
        self.begun = true;
        self.ended = matches!(item, Ok(Delta::Done(_)) | Err(_));
        Some(item)
    }
}

/// Why there is no model, once that is clear; `None` as soon as there is one.
async fn not_loaded(phase: &SharedPhase) -> Option<EngineError> {
    let settled = tokio::time::timeout(LOADING_PATIENCE, phase.settled()).await;
    match phase.get() {
        _ if settled.is_err() => Some(unavailable("the model is still loading".to_owned())),
        Phase::Failed(reason) => Some(unavailable(reason)),
        Phase::Loading | Phase::Ready { .. } => None,
    }
}

fn unavailable(what: String) -> EngineError {
    EngineError::Unavailable { engine: NAME.to_owned(), what, source: None }
}

/// Candle takes its number of threads from the environment, once; setting that here would be a race with every other
/// thread that reads it.
fn warn_about_threads(wanted: usize) {
    let actual = candle_core::utils::get_num_threads();
    if wanted != 0 && wanted != actual {
        tracing::warn!(wanted, actual, "model.local.threads is not followed; set CANDLE_NUM_THREADS before the start");
    }
}

#[cfg(test)]
mod tests;
