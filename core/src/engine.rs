//! The port to a language model.

use std::time::Duration;

use futures::stream::BoxStream;
use serde::{Deserialize, Serialize};

use crate::cancel::CancelToken;
use crate::ids::ConversationId;
use crate::platform::Health;

/// A language model that answers one prompt at a time or many at once.
pub trait Engine: Send + Sync {
    fn info(&self) -> EngineInfo;

    /// Begins an answer. The stream ends after [`Delta::Done`] or after its first error; dropping it, or cancelling,
    /// ends the generation within one token. Never hangs: limits of time are the caller's, but a lost connection or a
    /// dead thread is an error.
    fn generate(&self, prompt: Prompt, stop: CancelToken) -> BoxStream<'static, Result<Delta, EngineError>>;

    /// Length of `text` in this engine's tokens; an estimate that errs on the high side where the tokenizer is remote.
    fn count_tokens(&self, text: &str) -> usize {
        estimate_tokens(text)
    }

    fn health(&self) -> Health;
}

/// Who an engine is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EngineInfo {
    /// `local`, or the name of a cloud endpoint: the label in footers, tables and metrics.
    pub name: String,
    pub kind: EngineKind,
    /// Model name as the engine knows it.
    pub model: String,
    /// Longest prompt plus answer; `None` if unknown.
    pub context_tokens: Option<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EngineKind {
    Local,
    Cloud,
}

impl EngineKind {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Cloud => "cloud",
        }
    }
}

/// What an engine is asked.
#[derive(Debug, Clone, PartialEq)]
pub struct Prompt {
    /// System message first if there is one; then user and assistant in turn, user last.
    pub messages: Vec<PromptMessage>,
    pub sampling: Sampling,
    /// For engines that keep a cache per conversation.
    pub conversation: Option<ConversationId>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PromptMessage {
    pub role: Role,
    pub text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    System,
    User,
    Assistant,
}

impl Role {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::User => "user",
            Self::Assistant => "assistant",
        }
    }
}

/// How to choose tokens. `None` leaves it to the engine's own configuration.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Sampling {
    pub max_tokens: Option<u32>,
    pub temperature: Option<f64>,
    pub top_p: Option<f64>,
    pub seed: Option<u64>,
    /// Texts that end the answer; they are not part of it.
    pub stop: Vec<String>,
}

/// One piece of an answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Delta {
    /// Who answers from here on. Sent by the router before anything else, and again after a restart.
    Engine(Choice),
    /// Answer text, never half a character.
    Text(String),
    /// Reasoning apart from the answer.
    Reasoning(String),
    /// Everything so far is void: the next engine begins the answer anew. Sent by the router only.
    Restart,
    /// The end; nothing follows.
    Done(Completion),
}

/// The router's choice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Choice {
    pub engine: EngineInfo,
    /// Why the engine before it did not answer, if there was one.
    pub fallback: Option<Fallback>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fallback {
    /// Name of the engine that did not answer.
    pub from: String,
    /// Snake_case cause: `overloaded`, `unavailable`, `timeout`, `interrupted`, `breaker_open`, `rejected`, `missing`.
    pub reason: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Completion {
    pub prompt_tokens: u32,
    pub completion_tokens: u32,
    pub finish: Finish,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Finish {
    /// The model ended its answer.
    Stop,
    /// `max_tokens` or the context was reached.
    Length,
    /// Somebody cancelled.
    Cancelled,
}

/// Why there is no (further) answer, by what the router can do.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// Too much to do; the next engine may be free.
    #[error("engine {engine} is overloaded; it asks to wait {retry_after:?}")]
    Overloaded { engine: String, retry_after: Option<Duration> },
    /// Not reachable, not loaded, or broken.
    #[error("engine {engine} is not available: {what}")]
    Unavailable {
        engine: String,
        what: String,
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// Nothing came in time.
    #[error("engine {engine} sent no {awaited} within {waited:?}")]
    Timeout { engine: String, awaited: &'static str, waited: Duration },
    /// It began and then died.
    #[error("engine {engine} broke off in the middle of an answer: {what}")]
    Interrupted {
        engine: String,
        what: String,
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// It does not accept this prompt; another engine may.
    #[error("engine {engine} refused the prompt: {what}")]
    Rejected { engine: String, what: String },
    /// Wrong key, unknown model: an operator has to act.
    #[error("engine {engine} is misconfigured: {what}")]
    Misconfigured { engine: String, what: String },
}

impl EngineError {
    /// Snake_case cause for footers, tables and metrics.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Overloaded { .. } => "overloaded",
            Self::Unavailable { .. } => "unavailable",
            Self::Timeout { .. } => "timeout",
            Self::Interrupted { .. } => "interrupted",
            Self::Rejected { .. } => "rejected",
            Self::Misconfigured { .. } => "misconfigured",
        }
    }
}

/// Tokens of `text` by rule of thumb, on the high side: one per Han character or other wide character, one per three
/// bytes of anything else.
#[must_use]
pub fn estimate_tokens(text: &str) -> usize {
    let wide = text.chars().filter(|c| *c >= '\u{2e80}').count();
    let narrow_bytes: usize = text.chars().filter(|c| *c < '\u{2e80}').map(char::len_utf8).sum();
    wide + narrow_bytes.div_ceil(3)
}
