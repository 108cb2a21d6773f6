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
    /// Questions that a person may ask by pressing, each on a line of its own; left out like buttons.
    #[serde(default)]
    pub questions: Vec<Button>,
    /// Which of several versions of the answer this is.
    #[serde(default)]
    pub version: Option<Version>,
    /// A question to the person, below everything else.
    #[serde(default)]
    pub form: Option<Form>,
    pub language: Language,
}

/// The place of one version of an answer among all; the buttons beside it turn to the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Version {
    /// From 1.
    pub number: u32,
    pub of: u32,
}

/// A short form: one choice and one line of text. A platform without forms shows the choices as buttons with the
/// action [`Action::VoteReason`] and the choice's name as their argument.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Form {
    /// The event whose answer the card shows; comes back in [`crate::event::Press`].
    pub event: EventId,
    pub title: String,
    /// Comes back as the input [`Form::REASON`].
    pub reasons: Vec<Reason>,
    /// What the text field asks for; comes back as the input [`Form::COMMENT`].
    pub comment: String,
    pub submit: String,
    pub close: String,
}

impl Form {
    pub const REASON: &'static str = "reason";
    pub const COMMENT: &'static str = "comment";
}

/// One choice of a form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// Snake_case, as kept in `feedback`.
    pub name: String,
    pub label: String,
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
    /// Comes back as it is; at most 3,000 bytes.
    #[serde(default)]
    pub argument: String,
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

impl Default for Card {
    /// An empty finished card, to be filled by whoever makes one.
    fn default() -> Self {
        Self {
            title: String::new(),
            state: CardState::Done,
            text: String::new(),
            reasoning: String::new(),
            notice: None,
            footer: None,
            buttons: Vec::new(),
            questions: Vec::new(),
            version: None,
            form: None,
            language: Language::default(),
        }
    }
}

impl Language {
    /// The language a person wrote in: Chinese if there is a Han character, else English if there is a letter.
    #[must_use]
    pub fn of(text: &str) -> Self {
        let han = |c: char| ('\u{3400}'..='\u{9fff}').contains(&c) || ('\u{20000}'..='\u{3134f}').contains(&c);
        if text.chars().any(han) || !text.chars().any(char::is_alphabetic) { Self::Zh } else { Self::En }
    }
}
