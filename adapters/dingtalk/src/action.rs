//! Pressed buttons: the card callback, over HTTP or as `data` of a Stream frame.
//! Source: open.dingtalk.com "卡片回调", August 2026.

use std::collections::BTreeMap;

use magpie_core::clock::UnixMillis;
use magpie_core::event::{Action, Body, CardAction, Event, PlatformKind, Press};
use magpie_core::ids::{BotId, CardId, ChatId, EventId, UserId};
use magpie_core::platform::WebhookError;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::fields::{Fields, object_or_json_text};
use crate::verify::Verified;

/// Presses of the same button by the same person this close together are one press: callbacks carry no event id.
const SAME_PRESS_MS: i64 = 3_000;
/// Ends every part of a button id, so that a numeric suffix that some clients append stands apart.
const DELIMITER: char = '.';

/// The id of a button: `<action>.<event>.`, and `hint.` if the card has room for an answer to the press.
pub(crate) fn button_id(press: &Press, room: HintRoom) -> String {
    let hint = if room == HintRoom::Free { "hint." } else { "" };
    format!("{}.{}.{hint}", press.action.as_str(), press.event)
}

/// Whether the part of the card below the answer is free for a line to the person who presses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HintRoom {
    Free,
    Taken,
}

/// The meaning of a button id of ours.
fn parse_button_id(id: &str) -> Option<(Press, HintRoom)> {
    let mut parts = id.split(DELIMITER);
    let action = Action::parse(parts.next()?)?;
    let event: EventId = parts.next()?.parse().ok()?;
    // Without the closing delimiter the id may be cut short.
    let room = if parts.next()? == "hint" { HintRoom::Free } else { HintRoom::Taken };
    Some((Press { action, event, argument: String::new() }, room))
}

/// A pressed button, and whether its card has room for an answer.
pub(crate) struct Pressed {
    pub event: Event,
    pub room: HintRoom,
}

/// Reads a card callback. `content` is JSON text (called `value` by older cards).
///
/// # Errors
/// [`WebhookError::Malformed`] if card, person or content can't be read.
pub(crate) fn read(verified: &Verified<'_>, bot: &BotId) -> Result<Pressed, WebhookError> {
    let object = verified.object()?;
    let fields = Fields::exact(&object);
    let card = fields.text("outTrackId").ok_or(WebhookError::Malformed("outTrackId is missing"))?;
    let user = fields
        .text_or_number("userId")
        .map(|id| UserId(id.into_owned()))
        .ok_or(WebhookError::Malformed("userId is missing"))?;
    let inside = fields
        .get("content")
        .or_else(|| fields.get("value"))
        .and_then(object_or_json_text)
        .ok_or(WebhookError::Malformed("content is not a JSON object"))?;
    let inside = Fields::exact(&inside);
    let private = inside.object("cardPrivateData");
    let ids = private.and_then(|data| data.get("actionIds")).cloned().unwrap_or_else(|| json!([]));
    let params = private.and_then(|data| data.get("params")).or_else(|| inside.get("params")).cloned();
    let params = params.filter(Value::is_object).unwrap_or_else(|| Value::Object(Map::new()));

    let meaning = ids.as_array().into_iter().flatten().filter_map(Value::as_str).find_map(parse_button_id);
    let press_id = press_id(card, &user, &ids, &params, verified.sent_at);
    let action = CardAction {
        operator: user,
        chat: fields.text("spaceId").map(ChatId::from),
        message: None,
        card: Some(CardId::from(card)),
        press: meaning.as_ref().map(|(press, _)| press.clone()),
        inputs: BTreeMap::new(),
        value: json!({
            "action_ids": ids,
            "form": params.get("form"),
            "params": params,
            "extension": extension(fields.get("extension")),
            "user_id_type": fields.integer("userIdType"),
            "corp_id": fields.text("corpId"),
            "space_type": fields.text("spaceType"),
            "space_id": fields.text("spaceId"),
        }),
    };
    let event = Event {
        bot: bot.clone(),
        platform: PlatformKind::DingTalk,
        platform_event_id: press_id,
        occurred_at: Some(verified.sent_at),
        body: Body::Action(Box::new(action)),
    };
    Ok(Pressed { event, room: meaning.map_or(HintRoom::Taken, |(_, room)| room) })
}

/// `{}` if absent or empty, `null` if it is there but can't be read.
fn extension(value: Option<&Value>) -> Value {
    match value {
        None | Some(Value::Null) => json!({}),
        Some(Value::String(text)) if text.is_empty() => json!({}),
        Some(value) => object_or_json_text(value).map_or(Value::Null, |map| Value::Object(map.into_owned())),
    }
}

/// The same for a repeated delivery: made of everything that tells two presses apart, and of the time in steps.
fn press_id(card: &str, user: &UserId, ids: &Value, params: &Value, sent_at: UnixMillis) -> String {
    let step = sent_at.0.div_euclid(SAME_PRESS_MS);
    let all = json!([card, user, ids, params, step]).to_string();
    format!("press-{}", hex::encode(&Sha256::digest(all.as_bytes())[..16]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verify::trusted;

    fn press() -> Press {
        Press {
            action: Action::VoteUp,
            event: "0190163d-8694-739b-aea5-966c26f8ad91".parse().unwrap(),
            argument: String::new(),
        }
    }

    #[test]
    fn a_button_id_survives_the_suffix_that_clients_append() {
        let id = button_id(&press(), HintRoom::Taken);
        assert_eq!(parse_button_id(&id), Some((press(), HintRoom::Taken)));
        assert_eq!(parse_button_id(&format!("{id}2")), Some((press(), HintRoom::Taken)));
        assert_eq!(
            parse_button_id(&format!("{}7", button_id(&press(), HintRoom::Free))),
            Some((press(), HintRoom::Free))
        );
    }

    #[test]
    fn foreign_button_ids_mean_nothing() {
        for id in ["", "feedback_up", "vote_up.", "vote_up.7.", "vote_up.0190163d-8694-739b-aea5-966c26f8ad91", "..."] {
            assert_eq!(parse_button_id(id), None, "{id}");
        }
    }

    #[test]
    fn presses_within_one_step_are_one_and_others_are_not() {
        let user = UserId::from("u");
        let id = |card: &str, at: i64| press_id(card, &user, &json!(["a"]), &json!({}), UnixMillis(at));
        assert_eq!(id("c", 3_000), id("c", 5_999));
        assert_ne!(id("c", 3_000), id("c", 6_000));
        assert_ne!(id("c", 3_000), id("d", 3_000));
    }

    #[test]
    fn content_that_is_an_object_is_read_too() {
        let body = json!({"outTrackId": "t", "userId": 7, "content": {"cardPrivateData": {"actionIds": [button_id(&press(), HintRoom::Free)]}}});
        let pressed = read(&trusted(body.to_string().as_bytes()), &BotId::from("b")).unwrap();
        let Body::Action(action) = pressed.event.body else { panic!("not an action") };
        assert_eq!((action.press, action.operator), (Some(press()), UserId::from("7")));
        assert_eq!(pressed.room, HintRoom::Free);
    }
}
