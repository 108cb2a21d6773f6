//! Reading the platform's JSON, in which a missing field, `null` and `""` mean the same.

use magpie_core::clock::UnixMillis;
use serde_json::Value;

/// A text that is there and not empty.
pub(crate) fn text<'a>(object: &'a Value, key: &str) -> Option<&'a str> {
    object.get(key).and_then(Value::as_str).filter(|text| !text.is_empty())
}

/// The same as an owned text; empty if there is none.
pub(crate) fn text_or_empty(object: &Value, key: &str) -> String {
    text(object, key).unwrap_or_default().to_owned()
}

/// A list's members; none if there is no list.
pub(crate) fn list<'a>(object: &'a Value, key: &str) -> &'a [Value] {
    object.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// The open id inside an id object `{open_id, union_id, user_id}`, else the next best id of it.
pub(crate) fn user_id(ids: &Value) -> Option<&str> {
    ["open_id", "union_id", "user_id"].into_iter().find_map(|key| text(ids, key))
}

/// A whole number, written as one or as text.
pub(crate) fn number(object: &Value, key: &str) -> Option<u64> {
    let value = object.get(key)?;
    value.as_u64().or_else(|| value.as_str()?.trim().parse().ok())
}

/// A moment in seconds (with a fraction, too), milliseconds or microseconds since 1970, told apart by size:
/// events carry milliseconds, callbacks microseconds, version 1 and menus seconds.
pub(crate) fn moment(object: &Value, key: &str) -> Option<UnixMillis> {
    let value = object.get(key)?;
    let digits = value.as_u64().map(|number| number.to_string());
    let text = digits.as_deref().or_else(|| value.as_str())?.trim();
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let whole: i64 = whole.parse().ok().filter(|number| *number > 0)?;
    Some(UnixMillis(match whole {
        ..100_000_000_000 => whole * 1_000 + thousandths(fraction),
        100_000_000_000..100_000_000_000_000 => whole,
        _ => whole / 1_000,
    }))
}

/// The first three decimals as a number; zero if they are no digits.
fn thousandths(fraction: &str) -> i64 {
    let mut digits: String = fraction.chars().take(3).collect();
    while digits.len() < 3 {
        digits.push('0');
    }
    digits.parse().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn null_and_empty_are_as_good_as_missing() {
        let object = json!({"a": null, "b": "", "c": 1, "d": "x"});
        let read = ["a", "b", "c", "d", "e"].map(|key| text(&object, key));
        assert_eq!(read, [None, None, None, Some("x"), None]);
    }

    #[test]
    fn moments_are_told_apart_by_size() {
        let object = json!({
            "s": "1779350398.37", "ms": "1779350399123", "us": "1779350399123456", "menu": 1_779_350_398,
            "bad": "soon", "zero": "0"
        });
        let read = ["s", "ms", "us", "menu"].map(|key| moment(&object, key).expect("a moment").0);
        assert_eq!(read, [1_779_350_398_370, 1_779_350_399_123, 1_779_350_399_123, 1_779_350_398_000]);
        assert_eq!([moment(&object, "bad"), moment(&object, "zero")], [None, None]);
    }
}
