//! State of the simulated organisation: people, chats and what was said in them, and what the platform remembers for
//! its APIs (sessions, files, tokens, cards, routes, counters).

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

use serde_json::Value;

use super::api::Api;
use super::card::{Card, CardReport};
use super::config::{DingTalkConfig, RateLimits};
use super::ids;
use crate::tally::Counter;

/// How long a session webhook lives: 5 400 s in every example seen.
const SESSION_LIFE_MS: i64 = 5_400_000;

/// A member of the organisation, or an outsider in one of its groups.
#[derive(Debug, Clone)]
pub struct Person {
    /// What [`crate::view::Utterance::user`] names: the staff id, or the union id of an outsider.
    pub id: String,
    /// `None` for people outside the robot's organisation.
    pub staff_id: Option<String>,
    pub nick: String,
    pub(super) sender_id: String,
    pub(super) union_id: String,
    pub(super) corp_id: String,
}

impl Person {
    /// A member of `corp_id`.
    pub(super) fn member(staff_id: &str, nick: &str, corp_id: &str) -> Self {
        Self {
            id: staff_id.to_owned(),
            staff_id: Some(staff_id.to_owned()),
            nick: nick.to_owned(),
            sender_id: ids::id("$:LWCP_v1:$"),
            union_id: format!("un{staff_id}iEiE"),
            corp_id: corp_id.to_owned(),
        }
    }

    /// Somebody of another organisation: no staff id here.
    pub(super) fn outsider(union_id: &str, nick: &str) -> Self {
        Self {
            id: union_id.to_owned(),
            staff_id: None,
            nick: nick.to_owned(),
            sender_id: ids::id("$:LWCP_v1:$"),
            union_id: union_id.to_owned(),
            corp_id: "dingsim0000000000000000000000000elsewhere".to_owned(),
        }
    }
}

/// A chat and what stands in it, oldest first.
#[derive(Debug, Clone)]
pub(super) struct Chat {
    pub id: String,
    pub title: String,
    /// Ids of the people in it; exactly one in a direct chat.
    pub members: Vec<String>,
    pub direct: bool,
    /// Whether the robot is in it.
    pub bot_inside: bool,
    pub entries: Vec<Entry>,
    /// Who said or pressed something here last: private card data is shown as this person sees it.
    pub viewer: Option<String>,
}

/// One message or card in a chat.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub id: String,
    pub sender: String,
    /// Empty for the robot.
    pub sender_id: String,
    pub from_bot: bool,
    pub reply_to: Option<String>,
    pub body: Body,
    /// Type and content as a callback carries them, of what people send; quotes repeat it.
    pub sent_as: Option<(&'static str, Value)>,
    /// `processQueryKey` or `carrierId`: what recalls it, and what a quote of it names.
    pub query_key: Option<String>,
    pub sent_ms: i64,
    pub recalled: bool,
    /// Names of the emotions the robot put on it.
    pub emotions: Vec<String>,
}

#[derive(Debug, Clone)]
pub(super) enum Body {
    /// Shown as it is, without Markdown.
    Text(String),
    Markdown {
        title: String,
        text: String,
    },
    /// Markdown with buttons that open an address: `(title, url)`.
    Links {
        title: String,
        text: String,
        links: Vec<(String, String)>,
    },
    /// A card of [`World::cards`], by its `outTrackId`.
    Card(String),
}

impl Body {
    /// The text inside, for quotes; empty for cards.
    pub fn text(&self) -> &str {
        match self {
            Self::Text(text) | Self::Markdown { text, .. } | Self::Links { text, .. } => text,
            Self::Card(_) => "",
        }
    }
}

/// A file a person sent or the service uploaded.
#[derive(Debug, Clone)]
pub(super) struct StoredFile {
    pub content_type: &'static str,
    pub bytes: bytes::Bytes,
}

/// Where card callbacks of one route key go.
#[derive(Debug, Clone)]
pub(super) struct Route {
    pub url: String,
    pub api_secret: Option<String>,
}

#[derive(Debug)]
pub(super) struct Session {
    pub chat: String,
    pub expires_ms: i64,
}

#[derive(Debug)]
pub(super) struct Token {
    pub value: String,
    pub expires_ms: i64,
}

/// Everything the platform knows. Guarded by one lock; no method waits.
#[derive(Debug, Default)]
pub(super) struct World {
    pub people: Vec<Person>,
    pub chats: Vec<Chat>,
    pub cards: HashMap<String, Card>,
    pub reports: BTreeMap<String, CardReport>,
    pub in_flight: HashSet<String>,
    pub routes: HashMap<String, Route>,
    pub sessions: HashMap<String, Session>,
    /// By download code.
    pub received: HashMap<String, StoredFile>,
    /// By the secret part of a download address; with its expiry.
    pub downloads: HashMap<String, (String, i64)>,
    /// By media id.
    pub uploads: HashMap<String, StoredFile>,
    pub token: Option<Token>,
    /// Bodies of robot messages by `msgId`, for further deliveries.
    pub pushed: HashMap<String, String>,
    /// `msgId` or `eventId` of pushes that nothing has answered with 200 yet.
    pub unacknowledged: HashSet<String>,
    /// When calls were admitted, within the longest window.
    pub recent_calls: HashMap<Api, VecDeque<i64>>,
    pub calls: HashMap<Api, u64>,
    pub counter: Counter,
    pub limits: RateLimits,
    /// Calls that the monthly API quota counts.
    pub counted_calls: u64,
    /// Pushes and webhook sends, which the monthly message quota counts.
    pub counted_messages: u64,
}

