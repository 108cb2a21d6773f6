//! Forms in cards: a variable of an own template whose value is `{"fields":[…]}`, and what submitting one sends.

use serde_json::{Map, Value, json};

use crate::form::filled;
use crate::view::{FieldKind, FieldView, FormView};

/// A form of a card, with the platform's type of each field.
#[derive(Debug, Clone)]
pub(super) struct Form {
    pub view: FormView,
    types: Vec<String>,
}

impl Form {
    /// Reads a variable; `None` if it is no form.
    pub fn of(name: &str, variable: &Value) -> Option<Self> {
        let given = variable.get("fields")?.as_array()?;
        let shown = given.iter().filter(|field| field.get("hidden") != Some(&Value::Bool(true)));
        let (fields, types) = shown.filter_map(field).unzip();
        Some(Self {
            view: FormView { name: name.to_owned(), markdown: String::new(), html: String::new(), fields },
            types,
        })
    }

    /// `params.form` of the callback, or `None` while the client would not send it.
    pub fn values(&self, given: &Value) -> Option<Value> {
        let values = filled(&self.view.fields, given)?;
        let mut sent = Map::new();
        for (field, kind) in self.view.fields.iter().zip(&self.types) {
            if let Some(value) = values.get(&field.name) {
                sent.insert(field.name.clone(), on_the_wire(field, kind, value));
            }
        }
        Some(sent.into())
    }
}

fn field(field: &Value) -> Option<(FieldView, String)> {
    let text = |key: &str| field.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let kind = text("type");
    let options = field.get("options").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let option = |option: &Value| {
        let value = option.get("value").and_then(Value::as_str)?;
        Some((value.to_owned(), option.get("text").and_then(Value::as_str).unwrap_or(value).to_owned()))
    };
    let view = FieldView {
        name: field.get("name").and_then(Value::as_str).filter(|name| !name.is_empty())?.to_owned(),
        kind: match kind.as_str() {
            "TEXT" => FieldKind::Text,
            "TEXT_AREA" => FieldKind::LongText,
            "SELECT" | "CHECKBOX_GROUP" => FieldKind::Choice,
            "MULTI_SELECT" | "MULTI_CHECKBOX_GROUP" => FieldKind::Choices,
            "CHECKBOX" | "SWITCH" => FieldKind::Check,
            _ => FieldKind::Other,
        },
        label: text("label"),
        placeholder: text("placeholder"),
        required: field.get("required") == Some(&Value::Bool(true)),
        max_length: None,
        options: options.iter().filter_map(option).collect(),
        initial: field.get("defaultValue").cloned().unwrap_or_default(),
    };
    Some((view, kind))
}

/// The drop-down kinds say which of the options it is, from 0, beside its value.
fn on_the_wire(field: &FieldView, kind: &str, value: &Value) -> Value {
    let index = |value: &Value| field.options.iter().position(|(option, _)| value == option.as_str());
    match (kind, value) {
        ("SELECT", value) => json!({"index": index(value), "value": value}),
        ("MULTI_SELECT", Value::Array(values)) => {
            json!({"index": values.iter().map(index).collect::<Vec<_>>(), "value": values})
        }
        _ => value.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_go_in_the_shape_of_their_type() {
        let options = json!([{"value": "wrong", "text": "不对"}, {"value": "slow", "text": "太慢"}]);
        let variable = json!({"fields": [
            {"name": "reason", "type": "SELECT", "required": true, "options": options},
            {"name": "more", "type": "MULTI_SELECT", "options": options},
            {"name": "comment", "type": "TEXT_AREA", "label": "说明"},
            {"name": "secret", "type": "TEXT", "hidden": true},
            {"name": "agree", "type": "SWITCH", "defaultValue": true}]});
        let form = Form::of("why", &variable).expect("it has fields");
        assert_eq!(form.view.fields.len(), 4);
        let sent = form.values(&json!({"reason": "slow", "more": ["wrong"]}));
        let expected = json!({"reason": {"index": 1, "value": "slow"}, "more": {"index": [0], "value": ["wrong"]},
            "comment": "", "agree": true});
        assert_eq!(sent, Some(expected));
        assert_eq!(form.values(&Value::Null), None, "a reason is required");
        assert!(Form::of("text", &json!("no form")).is_none());
    }
}
