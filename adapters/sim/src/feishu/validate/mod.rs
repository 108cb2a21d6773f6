//! A strict validator of cards in JSON 2.0: unknown keys, 1.0 tags, wrong values, duplicate ids, too many elements.
//!
//! Source: "Card JSON 2.0 structure" and the component pages of the Feishu card documentation, checked May 2026. Where
//! the real platform is known to be lenient this one is not, so that no card relies on luck.

mod keys;
mod markdown;
mod parts;

use std::collections::HashSet;

use serde_json::{Map, Value};

/// Elements and components of one card together.
const MAX_ELEMENTS: usize = 200;
/// Containers inside each other.
const MAX_NESTING: usize = 5;
/// Tables of one card, component or Markdown.
const MAX_TABLES: usize = 5;

/// Why a card could not be built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Flaw {
    /// The platform's inner code (`ErrCode`).
    pub(super) code: i64,
    /// `ROOT -> body -> elements -> [0](tag: markdown)`
    pub(super) path: String,
    pub(super) message: String,
}

impl Flaw {
    /// The platform's way to say it inside `msg`.
    pub(super) fn text(&self) -> String {
        format!(
            "Failed to create card content, ext=ErrCode: {}; ErrPath: {}; ErrMsg: {};",
            self.code, self.path, self.message
        )
    }
}

/// What the tenant knows, to check references of a card against.
pub(super) trait Directory {
    fn has_image(&self, key: &str) -> bool;
    fn has_person(&self, id: &str) -> bool;
}

/// Checks a whole card in JSON 2.0.
///
/// # Errors
/// The first flaw found.
pub(super) fn check_card(card: &Value, directory: &dyn Directory) -> Result<(), Flaw> {
    let mut walk = Walk { directory, ids: HashSet::new(), names: HashSet::new(), elements: 0, tables: 0 };
    let root = At(String::from("ROOT"));
    let fields = parts::object(card, &root)?;
    if card["schema"] != "2.0" {
        return Err(root.flaw(300_303, "schema must be 2.0"));
    }
    for gone in ["elements", "i18n_elements", "fallback"] {
        if fields.contains_key(gone) {
            return Err(root.flaw(200_861, format!("{gone} is not supported in card JSON 2.0")));
        }
    }
    parts::only(fields, keys::ROOT, &root)?;
    if let Some(link) = card.get("card_link") {
        let at = root.then("card_link");
        parts::only(parts::object(link, &at)?, keys::CARD_LINK, &at)?;
    }
    parts::config(card.get("config"), &root)?;
    parts::header(card.get("header"), &root)?;
    walk.body(card.get("body"), &root)
}

/// A place in the card, for messages.
#[derive(Debug, Clone)]
struct At(String);

impl At {
    fn then(&self, step: &str) -> Self {
        Self(format!("{} -> {step}", self.0))
    }

    fn flaw(&self, code: i64, message: impl Into<String>) -> Flaw {
        Flaw { code, path: self.0.clone(), message: message.into() }
    }
}

/// How deep an element lies.
#[derive(Debug, Clone, Copy)]
struct Depth {
    containers: usize,
    in_form: bool,
}

impl Depth {
    const TOP: Self = Self { containers: 0, in_form: false };

    fn deeper(self) -> Self {
        Self { containers: self.containers + 1, ..self }
    }
}

struct Walk<'a> {
    directory: &'a dyn Directory,
    ids: HashSet<String>,
    /// Names of forms and their fields.
    names: HashSet<String>,
    elements: usize,
    tables: usize,
}

