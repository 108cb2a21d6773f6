//! What a client makes of a card's JSON: title aside, its body, folded parts, small print, buttons and forms.

use serde_json::Value;

use crate::view::{ButtonRole, ButtonView, FieldKind, FieldView};

/// Something in a card that can be pressed.
#[derive(Debug, Clone)]
pub(super) struct Button {
    /// Its `element_id` or name; made up from its position if it has neither or shares it.
    pub(super) id: String,
    pub(super) label: String,
    pub(super) style: String,
    pub(super) wide: bool,
    /// Name of the form it lies in.
    pub(super) form: Option<String>,
    pub(super) element: Value,
}

impl Button {
    pub(super) fn is_disabled(&self) -> bool {
        self.element["disabled"] == true
    }

    /// What a press sends back; `None` if the button only opens a link.
    pub(super) fn callback_value(&self) -> Option<Value> {
        callback_of(&self.element)
    }

    /// What it means to the form around it; in JSON 1.0 the key is `action_type`, with `form_` in front of the value.
    pub(super) fn role(&self) -> ButtonRole {
        let named = self.element["form_action_type"].as_str();
        let old = self.element["action_type"].as_str().and_then(|kind| kind.strip_prefix("form_"));
        match named.or(old).filter(|_| self.form.is_some()) {
            Some("submit") => ButtonRole::Submit,
            Some("reset") => ButtonRole::Reset,
            _ => ButtonRole::Plain,
        }
    }

    pub(super) fn view(self) -> ButtonView {
        ButtonView {
            disabled: self.is_disabled(),
            role: self.role(),
            id: self.id,
            label: self.label,
            style: self.style,
            wide: self.wide,
            form: self.form,
        }
    }
}

/// A part that folds in.
#[derive(Debug, Default)]
pub(super) struct Panel {
    pub(super) title: String,
    pub(super) markdown: String,
    pub(super) expanded: bool,
}

/// Fields that are sent together.
#[derive(Debug)]
pub(super) struct Form {
    pub(super) name: String,
    /// What it says, apart from its fields.
    pub(super) texts: Vec<String>,
    pub(super) fields: Vec<FieldView>,
}

/// A card without its structure, in reading order.
#[derive(Debug, Default)]
pub(super) struct Face {
    pub(super) body: Vec<String>,
    pub(super) panels: Vec<Panel>,
    pub(super) note: Vec<String>,
    pub(super) buttons: Vec<Button>,
    pub(super) forms: Vec<Form>,
}

/// Where an element lies, as far as it matters to how it looks.
#[derive(Debug, Clone, Copy, Default)]
struct Place<'a> {
    form: Option<&'a str>,
    in_row: bool,
}

impl Face {
    /// Reads a card in JSON 2.0 or 1.0.
    pub(super) fn of(card: &Value) -> Self {
        let mut face = Self::default();
        // JSON 2.0 has a body, 1.0 has elements at the root.
        let elements = card["body"]["elements"].as_array().or_else(|| card["elements"].as_array());
        face.list(elements, Place::default());
        face
    }

    fn list(&mut self, elements: Option<&Vec<Value>>, place: Place<'_>) {
        for element in elements.into_iter().flatten() {
            self.element(element, place);
        }
    }

    fn element(&mut self, element: &Value, place: Place<'_>) {
        match element["tag"].as_str().unwrap_or_default() {
            "markdown" => self.text(element, place),
            "div" => self.text(&element["text"], place),
            "hr" => self.say("---".into(), place),
            "img" => self.say(format!("![{}]()", element["alt"]["content"].as_str().unwrap_or("image")), place),
            "button" => self.button(element, label_of(element), place),
            "table" => self.say(table_markdown(element), place),
            "note" => {
                let texts = element["elements"].as_array().into_iter().flatten();
                self.note.extend(texts.filter_map(|text| text["content"].as_str()).map(str::to_owned));
            }
            "column_set" => {
                for column in element["columns"].as_array().into_iter().flatten() {
                    self.list(column["elements"].as_array(), Place { in_row: true, ..place });
                }
            }
            "collapsible_panel" => self.panel(element),
            "interactive_container" if callback_of(element).is_some() => {
                let inside = Self::of(element);
                self.button(element, inside.body.into_iter().chain(inside.note).collect::<Vec<_>>().join("\n"), place);
            }
            "form" => self.form(element, place),
            "action" => self.list(element["actions"].as_array(), Place { in_row: true, ..place }),
            tag => match (field(element, tag), place.form) {
                (Some(field), Some(_)) => {
                    if let Some(form) = self.forms.last_mut() {
                        form.fields.push(field);
                    }
                }
                _ => self.list(element["elements"].as_array(), place),
            },
        }
    }

