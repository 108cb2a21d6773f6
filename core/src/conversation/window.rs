//! What an engine gets to read: system prompt, as much history as fits, the question.

use crate::engine::{Prompt, PromptMessage, Role};
use crate::store::StoredMessage;

/// Tokens that a chat template puts around one message, on the high side.
const TOKENS_PER_MESSAGE: usize = 8;

/// The whole conversation as a prompt, before any budget: `fit` makes it short enough for one engine.
///
/// Questions that were never answered are left out, so that user and assistant take turns.
#[must_use]
pub fn messages(system: &str, history: &[StoredMessage], question: &str) -> Vec<PromptMessage> {
    let mut all = Vec::with_capacity(history.len() + 2);
    if !system.is_empty() {
        all.push(PromptMessage { role: Role::System, text: system.to_owned() });
    }
    for pair in history.windows(2) {
        if pair[0].role == Role::User && pair[1].role == Role::Assistant {
            all.extend(pair.iter().map(|one| PromptMessage { role: one.role, text: one.text.clone() }));
        }
    }
    all.push(PromptMessage { role: Role::User, text: question.to_owned() });
    all
}

/// A prompt does not fit, whatever history is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooLong {
    /// What system prompt and question need.
    pub tokens: usize,
    /// What there is.
    pub budget_tokens: usize,
}

/// The prompt within `budget_tokens`, by leaving out the oldest turns; system prompt and question always stay.
///
/// # Errors
/// [`TooLong`] if these two alone exceed the budget.
pub fn fit(prompt: &Prompt, budget_tokens: usize, count: impl Fn(&str) -> usize) -> Result<Prompt, TooLong> {
    let cost = |message: &PromptMessage| count(&message.text) + TOKENS_PER_MESSAGE;
    let (head, rest) = match prompt.messages.split_first() {
        Some((first, rest)) if first.role == Role::System => (Some(first), rest),
        _ => (None, prompt.messages.as_slice()),
    };
    let Some((question, turns)) = rest.split_last() else { return Ok(prompt.clone()) };
    let mut tokens = head.map_or(0, cost) + cost(question);
    if tokens > budget_tokens {
        return Err(TooLong { tokens, budget_tokens });
    }
    // Newest first, whole turns (question and answer) only.
    let mut first_kept = turns.len();
    for turn in turns.rchunks(2) {
        tokens += turn.iter().map(cost).sum::<usize>();
        if tokens > budget_tokens {
            break;
        }
        first_kept -= turn.len();
    }
    let kept = head.into_iter().chain(&turns[first_kept..]).chain([question]).cloned().collect();
    Ok(Prompt { messages: kept, ..prompt.clone() })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::clock::UnixMillis;
    use crate::engine::{Sampling, estimate_tokens};

    fn stored(role: Role, text: &str) -> StoredMessage {
        StoredMessage { event: None, role, text: text.to_owned(), created_at: UnixMillis(0) }
    }

    fn prompt(messages: Vec<PromptMessage>) -> Prompt {
        Prompt { messages, sampling: Sampling::default(), conversation: None }
    }

    #[test]
    fn unanswered_questions_are_left_out() {
        let history = [
            stored(Role::User, "lost"),
            stored(Role::User, "q1"),
            stored(Role::Assistant, "a1"),
            stored(Role::User, "also lost"),
        ];
        let texts: Vec<_> = messages("sys", &history, "q2").into_iter().map(|m| m.text).collect();
        assert_eq!(texts, ["sys", "q1", "a1", "q2"]);
    }

    proptest! {
        #[test]
        fn a_fitted_prompt_keeps_its_budget_its_system_prompt_and_its_question(
            turns in prop::collection::vec(("[a-z ]{0,40}", "[一-龥]{0,40}"), 0..12),
            budget in 0_usize..400,
        ) {
            let history: Vec<_> = turns
                .iter()
                .flat_map(|(q, a)| [stored(Role::User, q), stored(Role::Assistant, a)])
                .collect();
            let whole = prompt(messages("be brief", &history, "why?"));
            match fit(&whole, budget, estimate_tokens) {
                Ok(fitted) => {
                    let cost: usize = fitted.messages.iter().map(|m| estimate_tokens(&m.text) + TOKENS_PER_MESSAGE).sum();
                    prop_assert!(cost <= budget);
                    prop_assert_eq!(&fitted.messages[0].text, "be brief");
                    prop_assert_eq!(&fitted.messages[fitted.messages.len() - 1].text, "why?");
                    let kept = &fitted.messages[1..];
                    prop_assert_eq!(kept, &whole.messages[whole.messages.len() - kept.len()..]);
                }
                Err(too_long) => prop_assert!(too_long.tokens > budget),
            }
        }
    }
}
