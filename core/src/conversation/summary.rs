//! The running summary of a conversation that has become too long: when it is due, what goes into it, what an engine is
//! asked. Pure functions.

use crate::engine::{Prompt, PromptMessage, Role, Sampling, estimate_tokens};
use crate::ids::EventId;
use crate::store::StoredMessage;

/// Context of an engine that does not tell it.
pub const USUAL_CONTEXT_TOKENS: usize = 4096;

/// Of a context, history may fill this much before it is folded: the rest is for instructions, question and answer.
const HISTORY_SHARE: (usize, usize) = (1, 2);
/// What stays word by word after folding.
const KEPT_SHARE: (usize, usize) = (1, 4);
/// What a summary may take.
const SUMMARY_SHARE: (usize, usize) = (1, 8);

const INSTRUCTIONS: &str = "You keep the notes of a conversation between a person and an assistant. Write one new \
    summary that replaces the old one. Keep names, numbers, decisions, open questions and what the person wants and \
    likes. Leave out pleasantries. Write in the language of the conversation, as a few short sentences, and nothing else.";

/// What is folded.
#[derive(Debug, Clone, PartialEq)]
pub struct Folding {
    pub prompt: Prompt,
    /// The last event that the new summary covers.
    pub upto: EventId,
    /// How many messages it covers anew.
    pub messages: usize,
}

/// Whether what was said since the last summary no longer fits into what an engine is given.
#[must_use]
pub fn overflows(history: &[StoredMessage], limit_messages: u32, context_tokens: usize) -> bool {
    let full = usize::try_from(limit_messages).is_ok_and(|limit| history.len() >= limit);
    full || tokens(history) > share(context_tokens, HISTORY_SHARE)
}

/// What to fold of `history` (all since the last summary, oldest first) into `old`. The latest turns stay; `None` if
/// nothing else is there.
#[must_use]
pub fn fold(
    old: Option<&str>,
    history: &[StoredMessage],
    limit_messages: u32,
    context_tokens: usize,
) -> Option<Folding> {
    let kept = kept(history, limit_messages, context_tokens);
    let candidates = &history[..history.len() - kept];
    // What one reading of the engine can take; the rest has its turn the next time.
    let room = share(context_tokens, HISTORY_SHARE);
    let mut used = old.map_or(0, estimate_tokens);
    let mut lines = Vec::new();
    let mut upto = None;
    for message in candidates {
        let line = line(message, room);
        used += estimate_tokens(&line);
        if used > room && upto.is_some() {
            break;
        }
        lines.push(line);
        // A question without its answer is no place to stop at.
        if message.role == Role::Assistant {
            upto = message.event.map(|event| (event, lines.len()));
        }
    }
    let (upto, messages) = upto?;
    lines.truncate(messages);
    let notes = old.map_or_else(String::new, |old| format!("Old summary:\n{old}\n\n"));
    let text = format!("{notes}The conversation since then:\n{}", lines.join("\n"));
    let message = |role, text: String| PromptMessage { role, text };
    let max_tokens = u32::try_from(share(context_tokens, SUMMARY_SHARE)).unwrap_or(u32::MAX);
    let prompt = Prompt {
        messages: vec![message(Role::System, INSTRUCTIONS.to_owned()), message(Role::User, text)],
        images: Vec::new(),
        sampling: Sampling { max_tokens: Some(max_tokens), temperature: Some(0.0), ..Sampling::default() },
        conversation: None,
    };
    Some(Folding { prompt, upto, messages })
}

/// A summary within its share of the context, whatever the engine wrote.
#[must_use]
pub fn shorten(summary: &str, context_tokens: usize) -> String {
    let room = share(context_tokens, SUMMARY_SHARE);
    let mut kept = summary.trim().to_owned();
    while estimate_tokens(&kept) > room {
        let half = kept.chars().count() * 7 / 8;
        kept = kept.chars().take(half).collect();
    }
    kept
}

/// How many of the latest messages stay as they are; whole turns only.
fn kept(history: &[StoredMessage], limit_messages: u32, context_tokens: usize) -> usize {
    let most = usize::try_from(limit_messages / 2).unwrap_or(usize::MAX);
    let (mut tokens, mut kept) = (0, 0);
    for (index, message) in history.iter().rev().enumerate() {
        tokens += estimate_tokens(&message.text);
        if index + 1 > most || tokens > share(context_tokens, KEPT_SHARE) {
            break;
        }
        if message.role == Role::User {
            kept = index + 1;
        }
    }
    kept
}

fn line(message: &StoredMessage, room: usize) -> String {
    let who = if message.role == Role::User { "Person" } else { "Assistant" };
    format!("{who}: {}", shorten(&message.text, room * SUMMARY_SHARE.1 / (2 * SUMMARY_SHARE.0)))
}

fn tokens(history: &[StoredMessage]) -> usize {
    history.iter().map(|message| estimate_tokens(&message.text)).sum()
}

fn share(whole: usize, (part, of): (usize, usize)) -> usize {
    whole * part / of
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::clock::UnixMillis;

    fn turns(count: usize, text: &str) -> Vec<StoredMessage> {
        let stored =
            |event, role| StoredMessage { event: Some(event), role, text: text.to_owned(), created_at: UnixMillis(0) };
        let events = (1..=count).map(|number| EventId(uuid::Uuid::from_u128(number as u128)));
        events.flat_map(|event| [stored(event, Role::User), stored(event, Role::Assistant)]).collect()
    }

    #[test]
    fn a_conversation_overflows_by_messages_or_by_tokens() {
        assert!(!overflows(&turns(4, "short"), 20, 4096));
        assert!(overflows(&turns(10, "short"), 20, 4096));
        assert!(overflows(&turns(2, &"long ".repeat(1_000)), 20, 4096));
    }

    #[test]
    fn the_older_half_is_folded_and_the_old_summary_goes_in() {
        let folding = fold(Some("They met."), &turns(10, "hello"), 20, 4096).unwrap();
        assert_eq!((folding.upto.0.as_u128(), folding.messages), (5, 10));
        assert!(folding.prompt.messages[1].text.contains("Old summary:\nThey met."));
        assert_eq!(folding.prompt.messages[1].text.matches("Person: hello").count(), 5);
        assert_eq!(fold(None, &turns(1, "hello"), 20, 4096), None, "the latest turn stays");
    }

    proptest! {
        #[test]
        fn whatever_is_folded_fits_and_ends_with_an_answer(
            count in 1_usize..40, words in 0_usize..400, limit in 2_u32..40, context in 256_usize..5_000,
        ) {
            let history = turns(count, &"word ".repeat(words));
            if let Some(folding) = fold(None, &history, limit, context) {
                let tokens: usize = folding.prompt.messages.iter().map(|m| estimate_tokens(&m.text)).sum();
                prop_assert!(tokens <= context + estimate_tokens(INSTRUCTIONS) + 64, "{tokens} of {context}");
                prop_assert!(folding.messages % 2 == 0 && folding.messages <= history.len());
                prop_assert_eq!(folding.upto, history[folding.messages - 1].event.unwrap());
            }
            prop_assert!(estimate_tokens(&shorten(&"字".repeat(words), context)) <= context / 8);
        }
    }
}
