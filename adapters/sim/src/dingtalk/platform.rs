//! The simulated DingTalk as the playground and the tests drive any platform.

use serde_json::Value;
use tokio::sync::watch;

use super::{Content, DingTalkSim, Quote, RichPart, Said, ids, view};
use crate::tally::Tally;
use crate::view::{
    Abilities, Attachment, AttachmentKind, Boxed, ChatView, FormAt, Pushed, SimulatedPlatform, Speech, Utterance,
};

impl SimulatedPlatform for DingTalkSim {
    fn name(&self) -> &'static str {
        "dingtalk"
    }

    fn base_url(&self) -> String {
        self.shared.base_url.clone()
    }

    fn abilities(&self) -> Abilities {
        Abilities { topics: false, open_direct: false, menu: false }
    }

    fn chats(&self) -> Vec<ChatView> {
        view::chats(&self.shared.world(), None)
    }

    fn people(&self) -> Vec<(String, String)> {
        self.shared.world().people.iter().map(|person| (person.id.clone(), person.nick.clone())).collect()
    }

    fn say(&self, utterance: Utterance) -> Boxed<'_, Pushed> {
        self.speak(utterance.into())
    }

    fn speak(&self, speech: Speech) -> Boxed<'_, Pushed> {
        Box::pin(self.post(said(speech)))
    }

    fn press<'a>(&'a self, message_id: &'a str, button_id: &'a str, user: &'a str) -> Boxed<'a, Pushed> {
        self.submit_form(FormAt { message_id, button_id, user }, &Value::Null)
    }

    fn submit_form<'a>(&'a self, at: FormAt<'a>, values: &'a Value) -> Boxed<'a, Pushed> {
        Box::pin(self.press_button(at, values))
    }

    fn take_back<'a>(&'a self, message_id: &'a str, user: &'a str) -> Boxed<'a, Pushed> {
        let own = self.shared.world().entry(message_id).is_some_and(|(_, entry)| entry.sender_id == user);
        Box::pin(async move {
            match own {
                true => self.recall(message_id, user).await,
                false => Pushed::nothing(message_id),
            }
        })
    }

    /// The platform tells the robot nothing.
    fn open_direct<'a>(&'a self, _user: &'a str) -> Boxed<'a, Pushed> {
        Box::pin(std::future::ready(Pushed::nothing("")))
    }

    /// A robot has no menu.
    fn choose_menu<'a>(&'a self, _user: &'a str, _key: &'a str) -> Boxed<'a, Pushed> {
        Box::pin(std::future::ready(Pushed::nothing("")))
    }

    fn open_group(&self, title: &str, members: &[String]) -> String {
        let id = ids::id("cid");
        let mut world = self.shared.world();
        world.add_group(&id, title, members.to_vec());
        if let Some(chat) = world.chat_mut(&id) {
            chat.bot_inside = false;
        }
        drop(world);
        self.shared.changed();
        id
    }

    fn invite_bot<'a>(&'a self, chat: &'a str, user: &'a str) -> Boxed<'a, Pushed> {
        Box::pin(self.install_in(chat, user))
    }

    fn expel_bot<'a>(&'a self, chat: &'a str, user: &'a str) -> Boxed<'a, Pushed> {
        Box::pin(self.uninstall_from(chat, user))
    }

    fn tally(&self) -> Tally {
        self.shared.world().counter.tally()
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.shared.changes.subscribe()
    }
}

/// A picture with words beside it is rich text; words with a recording are its transcript; files stand alone.
fn said(speech: Speech) -> Said {
    let Utterance { chat, user, text, mention_bot } = speech.said;
    let content = match speech.attachment {
        None => Content::Text(text),
        Some(Attachment { kind: AttachmentKind::Image, bytes, .. }) if text.is_empty() => Content::Picture(bytes),
        Some(Attachment { kind: AttachmentKind::Image, bytes, .. }) => {
            Content::RichText(vec![RichPart::Text(text), RichPart::Picture(bytes)])
        }
        Some(Attachment { kind: AttachmentKind::File, name, bytes }) => Content::File { name, bytes },
        Some(Attachment { kind: AttachmentKind::Voice, bytes, .. }) => Content::Audio { recognition: text, bytes },
    };
    Said { content, mention_bot, quote: speech.quote.map(Quote::Full), ..Said::text(&chat, &user, "") }
}
