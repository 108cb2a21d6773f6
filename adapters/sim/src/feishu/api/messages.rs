//! Changing, recalling and reading messages.

use serde_json::{Value, json};

use super::content::{Prepared, prepare};
use super::{Request, text_field};
use crate::feishu::answer::{Answer, Outcome, Refusal};
use crate::feishu::world::World;
use crate::feishu::world::card::{CARD_LIFE_MS, Switch};
use crate::feishu::world::message::{Author, Body, CardContent, Message};
use crate::feishu::world::rates::RateKey;

const MAX_EDITS: u32 = 20;

/// Replaces a sent card as a whole.
pub(super) fn patch(world: &mut World, id: &str, request: &Request) -> Outcome {
    let body = request.json()?;
    let message = present(world, id)?;
    if message.author != Author::Bot {
        return Err(Refusal::new(230_027, "Lack of necessary permissions."));
    }
    let Some(card_id) = message.card_id().map(str::to_owned) else {
        return Err(Refusal::new(230_001, "This message is NOT a card."));
    };
    let now = world.now_ms();
    if now - message.created_ms > CARD_LIFE_MS {
        return Err(Refusal::new(230_031, "The card was sent more than 14 days ago."));
    }
    let Prepared::Inline(new) = prepare(world, "interactive", &body["content"])? else {
        return Err(Refusal::new(230_001, "content must be a card"));
    };
    let Some(card) = world.cards.get(&card_id) else {
        return Err(Refusal::new(230_001, "This message is NOT a card."));
    };
    if !is_shared(&card.json) || !is_shared(&new) {
        return Err(Refusal::new(230_001, "config.update_multi must be true before and after."));
    }
    if card.is_v2() && new["schema"] != "2.0" {
        return Err(Refusal::new(
            230_099,
            "Failed to create card content, ext=ErrCode: 200830; ErrPath: ROOT; ErrMsg: schema downgrade;",
        ));
    }
    if card.interactions > 0 {
        return Err(Refusal::new(
            230_099,
            "Failed to create card content, ext=ErrCode: 11310; ErrPath: ROOT; ErrMsg: card action is lock;",
        ));
    }
    admit_change(world, id)?;
    if let Some(card) = world.cards.get_mut(&card_id) {
        card.replace(new, Switch::Replaced, now);
    }
    touch(world, id);
    Ok(Answer::empty())
}

/// Edits a text or post.
pub(super) fn edit(world: &mut World, id: &str, request: &Request) -> Outcome {
    let body = request.json()?;
    let message = present(world, id)?;
    if message.author != Author::Bot {
        return Err(Refusal::new(230_071, "The operator is not the sender of the message."));
    }
    let msg_type = text_field(&body, "msg_type")?;
    if message.card_id().is_some() || !matches!(msg_type, "text" | "post") {
        return Err(Refusal::new(230_001, "Only text and post can be edited."));
    }
    if message.edits >= MAX_EDITS {
        return Err(Refusal::new(230_072, "The message was edited too often."));
    }
    let Prepared::Plain(content) = prepare(world, msg_type, &body["content"])? else {
        return Err(Refusal::new(230_001, "Only text and post can be edited."));
    };
    admit_change(world, id)?;
    if let Some(message) = world.message_mut(id) {
        message.edits += 1;
        message.msg_type = msg_type.to_owned();
        message.body = Body::Plain(content);
    }
    touch(world, id);
    let shown = present(world, id)?.to_json(world, CardContent::Reduced);
    Ok(Answer::data(shown))
}

pub(super) fn recall(world: &mut World, id: &str) -> Outcome {
    if present(world, id)?.author != Author::Bot {
        return Err(Refusal::new(230_026, "No permission to recall this message."));
    }
    if let Some(message) = world.message_mut(id) {
        message.recalled = true;
    }
    Ok(Answer::empty())
}

/// One message; of a merged one also its parts, which name it in `upper_message_id`.
pub(super) fn read(world: &World, id: &str, request: &Request) -> Outcome {
    let message = present(world, id)?;
    let cards = card_content(request);
    let items: Vec<Value> =
        std::iter::once(message).chain(world.children_of(id)).map(|message| message.to_json(world, cards)).collect();
    Ok(Answer::data(json!({"items": items})))
}

fn card_content(request: &Request) -> CardContent {
    match request.query("card_msg_content_type") {
        Some("user_card_content") => CardContent::Whole,
        _ => CardContent::Reduced,
    }
}

/// The history of a chat, newest last unless `sort_type` says otherwise.
pub(super) fn list(world: &World, request: &Request) -> Outcome {
    let container = request.query("container_id").unwrap_or_default();
    let messages: Vec<&Message> = match request.query("container_id_type") {
        Some("chat") => {
            let Some(chat) = world.chat(container) else {
                return Err(Refusal::new(230_034, "container_id is invalid"));
            };
            world.messages_in(chat).collect()
        }
        Some("thread") => {
            let inside = |message: &&Message| message.thread_id.as_deref() == Some(container);
            world.chats.iter().flat_map(|chat| world.messages_in(chat)).filter(inside).collect()
        }
        _ => return Err(Refusal::field("container_id_type", "must be chat or thread")),
    };
    let size: usize = request.query("page_size").and_then(|size| size.parse().ok()).unwrap_or(20).clamp(1, 50);
    let skip: usize = request.query("page_token").and_then(|token| token.parse().ok()).unwrap_or(0);
    let total = messages.len();
    let cards = card_content(request);
    let shown = |message: &&Message| message.to_json(world, cards);
    let items: Vec<Value> = match request.query("sort_type") {
        Some("ByCreateTimeDesc") => messages.iter().rev().skip(skip).take(size).map(shown).collect(),
        _ => messages.iter().skip(skip).take(size).map(shown).collect(),
    };
    let next = skip + items.len();
    Ok(Answer::data(json!({"items": items, "has_more": next < total, "page_token": next.to_string()})))
}

/// A message that exists, is not recalled, and whose chat the bot is in.
fn present<'a>(world: &'a World, id: &str) -> Result<&'a Message, Refusal> {
    let Some(message) = world.message(id) else {
        return Err(Refusal::new(99_992_354, "The request you send is not a valid {message_id}"));
    };
    if message.recalled {
        return Err(Refusal::new(230_011, "The message was withdrawn."));
    }
    match world.chat(&message.chat_id).is_some_and(|chat| chat.bot_inside) {
        true => Ok(message),
        false => Err(Refusal::new(230_002, "Bot/User can NOT be out of the chat.")),
    }
}

fn admit_change(world: &mut World, id: &str) -> Result<(), Refusal> {
    let (now, limit) = (world.now_ms(), world.config.limits.message_per_second);
    world.rates.admit(RateKey::Message(id.to_owned()), limit, now).map_err(|_| Refusal::too_often("message"))
}

fn touch(world: &mut World, id: &str) {
    let now = world.now_ms();
    if let Some(message) = world.message_mut(id) {
        message.updated_ms = now;
    }
}

/// 2.0 cards always are; 1.0 cards only if they say so.
fn is_shared(card: &Value) -> bool {
    card["schema"] == "2.0" || card["config"]["update_multi"] == true
}
