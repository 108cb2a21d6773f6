//! The state of a delivery between two calls: in which form the answer is shown, and how far it got. Saved by the
//! caller as [`CardRef::form`], so that another process can go on. It changes with the stages only, not with every
//! frame: the caller saves it whenever it changes.

use magpie_core::clock::UnixMillis;
use magpie_core::platform::CardRef;
use serde::{Deserialize, Serialize};

/// How an answer is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "as", rename_all = "snake_case")]
pub(crate) enum Form {
    Card(CardForm),
    /// Markdown messages at the end; nothing is shown before.
    Messages(MessagesForm),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CardForm {
    pub template: Template,
    pub stage: Stage,
    pub live: Live,
    /// The notice that stands in the card while there is no text.
    pub shown_notice: Option<String>,
    /// Since when the platform does not take the card's end.
    pub end_fails_since: Option<UnixMillis>,
    /// The part of the answer that does not fit into the card.
    pub rest: Option<MessagesForm>,
}

/// Which template a card has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Template {
    /// The configured one.
    Own,
    /// The public AI card.
    Public,
}

impl Template {
    /// The step that a card's id is derived from: another template wants another card.
    pub fn step(self) -> &'static str {
        match self {
            Self::Own => "card-own",
            Self::Public => "card",
        }
    }
}

/// How a card shows text that is still growing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Live {
    Frames,
    /// The app may not stream; the card is updated whole.
    Updates,
    /// Frames were not understood, or somebody closed the card: only the end is shown.
    Nothing,
}

/// How far a card is. May lag behind the truth after a crash, never run ahead of it; so every step is repeatable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Stage {
    /// Nothing was sent.
    Prepared,
    /// Delivered, shows that something is coming.
    Waiting,
    /// Shows text.
    Writing,
    /// The last frame was taken; buttons are missing.
    Closed,
    /// Final, with buttons.
    Finished,
    /// Running once more; updated whole from here on.
    Reopened,
}

/// Markdown messages on their way.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct MessagesForm {
    /// So much of the text was sent.
    pub sent_bytes: usize,
    /// All was sent.
    pub done: bool,
    /// The session webhook was found expired.
    pub webhook_gone: bool,
}

impl CardForm {
    pub fn new(template: Template) -> Self {
        Self {
            template,
            stage: Stage::Prepared,
            live: Live::Frames,
            shown_notice: None,
            end_fails_since: None,
            rest: None,
        }
    }
}

impl Form {
    /// The state in `at`. One that this version can't read is shown by messages: an answer twice is better than none.
    pub fn of(at: &CardRef) -> Self {
        serde_json::from_value(at.form.clone()).unwrap_or_else(|_| Self::Messages(MessagesForm::default()))
    }

    pub fn save(&self, at: &mut CardRef) {
        at.form = serde_json::to_value(self).unwrap_or_default();
    }
}
