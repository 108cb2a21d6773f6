//! A place in a chat: one person, one chat, one platform. Tests speak from it and see what that person sees.

use std::sync::Arc;
use std::time::Instant;

use magpie_sim::view::{ButtonView, CardState, ChatView, FormAt, MessageView, Pushed, SimulatedPlatform, Utterance};
use serde_json::Value;
use tokio::time::timeout_at;

use super::wait::PATIENCE;

/// One person in one chat with the bot.
#[derive(Clone)]
pub struct Seat {
    pub platform: Arc<dyn SimulatedPlatform>,
    pub chat: String,
    pub user: String,
}

impl Seat {
    pub fn new(platform: Arc<dyn SimulatedPlatform>, chat: &str, user: &str) -> Self {
        Self { platform, chat: chat.to_owned(), user: user.to_owned() }
    }

    /// Says something to the bot (in a group with a mention); gives what became of the first push.
    pub async fn say(&self, text: &str) -> Pushed {
        self.speak(text, true).await
    }

    /// Says something that is acknowledged at the first attempt; gives the message's id.
    pub async fn say_acknowledged(&self, text: &str) -> String {
        let pushed = self.say(text).await;
        assert_eq!(pushed.status, 200, "{text:?} on {}: {}", self.platform.name(), pushed.answer);
        pushed.id
    }

    /// Says something to the others.
    pub async fn say_without_mention(&self, text: &str) -> Pushed {
        self.speak(text, false).await
    }

    async fn speak(&self, text: &str, mention_bot: bool) -> Pushed {
        let (chat, user) = (self.chat.clone(), self.user.clone());
        self.platform.say(Utterance { chat, user, text: text.to_owned(), mention_bot }).await
    }

    /// Asks and waits for the finished answer that contains `part`.
    pub async fn ask(&self, text: &str, part: &str) -> MessageView {
        self.say_acknowledged(text).await;
        self.finished(part).await
    }

    /// What the bot has said here and not taken back, oldest first.
    pub fn answers(&self) -> Vec<MessageView> {
        let chat = self.platform.chats().into_iter().find(|chat| chat.id == self.chat);
        let messages = chat.map(|chat: ChatView| chat.messages).unwrap_or_default();
        messages.into_iter().filter(|message| message.from_bot && message.state != CardState::Recalled).collect()
    }

    /// The answers that contain `part`.
    pub fn answers_with(&self, part: &str) -> Vec<MessageView> {
        self.answers().into_iter().filter(|answer| answer.markdown.contains(part)).collect()
    }

    /// Waits for the finished answer that contains `part`, and sees to it that it is the only one. Finished is a card
    /// that grows no more and offers nothing to stop.
    pub async fn finished(&self, part: &str) -> MessageView {
        let what = format!("a finished answer with {part:?}");
        let is_it = |answer: &MessageView| is_finished(answer) && answer.markdown.contains(part);
        let found = self.answer(&what, is_it).await;
        assert_eq!(self.answers_with(part).len(), 1, "one answer with {part:?}: {}", self.described());
        found
    }

    /// Waits for a card that still grows and contains `part` (an empty one counts everywhere).
    pub async fn streaming(&self, part: &str) -> MessageView {
        let what = format!("a streaming card with {part:?}");
        self.answer(&what, |answer| answer.state == CardState::Streaming && answer.markdown.contains(part)).await
    }

    /// Waits for the newest answer to be like this.
    pub async fn answer(&self, what: &str, fits: impl Fn(&MessageView) -> bool) -> MessageView {
        let mut changes = self.platform.changes();
        let deadline = Instant::now() + PATIENCE;
        loop {
            changes.borrow_and_update();
            if let Some(found) = self.answers().into_iter().rfind(|answer| fits(answer)) {
                return found;
            }
            let changed = timeout_at(deadline.into(), changes.changed()).await;
            assert!(
                changed.is_ok(),
                "waited {PATIENCE:?} for {what}; {} shows: {}",
                self.platform.name(),
                self.described()
            );
        }
    }

    /// Presses the button with this label on one of the bot's cards.
    pub async fn press(&self, card: &MessageView, label: &str) -> Pushed {
        self.platform.press(&card.id, &button(card, label).id, &self.user).await
    }

    /// Fills a form in and sends it by the button with this label.
    pub async fn submit(&self, card: &MessageView, label: &str, values: &Value) -> Pushed {
        let button_id = &button(card, label).id;
        self.platform.submit_form(FormAt { message_id: &card.id, button_id, user: &self.user }, values).await
    }

    /// Waits for this card to grow no more and to be like that.
    pub async fn changed(&self, card: &MessageView, what: &str, fits: impl Fn(&MessageView) -> bool) -> MessageView {
        self.answer(what, |answer| answer.id == card.id && is_finished(answer) && fits(answer)).await
    }

    /// The same chat with somebody else in the seat.
    pub fn with_user(&self, user: &str) -> Self {
        Self { user: user.to_owned(), ..self.clone() }
    }

    /// The answers in a form that fits into a failed test's message.
    pub fn described(&self) -> String {
        let answers = self.answers();
        let lines = answers.iter().map(|it| {
            format!("\n  [{:?}] {} | {:?} | note {:?} | {} updates", it.state, it.id, it.markdown, it.note, it.updates)
        });
        lines.collect()
    }
}

fn button<'a>(card: &'a MessageView, label: &str) -> &'a ButtonView {
    let button = card.buttons.iter().find(|button| button.label == label);
    button.unwrap_or_else(|| panic!("no button {label:?}, but {:?}", card.buttons))
}

/// Whether a button with this label can be pressed.
pub fn offers(card: &MessageView, label: &str) -> bool {
    card.buttons.iter().any(|button| button.label == label)
}

/// Whether the platform has got all there is: the text, the small print, and the buttons that follow an answer.
pub fn is_finished(answer: &MessageView) -> bool {
    answer.state == CardState::Final && answer.buttons.iter().all(|button| button.style != "danger")
}
