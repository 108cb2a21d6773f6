//! What a client shows of a message: cards flattened to title, body, small print and buttons.

use serde_json::Value;

use super::markdown;
use super::world::World;
use super::world::card::Streaming;
use super::world::message::{Body, Message};
use crate::view::{ButtonView, CardState, ChatView, MessageView};

/// A button of a card.
#[derive(Debug, Clone)]
pub(super) struct Button {
    /// Its `element_id` or name; made up from its position if it has neither or shares it.
    pub(super) id: String,
    pub(super) label: String,
    pub(super) style: String,
    pub(super) element: Value,
}

impl Button {
    pub(super) fn is_disabled(&self) -> bool {
        self.element["disabled"] == true
    }

    /// What a press sends back; `None` if the button only opens a link.
    pub(super) fn callback_value(&self) -> Option<Value> {
        let behaviors = self.element["behaviors"].as_array().into_iter().flatten();
        let of_behavior = behaviors.filter(|behavior| behavior["type"] == "callback").find_map(|it| it.get("value"));
        of_behavior.or_else(|| self.element.get("value")).cloned()
    }
}

/// A card without its structure.
#[derive(Debug, Default)]
struct Flat {
    body: Vec<String>,
    note: Vec<String>,
    buttons: Vec<Button>,
}

/// All chats as their members see them.
pub(super) fn chats(world: &World) -> Vec<ChatView> {
    let view = |chat: &super::world::Chat| ChatView {
        id: chat.id.clone(),
        title: chat.title.clone(),
        direct: chat.direct,
        messages: world.messages_in(chat).map(|message| message_view(world, message)).collect(),
    };
    world.chats.iter().map(view).collect()
}

/// The buttons of a card, in reading order.
pub(super) fn buttons(card: &Value) -> Vec<Button> {
    flatten(card).buttons
}

/// One message as its readers see it.
pub(super) fn message_view(world: &World, message: &Message) -> MessageView {
    let mut view = MessageView {
        id: message.id.clone(),
        sender: world.author_name(&message.author),
        from_bot: message.is_by_bot(),
        reply_to: message.parent_id.clone(),
        card: false,
        title: String::new(),
        markdown: String::new(),
        html: String::new(),
        state: CardState::Final,
        note: String::new(),
        buttons: Vec::new(),
        updates: u64::from(message.edits),
    };
    match &message.body {
        Body::Card(card_id) => fill_card(world, card_id, &mut view),
        Body::Plain(content) => fill_plain(world, message, content, &mut view),
    }
    if message.recalled {
        view.state = CardState::Recalled;
    }
    view
}

fn fill_card(world: &World, card_id: &str, view: &mut MessageView) {
    let Some(card) = world.cards.get(card_id) else { return };
    let flat = flatten(&card.json);
    let header = &card.json["header"];
    view.card = true;
    view.title = header["title"]["content"].as_str().unwrap_or_default().to_owned();
    view.markdown = flat.body.join("\n\n");
    view.html = markdown::to_html(&view.markdown, &|id| name_of(world, id));
    view.note = flat.note.join("\n");
    view.updates = card.updates;
    view.buttons = flat
        .buttons
        .into_iter()
        .map(|button| ButtonView { id: button.id, label: button.label, style: button.style })
        .collect();
    view.state = match card.streaming(world.now_ms()) {
        Streaming::On => CardState::Streaming,
        _ if matches!(header["template"].as_str(), Some("red" | "carmine")) => CardState::Failed,
        _ => CardState::Final,
    };
}

fn fill_plain(world: &World, message: &Message, content: &str, view: &mut MessageView) {
    let content: Value = serde_json::from_str(content).unwrap_or_default();
    match message.msg_type.as_str() {
        "text" => {
            let mut text = markdown::resolve_at(content["text"].as_str().unwrap_or_default(), &|id| name_of(world, id));
            // From the last one on, so that `@_user_1` is not replaced inside `@_user_12`.
            for mention in message.mentions.iter().rev() {
                text = text.replace(&mention.key, &format!("@{}", mention.name));
            }
            view.markdown = text.replace("@_all", "@所有人");
            view.html = markdown::plain_html(&view.markdown);
        }
        "post" => {
            // As sent there is a locale around it, as received there is none.
            let post = content.get("content").map_or_else(
                || content.as_object().and_then(|locales| locales.values().next()).cloned().unwrap_or_default(),
                |_| content.clone(),
            );
            view.title = post["title"].as_str().unwrap_or_default().to_owned();
            view.markdown = post_markdown(world, &post);
            view.html = markdown::to_html(&view.markdown, &|id| name_of(world, id));
        }
        other => {
            let name = content["file_name"].as_str().unwrap_or_default();
            view.markdown = format!("[{other}] {name}").trim_end().to_owned();
            view.html = markdown::plain_html(&view.markdown);
        }
    }
}

