//! Pressed buttons and other input on cards, from both kinds of callback.
//!
//! Source: "Card interaction callback" (`card.action.trigger`) and its old form, checked May 2026.

use std::collections::BTreeMap;

use magpie_core::event::{Action, Body, CardAction, Press};
use magpie_core::ids::{ChatId, EventId, MessageId, UserId};
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
        inputs: inputs(action.get("form_value").unwrap_or(&Value::Null)),
        value: component(event, action, context),
    })))
}

/// What a button of ours carries: see [`button_value`].
fn press(value: &Value) -> Option<Press> {
    let event = field::text(value, "e")?.parse().ok()?;
    let argument = field::text(value, "x").unwrap_or_default().to_owned();
    Some(Press { action: Action::parse(field::text(value, "a")?)?, event, argument })
}

/// What a button is given to send back: its action under `a`, the event whose answer it belongs to under `e`, and its
/// argument under `x`, if it has one.
pub(crate) fn press_value(action: Action, event: EventId, argument: &str) -> Vec<(&'static str, String)> {
    let mut value = vec![("a", action.as_str().to_owned()), ("e", event.to_string())];
    if !argument.is_empty() {
        value.push(("x", argument.to_owned()));
    }
    value
}

/// The fields of a submitted form that are filled in; of several choices, the names with commas between.
fn inputs(form: &Value) -> BTreeMap<String, String> {
    let filled = |value: &Value| match value {
        Value::String(text) => Some(text.trim().to_owned()),
        Value::Array(choices) => Some(choices.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(",")),
        _ => None,
    };
    let fields = form.as_object().into_iter().flatten();
    fields.filter_map(|(name, value)| Some((name.clone(), filled(value).filter(|text| !text.is_empty())?))).collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_that_are_filled_in_are_inputs() {
        let form =
            json!({"reason": "wrong", "comment": " too old\n", "empty": "", "many": ["a", "b"], "odd": {"x": 1}});
        let read: Vec<(String, String)> = inputs(&form).into_iter().collect();
        let expected = [("comment", "too old"), ("many", "a,b"), ("reason", "wrong")];
        assert_eq!(read, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
        assert!(inputs(&json!("x")).is_empty() && inputs(&Value::Null).is_empty());
    }

    #[test]
    fn what_a_button_is_given_is_read_from_its_press() {
        let event = EventId::new();
        let value: Map<String, Value> = press_value(Action::ShowVersion, event, "2")
            .into_iter()
            .map(|(key, text)| (key.to_owned(), json!(text)))
            .collect();
        let expected = Press { action: Action::ShowVersion, event, argument: "2".into() };
        assert_eq!(press(&Value::Object(value)), Some(expected));
    }
}
