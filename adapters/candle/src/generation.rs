//! One answer, token by token.

use std::ops::ControlFlow;

use magpie_core::engine::{Completion, Delta, EngineError, Finish, Prompt};

use crate::decode::Decoder;
use crate::model::LoadedModel;
use crate::models::chunks;
use crate::sampling::{Sampler, SamplingPlan};

/// What prompts that do not say otherwise get.
#[derive(Debug, Clone)]
pub(crate) struct Defaults {
    /// The engine's name, for errors.
    pub engine: String,
    pub max_tokens: u32,
    pub temperature: f64,
    pub top_p: f64,
}

/// Where an answer goes, and whether it is still wanted.
pub(crate) trait Listener {
    fn tell(&mut self, delta: Delta);
    /// Asked before every token.
    fn wants_more(&self) -> bool;
}

/// Answers a prompt. Everything but the end goes to the listener; the end is returned.
pub(crate) fn generate(
    model: &mut LoadedModel,
    defaults: &Defaults,
    prompt: &Prompt,
    listener: &mut impl Listener,
) -> Result<Completion, EngineError> {
    let rejected = |what: String| EngineError::Rejected { engine: defaults.engine.clone(), what };
    let rendered = model
        .template
        .render(&prompt.messages)
        .map_err(|error| rejected(format!("the chat template does not take this conversation ({error})")))?;
    let tokens = model.tokenizer.encode_prompt(&rendered.fragments());
    let context = model.summary.context_tokens;
    if tokens.is_empty() || tokens.len() >= context {
        let what = format!("the prompt has {} tokens, the context holds {context} with the answer", tokens.len());
        return Err(rejected(what));
    }
    let wanted = prompt.sampling.max_tokens.unwrap_or(defaults.max_tokens);
    let plan = SamplingPlan {
        temperature: prompt.sampling.temperature.unwrap_or(defaults.temperature),
        top_p: prompt.sampling.top_p.unwrap_or(defaults.top_p),
        seed: prompt.sampling.seed,
    };
    let mut answer = Answer {
        sampler: Sampler::new(plan),
        decoder: Decoder::new(&prompt.sampling.stop, rendered.opens_reasoning()),
        limit: usize::try_from(wanted).unwrap_or(usize::MAX).min(context - tokens.len()),
        generated: 0,
        listener,
    };
    let finish = answer.run(model, &tokens).map_err(|what| EngineError::Interrupted {
        engine: defaults.engine.clone(),
        what: what.0.to_owned(),
        source: what.1,
    })?;
    let count = |tokens: usize| u32::try_from(tokens).unwrap_or(u32::MAX);
    Ok(Completion { prompt_tokens: count(tokens.len()), completion_tokens: count(answer.generated), finish })
}

/// Why the model itself failed.
struct Breakdown(&'static str, Option<Box<dyn std::error::Error + Send + Sync>>);

impl From<candle_core::Error> for Breakdown {
    fn from(source: candle_core::Error) -> Self {
        Self("the model could not be computed", Some(Box::new(source)))
    }
}

struct Answer<'a, L> {
    sampler: Sampler,
    decoder: Decoder,
    /// Tokens at most.
    limit: usize,
    generated: usize,
    listener: &'a mut L,
}

impl<L: Listener> Answer<'_, L> {
    fn run(&mut self, model: &mut LoadedModel, prompt: &[u32]) -> Result<Finish, Breakdown> {
        model.weights.reset();
        let mut logits = Vec::new();
        for chunk in chunks(prompt) {
            if !self.listener.wants_more() {
                return Ok(Finish::Cancelled);
            }
            logits = model.weights.forward(chunk)?;
        }
        loop {
            if !self.listener.wants_more() {
                return Ok(Finish::Cancelled);
            }
            if self.generated >= self.limit {
                self.say_what_is_left();
                return Ok(Finish::Length);
            }
            let token = self.sampler.choose(&logits).ok_or(Breakdown("the model computed no numbers", None))?;
            self.generated += 1;
            if model.tokenizer.is_stop(token) {
                self.say_what_is_left();
                return Ok(Finish::Stop);
            }
            if self.say(model.tokenizer.bytes_of(token)).is_break() {
                return Ok(Finish::Stop);
            }
            if self.generated < self.limit {
                logits = model.weights.forward(&[token])?;
            }
        }
    }

    /// Tells what a token adds; breaks at a stop string.
    fn say(&mut self, bytes: &[u8]) -> ControlFlow<()> {
        let mut deltas = Vec::new();
        let stopped = self.decoder.push(bytes, &mut deltas);
        self.tell(deltas);
        if stopped { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn say_what_is_left(&mut self) {
        let mut deltas = Vec::new();
        self.decoder.finish(&mut deltas);
        self.tell(deltas);
    }

    fn tell(&mut self, deltas: Vec<Delta>) {
        for delta in deltas {
            self.listener.tell(delta);
        }
    }
}
