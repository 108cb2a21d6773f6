//! What this adapter remembers about where an answer goes.

use magpie_core::event::{ChatKind, ReplyTo, Route};
use magpie_core::ids::{ChatId, MessageId, ThreadId, UserId};
use serde::{Deserialize, Serialize};

use crate::mentions::Mentioned;

/// The private part of a [`ReplyTo`].
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct FeishuRoute {
    /// `ReplyTo::chat` is a person's open id: the platform named no chat.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) to_person: bool,
    /// The message lies in a topic, and the answer belongs there.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) in_topic: bool,
    /// Kept while the bot's own id is unknown, so that the text can be cleaned up again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) unsettled: Option<Unsettled>,
}

/// A message's text as it came, with its mentions.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Unsettled {
    pub(crate) text: String,
    pub(crate) mentions: Vec<Mentioned>,
}

impl FeishuRoute {
    /// The route of `to`; the default where it holds nothing of ours.
    pub(crate) fn of(to: &ReplyTo) -> Self {
        serde_json::from_value(to.route.0.clone()).unwrap_or_default()
    }

    pub(crate) fn into_route(self) -> Route {
        Route(serde_json::to_value(self).expect("plain fields always serialise"))
    }
}

/// A place to send to without a message to answer.
pub(crate) fn to_chat(chat: &str, kind: ChatKind, user: Option<&str>) -> ReplyTo {
    ReplyTo {
        chat: ChatId::from(chat),
        chat_kind: kind,
        user: user.map(UserId::from),
        message: None::<MessageId>,
        thread: None::<ThreadId>,
        route: FeishuRoute::default().into_route(),
    }
}

/// A person to send to, where the platform names no chat.
pub(crate) fn to_person(open_id: &str) -> ReplyTo {
    let route = FeishuRoute { to_person: true, ..FeishuRoute::default() };
    ReplyTo { route: route.into_route(), ..to_chat(open_id, ChatKind::Direct, Some(open_id)) }
}
