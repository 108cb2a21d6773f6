//! The state of the simulated tenant: people, chats, messages, cards, tokens, uploads.
//!
//! Everything lies behind one lock and every call works on it in one go, so calls are atomic as seen by the service.

pub(super) mod card;
pub(super) mod message;
pub(super) mod rates;
pub(super) mod tokens;

use std::collections::HashMap;

use bytes::Bytes;
use serde_json::{Value, json};

use self::card::CardEntity;
use self::message::{Author, Message};
use self::rates::Rates;
use self::tokens::Tokens;
use super::clock::SimClock;
use super::config::FeishuConfig;
use super::ids;

/// Someone who can type and press.
#[derive(Debug, Clone)]
pub(super) struct Person {
    pub(super) open_id: String,
    pub(super) union_id: String,
    pub(super) user_id: String,
    pub(super) name: String,
}

impl Person {
    pub(super) fn new(open_id: String, name: &str) -> Self {
        let user_id = open_id.trim_start_matches("ou_").chars().take(8).collect();
        Self { union_id: open_id.replacen("ou_", "on_", 1), open_id, user_id, name: name.into() }
    }

    /// The three ids as events carry them.
    pub(super) fn ids(&self) -> Value {
        json!({"open_id": self.open_id, "union_id": self.union_id, "user_id": self.user_id})
    }
}

#[derive(Debug, Clone)]
pub(super) struct Chat {
    pub(super) id: String,
    pub(super) title: String,
    pub(super) direct: bool,
    /// open_ids of the people in it.
    pub(super) members: Vec<String>,
    pub(super) bot_inside: bool,
    pub(super) disbanded: bool,
    /// Whether replies may open topics.
    pub(super) topics: bool,
    /// Positions in the world's messages, oldest first.
    pub(super) messages: Vec<usize>,
}

/// A file or image on the platform.
#[derive(Debug, Clone)]
pub(super) struct Upload {
    pub(super) name: String,
    /// `image`, or the upload's `file_type`.
    pub(super) kind: String,
    pub(super) bytes: Bytes,
    /// Message whose resource it is; uploads of the bot belong to none.
    pub(super) message_id: Option<String>,
}

/// The `c-` token of a pressed button.
#[derive(Debug, Clone)]
pub(super) struct UpdateToken {
    pub(super) card_id: String,
    pub(super) issued_ms: i64,
    pub(super) uses: u32,
    /// Later updates are allowed only once the callback was answered.
    pub(super) answered: bool,
}

pub(super) struct World {
    pub(super) config: FeishuConfig,
    pub(super) clock: SimClock,
    pub(super) people: Vec<Person>,
    pub(super) chats: Vec<Chat>,
    messages: Vec<Message>,
    by_id: HashMap<String, usize>,
    pub(super) cards: HashMap<String, CardEntity>,
    pub(super) tokens: Tokens,
    pub(super) rates: Rates,
    /// Calls that the month's quota was charged with.
    pub(super) calls_admitted: u64,
    pub(super) uploads: HashMap<String, Upload>,
    /// uuid of a send or reply → message id and time.
    pub(super) sent_uuids: HashMap<String, (String, i64)>,
    pub(super) update_tokens: HashMap<String, UpdateToken>,
}

impl World {
    /// Three people, one group with all of them and the bot, and a direct chat for each.
    pub(super) fn seeded(config: FeishuConfig, clock: SimClock) -> Self {
        let people: Vec<Person> = [
            ("ou_3069656034b238b06c3581c57f91773d", "张伟"),
            ("ou_33da83d2546475dec6c90e0d7ef3a8e6", "Alice Chen"),
            ("ou_ad3a1a935e7a05f6d020ffdbbed85754", "李娜"),
        ]
        .map(|(open_id, name)| Person::new(open_id.into(), name))
        .to_vec();
        let mut world = Self {
            config,
            clock,
            chats: Vec::new(),
            messages: Vec::new(),
            by_id: HashMap::new(),
            cards: HashMap::new(),
            tokens: Tokens::default(),
            rates: Rates::default(),
            calls_admitted: 0,
            uploads: HashMap::new(),
            sent_uuids: HashMap::new(),
            update_tokens: HashMap::new(),
            people: Vec::new(),
        };
        let members = people.iter().map(|person| person.open_id.clone()).collect();
        world.add_group("Magpie 测试群", members);
        for person in people {
            world.add_person(person);
        }
        world
    }

