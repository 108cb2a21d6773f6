//! From a prompt to what the scheduler takes: rendered, in tokens, with its sampler and decoder.
//!
//! All of this happens on the side of whoever asks, so that the engine thread only computes.

use std::sync::Arc;

use magpie_core::engine::{EngineError, Prompt};

use crate::decode::Decoder;
use crate::engine::NAME;
use crate::model::ModelSummary;
use crate::sampling::{Grammars, Sampler, SamplingPlan};
use crate::template::ChatTemplate;
use crate::tokenizer::Tokenizer;

/// What prompts that do not say otherwise get.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Defaults {
    pub max_tokens: u32,
    pub temperature: f64,
    pub top_p: f64,
}

/// Everything about a model but its numbers.
pub(crate) struct Language {
    pub tokenizer: Arc<Tokenizer>,
    pub grammars: Grammars,
    pub template: ChatTemplate,
    pub summary: ModelSummary,
    pub defaults: Defaults,
}

/// A prompt as the scheduler needs it.
pub(crate) struct Prepared {
    pub tokens: Vec<u32>,
    /// Longest answer in tokens.
    pub answer_tokens: usize,
    pub sampler: Sampler,
    pub decoder: Decoder,
}

impl Language {
    /// Prepares a prompt. Takes as long as the prompt is, so not for a thread that has other things to do.
    ///
    /// # Errors
    /// [`EngineError::Rejected`]: the template or the format does not allow it, or it is longer than the context.
    pub(crate) fn prepare(&self, prompt: &Prompt) -> Result<Prepared, EngineError> {
        let rejected = |what: String| EngineError::Rejected { engine: NAME.to_owned(), what };
        let rendered = self
            .template
            .render(&prompt.messages)
            .map_err(|error| rejected(format!("the chat template does not take this conversation ({error})")))?;
        let tokens = self.tokenizer.encode_prompt(&rendered.fragments());
        let context = self.summary.context_tokens;
        if tokens.is_empty() || tokens.len() >= context {
            let what = format!("the prompt has {} tokens, the context holds {context} with the answer", tokens.len());
            return Err(rejected(what));
        }
        // Some fine-tunes name tokens that their network was never widened for.
        if let Some(token) = tokens.iter().find(|&&token| token as usize >= self.summary.vocabulary_size) {
            return Err(rejected(format!("it contains the token {token}, which the model's network does not know")));
        }
        let plan = SamplingPlan::new(&prompt.sampling, self.defaults.temperature, self.defaults.top_p);
        let constraint = self
            .grammars
            .constraint(&prompt.sampling.response_format, rendered.opens_reasoning())
            .map_err(|error| rejected(error.to_string()))?;
        let wanted = prompt.sampling.max_tokens.unwrap_or(self.defaults.max_tokens);
        Ok(Prepared {
            answer_tokens: usize::try_from(wanted).unwrap_or(usize::MAX).min(context - tokens.len()),
            sampler: Sampler::new(plan, &tokens, constraint),
            decoder: Decoder::new(&prompt.sampling.stop, rendered.opens_reasoning()),
            tokens,
        })
    }
}
