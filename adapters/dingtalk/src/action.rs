//! Pressed buttons: the card callback, over HTTP or as `data` of a Stream frame.
//! Source: open.dingtalk.com "卡片回调", August 2026.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use magpie_core::event::{Action, Body, CardAction, Event, PlatformKind, Press};
use magpie_core::ids::{BotId, CardId, ChatId, EventId, UserId};
use magpie_core::platform::WebhookError;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::fields::{Fields, object_or_json_text};
use crate::verify::Verified;

/// Presses of the same button by the same person this close together are one press: callbacks carry no event id.
/// Only where a second one would ask twice. Elsewhere it does no harm, and a page that is turned forth and back, or an
/// answer that is regenerated again, is a press of the same button.
const SAME_PRESS_MS: i64 = 3_000;
/// Ends every part of a button id, so that a numeric suffix that some clients append stands apart.
const DELIMITER: char = '.';

/// What an id may hold at most, in bytes.
pub(crate) const LONGEST_ID: usize = 4_096;
/// Begins the part of an id that is the argument, in base64url: it may hold anything.
const ARGUMENT: &str = "arg-";
/// The hidden field of a form that says what the form is about, as a button's id.
pub(crate) const FORM_PRESS: &str = "press";

/// The id of a button: `<action>.<event>.`, then `hint.` if the card has room for an answer to the press, and
/// `arg-<base64url>.` if there is an argument.
pub(crate) fn button_id(press: &Press, room: HintRoom) -> String {
    let hint = if room == HintRoom::Free { "hint." } else { "" };
    let mut id = format!("{}.{}.{hint}", press.action.as_str(), press.event);
    if !press.argument.is_empty() {
        id.extend([ARGUMENT, &URL_SAFE_NO_PAD.encode(&press.argument), "."]);
    }
    id
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
    let mut rest: Vec<&str> = parts.collect();
    // Without the closing delimiter the id may be cut short; what stands behind it was appended.
    rest.pop().filter(|tail| tail.bytes().all(|byte| byte.is_ascii_digit()))?;
    let room = if rest.first() == Some(&"hint") { HintRoom::Free } else { HintRoom::Taken };
    let argument = match rest.last().and_then(|part| part.strip_prefix(ARGUMENT)) {
        Some(encoded) => String::from_utf8(URL_SAFE_NO_PAD.decode(encoded).ok()?).ok()?,
        None => String::new(),
    };
    Some((Press { action, event, argument }, room))
}

/// What a submitted form holds, as texts: the value of a choice, the values of several, a switch as `true` or `false`.
fn inputs(form: Option<&Value>) -> BTreeMap<String, String> {
    let fields = form.and_then(Value::as_object).into_iter().flatten();
    fields.filter_map(|(name, value)| Some((name.clone(), input(value)?))).collect()
}

fn input(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(set) => Some(set.to_string()),
        Value::Array(values) => Some(values.iter().filter_map(input).collect::<Vec<_>>().join(",")),
        // A choice comes with its place in the list.
        Value::Object(choice) => choice.get("value").and_then(input),
        Value::Null => None,
    }
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

    let mut inputs = inputs(params.get("form"));
    let form_press = inputs.remove(FORM_PRESS);
    let named = ids.as_array().into_iter().flatten().filter_map(Value::as_str).find_map(parse_button_id);
    let meaning = named.or_else(|| form_press.as_deref().and_then(parse_button_id));
    let step = verified.sent_at.0.div_euclid(step_ms(meaning.as_ref().map(|(press, _)| press.action)));
    let press_id = press_id(&json!([card, user, ids, params, step]));
    let action = CardAction {
        operator: user,
        chat: fields.text("spaceId").map(ChatId::from),
        message: None,
        card: Some(CardId::from(card)),
        press: meaning.as_ref().map(|(press, _)| press.clone()),
        inputs,
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

/// How long a press of the same button is taken for the same press.
fn step_ms(action: Option<Action>) -> i64 {
    match action {
        Some(Action::Ask | Action::Command) | None => SAME_PRESS_MS,
        Some(_) => 1,
    }
}

/// The same for a repeated delivery: made of everything that tells two presses apart, and of the time in steps.
fn press_id(press: &Value) -> String {
    format!("press-{}", hex::encode(&Sha256::digest(press.to_string().as_bytes())[..16]))
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
    fn a_button_id_carries_any_argument() {
        for argument in ["2", "hint", "年假怎么请？a.b/c", &"长".repeat(100)] {
            let press = Press { argument: argument.to_owned(), ..press() };
            for room in [HintRoom::Free, HintRoom::Taken] {
                let id = button_id(&press, room);
                assert!(id.len() <= LONGEST_ID && id.is_ascii(), "{id}");
                assert_eq!(parse_button_id(&id), Some((press.clone(), room)));
                assert_eq!(parse_button_id(&format!("{id}12")), Some((press.clone(), room)));
            }
        }
    }

    #[test]
    fn a_submitted_form_comes_back_as_texts_with_its_meaning() {
        let reason = Press { action: Action::VoteReason, ..press() };
        let form = json!({"reason": {"index": 2, "value": "wrong"}, "comment": "第三行不对", "stars": 3, "again": true,
            "more": {"index": [1, 2], "value": ["a", "b"]}, "none": null, "press": button_id(&reason, HintRoom::Taken)});
        let content = json!({"cardPrivateData": {"actionIds": ["form"], "params": {"form": form}}});
        let body = json!({"outTrackId": "t", "userId": "u", "content": content.to_string()});
        let pressed = read(&trusted(body.to_string().as_bytes()), &BotId::from("b")).unwrap();
        let Body::Action(action) = pressed.event.body else { panic!("not an action") };
        assert_eq!(action.press, Some(reason));
        let inputs: Vec<_> = action.inputs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(
            inputs,
            [("again", "true"), ("comment", "第三行不对"), ("more", "a,b"), ("reason", "wrong"), ("stars", "3")]
        );
    }

    #[test]
    fn foreign_button_ids_mean_nothing() {
        for id in [
            "",
            "feedback_up",
            "vote_up.",
            "vote_up.7.",
            "vote_up.0190163d-8694-739b-aea5-966c26f8ad91",
            "...",
            "ask.0190163d-8694-739b-aea5-966c26f8ad91.arg-5bm0",
            "ask.0190163d-8694-739b-aea5-966c26f8ad91.arg-!.",
        ] {
            assert_eq!(parse_button_id(id), None, "{id}");
        }
    }

    #[test]
    fn what_would_ask_twice_within_one_step_is_one_press_and_everything_else_is_pressed_again() {
        assert_eq!([Some(Action::Ask), Some(Action::Command), None].map(step_ms), [SAME_PRESS_MS; 3]);
        assert_eq!([Action::ShowVersion, Action::Regenerate].map(|action| step_ms(Some(action))), [1; 2]);
        assert_eq!(press_id(&json!(["card", 1])), press_id(&json!(["card", 1])));
        assert_ne!(press_id(&json!(["card", 1])), press_id(&json!(["card", 2])));
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
