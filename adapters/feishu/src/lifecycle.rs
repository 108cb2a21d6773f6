//! What happens around the bot: groups, direct chats, recalls, menus, reactions.
//!
//! Source: event pages of "Group chat", "Message" and "Bot menu", checked May 2026.

use magpie_core::event::{Body, ChatKind, Lifecycle};
use magpie_core::ids::{ChatId, MessageId, UserId};
use serde_json::Value;

use crate::field;
use crate::route::{to_chat, to_person};

/// Reads an event of that type; `None` if it is none of these, or lacks what it is about.
pub(crate) fn read(event_type: &str, event: &Value) -> Option<Body> {
    let lifecycle = match event_type {
        "im.chat.member.bot.added_v1" => bot_added(event),
        "im.chat.member.bot.deleted_v1" | "im.chat.disbanded_v1" => {
            Some(Lifecycle::BotRemoved { chat: ChatId::from(field::text(event, "chat_id")?) })
        }
        "im.chat.access_event.bot_p2p_chat_entered_v1" => direct_opened(event),
        "im.message.recalled_v1" => Some(Lifecycle::Recalled {
            message: MessageId::from(field::text(event, "message_id")?),
            chat: field::text(event, "chat_id").map(ChatId::from),
        }),
        "application.bot.menu_v6" => menu(event),
        "im.chat.updated_v1" => renamed(event),
        "im.message.reaction.created_v1" => reaction(event, true),
        "im.message.reaction.deleted_v1" => reaction(event, false),
        _ => None,
    };
    lifecycle.map(Body::Lifecycle)
}

fn operator(event: &Value) -> Option<&str> {
    event.get("operator_id").and_then(field::user_id)
}

fn bot_added(event: &Value) -> Option<Lifecycle> {
    let operator = operator(event);
    Some(Lifecycle::BotAdded {
        reply_to: to_chat(field::text(event, "chat_id")?, ChatKind::Group, operator),
        title: field::text(event, "name").map(str::to_owned),
        operator: operator.map(UserId::from),
    })
}

fn direct_opened(event: &Value) -> Option<Lifecycle> {
    Some(Lifecycle::DirectOpened {
        reply_to: to_chat(field::text(event, "chat_id")?, ChatKind::Direct, operator(event)),
        first_time: field::text(event, "last_message_id").is_none(),
    })
}

/// A menu press names no chat: the answer goes to the person.
fn menu(event: &Value) -> Option<Lifecycle> {
    let person = event.get("operator")?.get("operator_id").and_then(|ids| field::text(ids, "open_id"))?;
    Some(Lifecycle::Menu { reply_to: to_person(person), key: field::text(event, "event_key")?.to_owned() })
}

fn renamed(event: &Value) -> Option<Lifecycle> {
    Some(Lifecycle::ChatRenamed {
        chat: ChatId::from(field::text(event, "chat_id")?),
        title: field::text(event.get("after_change")?, "name")?.to_owned(),
    })
}

/// Reactions of apps (our own among them) have no user id and are nothing to act on.
fn reaction(event: &Value, added: bool) -> Option<Lifecycle> {
    let by_person = field::text(event, "operator_type") != Some("app");
    let user = by_person.then(|| event.get("user_id").and_then(field::user_id)).flatten()?;
    Some(Lifecycle::Reaction {
        message: MessageId::from(field::text(event, "message_id")?),
        user: UserId::from(user),
        emoji: field::text(event.get("reaction_type")?, "emoji_type")?.to_owned(),
        added,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn renamed_chat_carries_its_new_title() {
        let event = json!({"chat_id": "oc_1", "after_change": {"name": "New"}});
        let expected = Lifecycle::ChatRenamed { chat: ChatId::from("oc_1"), title: "New".into() };
        assert_eq!(read("im.chat.updated_v1", &event), Some(Body::Lifecycle(expected)));
        let silent = json!({"chat_id": "oc_1", "after_change": {"avatar": "x"}});
        assert_eq!(read("im.chat.updated_v1", &silent), None);
    }

    #[test]
    fn event_without_its_subject_is_not_read() {
        for event_type in ["im.chat.member.bot.added_v1", "im.message.recalled_v1", "application.bot.menu_v6"] {
            assert_eq!(read(event_type, &json!({"chat_id": "", "message_id": null})), None, "{event_type}");
        }
    }
}
