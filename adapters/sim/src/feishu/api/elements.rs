//! CardKit calls on single elements; the `apply_…` functions are the actions of a batch too.

use serde_json::{Value, json};

use super::cards::{json_text, operate, stamped};
use super::{Located, Request};
use crate::feishu::answer::{Answer, Outcome, Refusal};
use crate::feishu::tree::{self, Place};
use crate::feishu::world::World;
use crate::feishu::world::card::{Streaming, Switch, Turn};

const MAX_CONTENT_CHARS: usize = 100_000;

pub(super) fn add(world: &mut World, id: &str, request: &Request) -> Outcome {
    let (body, stamp) = stamped(request)?;
    let params = json!({
        "type": body["type"],
        "target_element_id": body["target_element_id"],
        "elements": json_text(&body, "elements")?,
    });
    operate(world, id, stamp, 300_315, |card| apply_add(card, &params).map(|()| Switch::Untouched))?;
    Ok(Answer::empty())
}

pub(super) fn replace(world: &mut World, at: &Located, request: &Request) -> Outcome {
    let (body, stamp) = stamped(request)?;
    let params = json!({"element_id": at.part, "element": json_text(&body, "element")?});
    operate(world, &at.id, stamp, 300_313, |card| apply_replace(card, &params).map(|()| Switch::Untouched))?;
    Ok(Answer::empty())
}

pub(super) fn patch(world: &mut World, at: &Located, request: &Request) -> Outcome {
    let (body, stamp) = stamped(request)?;
    let params = json!({"element_id": at.part, "partial_element": json_text(&body, "partial_element")?});
    operate(world, &at.id, stamp, 300_313, |card| apply_patch(card, &params).map(|()| Switch::Untouched))?;
    Ok(Answer::empty())
}

pub(super) fn delete(world: &mut World, at: &Located, request: &Request) -> Outcome {
    let (_, stamp) = stamped(request)?;
    let params = json!({"element_ids": [at.part]});
    operate(world, &at.id, stamp, 300_314, |card| apply_delete(card, &params).map(|()| Switch::Untouched))?;
    Ok(Answer::empty())
}

/// Types text into an element: only while streaming mode is on.
pub(super) fn content(world: &mut World, at: &Located, request: &Request) -> Outcome {
    let (body, stamp) = stamped(request)?;
    let text = body["content"].as_str().unwrap_or_default();
    if text.is_empty() || text.chars().count() > MAX_CONTENT_CHARS {
        return Err(Refusal::new(10_002, "content must have 1 to 100000 characters"));
    }
    let now = world.now_ms();
    match world.cards.get(&at.id).map(|card| card.streaming(now)) {
        Some(Streaming::Off) => return Err(Refusal::new(300_309, "streaming mode is closed")),
        Some(Streaming::TimedOut) => return Err(Refusal::new(200_850, "card streaming timeout")),
        Some(Streaming::On) | None => {}
    }
    let turn = operate(world, &at.id, stamp, 300_313, |card| {
        let Some(element) = tree::find_mut(card, &at.part) else {
            return Err(Refusal::new(300_313, "no such element_id"));
        };
        match tree::set_text(element, text) {
            true => Ok(Switch::Untouched),
            false => Err(Refusal::new(300_310, "only text elements take content")),
        }
    })?;
    if let (Turn::New, Some(card)) = (turn, world.cards.get_mut(&at.id)) {
        card.note_typed(&at.part, text);
    }
    Ok(Answer::empty())
}

pub(super) fn apply_add(card: &mut Value, params: &Value) -> Result<(), Refusal> {
    let place = match params["type"].as_str() {
        Some("append") => Place::Append,
        Some("insert_before") => Place::Before,
        Some("insert_after") => Place::After,
        _ => return Err(Refusal::new(10_002, "type must be append, insert_before or insert_after")),
    };
    let Some(new) = params["elements"].as_array().filter(|new| !new.is_empty()) else {
        return Err(Refusal::new(300_307, "elements must be an array that is not empty"));
    };
    let target = params["target_element_id"].as_str().filter(|target| !target.is_empty());
    match tree::insert(card, place, target, new.clone()) {
        true => Ok(()),
        false => Err(Refusal::new(300_315, "no such target_element_id")),
    }
}

pub(super) fn apply_delete(card: &mut Value, params: &Value) -> Result<(), Refusal> {
    let Some(element_ids) = params["element_ids"].as_array().filter(|ids| !ids.is_empty()) else {
        return Err(Refusal::new(300_307, "element_ids must be an array that is not empty"));
    };
    for element_id in element_ids {
        if !tree::remove(card, element_id.as_str().unwrap_or_default()) {
            return Err(Refusal::new(300_314, "no such element_id"));
        }
    }
    Ok(())
}

pub(super) fn apply_patch(card: &mut Value, params: &Value) -> Result<(), Refusal> {
    let element = existing(card, params)?;
    let changes = &params["partial_element"];
    if changes.get("tag").is_some_and(|tag| *tag != element["tag"]) {
        return Err(Refusal::new(300_312, "the tag of an element can't change"));
    }
    if changes.as_object().is_none_or(serde_json::Map::is_empty) {
        return Err(Refusal::new(300_307, "partial_element is empty"));
    }
    tree::merge(element, changes);
    Ok(())
}

pub(super) fn apply_replace(card: &mut Value, params: &Value) -> Result<(), Refusal> {
    let element = existing(card, params)?;
    element.clone_from(&params["element"]);
    Ok(())
}

fn existing<'a>(card: &'a mut Value, params: &Value) -> Result<&'a mut Value, Refusal> {
    let element_id = params["element_id"].as_str().unwrap_or_default();
    tree::find_mut(card, element_id).ok_or_else(|| Refusal::new(300_313, "no such element_id"))
}
