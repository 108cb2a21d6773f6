//! Picks the engine that answers, and the next one when it does not.
//!
//! [`Router::answer`] asks the engines of the strategy one after the other (`order`). It moves on when one refuses or
//! breaks, when its breaker is open (`breaker`), when it says nothing in time, or when so much is before the prompt that
//! it can't (`run`); an engine that dies in mid-answer is followed by a [`Delta::Restart`] and the whole answer from the
//! next one. With none left, the last error is the end. How many answers run at once is decided before any engine is asked (`gate`).

mod breaker;
mod gate;
mod order;
mod run;
mod slot;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::{self, BoxStream};

pub use breaker::BreakerSettings;

use crate::cancel::CancelToken;
use crate::engine::{Backlog, Delta, Engine, EngineError, EngineInfo, Fallback, Prompt};
use crate::platform::Health;
use crate::settings::{ModelChoice, Strategy};
use gate::Gate;
use run::Run;
use slot::Slot;

/// `[model]` as far as it is about choosing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouterSettings {
    pub strategy: Strategy,
    /// How long one engine may take to its first token before the next one is asked.
    pub first_token_timeout: Duration,
    /// How long an engine may fall silent in mid-answer before it counts as dead.
    pub between_tokens_timeout: Duration,
    /// How long the whole answer may take: waiting, every engine and every restart.
    pub total_timeout: Duration,
    /// Answers generated at once, all engines together.
    pub max_concurrent: usize,
    /// Answers that may wait for that; more are refused at once.
    pub queue_limit: usize,
    pub breaker: BreakerSettings,
}

impl Default for RouterSettings {
    /// The values of `config/default.toml`.
    fn default() -> Self {
        Self {
            strategy: Strategy::LocalFirst,
            first_token_timeout: Duration::from_secs(30),
            between_tokens_timeout: Duration::from_secs(60),
            total_timeout: Duration::from_secs(120),
            max_concurrent: 50,
            queue_limit: 500,
            breaker: BreakerSettings::default(),
        }
    }
}

/// An engine as `/health` and `GET /v1/models` show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineState {
    pub info: EngineInfo,
    /// The engine's own word, or that its breaker is open.
    pub health: Health,
}

/// All engines and the decision between them.
pub struct Router {
    slots: Vec<Arc<Slot>>,
    settings: Arc<RouterSettings>,
    gate: Arc<Gate>,
}

impl Router {
    /// `engines` in configured order; none at all is allowed, then every answer is refused.
    #[must_use]
    pub fn new(engines: Vec<Arc<dyn Engine>>, settings: RouterSettings) -> Self {
        let slots = engines.into_iter().map(|engine| Arc::new(Slot::new(engine, settings.breaker))).collect();
        let gate = Arc::new(Gate::new(settings.max_concurrent, settings.queue_limit));
        Self { slots, settings: Arc::new(settings), gate }
    }

    /// Answers a prompt. [`Delta::Engine`] comes before an engine's first delta, [`Delta::Restart`] before the next
    /// engine's when there was one already; the last item is [`Delta::Done`] or an error. Cancelling ends it with
    /// [`crate::engine::Finish::Cancelled`]; dropping it ends the generation. A prompt with images is given to engines
    /// with vision only; the caller asks [`Self::sees`] before and leaves the images out if there are none.
    pub fn answer(
        &self,
        prompt: Prompt,
        choice: &ModelChoice,
        stop: CancelToken,
    ) -> BoxStream<'static, Result<Delta, EngineError>> {
        let infos = self.infos();
        let mut places = order::order(&infos, self.settings.strategy, choice);
        let mut passed_over = order::missing(&infos, choice).map(|name| (name, "missing"));
        if !prompt.images.is_empty() {
            passed_over = passed_over.or(order::blind(&infos, choice).map(|name| (name, "no_vision")));
            places.retain(|&place| infos[place].vision);
        }
        let passed_over =
            passed_over.map(|(name, reason)| Fallback { from: name.to_owned(), reason: reason.to_owned() });
        let candidates = places.into_iter().map(|place| Arc::clone(&self.slots[place]));
        let run = Run::new(
            run::Resources { settings: Arc::clone(&self.settings), gate: Arc::clone(&self.gate) },
            candidates.collect::<VecDeque<_>>(),
            passed_over,
            prompt,
            stop,
        );
        stream::unfold(run, |mut run| async move { run.next().await.map(|item| (item, run)) }).boxed()
    }

    /// Every engine in configured order. Also brings `magpie_engine_state` up to date.
    #[must_use]
    pub fn engines(&self) -> Vec<EngineState> {
        self.slots.iter().map(|slot| EngineState { info: slot.info(), health: slot.health() }).collect()
    }

    /// The engines that would be asked for this choice, in order; empty if there are none.
    #[must_use]
    pub fn candidates(&self, choice: &ModelChoice) -> Vec<Arc<dyn Engine>> {
        self.places(choice).into_iter().map(|place| Arc::clone(&self.slots[place].engine)).collect()
    }

    /// Whether an engine that would be asked for this choice understands images.
    #[must_use]
    pub fn sees(&self, choice: &ModelChoice) -> bool {
        self.places(choice).into_iter().any(|place| self.slots[place].info().vision)
    }

    /// What is before an answer that is asked for now: at the engine whose turn it would be, and in the queue here.
    #[must_use]
    pub fn backlog(&self, choice: &ModelChoice) -> Backlog {
        let patience = self.settings.first_token_timeout;
        let slots: Vec<_> = self.places(choice).into_iter().map(|place| &self.slots[place]).collect();
        let free = slots.iter().find(|slot| slot.is_asked() && slot.wait_beyond(patience).is_none());
        let engine = free.or(slots.first()).map(|slot| slot.engine.backlog()).unwrap_or_default();
        Backlog { waiting: engine.waiting + self.gate.waiting(), ..engine }
    }

    fn places(&self, choice: &ModelChoice) -> Vec<usize> {
        order::order(&self.infos(), self.settings.strategy, choice)
    }

    fn infos(&self) -> Vec<EngineInfo> {
        self.slots.iter().map(|slot| slot.info()).collect()
    }
}

#[cfg(test)]
mod tests;
