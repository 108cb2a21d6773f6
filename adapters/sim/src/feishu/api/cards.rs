//! CardKit calls on whole cards, and the update by a button's token.

use serde_json::{Value, json};

use super::{MAX_CARD_BYTES, Request, check_any_card, elements};
use crate::feishu::answer::{Answer, Outcome, Refusal};
use crate::feishu::ids;
use crate::feishu::tree;
use crate::feishu::validate::{Flaw, check_card};
use crate::feishu::world::World;
use crate::feishu::world::card::{CardEntity, Stamp, Switch, Turn};
use crate::feishu::world::rates::RateKey;

const MAX_SEQUENCE: i64 = 2_147_483_647;
const MAX_UUID_CHARS: usize = 64;
/// A button's token works for 30 minutes and twice.
const UPDATE_TOKEN_LIFE_MS: i64 = 1_800_000;
const UPDATE_TOKEN_USES: u32 = 2;

pub(super) fn create(world: &mut World, request: &Request) -> Outcome {
    let body = request.json()?;
    if body["type"] != "card_json" {
        return Err(Refusal::new(10_002, "type must be card_json: no template is published here"));
    }
    let card = json_text(&body, "data")?;
    check(world, &card, 200_220)?;
    let entity = CardEntity::new(ids::card_id(), card, world.now_ms());
    let card_id = entity.id.clone();
    world.cards.insert(card_id.clone(), entity);
    Ok(Answer::data(json!({"card_id": card_id})))
}

pub(super) fn convert(world: &World, request: &Request) -> Outcome {
    let body = request.json()?;
    let card = body["message_id"].as_str().and_then(|id| world.card_of(id));
    match card {
        Some(card) => Ok(Answer::data(json!({"card_id": card.id}))),
        None => Err(Refusal::new(10_002, "message_id names no card")),
    }
}

pub(super) fn replace(world: &mut World, id: &str, request: &Request) -> Outcome {
    let (body, stamp) = stamped(request)?;
    if body["card"]["type"] != "card_json" {
        return Err(Refusal::new(10_002, "card.type must be card_json"));
    }
    let new = json_text(&body["card"], "data")?;
    operate(world, id, stamp, 300_121, |card| {
        *card = new;
        Ok(Switch::Replaced)
    })?;
    Ok(Answer::empty())
}

pub(super) fn settings(world: &mut World, id: &str, request: &Request) -> Outcome {
    let (body, stamp) = stamped(request)?;
    let settings = json_text(&body, "settings")?;
    operate(world, id, stamp, 300_122, |card| apply_settings(card, &settings))?;
    Ok(Answer::empty())
}

/// Several changes in one operation, all or none.
pub(super) fn batch(world: &mut World, id: &str, request: &Request) -> Outcome {
    let (body, stamp) = stamped(request)?;
    let actions = json_text(&body, "actions")?;
    let Some(actions) = actions.as_array().filter(|actions| !actions.is_empty()) else {
        return Err(Refusal::new(300_307, "actions must be an array that is not empty"));
    };
    operate(world, id, stamp, 300_120, |card| {
        let mut switch = Switch::Untouched;
        for action in actions {
            let params = &action["params"];
            match action["action"].as_str() {
                Some("partial_update_setting") => {
                    if apply_settings(card, &params["settings"])? == Switch::Named {
                        switch = Switch::Named;
                    }
                }
                Some("add_elements") => elements::apply_add(card, params)?,
                Some("delete_elements") => elements::apply_delete(card, params)?,
                Some("partial_update_element") => elements::apply_patch(card, params)?,
                Some("update_element") => elements::apply_replace(card, params)?,
                _ => return Err(Refusal::new(10_002, "unknown action")),
            }
        }
        Ok(switch)
    })?;
    Ok(Answer::empty())
}

