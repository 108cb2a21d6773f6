//! Checks of the parts that hold no elements: configuration, header, texts, buttons, behaviours.

use serde_json::{Map, Value};

use super::{At, Flaw, keys};

pub(super) fn object<'a>(value: &'a Value, at: &At) -> Result<&'a Map<String, Value>, Flaw> {
    value.as_object().ok_or_else(|| at.flaw(200_621, "must be an object"))
}

/// Refuses keys that are not in the list.
pub(super) fn only(fields: &Map<String, Value>, allowed: &[&str], at: &At) -> Result<(), Flaw> {
    match fields.keys().find(|key| !allowed.contains(&key.as_str())) {
        Some(key) => Err(at.flaw(200_621, format!("unknown property {key}"))),
        None => Ok(()),
    }
}

/// As [`only`], with the keys that every component may have.
pub(super) fn only_component(fields: &Map<String, Value>, allowed: &[&str], at: &At) -> Result<(), Flaw> {
    let known = |key: &str| allowed.contains(&key) || keys::COMMON.contains(&key);
    match fields.keys().find(|key| !known(key)) {
        Some(key) => Err(at.flaw(200_621, format!("unknown property {key}"))),
        None => Ok(()),
    }
}

/// Refuses a value outside its list; absent is fine.
pub(super) fn one_of(holder: &Value, key: &str, allowed: &[&str], at: &At) -> Result<(), Flaw> {
    match holder.get(key) {
        Some(value) if value.as_str().is_none_or(|value| !allowed.contains(&value)) => {
            Err(at.flaw(200_621, format!("{key} has an unknown value")))
        }
        _ => Ok(()),
    }
}

pub(super) fn config(config: Option<&Value>, root: &At) -> Result<(), Flaw> {
    let Some(config) = config else { return Ok(()) };
    let at = root.then("config");
    only(object(config, &at)?, keys::CONFIG, &at)?;
    if config["update_multi"] == false {
        return Err(at.flaw(300_302, "update_multi must be true in card JSON 2.0"));
    }
    for flag in ["update_multi", "streaming_mode", "enable_forward", "enable_forward_interaction"] {
        if config.get(flag).is_some_and(|value| !value.is_boolean()) {
            return Err(at.flaw(200_621, format!("{flag} must be a boolean")));
        }
    }
    one_of(config, "width_mode", keys::WIDTH_MODES, &at)?;
    if let Some(summary) = config.get("summary") {
        let at = at.then("summary");
        only(object(summary, &at)?, keys::SUMMARY, &at)?;
    }
    if let Some(pace) = config.get("streaming_config") {
        let at = at.then("streaming_config");
        only(object(pace, &at)?, keys::STREAMING_CONFIG, &at)?;
        one_of(pace, "print_strategy", &["fast", "delay"], &at)?;
    }
    Ok(())
}

pub(super) fn header(header: Option<&Value>, root: &At) -> Result<(), Flaw> {
    let Some(header) = header else { return Ok(()) };
    let at = root.then("header");
    only(object(header, &at)?, keys::HEADER, &at)?;
    let Some(title) = header.get("title") else { return Err(at.flaw(200_621, "title is required")) };
    text(title, &at.then("title"))?;
    if let Some(subtitle) = header.get("subtitle") {
        text(subtitle, &at.then("subtitle"))?;
    }
    one_of(header, "template", keys::TEMPLATES, &at)?;
    if let Some(icon) = header.get("icon") {
        let at = at.then("icon");
        only(object(icon, &at)?, keys::ICON, &at)?;
        one_of(icon, "tag", &["standard_icon", "custom_icon"], &at)?;
    }
    let Some(tags) = header.get("text_tag_list") else { return Ok(()) };
    let at = at.then("text_tag_list");
    let Some(tags) = tags.as_array().filter(|tags| tags.len() <= 3) else {
        return Err(at.flaw(200_621, "must be an array of at most 3"));
    };
    for tag in tags {
        only(object(tag, &at)?, keys::TEXT_TAG, &at)?;
        one_of(tag, "color", keys::TAG_COLOURS, &at)?;
        text(&tag["text"], &at.then("text"))?;
    }
    Ok(())
}

/// A `plain_text` or `lark_md` object.
pub(super) fn text(text: &Value, at: &At) -> Result<(), Flaw> {
    only(object(text, at)?, keys::TEXT, at)?;
    if !matches!(text["tag"].as_str(), Some("plain_text" | "lark_md")) {
        return Err(at.flaw(200_621, "tag must be plain_text or lark_md"));
    }
    match text["content"].is_string() {
        true => Ok(()),
        false => Err(at.flaw(200_621, "content must be a string")),
    }
}

/// The title of a collapsible panel may be Markdown too.
pub(super) fn panel_title(title: &Value, at: &At) -> Result<(), Flaw> {
    only(object(title, at)?, keys::PANEL_TITLE, at)?;
    one_of(title, "tag", &["plain_text", "lark_md", "markdown"], at)
}

