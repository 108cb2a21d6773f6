//! Conversations: who shares one, when the bot speaks, what it is asked. Pure functions.

pub mod command;
pub mod follow_up;
pub mod policy;
pub mod summary;
pub mod window;

use crate::event::Message;
use crate::ids::{BotId, ScopeKey};
use crate::settings::SessionScope;

/// The key of the conversation a message belongs to.
///
/// Ids are free text, so the parts are kept apart by JSON quoting; two different scopes never get the same key.
#[must_use]
pub fn scope_key(bot: &BotId, scope: SessionScope, message: &Message) -> ScopeKey {
    let chat = message.chat.id.as_str();
    let parts: Vec<&str> = match (scope, &message.thread) {
        (SessionScope::ChatUser, _) => vec![bot.as_str(), "chat_user", chat, message.sender.id.as_str()],
        (SessionScope::Thread, Some(thread)) => vec![bot.as_str(), "thread", chat, thread.as_str()],
        (SessionScope::Thread, None) | (SessionScope::Chat, _) => vec![bot.as_str(), "chat", chat],
    };
    ScopeKey(serde_json::Value::from(parts).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::tests::message;

    #[test]
    fn scopes_keep_people_chats_topics_and_bots_apart() {
        let bot = BotId::from("it");
        let key = |scope, edit: fn(&mut Message)| {
            let mut one = message("hi");
            edit(&mut one);
            scope_key(&bot, scope, &one)
        };
        let plain = |_: &mut Message| {};
        let other_person = |m: &mut Message| m.sender.id = "other".into();
        let topic = |m: &mut Message| m.thread = Some("topic".into());
        let odd_ids = |m: &mut Message| {
            m.chat.id = "chat\",\"u".into();
            m.sender.id = "ser".into();
        };
        use SessionScope::{Chat, ChatUser, Thread};
        assert_ne!(key(ChatUser, plain), key(ChatUser, other_person));
        assert_eq!(key(Chat, plain), key(Chat, other_person));
        assert_ne!(key(Thread, plain), key(Thread, topic));
        assert_eq!(
            key(Thread, topic),
            key(Thread, |m| {
                m.thread = Some("topic".into());
                m.sender.id = "other".into();
            })
        );
        assert_ne!(key(ChatUser, plain), key(ChatUser, odd_ids));
        assert_ne!(key(Chat, plain), scope_key(&BotId::from("hr"), Chat, &message("hi")));
    }
}
