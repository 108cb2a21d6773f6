//! The port to a language model.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
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

    /// How much is before a new prompt. An engine that does not know says so by default, and counts as free.
    fn backlog(&self) -> Backlog {
        Backlog::default()
    }
}

/// What a new prompt finds before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Backlog {
    /// Answers that are being generated.
    pub running: usize,
    /// Prompts that wait for that.
    pub waiting: usize,
    /// How long the new prompt's first token will take, by what was measured so far; `None` if that is not known.
    pub expected_wait: Option<Duration>,
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
    /// Whether it understands images.
    #[serde(default)]
    pub vision: bool,
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
    /// Belong to the last message, which speaks of them in this order. Only engines with [`EngineInfo::vision`] are
    /// asked then.
    pub images: Vec<Image>,
    pub sampling: Sampling,
    /// For engines that keep a cache per conversation.
    pub conversation: Option<ConversationId>,
}

/// A picture that an engine can be shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Image {
    media_type: &'static str,
    bytes: Bytes,
}

impl Image {
    /// A picture of a kind that engines understand, told by its first bytes: PNG, JPEG, WebP or GIF; `None` if it is
    /// something else.
    #[must_use]
    pub fn new(bytes: Bytes) -> Option<Self> {
        let media_type = match &bytes[..] {
            [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => "image/png",
            [0xff, 0xd8, 0xff, ..] => "image/jpeg",
            [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => "image/webp",
            [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => "image/gif",
            _ => return None,
        };
        Some(Self { media_type, bytes })
    }

    /// Such as `image/png`.
    #[must_use]
    pub fn media_type(&self) -> &'static str {
        self.media_type
    }

    /// The file as it is.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }
}

impl std::fmt::Debug for Image {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Image").field("media_type", &self.media_type).field("bytes", &self.bytes.len()).finish()
    }
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

/// How to choose tokens. `None` leaves it to the engine's own configuration; an engine that does not know a setting
/// goes without it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Sampling {
    pub max_tokens: Option<u32>,
    /// 0 always takes the likeliest token.
    pub temperature: Option<f64>,
    /// Only the likeliest tokens that together have this probability, from 0 to 1.
    pub top_p: Option<f64>,
    /// Only so many of the likeliest tokens; 0 means all.
    pub top_k: Option<u32>,
    /// Only tokens with at least this share, from 0 to 1, of the likeliest one's probability.
    pub min_p: Option<f64>,
    /// Above 1, tokens of the latest text, the prompt's included, become less likely; 1 changes nothing.
    pub repetition_penalty: Option<f64>,
    /// From -2 to 2: taken off the logits of tokens that the answer has already.
    pub presence_penalty: Option<f64>,
    /// From -2 to 2: the same, once for each time that the answer has the token.
    pub frequency_penalty: Option<f64>,
    /// From -100 to 100, added to the logits of tokens, by the ids of the model that answers.
    pub logit_bias: BTreeMap<u32, f64>,
    pub seed: Option<u64>,
    /// Texts that end the answer; they are not part of it.
    pub stop: Vec<String>,
    pub response_format: ResponseFormat,
}

/// What an answer has to look like. Reasoning is not bound by it.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum ResponseFormat {
    /// Any text.
    #[default]
    Text,
    /// One JSON object.
    Json,
    /// One JSON value of a schema.
    JsonSchema(AnswerSchema),
}

/// A JSON schema that an answer has to follow.
#[derive(Debug, Clone, PartialEq)]
pub struct AnswerSchema {
    /// What the client calls it: letters, digits, `_` and `-`.
    pub name: String,
    /// A JSON object, as json-schema.org describes it.
    pub schema: serde_json::Value,
    /// Whether a remote engine has to follow it exactly or may only try; the local one always follows it exactly.
    pub strict: bool,
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
    /// Snake_case cause: `overloaded`, `unavailable`, `timeout`, `interrupted`, `breaker_open`, `rejected`, `missing`,
    /// `no_vision`.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_are_told_by_their_first_bytes() {
        let kind = |bytes: &'static [u8]| Image::new(Bytes::from_static(bytes)).map(|image| image.media_type());
        assert_eq!(kind(b"\x89PNG\r\n\x1a\n..."), Some("image/png"));
        assert_eq!(kind(b"\xff\xd8\xff\xe0..."), Some("image/jpeg"));
        assert_eq!(kind(b"RIFF....WEBPVP8 "), Some("image/webp"));
        assert_eq!(kind(b"GIF87a..."), Some("image/gif"));
        for other in [b"RIFF....WAVE".as_slice(), b"<svg>", b"\x89PNG", b"", b"BM"] {
            assert_eq!(kind(other), None);
        }
    }
}
