//! Sending into a chat and replying to a message.

use serde_json::Value;

use super::content::{Prepared, prepare};
use super::{Request, sent_before, text_field};
use crate::feishu::answer::{Answer, Outcome, Refusal};
use crate::feishu::ids;
use crate::feishu::world::World;
use crate::feishu::world::card::CardEntity;
use crate::feishu::world::message::{Author, Body, CardContent, Message};
use crate::feishu::world::rates::RateKey;

const MAX_UUID_CHARS: usize = 50;

/// Where a new message goes.
#[derive(Debug, Default)]
struct Destination {
    chat_id: String,
    root_id: Option<String>,
    parent_id: Option<String>,
    thread_id: Option<String>,
    /// The message on which the topic begins, if this one opens it.
    opens_topic_on: Option<String>,
}

pub(super) fn send(world: &mut World, request: &Request) -> Outcome {
    let body = request.json()?;
    let receive_id = text_field(&body, "receive_id")?;
    let chat_id = resolve(world, request.query("receive_id_type"), receive_id)?;
    check_chat(world, &chat_id)?;
    deliver(world, &body, Destination { chat_id, ..Destination::default() })
}

pub(super) fn reply(world: &mut World, target: &str, request: &Request) -> Outcome {
    let body = request.json()?;
    let Some(message) = world.message(target) else {
        return Err(Refusal::new(99_992_354, "The request you send is not a valid {message_id}"));
    };
    if message.recalled {
        return Err(Refusal::new(230_011, "The message was withdrawn."));
    }
    let mut to = Destination {
        chat_id: message.chat_id.clone(),
        root_id: Some(message.root_id.clone().unwrap_or_else(|| message.id.clone())),
        parent_id: Some(message.id.clone()),
        thread_id: message.thread_id.clone(),
        opens_topic_on: None,
    };
    check_chat(world, &to.chat_id)?;
    if body["reply_in_thread"] == true && to.thread_id.is_none() {
        if world.chat(&to.chat_id).is_some_and(|chat| !chat.topics) {
            return Err(Refusal::new(230_071, "The chat does not support topics."));
        }
        to.thread_id = Some(ids::fresh("omt_"));
        to.opens_topic_on = Some(target.to_owned());
    }
    deliver(world, &body, to)
}

/// The chat that an id of the given type means; a person's id means the direct chat.
fn resolve(world: &World, id_type: Option<&str>, id: &str) -> Result<String, Refusal> {
    let invalid = || Refusal::new(230_034, "The receive_id is invalid.");
    let person = |known: Option<&crate::feishu::world::Person>| {
        let open_id = known.map(|person| person.open_id.clone()).ok_or_else(invalid)?;
        world.direct_chat(&open_id).map(|chat| chat.id.clone()).ok_or_else(invalid)
    };
    match id_type {
        Some("chat_id") => world.chat(id).map(|chat| chat.id.clone()).ok_or_else(invalid),
        Some("open_id") => person(world.person(id)),
        Some("union_id") => person(world.people.iter().find(|person| person.union_id == id)),
        Some("user_id") => person(world.people.iter().find(|person| person.user_id == id)),
        _ => Err(Refusal::field("receive_id_type", "must be one of open_id, union_id, user_id, email, chat_id")),
    }
}

fn check_chat(world: &World, chat_id: &str) -> Result<(), Refusal> {
    match world.chat(chat_id) {
        Some(chat) if chat.disbanded => Err(Refusal::new(232_009, "The chat was dissolved.")),
        Some(chat) if chat.bot_inside => Ok(()),
        _ => Err(Refusal::new(230_002, "Bot/User can NOT be out of the chat.")),
    }
}

fn deliver(world: &mut World, body: &Value, to: Destination) -> Outcome {
    let msg_type = text_field(body, "msg_type")?;
    let uuid = body["uuid"].as_str().filter(|uuid| !uuid.is_empty());
    if uuid.is_some_and(|uuid| uuid.chars().count() > MAX_UUID_CHARS) {
        return Err(Refusal::field("uuid", "must have at most 50 characters"));
    }
    if let Some(message) = sent_before(world, uuid).and_then(|id| world.message(&id)) {
        return Ok(Answer::data(message.to_json(world, CardContent::Reduced)));
    }
    let prepared = prepare(world, msg_type, &body["content"])?;
    let (now, limit) = (world.now_ms(), world.config.limits.chat_per_second);
    if world.rates.admit(RateKey::Chat(to.chat_id.clone()), limit, now).is_err() {
        return Err(Refusal::too_often("chat"));
    }
    let id = ids::fresh("om_");
    let body = body_of(world, prepared, &id);
    let message = Message {
        id: id.clone(),
        chat_id: to.chat_id,
        author: Author::Bot,
        msg_type: msg_type.to_owned(),
        body,
        mentions: Vec::new(),
        root_id: to.root_id,
        parent_id: to.parent_id,
        thread_id: to.thread_id,
        upper_id: None,
        created_ms: now,
        updated_ms: now,
        recalled: false,
        edits: 0,
        reactions: Vec::new(),
        event: None,
    };
    let shown = message.to_json(world, CardContent::Reduced);
    if let Some(first) = to.opens_topic_on.and_then(|id| world.message_mut(&id)) {
        first.thread_id.clone_from(&message.thread_id);
    }
    world.post(message);
    if let Some(uuid) = uuid {
        world.sent_uuids.insert(uuid.to_owned(), (id, now));
    }
    Ok(Answer::data(shown))
}

/// Binds the card to its message, making an entity for an inline one.
fn body_of(world: &mut World, prepared: Prepared, message_id: &str) -> Body {
    let card_id = match prepared {
        Prepared::Plain(content) => return Body::Plain(content),
        Prepared::Entity(card_id) => card_id,
        Prepared::Inline(json) => {
            let entity = CardEntity::new(ids::card_id(), json, world.now_ms());
            let card_id = entity.id.clone();
            world.cards.insert(card_id.clone(), entity);
            card_id
        }
    };
    if let Some(card) = world.cards.get_mut(&card_id) {
        card.message_id = Some(message_id.to_owned());
    }
    Body::Card(card_id)
}
