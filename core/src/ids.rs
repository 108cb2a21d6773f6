//! Identifiers. A platform's ids and ours are different types, so they can't be mixed up.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

macro_rules! text_id {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub String);

        impl $name {
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl From<&str> for $name {
            fn from(value: &str) -> Self {
                Self(value.to_owned())
            }
        }

        impl From<String> for $name {
            fn from(value: String) -> Self {
                Self(value)
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }
    )*};
}

text_id! {
    /// A bot's name in the configuration (`[bots.NAME]`), used in URLs and logs.
    BotId;
    /// A chat on a platform (Feishu `oc_…`, DingTalk `cid…`).
    ChatId;
    /// A person or bot on a platform (Feishu open id; DingTalk user id, or encrypted sender id where there is none).
    UserId;
    /// A topic inside a chat.
    ThreadId;
    /// A message on a platform.
    MessageId;
    /// A card entity on a platform (Feishu CardKit id, DingTalk `outTrackId`).
    CardId;
    /// What the inbox keeps in order: events with equal keys are answered one at a time.
    ScopeKey;
    /// A process that claims events; two running processes never share one.
    WorkerId;
}

macro_rules! own_id {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl $name {
            /// A new id; ids made later sort later (UUID version 7).
            #[must_use]
            pub fn new() -> Self {
                Self(Uuid::now_v7())
            }
        }

        impl Default for $name {
            fn default() -> Self {
                Self::new()
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }

        impl std::str::FromStr for $name {
            type Err = uuid::Error;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Uuid::parse_str(text).map(Self)
            }
        }
    )*};
}

own_id! {
    /// An event in the inbox. Everything sent because of it derives its idempotency keys from this id.
    EventId;
    /// A conversation: one topic of one scope, from its first message until `/new` or a long silence.
    ConversationId;
    /// A delivery: one answer on its way to a platform.
    DeliveryId;
}
