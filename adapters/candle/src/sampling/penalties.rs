//! Making what has been said less likely to be said again.

use std::collections::{HashMap, VecDeque};

use super::place;

/// Tokens back that the repetition penalty sees: llama.cpp's default.
const WINDOW_TOKENS: usize = 64;

/// How much less likely.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Penalties {
    /// Divides the positive logits, and multiplies the others, of tokens among the latest [`WINDOW_TOKENS`], the
    /// prompt's included, as in llama.cpp; 1 changes nothing.
    pub repetition: f32,
    /// Taken off the logits of tokens that the answer has, as in OpenAI's API.
    pub presence: f32,
    /// Taken off for each time that the answer has the token, as in OpenAI's API.
    pub frequency: f32,
}

impl Penalties {
    #[cfg(test)]
    pub(crate) const NONE: Self = Self { repetition: 1.0, presence: 0.0, frequency: 0.0 };

    /// A penalty that could only break the logits is none.
    fn repeats(self) -> bool {
        self.repetition > 0.0 && self.repetition != 1.0
    }

    fn counts(self) -> bool {
        self.presence != 0.0 || self.frequency != 0.0
    }
}

/// What one answer has said.
#[derive(Debug)]
pub(super) struct History {
    penalties: Penalties,
    latest: VecDeque<u32>,
    /// How often each token is among the latest.
    in_latest: HashMap<u32, u16>,
    /// How often the answer has each token.
    in_answer: HashMap<u32, u32>,
}

impl History {
    pub(super) fn new(penalties: Penalties, prompt: &[u32]) -> Self {
        let mut history =
            Self { penalties, latest: VecDeque::new(), in_latest: HashMap::new(), in_answer: HashMap::new() };
        if penalties.repeats() {
            for &token in &prompt[prompt.len().saturating_sub(WINDOW_TOKENS)..] {
                history.remember(token);
            }
        }
        history
    }

    pub(super) fn apply(&self, logits: &mut [f32]) {
        let Penalties { repetition, presence, frequency } = self.penalties;
        for &token in self.in_latest.keys() {
            if let Some(logit) = place(token).and_then(|place| logits.get_mut(place)) {
                *logit = if *logit > 0.0 { *logit / repetition } else { *logit * repetition };
            }
        }
        for (&token, &count) in &self.in_answer {
            if let Some(logit) = place(token).and_then(|place| logits.get_mut(place)) {
                *logit -= presence + frequency * count as f32;
            }
        }
    }

    pub(super) fn accept(&mut self, token: u32) {
        if self.penalties.repeats() {
            self.remember(token);
        }
        if self.penalties.counts() {
            *self.in_answer.entry(token).or_default() += 1;
        }
    }

    fn remember(&mut self, token: u32) {
        if self.latest.len() == WINDOW_TOKENS
            && let Some(oldest) = self.latest.pop_front()
            && let Some(count) = self.in_latest.get_mut(&oldest)
        {
            *count -= 1;
            if *count == 0 {
                self.in_latest.remove(&oldest);
            }
        }
        self.latest.push_back(token);
        *self.in_latest.entry(token).or_default() += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repetition_weakens_tokens_of_the_prompt_and_the_answer_whatever_their_sign() {
        let mut history = History::new(Penalties { repetition: 2.0, ..Penalties::NONE }, &[0]);
        history.accept(1);
        let mut logits = [4.0, -4.0, 4.0];
        history.apply(&mut logits);
        assert_eq!(logits, [2.0, -8.0, 4.0]);
    }

    #[test]
    fn repetition_forgets_what_lies_outside_its_window() {
        let mut history = History::new(Penalties { repetition: 2.0, ..Penalties::NONE }, &[0, 1]);
        for _ in 0..WINDOW_TOKENS - 1 {
            history.accept(2);
        }
        let mut logits = [4.0, 4.0, 4.0];
        history.apply(&mut logits);
        assert_eq!(logits, [4.0, 2.0, 2.0]);
    }

    #[test]
    fn presence_counts_once_and_frequency_each_time_in_the_answer_alone() {
        let mut history = History::new(Penalties { presence: 0.5, frequency: 0.25, ..Penalties::NONE }, &[0, 1]);
        for token in [1, 1, 2] {
            history.accept(token);
        }
        let mut logits = [1.0; 4];
        history.apply(&mut logits);
        assert_eq!(logits, [1.0, 0.0, 0.25, 1.0]);
    }
}
