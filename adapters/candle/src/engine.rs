//! The engine as the router and the operator see it.

mod answer;

use std::sync::Arc;
use std::time::Instant;

use futures::StreamExt;
use futures::stream::{self, BoxStream};
use magpie_core::cancel::CancelToken;
use magpie_core::clock::Clock;
use magpie_core::engine::{Backlog, Delta, Engine, EngineError, EngineInfo, EngineKind, Prompt, estimate_tokens};
use magpie_core::platform::Health;
use tokio::sync::oneshot;

use crate::config::CandleConfig;
use crate::error::LoadError;
use crate::file::{Fetcher, Progress};
use crate::model::{self, ModelSummary};
use crate::phase::{Phase, Running, Shared};
use crate::tokenizer::Specials;
use crate::worker::{self, Loader, Order};
use answer::{Answer, Question};

/// The engine's name in footers, tables, metrics and `GET /v1/models`.
pub(crate) const NAME: &str = "local";

/// Steps in a row that fail before the engine counts as broken. One may be an accident.
const FAILURES: u32 = 3;

/// A local model that answers many prompts at once on a thread of its own. Dropping it ends the thread after the
/// answers that are under way.
pub struct CandleEngine {
    shared: Shared,
    clock: Arc<dyn Clock>,
    loader: Loader,
}

impl CandleEngine {
    /// Starts loading and returns at once; until it is done, and when it fails, [`Engine::health`] says so. Prompts wait
    /// ten seconds for it and are answered with [`EngineError::Unavailable`] then. `clock` gives templates the date.
    #[must_use]
    pub fn load(config: CandleConfig, clock: Arc<dyn Clock>) -> Self {
        Self::load_by(config, clock, Arc::new(|order: &Order| model::load(order, None)))
    }

    /// As [`CandleEngine::load`], with somebody to bring models to this machine that are elsewhere.
    #[must_use]
    pub fn load_with(config: CandleConfig, clock: Arc<dyn Clock>, fetcher: Fetcher) -> Self {
        Self::load_by(config, clock, Arc::new(move |order: &Order| model::load(order, Some(&fetcher))))
    }

    pub(crate) fn load_by(config: CandleConfig, clock: Arc<dyn Clock>, loader: Loader) -> Self {
        let engine = Self { shared: Shared::new(config.clone()), clock, loader };
        drop(engine.start(config));
        engine
    }

    /// Returns once loading has ended, well or badly; [`Engine::health`] then says which. A service does not wait for
    /// this, a command that asks one question does.
    pub async fn loaded(&self) {
        // The sender lives in `self`, so waiting cannot fail.
        let _ = self.shared.subscribe().wait_for(|state| state.arrival.is_none()).await;
    }

    /// Loads another model, or the same anew, beside the one that is there. Once it is ready, new prompts go to it; the
    /// old one finishes its answers and then gives its memory back. Dropping the future does not stop the loading.
    ///
    /// # Errors
    /// The new model can't be used, and the old one stays; or [`LoadError::Cancelled`]: meanwhile somebody has asked
    /// for yet another one, or to unload.
    pub async fn reload(&self, config: CandleConfig) -> Result<ModelSummary, LoadError> {
        self.start(config).await.unwrap_or(Err(LoadError::Cancelled))
    }

    /// Lets go of the model: answers under way are finished, then its memory is given back. [`CandleEngine::reload`]
    /// brings one again.
    pub fn unload(&self) {
        self.shared.unload();
    }

    /// How far a model is that is on its way.
    #[must_use]
    pub fn progress(&self) -> Option<Progress> {
        self.shared.get().arrival.map(|arrival| arrival.reporter.get())
    }

