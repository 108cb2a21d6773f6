//! Choosing the next token of one answer.
//!
//! The steps, in this order, each on what the one before it left:
//!
//! 1. logit bias is added;
//! 2. a `constraint` takes away what cannot become JSON;
//! 3. `penalties` for what has been said already;
//! 4. top-k, top-p, min-p: see `candidates`;
//! 5. temperature, then chance.
//!
//! That is the order of llama.cpp's default chain, so that settings tuned there mean the same here: top-p and min-p
//! look at the probabilities before temperature flattens them. Only the constraint differs; there a token is chosen
//! first and chosen anew if the grammar refuses it.
//!
//! Nothing here knows of other answers, so equal seeds give equal tokens whatever else is computed.

mod candidates;
mod constraint;
mod penalties;
mod softmax;

use magpie_core::engine::Sampling;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use candidates::Candidates;
pub(crate) use constraint::{Constraint, Grammars};
use penalties::History;
pub(crate) use penalties::Penalties;

/// How an answer wants its tokens chosen, with every default filled in.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct SamplingPlan {
    /// 0 or less takes the likeliest token.
    pub temperature: f64,
    /// Only so many of the likeliest tokens are considered; 0 considers all.
    pub top_k: usize,
    /// Only the likeliest tokens that together have this probability are considered; 1 considers all.
    pub top_p: f64,
    /// Only tokens with this share of the likeliest one's probability are considered; 0 considers all.
    pub min_p: f64,
    pub penalties: Penalties,
    /// Added to the logits of single tokens.
    pub logit_bias: Vec<(u32, f32)>,
    /// Equal seeds give equal answers of one build of one model; `None` takes chance.
    pub seed: Option<u64>,
}

impl SamplingPlan {
    /// What a prompt asks for; temperature and top-p are the operator's where it says nothing.
    pub(crate) fn new(sampling: &Sampling, temperature: f64, top_p: f64) -> Self {
        Self {
            temperature: sampling.temperature.unwrap_or(temperature),
            top_k: sampling.top_k.map_or(0, |tokens| usize::try_from(tokens).unwrap_or(usize::MAX)),
            top_p: sampling.top_p.unwrap_or(top_p),
            min_p: sampling.min_p.unwrap_or(0.0),
            penalties: Penalties {
                repetition: sampling.repetition_penalty.unwrap_or(1.0) as f32,
                presence: sampling.presence_penalty.unwrap_or(0.0) as f32,
                frequency: sampling.frequency_penalty.unwrap_or(0.0) as f32,
            },
            logit_bias: sampling.logit_bias.iter().map(|(&token, &bias)| (token, bias as f32)).collect(),
            seed: sampling.seed,
        }
    }

    fn is_greedy(&self) -> bool {
        self.temperature.is_nan() || self.temperature <= 0.0 || self.top_k == 1
    }
}

/// Chooses the tokens of one answer.
pub(crate) struct Sampler {
    plan: SamplingPlan,
    random: StdRng,
    history: History,
    constraint: Option<Constraint>,
    candidates: Candidates,
}

impl Sampler {
    /// `prompt` counts for the repetition penalty.
    pub(crate) fn new(plan: SamplingPlan, prompt: &[u32], constraint: Option<Constraint>) -> Self {
        Self {
            random: StdRng::seed_from_u64(plan.seed.unwrap_or_else(rand::random)),
            history: History::new(plan.penalties, prompt),
            constraint,
            candidates: Candidates::default(),
            plan,
        }
    }

    /// A token for these logits, one per token of the vocabulary, which it changes; `None` if they are not numbers or
    /// the constraint leaves nothing. The choice counts only once it is accepted.
    pub(crate) fn choose(&mut self, logits: &mut [f32]) -> Option<u32> {
        for &(token, bias) in &self.plan.logit_bias {
            if let Some(logit) = place(token).and_then(|place| logits.get_mut(place)) {
                *logit += bias;
            }
        }
        if let Some(constraint) = &mut self.constraint {
            constraint.mask(logits)?;
        }
        self.history.apply(logits);
        let highest = softmax::highest(logits).filter(|logit| logit.is_finite())?;
        if self.plan.is_greedy() {
            // The first of equals, as everybody else does it.
            let place = logits.iter().position(|&logit| logit == highest)?;
            return u32::try_from(place).ok();
        }
        let chance = self.random.random::<f64>();
        self.candidates.narrow(logits, highest, &self.plan);
        self.candidates.draw(logits, highest, self.plan.temperature, chance)
    }

    /// Takes note of a token that is part of the answer now; `false` if the constraint does not allow it.
    #[must_use]
    pub(crate) fn accept(&mut self, token: u32) -> bool {
        self.history.accept(token);
        self.constraint.as_mut().is_none_or(|constraint| constraint.accept(token))
    }
}

fn place(token: u32) -> Option<usize> {
    usize::try_from(token).ok()
}

#[cfg(test)]
mod tests;