    pub(super) fn now_ms(&self) -> i64 {
        self.clock.now_ms()
    }

    /// Adds a group with the bot inside and gives its chat id.
    pub(super) fn add_group(&mut self, title: &str, members: Vec<String>) -> String {
        let chat = Chat {
            id: ids::fresh("oc_"),
            title: title.into(),
            direct: false,
            members,
            bot_inside: true,
            disbanded: false,
            topics: true,
            messages: Vec::new(),
        };
        self.chats.push(chat);
        self.chats[self.chats.len() - 1].id.clone()
    }

    /// Adds a person with a direct chat and gives that chat's id.
    pub(super) fn add_person(&mut self, person: Person) -> String {
        let chat_id = self.add_group(&person.name, vec![person.open_id.clone()]);
        if let Some(chat) = self.chat_mut(&chat_id) {
            chat.direct = true;
        }
        self.people.push(person);
        chat_id
    }

    pub(super) fn chat(&self, id: &str) -> Option<&Chat> {
        self.chats.iter().find(|chat| chat.id == id)
    }

    pub(super) fn chat_mut(&mut self, id: &str) -> Option<&mut Chat> {
        self.chats.iter_mut().find(|chat| chat.id == id)
    }

    pub(super) fn person(&self, open_id: &str) -> Option<&Person> {
        self.people.iter().find(|person| person.open_id == open_id)
    }

    /// The direct chat between a person and the bot.
    pub(super) fn direct_chat(&self, open_id: &str) -> Option<&Chat> {
        self.chats.iter().find(|chat| chat.direct && chat.members.iter().any(|member| member == open_id))
    }

    pub(super) fn message(&self, id: &str) -> Option<&Message> {
        self.by_id.get(id).map(|&at| &self.messages[at])
    }

    pub(super) fn message_mut(&mut self, id: &str) -> Option<&mut Message> {
        self.by_id.get(id).map(|&at| &mut self.messages[at])
    }

    /// Messages of a chat, oldest first.
    pub(super) fn messages_in<'a>(&'a self, chat: &'a Chat) -> impl DoubleEndedIterator<Item = &'a Message> {
        chat.messages.iter().map(|&at| &self.messages[at])
    }

    /// Makes a message visible in its chat.
    pub(super) fn post(&mut self, message: Message) {
        let at = self.messages.len();
        if let Some(chat) = self.chat_mut(&message.chat_id) {
            chat.messages.push(at);
        }
        self.keep(message);
    }

    /// Keeps a message that stands in no chat of its own.
    pub(super) fn keep(&mut self, message: Message) {
        self.by_id.insert(message.id.clone(), self.messages.len());
        self.messages.push(message);
    }

    /// The messages merged into this one, in order.
    pub(super) fn children_of<'a>(&'a self, id: &'a str) -> impl Iterator<Item = &'a Message> {
        self.messages.iter().filter(move |message| message.upper_id.as_deref() == Some(id))
    }

    /// The card shown by a message.
    pub(super) fn card_of(&self, message_id: &str) -> Option<&CardEntity> {
        self.cards.get(self.message(message_id)?.card_id()?)
    }

    /// Display name of a message's author.
    pub(super) fn author_name(&self, author: &Author) -> String {
        match author {
            Author::Bot => self.config.bot_name.clone(),
            Author::Person(open_id) => {
                self.person(open_id).map_or_else(|| open_id.clone(), |person| person.name.clone())
            }
        }
    }
}
