//! Work that Magpie gives itself. It is kept in the inbox like what comes from a platform, so it survives a crash, is
//! done once, and keeps its place among a conversation's messages.

use serde::{Deserialize, Serialize};

use crate::event::ReplyTo;
use crate::ids::{ConversationId, EventId, UserId};

/// A task of one bot.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Task {
    /// Answer a question once more; the new answer becomes another version in the same card.
    Regenerate {
        /// The event that carries the question.
        of: EventId,
        /// The engine to ask first; `None`: as the bot always does.
        engine: Option<String>,
        by: UserId,
    },
    /// Fold the older turns of a conversation into its summary.
    Summarise { conversation: ConversationId },
    /// Propose questions that could follow an answer, in its card.
    FollowUp {
        /// The event that carries the question.
        of: EventId,
        conversation: ConversationId,
    },
    /// Send something that answers nothing.
    Post { to: ReplyTo, post: Post },
}

/// What is sent without having been asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Post {
    /// Heading of the card; empty: the beginning of the text.
    pub title: String,
    /// Markdown as a model writes it.
    pub text: String,
    /// Questions offered as buttons.
    pub questions: Vec<String>,
}

impl Task {
    /// Who wanted it, if a person did.
    #[must_use]
    pub fn asked_by(&self) -> Option<&UserId> {
        match self {
            Self::Regenerate { by, .. } => Some(by),
            Self::Summarise { .. } | Self::FollowUp { .. } | Self::Post { .. } => None,
        }
    }
}