impl World {
    /// One group with three people, and a direct chat for each of them.
    pub fn seeded(config: &DingTalkConfig) -> Self {
        let limits = RateLimits { per_second: config.calls_per_second, ..RateLimits::default() };
        let mut world = Self { limits, ..Self::default() };
        let people = [("01486223571234567", "张三"), ("0327655428819001", "李四"), ("manager7413", "王五")];
        for (staff_id, nick) in people {
            world.add_person(Person::member(staff_id, nick, &config.corp_id));
        }
        let members = people.map(|(staff_id, _)| staff_id.to_owned()).to_vec();
        world.add_group("cidSimMagpieBridge0Group1+w==", "鹊桥测试群", members);
        world
    }

    /// Adds somebody, with an empty direct chat. An id that exists already keeps its owner.
    pub fn add_person(&mut self, person: Person) {
        if self.person(&person.id).is_some() {
            return;
        }
        self.chats.push(Chat {
            id: direct_chat_id(&person.id),
            title: person.nick.clone(),
            members: vec![person.id.clone()],
            direct: true,
            bot_inside: true,
            entries: Vec::new(),
            viewer: Some(person.id.clone()),
        });
        self.people.push(person);
    }

    /// Adds a group, before the direct chats in the list.
    pub fn add_group(&mut self, id: &str, title: &str, members: Vec<String>) {
        let groups = self.chats.iter().filter(|chat| !chat.direct).count();
        let (id, title) = (id.to_owned(), title.to_owned());
        let chat = Chat { id, title, members, direct: false, bot_inside: true, entries: Vec::new(), viewer: None };
        self.chats.insert(groups, chat);
    }

    pub fn person(&self, id: &str) -> Option<&Person> {
        self.people.iter().find(|person| person.id == id)
    }

    pub fn chat(&self, id: &str) -> Option<&Chat> {
        self.chats.iter().find(|chat| chat.id == id)
    }

    /// The group with this id that the robot is in.
    pub fn group(&self, id: &str) -> Option<&Chat> {
        self.chat(id).filter(|chat| !chat.direct && chat.bot_inside)
    }

    pub fn chat_mut(&mut self, id: &str) -> Option<&mut Chat> {
        self.chats.iter_mut().find(|chat| chat.id == id)
    }

    /// The direct chat of the member whose staff id (or union id) this is.
    pub fn direct_chat_of(&self, user_id: &str) -> Option<&Chat> {
        let is_theirs =
            |person: &&Person| person.staff_id.is_some() && (person.id == user_id || person.union_id == user_id);
        let person = self.people.iter().find(is_theirs)?;
        self.chat(&direct_chat_id(&person.id))
    }

    /// Any entry of any chat, with its chat's id.
    pub fn entry(&self, id: &str) -> Option<(&str, &Entry)> {
        self.chats.iter().find_map(|chat| {
            let entry = chat.entries.iter().find(|entry| entry.id == id)?;
            Some((chat.id.as_str(), entry))
        })
    }

    /// Opens a session webhook for a chat; gives its secret and its expiry.
    pub fn open_session(&mut self, chat: &str, now_ms: i64) -> (String, i64) {
        let session = ids::hex_id();
        let expires_ms = now_ms + SESSION_LIFE_MS;
        self.sessions.insert(session.clone(), Session { chat: chat.to_owned(), expires_ms });
        (session, expires_ms)
    }

    /// The report of a card, begun with its first mention.
    pub fn report(&mut self, out_track_id: &str) -> &mut CardReport {
        self.reports.entry(out_track_id.to_owned()).or_insert_with(|| CardReport::new(out_track_id))
    }

    /// Puts a message of the robot into a chat and gives its id.
    pub fn post_from_bot(&mut self, post: BotPost<'_>) -> Option<String> {
        let chat = self.chat_mut(post.chat)?;
        let id = post.id.unwrap_or_else(|| ids::id("msg"));
        chat.entries.push(Entry {
            id: id.clone(),
            sender: post.sender.to_owned(),
            sender_id: String::new(),
            from_bot: true,
            reply_to: None,
            body: post.body,
            sent_as: None,
            query_key: post.query_key,
            sent_ms: post.now_ms,
            recalled: false,
            emotions: Vec::new(),
        });
        Some(id)
    }
}

/// What [`World::post_from_bot`] puts up.
pub(super) struct BotPost<'a> {
    pub chat: &'a str,
    pub sender: &'a str,
    pub body: Body,
    /// Id of the entry; a fresh message id if none.
    pub id: Option<String>,
    pub query_key: Option<String>,
    pub now_ms: i64,
}

/// Conversation id of somebody's direct chat with the robot.
pub(super) fn direct_chat_id(person: &str) -> String {
    format!("cidSimDirect{person}==")
}
