//! The state of one delivery, kept in its [`CardRef`] between calls and across processes.

use magpie_core::clock::UnixMillis;
use magpie_core::platform::CardRef;
use serde::{Deserialize, Serialize};

use crate::errors::Class;

/// How a delivery is shown, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Form {
    /// A card entity whose text is typed on by the client.
    Stream,
    /// The same entity after streaming ended early: replaced as a whole.
    Entity,
    /// A card in a message, replaced by changing the message.
    Patch,
    /// One card at the end.
    #[default]
    Once,
    /// Text at the end.
    Text,
}

impl Form {
    /// What can still work after a final card failed for such a reason; `None` if nothing else would. Refused words
    /// are refused in every form: the caller has to choose others.
    pub(crate) fn after(self, class: Class) -> Option<Self> {
        match class {
            Class::Token | Class::Busy | Class::Operator(_) | Class::Gone | Class::Words | Class::Sequence => {
                return None;
            }
            // Our own card was taken back by hand: nobody wants it again.
            Class::Recalled if self != Self::Once => return None,
            _ => {}
        }
        match self {
            Self::Stream | Self::Entity => Some(Self::Patch),
            Self::Patch => Some(Self::Once),
            Self::Once => Some(Self::Text),
            Self::Text => None,
        }
    }
}

/// Everything another process needs beside the ids in the [`CardRef`].
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Progress {
    pub(crate) form: Form,
    /// The card is in the chat, even if its message id was never learnt.
    pub(crate) shown: bool,
    /// The message to answer is gone: what follows goes to the chat.
    pub(crate) to_chat: bool,
    /// When streaming was last switched on; the platform switches it off 10 minutes later.
    pub(crate) streaming_since: UnixMillis,
    /// Messages after the first that are sent already.
    pub(crate) more_sent: usize,
    /// How often the finished card was brought back to running.
    pub(crate) reopened: u32,
    /// The final state is shown.
    pub(crate) done: bool,
}

impl Progress {
    /// The state saved in `at`.
    pub(crate) fn of(at: &CardRef) -> Self {
        serde_json::from_value(at.form.clone()).unwrap_or_default()
    }

    pub(crate) fn save(&self, at: &mut CardRef) {
        at.form = serde_json::to_value(self).expect("plain fields always serialise");
    }
}