impl Walk<'_> {
    fn body(&mut self, body: Option<&Value>, root: &At) -> Result<(), Flaw> {
        let at = root.then("body");
        let Some(body) = body else { return Err(root.flaw(200_621, "body is required")) };
        parts::only(parts::object(body, &at)?, keys::BODY, &at)?;
        let Some(elements) = body["elements"].as_array() else {
            return Err(at.flaw(200_621, "elements must be an array"));
        };
        self.list(elements, &at.then("elements"), Depth::TOP)
    }

    fn list(&mut self, elements: &[Value], at: &At, depth: Depth) -> Result<(), Flaw> {
        for (index, element) in elements.iter().enumerate() {
            let tag = element["tag"].as_str().unwrap_or("?");
            self.element(element, &at.then(&format!("[{index}](tag: {tag})")), depth)?;
        }
        Ok(())
    }

    fn element(&mut self, element: &Value, at: &At, depth: Depth) -> Result<(), Flaw> {
        let fields = parts::object(element, at)?;
        let Some(tag) = element["tag"].as_str() else { return Err(at.flaw(200_621, "tag is required")) };
        if matches!(tag, "action" | "note") {
            return Err(at.flaw(200_861, format!("unsupported tag {tag} in card JSON 2.0")));
        }
        let Some(allowed) = keys::of_component(tag) else {
            return Err(at.flaw(200_621, format!("unknown tag {tag}")));
        };
        parts::only_component(fields, allowed, at)?;
        self.count(element, at)?;
        match tag {
            "markdown" => self.markdown(element, at)?,
            "div" => self.div(element, at)?,
            "img" => self.image(&element["img_key"], at)?,
            "button" => self.button(fields, at, depth)?,
            "input" => parts::input(element, at)?,
            "select_static" | "multi_select_static" => parts::select(element, at)?,
            "table" => self.table(at)?,
            "column_set" => return self.column_set(element, at, depth),
            "form" => return self.form(element, at, depth),
            "interactive_container" | "collapsible_panel" => return self.container(element, at, depth),
            _ => {}
        }
        if depth.in_form {
            self.form_field(fields, tag, at)?;
        }
        Ok(())
    }

    fn button(&self, fields: &Map<String, Value>, at: &At, depth: Depth) -> Result<(), Flaw> {
        if fields.contains_key("form_action_type") && !depth.in_form {
            return Err(at.flaw(200_621, "form_action_type outside a form"));
        }
        parts::button(fields, at)
    }

    fn count(&mut self, element: &Value, at: &At) -> Result<(), Flaw> {
        self.elements += 1;
        if self.elements > MAX_ELEMENTS {
            return Err(at.flaw(300_305, format!("more than {MAX_ELEMENTS} elements")));
        }
        let Some(id) = element.get("element_id") else { return Ok(()) };
        let id = id.as_str().filter(|id| parts::is_element_id(id));
        let Some(id) = id else {
            return Err(at.flaw(200_621, "element_id must be a letter and up to 19 of [A-Za-z0-9_]"));
        };
        match self.ids.insert(id.to_owned()) {
            true => Ok(()),
            false => Err(at.flaw(300_301, format!("element_id {id} is not unique"))),
        }
    }

    fn markdown(&mut self, element: &Value, at: &At) -> Result<(), Flaw> {
        let Some(text) = element["content"].as_str() else { return Err(at.flaw(200_621, "content must be a string")) };
        let found = markdown::survey(text);
        for key in &found.images {
            self.image(&Value::from(key.as_str()), at)?;
        }
        for id in &found.mentions {
            if id != "all" && !self.directory.has_person(id) {
                return Err(at.flaw(100_290, format!("user id {id} is not valid")));
            }
        }
        (0..found.tables).try_for_each(|_| self.table(at))
    }

    fn div(&mut self, element: &Value, at: &At) -> Result<(), Flaw> {
        let Some(text) = element.get("text") else { return Err(at.flaw(200_621, "text is required")) };
        parts::text(text, &at.then("text"))?;
        if text.get("element_id").is_some() {
            self.count(text, at)?;
        }
        Ok(())
    }

    fn image(&self, key: &Value, at: &At) -> Result<(), Flaw> {
        match key.as_str() {
            Some(key) if self.directory.has_image(key) => Ok(()),
            _ => Err(at.flaw(200_570, format!("image key {key} is not valid"))),
        }
    }

    fn table(&mut self, at: &At) -> Result<(), Flaw> {
        self.tables += 1;
        match self.tables > MAX_TABLES {
            true => Err(at.flaw(11_310, "card table number over limit")),
            false => Ok(()),
        }
    }

    fn column_set(&mut self, element: &Value, at: &At, depth: Depth) -> Result<(), Flaw> {
        let depth = self.enter(at, depth)?;
        parts::one_of(element, "flex_mode", keys::FLEX_MODES, at)?;
        let Some(columns) = element["columns"].as_array() else {
            return Err(at.flaw(200_621, "columns must be an array"));
        };
        for (index, column) in columns.iter().enumerate() {
            let at = at.then(&format!("columns -> [{index}](tag: column)"));
            if column["tag"] != "column" {
                return Err(at.flaw(200_621, "tag must be column"));
            }
            parts::only_component(parts::object(column, &at)?, keys::COLUMN, &at)?;
            self.count(column, &at)?;
            if let Some(elements) = column["elements"].as_array() {
                self.list(elements, &at.then("elements"), depth)?;
            }
        }
        Ok(())
    }

    fn form(&mut self, element: &Value, at: &At, depth: Depth) -> Result<(), Flaw> {
        if depth.containers > 0 {
            return Err(at.flaw(200_621, "a form must lie at the root of the body"));
        }
        let Some(name) = element["name"].as_str().filter(|name| !name.is_empty()) else {
            return Err(at.flaw(200_530, "form needs a name"));
        };
        if !self.names.insert(name.to_owned()) {
            return Err(at.flaw(200_530, format!("name {name} is not unique in the card")));
        }
        let Some(elements) = element["elements"].as_array() else {
            return Err(at.flaw(200_621, "elements must be an array"));
        };
        if !parts::any(element, &|node| node["tag"] == "button" && node["form_action_type"] == "submit") {
            return Err(at.flaw(200_621, "a form needs a submit button"));
        }
        self.list(elements, &at.then("elements"), Depth { in_form: true, ..depth.deeper() })
    }

    fn container(&mut self, element: &Value, at: &At, depth: Depth) -> Result<(), Flaw> {
        let depth = self.enter(at, depth)?;
        if let Some(header) = element.get("header") {
            let at = at.then("header");
            parts::only(parts::object(header, &at)?, keys::PANEL_HEADER, &at)?;
            if let Some(title) = header.get("title") {
                parts::panel_title(title, &at.then("title"))?;
            }
        }
        parts::behaviors(element.get("behaviors"), at)?;
        match element["elements"].as_array() {
            Some(elements) => self.list(elements, &at.then("elements"), depth),
            None => Err(at.flaw(200_621, "elements must be an array")),
        }
    }

    fn enter(&self, at: &At, depth: Depth) -> Result<Depth, Flaw> {
        match depth.containers >= MAX_NESTING {
            true => Err(at.flaw(11_310, format!("containers nested deeper than {MAX_NESTING}"))),
            false => Ok(depth.deeper()),
        }
    }

    fn form_field(&mut self, fields: &Map<String, Value>, tag: &str, at: &At) -> Result<(), Flaw> {
        if tag == "table" {
            return Err(at.flaw(200_621, "no table inside a form"));
        }
        if !keys::is_input(tag) {
            return Ok(());
        }
        let Some(name) = fields.get("name").and_then(Value::as_str).filter(|name| !name.is_empty()) else {
            return Err(at.flaw(200_530, "a form field needs a name"));
        };
        match self.names.insert(name.to_owned()) {
            true => Ok(()),
            false => Err(at.flaw(200_530, format!("name {name} is not unique in the card"))),
        }
    }
}

#[cfg(test)]
mod tests;
