//! Everything the platform can tell the service: messages, lifecycle events, redeliveries, arbitrary bodies.

use serde_json::{Value, json};

use super::push::{Attempt, Seal};
use super::said::{self, Said};
use super::{FeishuSim, ids};
use crate::view::Pushed;

/// The service did not pass the check of its URL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the webhook answered the challenge with status {status}")]
pub struct UrlRefused {
    /// 0 when nothing answered.
    pub status: u16,
    pub answer: String,
}

const BOT_ADDED: &str = "im.chat.member.bot.added_v1";
const BOT_REMOVED: &str = "im.chat.member.bot.deleted_v1";
const MESSAGE: &str = "im.message.receive_v1";

impl FeishuSim {
    /// Sends a person's message: it becomes visible and is pushed. Returns after the first attempt; further ones
    /// follow the retry schedule in the background. In a group without the bot nothing is pushed (status 0).
    pub async fn send(&self, said: Said) -> Pushed {
        let (id, event) = {
            let mut world = self.shared.world();
            let Some(id) = said.post_into(&mut world) else { return Pushed::nothing("") };
            let inside = world.message(&id).and_then(|it| world.chat(&it.chat_id)).is_some_and(|chat| chat.bot_inside);
            let told = world.message(&id).map(|message| said::event_of(&world, message)).unwrap_or_default();
            let event = self.shared.envelope(MESSAGE, told);
            if let Some(message) = world.message_mut(&id) {
                message.event = Some(event.clone());
            }
            (id, inside.then_some(event))
        };
        self.shared.changed();
        let Some(event) = event else { return Pushed::nothing(&id) };
        if self.shared.faults.take_hold() {
            self.shared.held().push(event);
            return Pushed::nothing(&id);
        }
        let attempt = self.deliver_with_duplicates(event).await;
        self.release_held().await;
        pushed(&id, attempt)
    }

    /// Delivers what [`super::Faults::hold_pushes`] held back, last first.
    pub async fn release_held(&self) {
        let held: Vec<Value> = std::mem::take(&mut *self.shared.held());
        for event in held.into_iter().rev() {
            self.shared.deliver(event).await;
        }
    }

    async fn deliver_with_duplicates(&self, event: Value) -> Attempt {
        let extra = self.shared.faults.duplicates();
        let copies = (0..extra).map(|_| self.shared.attempt(&event, Seal::Event));
        let (attempt, _) = futures::join!(self.shared.deliver(event.clone()), futures::future::join_all(copies));
        attempt
    }

    /// Delivers the event of a message once more, unchanged but sealed afresh.
    pub async fn deliver_again(&self, message_id: &str) -> Pushed {
        let event = self.event_of(message_id);
        about(message_id, self.push_body(&event).await)
    }

    /// Delivers the same message under another event id, as the platform sometimes does.
    pub async fn deliver_under_new_event_id(&self, message_id: &str) -> Pushed {
        let mut event = self.event_of(message_id);
        event["header"]["event_id"] = ids::fresh("").into();
        about(message_id, self.push_body(&event).await)
    }

    /// Pushes any version 2 event with a fresh id, with retries.
    pub async fn push_event(&self, event_type: &str, event: Value) -> Pushed {
        let event = self.shared.envelope(event_type, event);
        pushed("", self.shared.deliver(event).await)
    }

    /// Pushes any decrypted body once, sealed as events are.
    pub async fn push_body(&self, body: &Value) -> Pushed {
        pushed("", self.shared.attempt(body, Seal::Event).await)
    }

    /// Pushes these very bytes once.
    pub async fn push_raw(&self, headers: Vec<(String, String)>, body: Vec<u8>) -> Pushed {
        pushed("", self.shared.attempt_raw(headers, body).await)
    }

    /// Headers and bytes that [`FeishuSim::push_body`] would send, to be damaged and pushed raw, or pushed twice.
    #[must_use]
    pub fn seal(&self, body: &Value) -> (Vec<(String, String)>, Vec<u8>) {
        self.shared.sealed(body, Seal::Event)
    }

    /// A complete version 2 event around `event`, with fresh id and times, not pushed.
    #[must_use]
    pub fn envelope(&self, event_type: &str, event: Value) -> Value {
        self.shared.envelope(event_type, event)
    }

    /// The event by which a message was pushed; null if it was not.
    #[must_use]
    pub fn event_of(&self, message_id: &str) -> Value {
        self.shared.world().message(message_id).and_then(|message| message.event.clone()).unwrap_or_default()
    }