/// `interactive/v1/card/update`: allowed only after the callback was answered, for 30 minutes, twice.
pub(super) fn update_by_token(world: &mut World, request: &Request) -> Outcome {
    let body = request.json()?;
    let now = world.now_ms();
    let Some(known) = body["token"].as_str().and_then(|token| world.update_tokens.get(token)).cloned() else {
        return Err(Refusal::new(300_020, "token format is invalid"));
    };
    if now - known.issued_ms > UPDATE_TOKEN_LIFE_MS {
        return Err(Refusal::new(300_030, "token is expired"));
    }
    if known.uses >= UPDATE_TOKEN_USES {
        return Err(Refusal::new(300_040, "token was used too often"));
    }
    if !known.answered {
        return Err(Refusal::new(11_310, "card action is lock: answer the callback first"));
    }
    let card = &body["card"];
    if !card.is_object() {
        return Err(Refusal::new(100_030, "card must be a JSON object"));
    }
    check_any_card(world, card).map_err(|flaw| Refusal::new(11_311, flaw.text()))?;
    let recalled = |id: &String| world.message(id).is_none_or(|message| message.recalled);
    if world.cards.get(&known.card_id).and_then(|card| card.message_id.as_ref()).is_none_or(recalled) {
        return Err(Refusal::new(200_000, "the message was recalled"));
    }
    if let Some(entity) = world.cards.get_mut(&known.card_id) {
        entity.replace(card.clone(), Switch::Replaced, now);
    }
    if let Some(token) = body["token"].as_str().and_then(|token| world.update_tokens.get_mut(token)) {
        token.uses += 1;
    }
    Ok(Answer::empty())
}

/// Body and stamp of a numbered operation.
pub(super) fn stamped(request: &Request) -> Result<(Value, Stamp), Refusal> {
    let body = request.json()?;
    let sequence = body["sequence"].as_i64().filter(|sequence| (1..=MAX_SEQUENCE).contains(sequence));
    let Some(sequence) = sequence else {
        return Err(Refusal::new(10_002, "sequence must be an integer from 1 to 2147483647"));
    };
    let uuid = body["uuid"].as_str().filter(|uuid| !uuid.is_empty()).map(str::to_owned);
    if uuid.as_ref().is_some_and(|uuid| uuid.chars().count() > MAX_UUID_CHARS) {
        return Err(Refusal::new(10_002, "uuid must have at most 64 characters"));
    }
    let fingerprint = format!("{} {}", request.segments.join("/"), body);
    Ok((body, Stamp { sequence, uuid, fingerprint }))
}

/// Runs one numbered operation: checks the stamp, changes a copy, checks the copy, puts it in force.
pub(super) fn operate(
    world: &mut World,
    id: &str,
    stamp: Stamp,
    failure: i64,
    change: impl FnOnce(&mut Value) -> Result<Switch, Refusal>,
) -> Result<Turn, Refusal> {
    let (now, limit) = (world.now_ms(), world.config.limits.card_per_second);
    let Some(card) = world.cards.get(id) else { return Err(Refusal::new(200_740, "card does not exist")) };
    if !card.is_v2() {
        return Err(Refusal::new(300_303, "only cards in JSON 2.0"));
    }
    if world.rates.admit(RateKey::Card(id.to_owned()), limit, now).is_err() {
        return Err(Refusal::rate_limited(1));
    }
    if card.turn(&stamp, now)? == Turn::Repeat {
        return Ok(Turn::Repeat);
    }
    let mut changed = card.json.clone();
    let switch = change(&mut changed)?;
    check(world, &changed, failure)?;
    if let Some(card) = world.cards.get_mut(id) {
        card.accept(stamp);
        card.replace(changed, switch, now);
    }
    Ok(Turn::New)
}

/// A field that holds JSON as text.
pub(super) fn json_text(body: &Value, field: &str) -> Result<Value, Refusal> {
    let text = body[field].as_str().ok_or_else(|| Refusal::new(10_002, format!("{field} must be a string of JSON")))?;
    serde_json::from_str(text).map_err(|_| Refusal::new(10_002, format!("{field} is not JSON")))
}

/// Checks a whole card as CardKit does: some flaws have their own code, others get `failure`.
fn check(world: &World, card: &Value, failure: i64) -> Result<(), Refusal> {
    let refuse = |flaw: Flaw| match flaw.code {
        300_301 | 300_302 | 300_303 | 300_305 => Refusal::new(flaw.code, flaw.text()),
        _ => Refusal::new(failure, flaw.text()),
    };
    check_card(card, world).map_err(refuse)?;
    match card.to_string().len() > MAX_CARD_BYTES {
        true => Err(Refusal::new(200_860, "card content exceeds 30 KB")),
        false => Ok(()),
    }
}

fn apply_settings(card: &mut Value, settings: &Value) -> Result<Switch, Refusal> {
    let Some(fields) = settings.as_object().filter(|fields| !fields.is_empty()) else {
        return Err(Refusal::new(300_307, "settings are empty"));
    };
    if let Some(other) = fields.keys().find(|key| !matches!(key.as_str(), "config" | "card_link")) {
        return Err(Refusal::new(300_122, format!("settings: unknown property {other}")));
    }
    tree::merge(card, settings);
    match settings["config"].get("streaming_mode").is_some() {
        true => Ok(Switch::Named),
        false => Ok(Switch::Untouched),
    }
}
