//! Lenient reading of JSON objects: an absent, empty or mistyped optional field is just not there.

use std::borrow::Cow;

use serde_json::{Map, Value};

/// Spelling of keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Case {
    Exact,
    /// Event pushes capitalise keys that Stream frames do not.
    Any,
}

/// View of a JSON object.
#[derive(Clone, Copy)]
pub(crate) struct Fields<'a> {
    map: &'a Map<String, Value>,
    case: Case,
}

impl<'a> Fields<'a> {
    pub fn exact(map: &'a Map<String, Value>) -> Self {
        Self { map, case: Case::Exact }
    }

    pub fn any_case(map: &'a Map<String, Value>) -> Self {
        Self { map, case: Case::Any }
    }

    pub fn get(&self, key: &str) -> Option<&'a Value> {
        match self.case {
            Case::Exact => self.map.get(key),
            Case::Any => self
                .map
                .get(key)
                .or_else(|| self.map.iter().find(|(name, _)| name.eq_ignore_ascii_case(key)).map(|(_, value)| value)),
        }
    }

    /// A text that is not empty.
    pub fn text(&self, key: &str) -> Option<&'a str> {
        self.get(key).and_then(Value::as_str).filter(|text| !text.is_empty())
    }

    /// A text, or a number in its decimal form. The platform changes its mind between the two.
    pub fn text_or_number(&self, key: &str) -> Option<Cow<'a, str>> {
        match self.get(key)? {
            Value::String(text) if !text.is_empty() => Some(Cow::Borrowed(text)),
            Value::Number(number) => Some(Cow::Owned(number.to_string())),
            _ => None,
        }
    }

    /// A whole number, or its decimal text.
    pub fn integer(&self, key: &str) -> Option<i64> {
        match self.get(key)? {
            Value::Number(number) => number.as_i64(),
            Value::String(text) => text.trim().parse().ok(),
            _ => None,
        }
    }

    pub fn is_true(&self, key: &str) -> bool {
        self.get(key).and_then(Value::as_bool).unwrap_or(false)
    }

    pub fn object(&self, key: &str) -> Option<Fields<'a>> {
        self.get(key).and_then(Value::as_object).map(|map| Self { map, case: self.case })
    }

    /// The objects of a list.
    pub fn objects(&self, key: &str) -> impl Iterator<Item = Fields<'a>> + use<'a> {
        let case = self.case;
        let list = self.get(key).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        list.iter().filter_map(Value::as_object).map(move |map| Self { map, case })
    }
}

/// An object that may come as JSON text of itself. `None` for anything else.
pub(crate) fn object_or_json_text(value: &Value) -> Option<Cow<'_, Map<String, Value>>> {
    match value {
        Value::Object(map) => Some(Cow::Borrowed(map)),
        Value::String(text) => match serde_json::from_str(text) {
            Ok(Value::Object(map)) => Some(Cow::Owned(map)),
            _ => None,
        },
        _ => None,
    }
}
