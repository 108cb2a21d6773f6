//! The engine of one endpoint.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::{self, BoxStream};
use magpie_core::cancel::CancelToken;
use magpie_core::engine::{Delta, Engine, EngineError, EngineInfo, EngineKind, Finish, Prompt, estimate_tokens};
use magpie_core::platform::Health;
use tokio::time::{Instant, timeout_at};

use crate::answer::{AnswerReader, Tally};
use crate::config::CloudConfig;
use crate::cooldown::Cooldown;
use crate::open::open;

/// How long usage figures are waited for after the last token: they come at once or never.
const USAGE_GRACE: Duration = Duration::from_secs(2);

/// Tokens that a template adds around a message, for the estimate.
const TOKENS_AROUND_A_MESSAGE: usize = 4;

/// What a picture of usual size costs, for the estimate: endpoints count between 85 and 2000.
const TOKENS_OF_AN_IMAGE: usize = 1000;

/// One OpenAI-compatible endpoint.
pub struct CloudEngine {
    shared: Arc<Shared>,
}

struct Shared {
    config: CloudConfig,
    http: reqwest::Client,
    cooldown: Cooldown,
}

impl CloudEngine {
    /// `http` decides about proxy, redirects and certificates; it must not carry a total timeout, because answers are
    /// limited here, by token.
    #[must_use]
    pub fn new(config: CloudConfig, http: reqwest::Client) -> Self {
        let cooldown = Cooldown::new(config.cooldown);
        Self { shared: Arc::new(Shared { config, http, cooldown }) }
    }
}

impl Engine for CloudEngine {
    fn info(&self) -> EngineInfo {
        EngineInfo {
            name: self.shared.config.name.clone(),
            kind: EngineKind::Cloud,
            model: self.shared.config.model.clone(),
            context_tokens: None,
            vision: self.shared.config.vision,
        }
    }

    fn generate(&self, prompt: Prompt, stop: CancelToken) -> BoxStream<'static, Result<Delta, EngineError>> {
        let generation = Generation::new(Arc::clone(&self.shared), prompt, stop);
        stream::unfold(generation, |mut generation| async move {
            let item = generation.next().await?;
            Some((item, generation))
        })
        .boxed()
    }

    fn health(&self) -> Health {
        self.shared.cooldown.health(Instant::now())
    }
}

/// One answer on its way.
struct Generation {
    shared: Arc<Shared>,
    stop: CancelToken,
    tally: Tally,
    stage: Stage,
    /// When the next token has to be there; set at the first call.
    deadline: Option<Instant>,
    begun: bool,
}

enum Stage {
    Unsent(Box<Prompt>),
    Reading(Box<AnswerReader>),
    Ended,
}

impl Generation {
    fn new(shared: Arc<Shared>, prompt: Prompt, stop: CancelToken) -> Self {
        let texts: usize =
            prompt.messages.iter().map(|message| estimate_tokens(&message.text) + TOKENS_AROUND_A_MESSAGE).sum();
        let estimated_prompt = texts + prompt.images.len() * TOKENS_OF_AN_IMAGE;
        Self {
            shared,
            stop,
            tally: Tally::new(estimated_prompt),
            stage: Stage::Unsent(Box::new(prompt)),
            deadline: None,
            begun: false,
        }
    }

    /// The next item; `None` after the end. Guards [`Self::advance`] with deadline and cancellation.
    async fn next(&mut self) -> Option<Result<Delta, EngineError>> {
        if matches!(self.stage, Stage::Ended) {
            return None;
        }
        let limits = &self.shared.config;
        let deadline = *self.deadline.get_or_insert_with(|| Instant::now() + limits.first_token_timeout);
        let deadline = if self.is_complete() { deadline.min(Instant::now() + USAGE_GRACE) } else { deadline };
        let stop = self.stop.clone();
        let outcome = tokio::select! {
            biased;
            () = stop.cancelled() => Ok(Delta::Done(self.tally().completion(Finish::Cancelled))),
            outcome = timeout_at(deadline, self.advance(deadline)) => outcome.unwrap_or_else(|_| self.out_of_time()),
        };
        self.settle(&outcome);
        Some(outcome)
    }

    async fn advance(&mut self, deadline: Instant) -> Result<Delta, EngineError> {
        let Shared { config, http, cooldown } = &*self.shared;
        if let Stage::Unsent(prompt) = &self.stage {
            if let Some(left) = cooldown.remaining(Instant::now()) {
                let what = format!("left alone for {} s more after repeated failures", left.as_secs() + 1);
                return Err(EngineError::Unavailable { engine: config.name.clone(), what, source: None });
            }
            let response = open(http, config, prompt, deadline).await?;
            let reader = AnswerReader::new(&config.name, response, self.tally);
            self.stage = Stage::Reading(Box::new(reader));
        }
        match &mut self.stage {
            Stage::Reading(reader) => reader.next().await,
            Stage::Unsent(_) | Stage::Ended => Ok(Delta::Done(self.tally.completion(Finish::Stop))),
        }
    }

    fn out_of_time(&self) -> Result<Delta, EngineError> {
        if let Stage::Reading(reader) = &self.stage
            && let Some(completion) = reader.completion()
        {
            return Ok(Delta::Done(completion));
        }
        let config = &self.shared.config;
        let (awaited, waited) = if self.begun {
            ("further token", config.between_tokens_timeout)
        } else {
            ("first token", config.first_token_timeout)
        };
        Err(EngineError::Timeout { engine: config.name.clone(), awaited, waited })
    }

    /// Draws the consequences of what is about to be given out.
    fn settle(&mut self, outcome: &Result<Delta, EngineError>) {
        let cooldown = &self.shared.cooldown;
        let now = Instant::now();
        match outcome {
            Ok(Delta::Done(completion)) => {
                if completion.finish != Finish::Cancelled {
                    cooldown.succeeded();
                }
                self.stage = Stage::Ended;
            }
            Ok(_) => {
                self.begun = true;
                self.deadline = Some(now + self.shared.config.between_tokens_timeout);
            }
            Err(error) => {
                // Being refused because of the cooldown must not prolong it.
                if cooldown.remaining(now).is_none() {
                    cooldown.failed(error, now);
                }
                self.stage = Stage::Ended;
            }
        }
    }

    fn is_complete(&self) -> bool {
        matches!(&self.stage, Stage::Reading(reader) if reader.completion().is_some())
    }

    fn tally(&self) -> Tally {
        match &self.stage {
            Stage::Reading(reader) => reader.tally(),
            Stage::Unsent(_) | Stage::Ended => self.tally,
        }
    }
}
