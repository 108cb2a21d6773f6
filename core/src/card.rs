//! What goes out: a neutral card. How it looks is the adapters' templates' business.

use serde::{Deserialize, Serialize};

use crate::engine::EngineKind;
use crate::event::Action;
use crate::ids::EventId;

/// A card as the turn wants it seen. Adapters render it whole at every update.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Card {
    /// Title in the header and the chat list: the beginning of the question.
    pub title: String,
    pub state: CardState,
    /// The answer so far, Markdown as a model writes it. Adapters make it safe for their platform.
    pub text: String,
    /// The model's reasoning so far, apart from the answer.
    pub reasoning: String,
    /// One sentence beside the answer: waiting, stopped, failed, interrupted.
    pub notice: Option<String>,
    pub footer: Option<Footer>,
    /// In order; adapters leave them out where presses could not come back.
    pub buttons: Vec<Button>,
    pub language: Language,
}

/// How far a card is. All but the first two are final.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CardState {
    /// Shown at once, before any text.
    Thinking,
    /// Text is coming.
    Streaming,
    Done,
    /// Ended by a person.
    Stopped,
    /// Ended without an answer, or in the middle of one; `notice` says so.
    Failed,
}

impl CardState {
    #[must_use]
    pub fn is_final(self) -> bool {
        !matches!(self, Self::Thinking | Self::Streaming)
    }

    /// `thinking`, `streaming`, `done`, `stopped` or `failed`: the name templates see.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Thinking => "thinking",
            Self::Streaming => "streaming",
            Self::Done => "done",
            Self::Stopped => "stopped",
            Self::Failed => "failed",
        }
    }
}

/// Small print: who answered, how long it took, what it cost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Footer {
    pub engine: String,
    pub engine_kind: EngineKind,
    pub model: String,
    /// Why an earlier engine of the strategy did not answer; empty if the first one did.
    pub fallback: Option<String>,
    pub took_ms: u64,
    pub completion_tokens: u32,
    /// The same in one line of the card's language.
    pub line: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Button {
    pub action: Action,
    pub label: String,
    pub style: ButtonStyle,
    /// The event whose answer the card shows; comes back in [`crate::event::Press`].
    pub event: EventId,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ButtonStyle {
    Default,
    Primary,
    Danger,
}

/// Language of fixed texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    #[default]
    Zh,
    En,
}

impl Language {
    /// The language a person wrote in: Chinese if there is a Han character, else English if there is a letter.
    #[must_use]
    pub fn of(text: &str) -> Self {
        let han = |c: char| ('\u{3400}'..='\u{9fff}').contains(&c) || ('\u{20000}'..='\u{3134f}').contains(&c);
        if text.chars().any(han) || !text.chars().any(char::is_alphabetic) { Self::Zh } else { Self::En }
    }
}