pub(super) fn button(fields: &Map<String, Value>, at: &At) -> Result<(), Flaw> {
    let whole = Value::Object(fields.clone());
    if let Some(label) = fields.get("text") {
        text(label, &at.then("text"))?;
    } else if !fields.contains_key("icon") {
        return Err(at.flaw(200_621, "a button needs text or icon"));
    }
    one_of(&whole, "type", keys::BUTTON_TYPES, at)?;
    one_of(&whole, "size", keys::BUTTON_SIZES, at)?;
    one_of(&whole, "form_action_type", &["submit", "reset"], at)?;
    if let Some(confirm) = fields.get("confirm") {
        let at = at.then("confirm");
        only(object(confirm, &at)?, keys::CONFIRM, &at)?;
        for part in ["title", "text"] {
            text(&confirm[part], &at.then(part))?;
        }
    }
    behaviors(fields.get("behaviors"), at)
}

/// Longest text of an input that a card may allow.
const MAX_INPUT_CHARS: u64 = 1_000;

pub(super) fn input(input: &Value, at: &At) -> Result<(), Flaw> {
    one_of(input, "input_type", &["text", "multiline_text", "password"], at)?;
    one_of(input, "label_position", &["top", "left"], at)?;
    for part in ["placeholder", "label"] {
        if let Some(given) = input.get(part) {
            text(given, &at.then(part))?;
        }
    }
    let longest = match input.get("max_length") {
        None => MAX_INPUT_CHARS,
        Some(length) => match length.as_u64().filter(|length| (1..=MAX_INPUT_CHARS).contains(length)) {
            Some(length) => length,
            None => return Err(at.flaw(200_621, "max_length must be from 1 to 1000")),
        },
    };
    if input["default_value"].as_str().is_some_and(|text| text.chars().count() as u64 > longest) {
        return Err(at.flaw(200_621, "default_value is longer than max_length"));
    }
    flag(input, "required", at)?;
    behaviors(input.get("behaviors"), at)
}

pub(super) fn select(select: &Value, at: &At) -> Result<(), Flaw> {
    if let Some(placeholder) = select.get("placeholder") {
        text(placeholder, &at.then("placeholder"))?;
    }
    let at_options = at.then("options");
    let Some(options) = select["options"].as_array() else {
        return Err(at_options.flaw(200_621, "must be an array"));
    };
    for option in options {
        only(object(option, &at_options)?, keys::OPTION, &at_options)?;
        text(&option["text"], &at_options.then("text"))?;
        if option["value"].as_str().is_none_or(str::is_empty) {
            return Err(at_options.flaw(200_621, "value must be a string"));
        }
    }
    let known = |value: &Value| options.iter().any(|option| option["value"] == *value);
    if select.get("initial_option").is_some_and(|initial| !known(initial)) {
        return Err(at.flaw(200_621, "initial_option is none of the options"));
    }
    flag(select, "required", at)?;
    behaviors(select.get("behaviors"), at)
}

fn flag(holder: &Value, key: &str, at: &At) -> Result<(), Flaw> {
    match holder.get(key).is_some_and(|value| !value.is_boolean()) {
        true => Err(at.flaw(200_621, format!("{key} must be a boolean"))),
        false => Ok(()),
    }
}

pub(super) fn behaviors(behaviors: Option<&Value>, at: &At) -> Result<(), Flaw> {
    let Some(behaviors) = behaviors else { return Ok(()) };
    let at = at.then("behaviors");
    let Some(list) = behaviors.as_array() else { return Err(at.flaw(200_621, "must be an array")) };
    for behavior in list {
        let fields = object(behavior, &at)?;
        match behavior["type"].as_str() {
            Some("callback") => {
                only(fields, keys::CALLBACK, &at)?;
                if !(behavior["value"].is_object() || behavior["value"].is_string()) {
                    return Err(at.flaw(200_621, "value must be an object or a string"));
                }
            }
            Some("open_url") => only(fields, keys::OPEN_URL, &at)?,
            _ => return Err(at.flaw(200_621, "unknown behavior type")),
        }
    }
    Ok(())
}

/// `^[A-Za-z][A-Za-z0-9_]{0,19}$`
pub(super) fn is_element_id(id: &str) -> bool {
    id.len() <= 20
        && id.starts_with(|first: char| first.is_ascii_alphabetic())
        && id.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// Whether any object in the tree satisfies the test.
pub(super) fn any(node: &Value, test: &dyn Fn(&Value) -> bool) -> bool {
    match node {
        Value::Object(fields) => test(node) || fields.values().any(|child| any(child, test)),
        Value::Array(items) => items.iter().any(|child| any(child, test)),
        _ => false,
    }
}
