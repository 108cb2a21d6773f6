//! Pressed buttons and other input on cards, from both kinds of callback.
//!
//! Source: "Card interaction callback" (`card.action.trigger`) and its old form, checked May 2026.

use std::collections::BTreeMap;

use magpie_core::card::Button;
use magpie_core::event::{Action, Body, CardAction, Press};
use magpie_core::ids::{ChatId, MessageId, UserId};
use serde_json::{Map, Value, json};

use crate::envelope::Envelope;
use crate::field;
use crate::gate::Shape;

/// The event type of new callbacks.
pub(crate) const EVENT_TYPE: &str = "card.action.trigger";

/// Reads a callback of either kind; `None` if it does not say who pressed.
pub(crate) fn read(envelope: &Envelope) -> Option<Body> {
    let event = &envelope.event;
    let (operator, context) = match envelope.shape {
        Shape::OldCard => (event, event),
        _ => (event.get("operator")?, event.get("context").unwrap_or(&Value::Null)),
    };
    let action = event.get("action").unwrap_or(&Value::Null);
    Some(Body::Action(Box::new(CardAction {
        operator: UserId::from(field::user_id(operator)?),
        chat: field::text(context, "open_chat_id").map(ChatId::from),
        message: field::text(context, "open_message_id").map(MessageId::from),
        card: None,
        press: press(action.get("value").unwrap_or(&Value::Null)),
        inputs: BTreeMap::new(),
        value: component(event, action, context),
    })))
}

/// What a button of ours carries: see [`button_value`].
fn press(value: &Value) -> Option<Press> {
    let event = field::text(value, "e")?.parse().ok()?;
    let argument = field::text(value, "x").unwrap_or_default().to_owned();
    Some(Press { action: Action::parse(field::text(value, "a")?)?, event, argument })
}

/// What a button of ours is given to send back: its action under `a`, the event whose answer it belongs to under `e`.
pub(crate) fn button_value(button: &Button) -> [(&'static str, String); 2] {
    [("a", button.action.as_str().to_owned()), ("e", button.event.to_string())]
}

/// Everything the platform told of the component; its tokens are credentials and stay out.
fn component(event: &Value, action: &Value, context: &Value) -> Value {
    let mut told: Map<String, Value> = action.as_object().cloned().unwrap_or_default();
    for (object, key) in [(event, "host"), (event, "delivery_type"), (context, "url")] {
        if let Some(text) = field::text(object, key) {
            told.insert(key.to_owned(), json!(text));
        }
    }
    Value::Object(told)
}