    /// Sends the challenge, as the console does when the URL is saved: encrypted, but not signed.
    ///
    /// # Errors
    /// If the answer is not 200 with exactly the challenge.
    pub async fn verify_url(&self) -> Result<(), UrlRefused> {
        let challenge = ids::fresh("");
        let token = &self.shared.config.verification_token;
        let body = json!({"challenge": challenge, "token": token, "type": "url_verification"});
        let Attempt { status, answer } = self.shared.attempt(&body, Seal::Challenge).await;
        let answered: Value = serde_json::from_str(&answer).unwrap_or_default();
        match status == 200 && answered == json!({"challenge": challenge}) {
            true => Ok(()),
            false => Err(UrlRefused { status, answer }),
        }
    }

    /// Someone adds the bot to a group.
    pub async fn add_bot(&self, chat_id: &str, operator: &str) -> Pushed {
        self.set_bot_inside(chat_id, Membership::Inside);
        self.push_event(BOT_ADDED, self.membership_event(chat_id, operator)).await
    }

    /// Someone removes the bot from a group: sending there fails from now on (230002).
    pub async fn remove_bot(&self, chat_id: &str, operator: &str) -> Pushed {
        let event = self.membership_event(chat_id, operator);
        self.set_bot_inside(chat_id, Membership::Outside);
        self.push_event(BOT_REMOVED, event).await
    }

    /// A person opens the direct chat; without a last message in the event it is the first time.
    pub async fn enter_direct_chat(&self, user: &str) -> Pushed {
        let mut event = json!({
            "chat_id": self.direct_chat(user).unwrap_or_default(),
            "operator_id": self.user_ids(user),
        });
        {
            let world = self.shared.world();
            if let Some(last) = world.direct_chat(user).and_then(|chat| world.messages_in(chat).next_back()) {
                event["last_message_id"] = json!(last.id);
                event["last_message_create_time"] = json!(last.created_ms.to_string());
            }
        }
        self.push_event("im.chat.access_event.bot_p2p_chat_entered_v1", event).await
    }

    /// A person takes back a message.
    pub async fn recall(&self, message_id: &str) -> Pushed {
        let chat_id = {
            let mut world = self.shared.world();
            let Some(message) = world.message_mut(message_id) else { return Pushed::nothing(message_id) };
            message.recalled = true;
            message.chat_id.clone()
        };
        self.shared.changed();
        let event = json!({
            "message_id": message_id,
            "chat_id": chat_id,
            "recall_time": self.shared.clock.now_ms().to_string(),
            "recall_type": "message_owner",
        });
        about(message_id, self.push_event("im.message.recalled_v1", event).await)
    }

    /// A person picks an entry of the bot's menu.
    pub async fn pick_menu(&self, user: &str, event_key: &str) -> Pushed {
        let event = json!({
            "operator": {"operator_id": self.user_ids(user)},
            "event_key": event_key,
            "timestamp": self.shared.clock.now_ms() / 1_000,
        });
        self.push_event("application.bot.menu_v6", event).await
    }

    /// A person reacts to a message with an emoji.
    pub async fn react(&self, message_id: &str, user: &str, emoji_type: &str) -> Pushed {
        let event = json!({
            "message_id": message_id,
            "reaction_type": {"emoji_type": emoji_type},
            "operator_type": "user",
            "user_id": self.user_ids(user),
            "action_time": self.shared.clock.now_ms().to_string(),
        });
        about(message_id, self.push_event("im.message.reaction.created_v1", event).await)
    }

    fn membership_event(&self, chat_id: &str, operator: &str) -> Value {
        let name = self.shared.world().chat(chat_id).map(|chat| chat.title.clone()).unwrap_or_default();
        json!({
            "chat_id": chat_id,
            "operator_id": self.user_ids(operator),
            "external": false,
            "operator_tenant_key": self.shared.config.tenant_key,
            "name": name,
            "i18n_names": {"zh_cn": "", "en_us": "", "ja_jp": ""},
        })
    }

    fn user_ids(&self, open_id: &str) -> Value {
        let world = self.shared.world();
        world.person(open_id).map_or_else(|| json!({"open_id": open_id}), |person| person.ids())
    }

    fn set_bot_inside(&self, chat_id: &str, membership: Membership) {
        if let Some(chat) = self.shared.world().chat_mut(chat_id) {
            chat.bot_inside = membership == Membership::Inside;
        }
        self.shared.changed();
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Membership {
    Inside,
    Outside,
}

fn pushed(id: &str, attempt: Attempt) -> Pushed {
    Pushed { id: id.to_owned(), status: attempt.status, answer: attempt.answer }
}

/// The same outcome, about this message.
fn about(message_id: &str, pushed: Pushed) -> Pushed {
    Pushed { id: message_id.to_owned(), ..pushed }
}
