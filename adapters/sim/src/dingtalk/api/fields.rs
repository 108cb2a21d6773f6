//! Reading fields out of request bodies, with the platform's complaints.

use serde_json::Value;

use super::Refusal;

/// A non-empty text field.
pub(super) fn text<'a>(body: &'a Value, name: &str) -> Option<&'a str> {
    body.get(name)?.as_str().filter(|text| !text.is_empty())
}

/// A non-empty text field, or HTTP 400 with `code`.
pub(super) fn required<'a>(body: &'a Value, name: &str, code: &str) -> Result<&'a str, Refusal> {
    text(body, name).ok_or_else(|| Refusal::bad(code, &format!("{name} is missing or empty")))
}

/// A field that may be missing, but is true or false otherwise.
pub(super) fn flag(body: &Value, name: &str) -> Result<bool, Refusal> {
    match body.get(name) {
        None | Some(Value::Null) => Ok(false),
        Some(Value::Bool(set)) => Ok(*set),
        Some(_) => Err(Refusal::bad("param.invalid", &format!("{name} must be true or false"))),
    }
}

/// A list of texts; `None` when the field is not such a list.
pub(super) fn texts<'a>(body: &'a Value, name: &str) -> Option<Vec<&'a str>> {
    body.get(name)?.as_array()?.iter().map(Value::as_str).collect()
}