    fn form(&mut self, element: &Value, place: Place<'_>) {
        let name = element["name"].as_str().unwrap_or_default();
        self.forms.push(Form { name: name.to_owned(), texts: Vec::new(), fields: Vec::new() });
        self.list(element["elements"].as_array(), Place { form: Some(name), ..place });
    }

    /// All that lies in a panel folds in with it; only what can be pressed stays reachable.
    fn panel(&mut self, element: &Value) {
        let inside = Self::of(element);
        self.panels.push(Panel {
            title: element["header"]["title"]["content"].as_str().unwrap_or_default().to_owned(),
            markdown: inside.body.into_iter().chain(inside.note).collect::<Vec<_>>().join("\n\n"),
            expanded: element["expanded"] == true,
        });
        self.panels.extend(inside.panels);
        for button in inside.buttons {
            self.button(&button.element, button.label, Place { form: None, in_row: !button.wide });
        }
    }

    /// Puts a text into the form around it, else into the body.
    fn say(&mut self, text: String, place: Place<'_>) {
        match self.forms.last_mut().filter(|_| place.form.is_some()) {
            Some(form) => form.texts.push(text),
            None => self.body.push(text),
        }
    }

    /// Small or grey text is small print.
    fn text(&mut self, text: &Value, place: Place<'_>) {
        let content = text["content"].as_str().unwrap_or_default().to_owned();
        if content.is_empty() {
            return;
        }
        match text["text_size"] == "notation" || text["text_color"] == "grey" {
            true if place.form.is_none() => self.note.push(content),
            _ => self.say(content, place),
        }
    }

    fn button(&mut self, element: &Value, label: String, place: Place<'_>) {
        let given = element["element_id"].as_str().or_else(|| element["name"].as_str());
        let free = given.filter(|id| self.buttons.iter().all(|other| other.id != *id));
        let id = free.map_or_else(|| format!("button-{}", self.buttons.len() + 1), str::to_owned);
        let kind = element["type"].as_str().unwrap_or("default");
        let style = ["primary", "danger"].into_iter().find(|style| kind.starts_with(style)).unwrap_or("default");
        self.buttons.push(Button {
            id,
            label,
            style: style.into(),
            wide: element["width"] == "fill" || !place.in_row,
            form: place.form.map(str::to_owned),
            element: element.clone(),
        });
    }
}

fn label_of(button: &Value) -> String {
    button["text"]["content"].as_str().unwrap_or_default().to_owned()
}

fn callback_of(element: &Value) -> Option<Value> {
    let behaviors = element["behaviors"].as_array().into_iter().flatten();
    let of_behavior = behaviors.filter(|behavior| behavior["type"] == "callback").find_map(|it| it.get("value"));
    of_behavior.or_else(|| element.get("value")).cloned()
}

/// A field of a form; `None` for everything else.
fn field(element: &Value, tag: &str) -> Option<FieldView> {
    let (kind, initial) = match tag {
        "input" if element["input_type"] == "multiline_text" => (FieldKind::LongText, &element["default_value"]),
        "input" => (FieldKind::Text, &element["default_value"]),
        "select_static" => (FieldKind::Choice, &element["initial_option"]),
        "multi_select_static" => (FieldKind::Choices, &element["selected_values"]),
        "checker" => (FieldKind::Check, &element["checked"]),
        "date_picker" => (FieldKind::Other, &element["initial_date"]),
        "picker_time" => (FieldKind::Other, &element["initial_time"]),
        "picker_datetime" => (FieldKind::Other, &element["initial_datetime"]),
        "select_person" | "multi_select_person" | "select_img" => (FieldKind::Other, &Value::Null),
        _ => return None,
    };
    let content = |key: &str| element[key]["content"].as_str().unwrap_or_default().to_owned();
    let options = element["options"].as_array().into_iter().flatten().map(|option| {
        let value = option["value"].as_str().unwrap_or_default();
        (value.to_owned(), option["text"]["content"].as_str().unwrap_or(value).to_owned())
    });
    Some(FieldView {
        name: element["name"].as_str().unwrap_or_default().to_owned(),
        kind,
        label: if tag == "checker" { content("text") } else { content("label") },
        placeholder: content("placeholder"),
        required: element["required"] == true,
        max_length: element["max_length"].as_u64(),
        options: options.collect(),
        initial: initial.clone(),
    })
}