    fn start(&self, config: CandleConfig) -> oneshot::Receiver<Result<ModelSummary, LoadError>> {
        let (told, heard) = oneshot::channel();
        let arrival = self.shared.expect(config);
        let started = std::thread::Builder::new().name("magpie-engine".to_owned()).spawn({
            let present = self.running().as_ref().map(Arc::downgrade).unwrap_or_default();
            let order = Order { arrival: arrival.clone(), present, clock: Arc::clone(&self.clock) };
            let (loader, shared) = (Arc::clone(&self.loader), self.shared.clone());
            move || worker::run(&order, &loader, shared, told)
        });
        if let Err(error) = started {
            tracing::error!(error = &error as &dyn std::error::Error, "the engine thread can't be started");
            self.shared.failed(&arrival, format!("the engine thread can't be started: {error}"));
        }
        heard
    }

    fn running(&self) -> Option<Arc<Running>> {
        match self.shared.get().phase {
            Phase::Ready(running) => Some(running),
            Phase::Loading | Phase::Failed(_) | Phase::Unloaded => None,
        }
    }
}

impl Engine for CandleEngine {
    fn info(&self) -> EngineInfo {
        let state = self.shared.get();
        let (model, context_tokens) = match &state.phase {
            Phase::Ready(running) => {
                let summary = &running.language.summary;
                (summary.name.clone(), summary.context_tokens)
            }
            Phase::Loading | Phase::Failed(_) | Phase::Unloaded => {
                let name = state.config.path.file_stem().unwrap_or_default();
                (name.to_string_lossy().into_owned(), state.config.context_tokens)
            }
        };
        EngineInfo {
            name: NAME.to_owned(),
            kind: EngineKind::Local,
            model,
            context_tokens: Some(context_tokens),
            vision: false,
        }
    }

    fn generate(&self, prompt: Prompt, stop: CancelToken) -> BoxStream<'static, Result<Delta, EngineError>> {
        let places = self.shared.get().places;
        let Ok(place) = places.free.try_acquire_owned() else {
            let retry_after = self.backlog().expected_wait;
            let error = EngineError::Overloaded { engine: NAME.to_owned(), retry_after };
            return stream::iter([Err(error)]).boxed();
        };
        let question = Question { prompt, place, state: self.shared.subscribe(), asked: Instant::now() };
        let answer = Answer::new(question, stop);
        stream::unfold(answer, |mut answer| async move { answer.next().await.map(|item| (item, answer)) }).boxed()
    }

    fn count_tokens(&self, text: &str) -> usize {
        match self.running() {
            Some(running) => running.language.tokenizer.encode(text, Specials::Ignore).len(),
            None => estimate_tokens(text),
        }
    }

    fn health(&self) -> Health {
        let state = self.shared.get();
        let detail = match &state.phase {
            Phase::Ready(running) if running.requests.is_closed() => {
                "the engine thread has ended; reload the model".to_owned()
            }
            Phase::Ready(running) if running.standing.failures() >= FAILURES => {
                format!("the last {} steps failed; see the log and reload the model", running.standing.failures())
            }
            Phase::Ready(_) => return Health::Ok,
            Phase::Loading => {
                let progress = state.arrival.map(|arrival| arrival.reporter.get()).unwrap_or_default();
                let percent = progress.percent().map(|percent| format!(" ({percent} %)")).unwrap_or_default();
                format!("the model is still loading: {}{percent}", progress.stage.name())
            }
            Phase::Failed(reason) => reason.clone(),
            Phase::Unloaded => "the model is unloaded".to_owned(),
        };
        Health::Degraded { detail }
    }

    fn backlog(&self) -> Backlog {
        let state = self.shared.get();
        let Phase::Ready(running) = &state.phase else {
            return Backlog { waiting: state.places.taken(), ..Backlog::default() };
        };
        let outlook = running.standing.outlook();
        let known = outlook.running + outlook.waiting;
        let unseen = state.places.taken().saturating_sub(known);
        Backlog {
            running: outlook.running,
            waiting: outlook.waiting + unseen,
            expected_wait: outlook.expected_wait(unseen),
        }
    }
}

fn unavailable(what: String) -> EngineError {
    EngineError::Unavailable { engine: NAME.to_owned(), what, source: None }
}

#[cfg(test)]
mod tests;