fn post_markdown(world: &World, post: &Value) -> String {
    let paragraphs = post["content"].as_array().into_iter().flatten();
    let run = |run: &Value| match run["tag"].as_str() {
        Some("a") => {
            format!("[{}]({})", run["text"].as_str().unwrap_or_default(), run["href"].as_str().unwrap_or_default())
        }
        Some("at") => {
            let shown = run["user_name"].as_str().map(str::to_owned);
            format!("@{}", shown.unwrap_or_else(|| name_of(world, run["user_id"].as_str().unwrap_or_default())))
        }
        Some("img") => "[image]".to_owned(),
        Some("hr") => "---".to_owned(),
        Some("code_block") => format!("```\n{}\n```", run["text"].as_str().unwrap_or_default()),
        _ => run["text"].as_str().unwrap_or_default().to_owned(),
    };
    let lines: Vec<String> =
        paragraphs.map(|paragraph| paragraph.as_array().into_iter().flatten().map(run).collect::<String>()).collect();
    lines.join("\n\n")
}

/// Display name behind an id in a mention.
fn name_of(world: &World, id: &str) -> String {
    match world.person(id) {
        Some(person) => person.name.clone(),
        None if id == world.config.bot_open_id => world.config.bot_name.clone(),
        None if id == "all" => "所有人".into(),
        None => id.to_owned(),
    }
}

fn flatten(card: &Value) -> Flat {
    let mut flat = Flat::default();
    // JSON 2.0 has a body, 1.0 has elements at the root.
    let elements = card["body"]["elements"].as_array().or_else(|| card["elements"].as_array());
    flat.list(elements);
    flat
}

impl Flat {
    fn list(&mut self, elements: Option<&Vec<Value>>) {
        for element in elements.into_iter().flatten() {
            self.element(element);
        }
    }

    fn element(&mut self, element: &Value) {
        match element["tag"].as_str().unwrap_or_default() {
            "markdown" => self.text(element),
            "div" => self.text(&element["text"]),
            "hr" => self.body.push("---".into()),
            "img" => self.body.push(format!("![{}]()", element["alt"]["content"].as_str().unwrap_or("image"))),
            "button" => self.button(element),
            "table" => self.body.push(table_markdown(element)),
            "note" => {
                let texts = element["elements"].as_array().into_iter().flatten();
                self.note.extend(texts.filter_map(|text| text["content"].as_str()).map(str::to_owned));
            }
            "column_set" => {
                for column in element["columns"].as_array().into_iter().flatten() {
                    self.list(column["elements"].as_array());
                }
            }
            "collapsible_panel" => {
                if let Some(title) = element["header"]["title"]["content"].as_str().filter(|title| !title.is_empty()) {
                    self.body.push(format!("▸ {title}"));
                }
                self.list(element["elements"].as_array());
            }
            "action" => self.list(element["actions"].as_array()),
            _ => self.list(element["elements"].as_array()),
        }
    }

    /// Small or grey text is small print.
    fn text(&mut self, text: &Value) {
        let content = text["content"].as_str().unwrap_or_default().to_owned();
        if content.is_empty() {
            return;
        }
        match text["text_size"] == "notation" || text["text_color"] == "grey" {
            true => self.note.push(content),
            false => self.body.push(content),
        }
    }

    fn button(&mut self, element: &Value) {
        let given = element["element_id"].as_str().or_else(|| element["name"].as_str());
        let free = given.filter(|id| self.buttons.iter().all(|other| other.id != *id));
        let id = free.map_or_else(|| format!("button-{}", self.buttons.len() + 1), str::to_owned);
        let kind = element["type"].as_str().unwrap_or("default");
        let style = ["primary", "danger"].into_iter().find(|style| kind.starts_with(style)).unwrap_or("default");
        let label = element["text"]["content"].as_str().unwrap_or_default().to_owned();
        self.buttons.push(Button { id, label, style: style.into(), element: element.clone() });
    }
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
                "elements": [{"tag": "markdown", "content": "inner"}]},
            {"tag": "markdown", "content": "answer"},
            {"tag": "column_set", "columns": [{"tag": "column", "elements": [
                {"tag": "button", "element_id": "up", "type": "primary_text", "text": {"content": "👍"},
                    "behaviors": [{"type": "open_url", "default_url": "x"}, {"type": "callback", "value": {"v": 1}}]},
                {"tag": "button", "element_id": "up", "text": {"content": "again"}}]}]},
            {"tag": "div", "text": {"tag": "plain_text", "content": "small", "text_size": "notation"}}]}});
        let flat = flatten(&card);
        assert_eq!(flat.body, ["▸ Thinking", "inner", "answer"]);
        assert_eq!(flat.note, ["small"]);
        let shown: Vec<_> =
            flat.buttons.iter().map(|it| (it.id.as_str(), it.label.as_str(), it.style.as_str())).collect();
        assert_eq!(shown, [("up", "👍", "primary"), ("button-2", "again", "default")]);
        assert_eq!(flat.buttons[0].callback_value(), Some(json!({"v": 1})));
        assert_eq!(flat.buttons[1].callback_value(), None);
    }

    #[test]
    fn tables_become_markdown() {
        let table =
            json!({"columns": [{"name": "a", "display_name": "A"}, {"name": "n"}], "rows": [{"a": "x", "n": 3}]});
        assert_eq!(table_markdown(&table), "| A | n |\n| --- | --- |\n| x | 3 |");
    }
}