fn table_markdown(table: &Value) -> String {
    let columns: Vec<&Value> = table["columns"].as_array().into_iter().flatten().collect();
    let head =
        |column: &&Value| column["display_name"].as_str().or_else(|| column["name"].as_str()).unwrap_or("").to_owned();
    let cells: Vec<String> = columns.iter().map(head).collect();
    let mut lines = vec![row(&cells), row(&vec!["---".to_owned(); columns.len()])];
    for line in table["rows"].as_array().into_iter().flatten() {
        let cell = |column: &&Value| match &line[column["name"].as_str().unwrap_or_default()] {
            Value::String(text) => text.clone(),
            Value::Null => String::new(),
            other => other.to_string(),
        };
        lines.push(row(&columns.iter().map(cell).collect::<Vec<_>>()));
    }
    lines.join("\n")
}

fn row(cells: &[String]) -> String {
    format!("| {} |", cells.join(" | "))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn nested_cards_are_flattened_in_reading_order() {
        let card = json!({"schema": "2.0", "body": {"elements": [
            {"tag": "collapsible_panel", "header": {"title": {"tag": "plain_text", "content": "Thinking"}},
                "elements": [{"tag": "div", "text": {"content": "inner", "text_size": "notation"}}]},
            {"tag": "markdown", "content": "answer"},
            {"tag": "column_set", "columns": [{"tag": "column", "elements": [
                {"tag": "button", "element_id": "up", "type": "primary_text", "text": {"content": "👍"},
                    "behaviors": [{"type": "open_url", "default_url": "x"}, {"type": "callback", "value": {"v": 1}}]},
                {"tag": "button", "element_id": "up", "text": {"content": "again"}}]}]},
            {"tag": "interactive_container", "behaviors": [{"type": "callback", "value": {"ask": 1}}],
                "elements": [{"tag": "markdown", "content": "two\nlines?"}]},
            {"tag": "div", "text": {"tag": "plain_text", "content": "small", "text_size": "notation"}}]}});
        let face = Face::of(&card);
        assert_eq!((face.body, face.note), (vec!["answer".to_owned()], vec!["small".to_owned()]));
        assert_eq!((face.panels[0].title.as_str(), face.panels[0].markdown.as_str()), ("Thinking", "inner"));
        let shown: Vec<_> =
            face.buttons.iter().map(|it| (it.id.as_str(), it.label.as_str(), it.style.as_str(), it.wide)).collect();
        let expected = [
            ("up", "👍", "primary", false),
            ("button-2", "again", "default", false),
            ("button-3", "two\nlines?", "default", true),
        ];
        assert_eq!(shown, expected);
        assert_eq!(face.buttons[0].callback_value(), Some(json!({"v": 1})));
        assert_eq!(face.buttons[1].callback_value(), None);
        assert_eq!(face.buttons[2].callback_value(), Some(json!({"ask": 1})));
    }

    #[test]
    fn fields_and_buttons_belong_to_the_form_around_them() {
        let card = json!({"schema": "2.0", "body": {"elements": [{"tag": "form", "name": "why", "elements": [
            {"tag": "select_static", "name": "reason", "placeholder": {"content": "Why?"}, "required": true,
                "initial_option": "wrong", "options": [{"value": "wrong", "text": {"content": "Wrong"}}]},
            {"tag": "column_set", "columns": [{"tag": "column", "elements": [
                {"tag": "input", "name": "comment", "input_type": "multiline_text", "max_length": 500}]}]},
            {"tag": "button", "name": "send", "form_action_type": "submit", "text": {"content": "Send"}},
            {"tag": "button", "name": "close", "text": {"content": "Close"}}]}]}});
        let face = Face::of(&card);
        let fields = &face.forms[0].fields;
        assert_eq!((face.forms[0].name.as_str(), fields.len()), ("why", 2));
        assert_eq!(
            (fields[0].kind, fields[0].placeholder.as_str(), fields[0].required),
            (FieldKind::Choice, "Why?", true)
        );
        assert_eq!((fields[0].options[0].1.as_str(), &fields[0].initial), ("Wrong", &json!("wrong")));
        assert_eq!((fields[1].kind, fields[1].max_length), (FieldKind::LongText, Some(500)));
        let roles: Vec<_> = face.buttons.iter().map(Button::role).collect();
        assert_eq!(roles, [ButtonRole::Submit, ButtonRole::Plain]);
        assert!(face.buttons.iter().all(|button| button.form.as_deref() == Some("why")));
    }

    #[test]
    fn tables_become_markdown() {
        let table =
            json!({"columns": [{"name": "a", "display_name": "A"}, {"name": "n"}], "rows": [{"a": "x", "n": 3}]});
        assert_eq!(table_markdown(&table), "| A | n |\n| --- | --- |\n| x | 3 |");
    }
}
