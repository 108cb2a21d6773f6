//! The simulated Feishu as the playground and the tests drive any platform.

use serde_json::Value;
use tokio::sync::watch;

use super::press::{CallbackStyle, Press};
use super::said::Said;
use super::world::message::Author;
use super::{FeishuSim, render};
use crate::tally::Tally;
use crate::view::{
    Abilities, Attachment, AttachmentKind, Boxed, ChatView, FormAt, Pushed, SimulatedPlatform, Speech, Utterance,
};

/// How long a recording is said to be; nothing listens to it.
const VOICE_MS: u64 = 4_000;

impl SimulatedPlatform for FeishuSim {
    fn name(&self) -> &'static str {
        "feishu"
    }

    fn base_url(&self) -> String {
        self.shared.origin.clone()
    }

    fn abilities(&self) -> Abilities {
        Abilities { topics: true, open_direct: true, menu: true }
    }

    fn chats(&self) -> Vec<ChatView> {
        render::chats(&self.shared.world())
    }

    fn people(&self) -> Vec<(String, String)> {
        let world = self.shared.world();
        world.people.iter().map(|person| (person.open_id.clone(), person.name.clone())).collect()
    }

    fn say(&self, utterance: Utterance) -> Boxed<'_, Pushed> {
        self.speak(utterance.into())
    }

    fn speak(&self, speech: Speech) -> Boxed<'_, Pushed> {
        Box::pin(self.send(said(speech)))
    }

    fn press<'a>(&'a self, message_id: &'a str, button_id: &'a str, user: &'a str) -> Boxed<'a, Pushed> {
        self.submit_form(FormAt { message_id, button_id, user }, &Value::Null)
    }

    fn submit_form<'a>(&'a self, at: FormAt<'a>, values: &'a Value) -> Boxed<'a, Pushed> {
        let FormAt { message_id, button_id, user } = at;
        Box::pin(self.shared.press(Press { message_id, button_id, user, values, style: CallbackStyle::Current }))
    }

    fn take_back<'a>(&'a self, message_id: &'a str, user: &'a str) -> Boxed<'a, Pushed> {
        let own =
            self.shared.world().message(message_id).is_some_and(|it| it.author == Author::Person(user.to_owned()));
        Box::pin(async move {
            match own {
                true => self.recall(message_id).await,
                false => Pushed::nothing(message_id),
            }
        })
    }

    fn open_direct<'a>(&'a self, user: &'a str) -> Boxed<'a, Pushed> {
        Box::pin(self.enter_direct_chat(user))
    }

    fn choose_menu<'a>(&'a self, user: &'a str, key: &'a str) -> Boxed<'a, Pushed> {
        Box::pin(self.pick_menu(user, key))
    }

    fn open_group(&self, title: &str, members: &[String]) -> String {
        let mut world = self.shared.world();
        let id = world.add_group(title, members.to_vec());
        if let Some(chat) = world.chat_mut(&id) {
            chat.bot_inside = false;
        }
        drop(world);
        self.shared.changed();
        id
    }

    fn invite_bot<'a>(&'a self, chat: &'a str, user: &'a str) -> Boxed<'a, Pushed> {
        Box::pin(self.add_bot(chat, user))
    }

    fn expel_bot<'a>(&'a self, chat: &'a str, user: &'a str) -> Boxed<'a, Pushed> {
        Box::pin(self.remove_bot(chat, user))
    }

    fn tally(&self) -> Tally {
        self.shared.counter().tally()
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.shared.changes.subscribe()
    }
}

/// A picture with words beside it is rich text; files and recordings stand alone.
fn said(speech: Speech) -> Said {
    let Utterance { chat, user, text, mention_bot } = speech.said;
    let mut said = match speech.attachment {
        None => Said::text(&chat, &user, &text),
        Some(Attachment { kind: AttachmentKind::Image, bytes, .. }) if text.is_empty() && !mention_bot => {
            Said::image(&chat, &user, bytes)
        }
        Some(Attachment { kind: AttachmentKind::Image, bytes, .. }) => {
            Said::post(&chat, &user, "", &text.lines().collect::<Vec<_>>()).with_image(bytes)
        }
        Some(Attachment { kind: AttachmentKind::File, name, bytes }) => Said::file(&chat, &user, &name, bytes),
        Some(Attachment { kind: AttachmentKind::Voice, bytes, .. }) => Said::audio(&chat, &user, VOICE_MS, bytes),
    };
    if mention_bot {
        said = said.mentioning_bot();
    }
    if let Some(quote) = &speech.quote {
        said = said.replying_to(quote);
    }
    if speech.in_topic {
        said = said.in_thread();
    }
    said
}
