//! Finding and changing elements inside a card by `element_id`.

use serde_json::{Map, Value};

/// Where new elements go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Append,
    Before,
    After,
}

/// The object with this element id, at any depth.
pub(super) fn find<'a>(node: &'a Value, element_id: &str) -> Option<&'a Value> {
    match node {
        Value::Object(fields) if is(fields, element_id) => Some(node),
        Value::Object(fields) => fields.values().find_map(|child| find(child, element_id)),
        Value::Array(items) => items.iter().find_map(|child| find(child, element_id)),
        _ => None,
    }
}

/// As [`find`], to change it.
pub(super) fn find_mut<'a>(node: &'a mut Value, element_id: &str) -> Option<&'a mut Value> {
    if node.as_object().is_some_and(|fields| is(fields, element_id)) {
        return Some(node);
    }
    match node {
        Value::Object(fields) => fields.values_mut().find_map(|child| find_mut(child, element_id)),
        Value::Array(items) => items.iter_mut().find_map(|child| find_mut(child, element_id)),
        _ => None,
    }
}

/// The array that holds the element, and its position there.
fn home<'a>(node: &'a mut Value, element_id: &str) -> Option<(&'a mut Vec<Value>, usize)> {
    match node {
        Value::Array(items) => {
            let here = |item: &Value| item.as_object().is_some_and(|fields| is(fields, element_id));
            match items.iter().position(here) {
                Some(at) => Some((items, at)),
                None => items.iter_mut().find_map(|child| home(child, element_id)),
            }
        }
        Value::Object(fields) => fields.values_mut().find_map(|child| home(child, element_id)),
        _ => None,
    }
}

/// Removes an element; `false` if there is none.
pub(super) fn remove(card: &mut Value, element_id: &str) -> bool {
    let Some((items, at)) = home(&mut card["body"], element_id) else { return false };
    items.remove(at);
    true
}

/// Inserts elements at the place, which is at the end of the body (or of the target container) for
/// [`Place::Append`]; `false` if the target is missing.
pub(super) fn insert(card: &mut Value, place: Place, target: Option<&str>, new: Vec<Value>) -> bool {
    let body = &mut card["body"];
    let list = match (place, target) {
        (Place::Append, None) => body["elements"].as_array_mut().map(|items| (items.len(), items)),
        (Place::Append, Some(target)) => find_mut(body, target)
            .and_then(|container| container.get_mut("elements"))
            .and_then(Value::as_array_mut)
            .map(|items| (items.len(), items)),
        (Place::Before, Some(target)) => home(body, target).map(|(items, at)| (at, items)),
        (Place::After, Some(target)) => home(body, target).map(|(items, at)| (at + 1, items)),
        (Place::Before | Place::After, None) => None,
    };
    let Some((at, items)) = list else { return false };
    items.splice(at..at, new);
    true
}

/// Merges `changes` into `into`: objects key by key, all else replaced.
pub(super) fn merge(into: &mut Value, changes: &Value) {
    match (into, changes) {
        (Value::Object(fields), Value::Object(changes)) => {
            for (key, change) in changes {
                merge(fields.entry(key.clone()).or_insert(Value::Null), change);
            }
        }
        (into, change) => *into = change.clone(),
    }
}

/// The text of a text element: `content` of markdown or plain text, or that of a `div`'s text.
pub(super) fn text(element: &Value) -> Option<&str> {
    match element["tag"].as_str()? {
        "markdown" | "plain_text" | "lark_md" => element["content"].as_str(),
        "div" => element["text"]["content"].as_str(),
        _ => None,
    }
}

/// Sets what [`text`] reads; `false` if the element has no text.
pub(super) fn set_text(element: &mut Value, content: &str) -> bool {
    let slot = match element["tag"].as_str() {
        Some("markdown" | "plain_text" | "lark_md") => element,
        Some("div") => &mut element["text"],
        _ => return false,
    };
    slot["content"] = content.into();
    true
}

fn is(fields: &Map<String, Value>, element_id: &str) -> bool {
    fields.get("element_id").and_then(Value::as_str) == Some(element_id)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn card() -> Value {
        json!({"body": {"elements": [
            {"tag": "markdown", "element_id": "a", "content": "x"},
            {"tag": "column_set", "element_id": "set", "columns": [
                {"tag": "column", "element_id": "left", "elements": [{"tag": "hr", "element_id": "deep"}]}]}]}})
    }

    #[test]
    fn elements_are_found_inserted_and_removed_at_any_depth() {
        let mut card = card();
        assert!(insert(&mut card, Place::Before, Some("deep"), vec![json!({"tag": "hr", "element_id": "first"})]));
        assert!(insert(&mut card, Place::Append, Some("left"), vec![json!({"tag": "hr", "element_id": "last"})]));
        let inner = &card["body"]["elements"][1]["columns"][0]["elements"];
        let order: Vec<_> = inner.as_array().unwrap().iter().map(|item| item["element_id"].as_str().unwrap()).collect();
        assert_eq!(order, ["first", "deep", "last"]);
        assert!(remove(&mut card, "deep"));
        assert!(!remove(&mut card, "deep"));
        assert!(find(&card, "deep").is_none());
    }

    #[test]
    fn merge_keeps_what_it_does_not_name() {
        let mut config = json!({"streaming_mode": true, "summary": {"content": "…"}});
        merge(&mut config, &json!({"streaming_mode": false}));
        assert_eq!(config, json!({"streaming_mode": false, "summary": {"content": "…"}}));
    }

    #[test]
    fn text_is_set_in_text_elements_only() {
        let mut card = card();
        assert!(set_text(find_mut(&mut card, "a").unwrap(), "y"));
        assert_eq!(find(&card, "a").and_then(text), Some("y"));
        assert!(!set_text(find_mut(&mut card, "deep").unwrap(), "y"));
    }
}
