//! Pressing a button: the callback, the 3 s, and what the answer does to the card.
//!
//! Source: "Card callback communication" and its client error codes, checked May 2026.

use std::sync::Arc;

use serde_json::{Value, json};

use super::api::check_any_card;
use super::face::{Button, Face};
use super::ids;
use super::push::{Attempt, Seal};
use super::shared::Shared;
use super::world::card::{Streaming, Switch};
use super::world::{UpdateToken, World};
use crate::form::filled;
use crate::view::{ButtonRole, Pushed};

/// A short note over the chat, from the answer to a press or from the client when the press failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Toast {
    /// `info`, `success`, `error` or `warning`.
    pub kind: String,
    pub content: String,
    /// The client's code when the answer was none (200341 no answer in time, 200671 status, 200672 body,
    /// 200673 card, 200830 downgrade).
    pub client_error: Option<u32>,
}

/// Which of the two callbacks a press sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CallbackStyle {
    /// `card.action.trigger`
    Current,
    /// `card.action.trigger_v1`: flat, plain, signed with SHA-1.
    Old,
}

/// A press as the client sends it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Press<'a> {
    pub(super) message_id: &'a str,
    pub(super) button_id: &'a str,
    pub(super) user: &'a str,
    /// What was filled into the form that the button submits, by field; the other fields stand untouched.
    pub(super) values: &'a Value,
    pub(super) style: CallbackStyle,
}

impl Shared {
    /// Sends the callback and applies the answer. A press of nothing that calls back gives status 0, as does a form
    /// that the client does not send because a field is empty or wrong.
    pub(super) async fn press(self: &Arc<Self>, press: Press<'_>) -> Pushed {
        let prepared = prepare(&mut self.world(), press);
        let Some((card_id, token, event)) = prepared else {
            return Pushed::nothing(press.message_id);
        };
        let attempt = match press.style {
            CallbackStyle::Current => self.attempt(&self.envelope("card.action.trigger", event), Seal::Event).await,
            CallbackStyle::Old => self.attempt(&event, Seal::OldCard).await,
        };
        let outcome = conclude(&mut self.world(), &card_id, &token, &attempt);
        match outcome {
            Ok(Some(toast)) => self.toasts().push(toast),
            Ok(None) => {}
            Err(code) => self.toasts().push(Toast {
                kind: "error".into(),
                content: format!("code: {code}"),
                client_error: Some(code),
            }),
        }
        self.changed();
        Pushed { id: press.message_id.into(), status: attempt.status, answer: attempt.answer }
    }
}

/// Locks the card for the interaction; gives its id, the update token and the event.
fn prepare(world: &mut World, press: Press<'_>) -> Option<(String, String, Value)> {
    let message = world.message(press.message_id).filter(|message| !message.recalled)?;
    let chat_id = message.chat_id.clone();
    let card = world.card_of(press.message_id)?;
    let card_id = card.id.clone();
    let action = action(&Face::of(&card.json), press)?;
    let token = ids::fresh("c-");
    let operator = world.person(press.user)?;
    let tenant_key = &world.config.tenant_key;
    let event = match press.style {
        CallbackStyle::Current => json!({
            "operator": {"tenant_key": tenant_key, "open_id": operator.open_id, "union_id": operator.union_id, "user_id": operator.user_id},
            "token": token,
            "action": action,
            "host": "im_message",
            "context": {"open_message_id": press.message_id, "open_chat_id": chat_id},
        }),
        CallbackStyle::Old => json!({
            "open_id": operator.open_id,
            "user_id": operator.user_id,
            "open_message_id": press.message_id,
            "open_chat_id": chat_id,
            "tenant_key": tenant_key,
            "token": token,
            "action": action,
        }),
    };
    let issued_ms = world.now_ms();
    let issued = UpdateToken { card_id: card_id.clone(), issued_ms, uses: 0, answered: false };
    world.update_tokens.insert(token.clone(), issued);
    if let Some(card) = world.cards.get_mut(&card_id) {
        card.interactions += 1;
    }
    Some((card_id, token, event))
}

/// The `action` of a press; `None` if nothing would be sent.
fn action(face: &Face, press: Press<'_>) -> Option<Value> {
    let button = face.buttons.iter().find(|button| button.id == press.button_id).filter(|it| !it.is_disabled())?;
    let value = button.callback_value();
    let form_value = match button.role() {
        ButtonRole::Submit => Some(filled(fields_around(face, button), press.values)?),
        ButtonRole::Reset => return None,
        ButtonRole::Plain => None,
    };
    if value.is_none() && form_value.is_none() {
        return None;
    }
    let mut action = json!({"tag": button.element["tag"], "timezone": "Asia/Shanghai"});
    if let Some(value) = value {
        action["value"] = value;
    }
    if let Some(name) = button.element.get("name") {
        action["name"] = name.clone();
    }
    if let Some(form_value) = form_value {
        action["form_value"] = form_value.into();
        action["form_action_type"] = json!("submit");
    }
    Some(action)
}

fn fields_around<'a>(face: &'a Face, button: &Button) -> &'a [crate::view::FieldView] {
    let around = face.forms.iter().find(|form| Some(&form.name) == button.form.as_ref());
    around.map(|form| form.fields.as_slice()).unwrap_or_default()
}

/// Unlocks the card and applies the answer; the error is the client's code.
fn conclude(world: &mut World, card_id: &str, token: &str, attempt: &Attempt) -> Result<Option<Toast>, u32> {
    if let Some(card) = world.cards.get_mut(card_id) {
        card.interactions -= 1;
    }
    if let Some(token) = world.update_tokens.get_mut(token) {
        token.answered = true;
    }
    match attempt.status {
        0 => return Err(200_341),
        200 => {}
        _ => return Err(200_671),
    }
    let answer: Value = serde_json::from_str(&attempt.answer).map_err(|_| 200_672u32)?;
    if !answer.is_object() {
        return Err(200_672);
    }
    if let Some(card) = answer.get("card") {
        apply(world, card_id, card)?;
    }
    let Some(toast) = answer.get("toast") else { return Ok(None) };
    let kind = toast["type"].as_str().unwrap_or("info");
    let Some(content) = toast["content"].as_str() else { return Err(200_672) };
    if !matches!(kind, "info" | "success" | "error" | "warning") {
        return Err(200_672);
    }
    Ok(Some(Toast { kind: kind.into(), content: content.into(), client_error: None }))
}

/// Puts the answered card in place, unless the card is streaming.
fn apply(world: &mut World, card_id: &str, answered: &Value) -> Result<(), u32> {
    let new = &answered["data"];
    if answered["type"] != "raw" || !new.is_object() {
        return Err(200_673);
    }
    check_any_card(world, new).map_err(|_| 200_673u32)?;
    let now = world.now_ms();
    let Some(card) = world.cards.get_mut(card_id) else { return Ok(()) };
    if card.is_v2() && new["schema"] != "2.0" {
        return Err(200_830);
    }
    if card.streaming(now) != Streaming::On {
        card.replace(new.clone(), Switch::Replaced, now);
    }
    Ok(())
}
