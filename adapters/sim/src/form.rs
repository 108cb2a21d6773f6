//! Filling in a form as a client does: what was typed, over what stood there; nothing leaves while a field is wrong.

use serde_json::{Map, Value};

use crate::view::{FieldKind, FieldView};

/// The value of every field by name, or `None` while the client would refuse to send: a required field is empty, a
/// value does not fit its field, or `given` names a field that is not there.
pub(crate) fn filled(fields: &[FieldView], given: &Value) -> Option<Map<String, Value>> {
    let nothing = Map::new();
    let given = if given.is_null() { &nothing } else { given.as_object()? };
    if given.keys().any(|name| fields.iter().all(|field| field.name != *name)) {
        return None;
    }
    let mut values = Map::new();
    for field in fields {
        let value = given.get(&field.name).unwrap_or(&field.initial);
        match value {
            _ if is_empty(value) && field.required => return None,
            // An untouched text is sent empty, an untouched choice is not sent.
            Value::Null if matches!(field.kind, FieldKind::Text | FieldKind::LongText) => {
                values.insert(field.name.clone(), Value::from(""));
            }
            Value::Null => {}
            value if fits(field, value) => {
                values.insert(field.name.clone(), value.clone());
            }
            _ => return None,
        }
    }
    Some(values)
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.trim().is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => false,
    }
}

fn fits(field: &FieldView, value: &Value) -> bool {
    let offered = |value: &Value| field.options.iter().any(|(option, _)| value == option.as_str());
    match field.kind {
        FieldKind::Text | FieldKind::LongText => value.as_str().is_some_and(|text| {
            let longest = field.max_length.unwrap_or(u64::MAX);
            text.chars().count() as u64 <= longest && (field.kind == FieldKind::LongText || !text.contains('\n'))
        }),
        FieldKind::Choice => offered(value),
        FieldKind::Choices => value.as_array().is_some_and(|items| items.iter().all(offered)),
        FieldKind::Check => value.is_boolean(),
        FieldKind::Other => true,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn field(name: &str, kind: FieldKind) -> FieldView {
        FieldView {
            name: name.into(),
            kind,
            label: String::new(),
            placeholder: String::new(),
            required: false,
            max_length: None,
            options: vec![("a".into(), "A".into()), ("b".into(), "B".into())],
            initial: Value::Null,
        }
    }

    #[test]
    fn untouched_fields_go_as_they_stand() {
        let mut preset = field("preset", FieldKind::Choice);
        preset.initial = json!("b");
        let fields = [field("text", FieldKind::Text), field("choice", FieldKind::Choice), preset];
        let sent = filled(&fields, &Value::Null).map(Value::from);
        assert_eq!(sent, Some(json!({"text": "", "preset": "b"})));
        let sent = filled(&fields, &json!({"choice": "a", "text": "x"})).map(Value::from);
        assert_eq!(sent, Some(json!({"text": "x", "choice": "a", "preset": "b"})));
    }

    #[test]
    fn what_does_not_fit_is_not_sent() {
        let mut short = field("short", FieldKind::Text);
        short.max_length = Some(2);
        short.required = true;
        let fields = [short, field("many", FieldKind::Choices), field("yes", FieldKind::Check)];
        assert!(filled(&fields, &json!({"short": "字字", "many": ["a", "b"], "yes": true})).is_some());
        let wrong = [
            json!({}),
            json!({"short": " "}),
            json!({"short": "abc"}),
            json!({"short": "a\n"}),
            json!({"short": "a", "many": ["c"]}),
            json!({"short": "a", "yes": "true"}),
            json!({"short": "a", "other": "x"}),
            json!("short"),
        ];
        for given in wrong {
            assert!(filled(&fields, &given).is_none(), "{given}");
        }
    }
}
