//! Events around the bot: pushed encrypted over HTTP, or as EVENT frames of a Stream connection.
//! Source: open.dingtalk.com, event lists "群会话" and "机器人", August 2026.

use magpie_core::event::{Body, ChatKind, Lifecycle, ReplyTo};
use magpie_core::ids::{ChatId, MessageId, UserId};

use crate::fields::Fields;
use crate::robot::Recipient;
use crate::route::WayBack;

/// What an event of this type means to the bot; anything else, or anything incomplete, is kept as its type alone.
pub(crate) fn read(type_name: &str, event: Fields<'_>, recipient: &Recipient) -> Body {
    known(type_name, event, recipient).map_or_else(|| Body::Other { type_name: type_name.to_owned() }, Body::Lifecycle)
}

fn known(type_name: &str, event: Fields<'_>, recipient: &Recipient) -> Option<Lifecycle> {
    // An app can have several robots; what happens to another one is not ours.
    if event.text("robotCode").is_some_and(|code| code != recipient.robot_code) {
        return None;
    }
    let chat = event.text("openConversationId").map(ChatId::from);
    match type_name {
        "im_cool_app_install" => Some(Lifecycle::BotAdded {
            reply_to: ReplyTo {
                chat: chat?,
                chat_kind: ChatKind::Group,
                user: None,
                message: None,
                thread: None,
                route: WayBack { robot_code: Some(recipient.robot_code.clone()), ..WayBack::default() }.into_route(),
            },
            title: None,
            operator: event.text("operator").map(UserId::from),
        }),
        "im_cool_app_uninstall" | "chat_disband" => Some(Lifecycle::BotRemoved { chat: chat? }),
        "chat_update_title" => Some(Lifecycle::ChatRenamed { chat: chat?, title: event.text("title")?.to_owned() }),
        "robot_msg_recall" => {
            Some(Lifecycle::Recalled { message: MessageId::from(event.text("processQueryKey")?), chat })
        }
        _ => None,
    }
}
