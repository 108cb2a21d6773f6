//! The world as a person sees it.

use serde_json::Value;

use super::card::{Card, Params};
use super::config::{TEMPLATE_A, TEMPLATE_B};
use super::form::Form;
use super::render::{markdown_to_html, text_to_html};
use super::world::{Body, Chat, Entry, World};
use crate::view::{ButtonRole, ButtonView, CardState, ChatView, MessageView};

/// What a button does when it is pressed.
#[derive(Debug, Clone)]
pub(super) enum Does {
    /// Calls the service back, with the `params` it carries.
    CallBack(Value),
    Open(String),
    /// Calls the service back with the fields of this form.
    Submit(Form),
}

/// The id under which a form's submission comes back.
pub(super) const FORM_ACTION: &str = "form";
/// Longer labels get a line of their own.
const SHORT_LABEL_CHARS: usize = 12;
/// Ids up to this long come back.
const MAX_ACTION_ID_BYTES: usize = 4_096;

/// A button of a card or message.
#[derive(Debug, Clone)]
pub(super) struct Button {
    pub id: String,
    pub label: String,
    pub style: &'static str,
    pub does: Does,
}

/// What the client makes of a card's variables.
#[derive(Debug, Default)]
struct Face {
    title: String,
    markdown: String,
    note: String,
    buttons: Vec<Button>,
    forms: Vec<Form>,
}

/// All chats; `viewer` is whose eyes are used, or in each chat those of the person who acted there last.
pub(super) fn chats(world: &World, viewer: Option<&str>) -> Vec<ChatView> {
    world.chats.iter().map(|chat| chat_view(world, chat, viewer)).collect()
}

/// One chat, seen in the same way.
pub(super) fn chat_view(world: &World, chat: &Chat, viewer: Option<&str>) -> ChatView {
    let viewer = viewer.or(chat.viewer.as_deref());
    ChatView {
        id: chat.id.clone(),
        title: chat.title.clone(),
        direct: chat.direct,
        members: chat.members.clone(),
        bot_inside: chat.bot_inside,
        messages: chat.entries.iter().map(|entry| message(world, entry, viewer)).collect(),
    }
}

/// The buttons of a message or card as `viewer` sees them.
pub(super) fn buttons(world: &World, entry: &Entry, viewer: Option<&str>) -> Vec<Button> {
    match &entry.body {
        _ if entry.recalled => Vec::new(),
        Body::Links { links, .. } => links.iter().enumerate().map(link_button).collect(),
        Body::Card(out_track_id) => world
            .cards
            .get(out_track_id)
            .map(|card| face(card, &card.seen_by(&ids_of(world, viewer)).0).pressable())
            .unwrap_or_default(),
        _ => Vec::new(),
    }
}

fn link_button((number, (label, url)): (usize, &(String, String))) -> Button {
    Button { id: format!("link-{number}"), label: label.clone(), style: "default", does: Does::Open(url.clone()) }
}

impl Face {
    /// The buttons, and one for each form.
    fn pressable(self) -> Vec<Button> {
        let submit = |(number, form): (usize, Form)| Button {
            id: if number == 0 { FORM_ACTION.to_owned() } else { format!("{FORM_ACTION}-{}", number + 1) },
            label: "提交".to_owned(),
            style: "primary",
            does: Does::Submit(form),
        };
        self.buttons.into_iter().chain(self.forms.into_iter().enumerate().map(submit)).collect()
    }
}

fn message(world: &World, entry: &Entry, viewer: Option<&str>) -> MessageView {
    let mut view = MessageView {
        id: entry.id.clone(),
        sender: entry.sender.clone(),
        sender_id: entry.sender_id.clone(),
        from_bot: entry.from_bot,
        reply_to: entry.reply_to.clone(),
        thread: None,
        card: false,
        title: String::new(),
        markdown: String::new(),
        html: String::new(),
        panels: Vec::new(),
        state: CardState::Final,
        note: entry.emotions.join(" "),
        buttons: buttons(world, entry, viewer).into_iter().map(shown).collect(),
        forms: Vec::new(),
        updates: 0,
    };
    if entry.recalled {
        view.state = CardState::Recalled;
        view.card = matches!(entry.body, Body::Card(_));
        return view;
    }
    match &entry.body {
        Body::Text(text) => {
            view.markdown.clone_from(text);
            view.html = text_to_html(text);
        }
        Body::Markdown { title, text } | Body::Links { title, text, .. } => {
            view.title.clone_from(title);
            view.markdown.clone_from(text);
            view.html = markdown_to_html(text);
        }
        Body::Card(out_track_id) => {
            view.card = true;
            if let Some(card) = world.cards.get(out_track_id) {
                let (params, state) = card.seen_by(&ids_of(world, viewer));
                let face = face(card, &params);
                view.html = markdown_to_html(&face.markdown);
                view.forms = face.forms.into_iter().map(|form| form.view).collect();
                (view.title, view.markdown, view.note) = (face.title, face.markdown, face.note);
                (view.state, view.updates) = (state, card.updates);
            }
        }
    }
    view
}

fn shown(button: Button) -> ButtonView {
    let form = match button.does {
        Does::Submit(form) => Some(form.view.name),
        Does::CallBack(_) | Does::Open(_) => None,
    };
    ButtonView {
        wide: button.label.chars().count() > SHORT_LABEL_CHARS,
        id: button.id,
        label: button.label,
        style: button.style.to_owned(),
        disabled: false,
        role: if form.is_some() { ButtonRole::Submit } else { ButtonRole::Plain },
        form,
    }
}

/// The ids under which private data of this person may stand.
fn ids_of<'a>(world: &'a World, viewer: Option<&'a str>) -> Vec<&'a str> {
    let person = viewer.and_then(|viewer| world.person(viewer));
    person.map(|person| vec![person.id.as_str(), person.union_id.as_str()]).unwrap_or_default()
}

fn face(card: &Card, params: &Params) -> Face {
    let complex = params.get("sys_full_json_obj").and_then(|text| serde_json::from_str::<Value>(text).ok());
    let complex = complex.unwrap_or_default();
    match card.template.as_str() {
        TEMPLATE_A => public_card(params, &complex, &["msgTitle", "msgContent", "staticMsgContent", "msgButtons"]),
        TEMPLATE_B => public_card(params, &complex, &["msgContent", "staticMsgContent"]),
        _ => generic(params, &complex),
    }
}

/// Templates A and B: the parts named in `order`, in that order, of those the template has.
fn public_card(params: &Params, complex: &Value, has: &[&str]) -> Face {
    let ordered: Option<Vec<&str>> =
        complex.get("order").and_then(Value::as_array).map(|order| order.iter().filter_map(Value::as_str).collect());
    let order = ordered.unwrap_or_else(|| has.to_vec());
    let mut face = Face::default();
    let mut texts = Vec::new();
    for part in order.into_iter().filter(|part| has.contains(part)) {
        match part {
            "msgTitle" => face.title = params.get(part).cloned().unwrap_or_default(),
            "msgButtons" => face.buttons = button_list(complex.get(part).unwrap_or(&Value::Null)),
            _ => texts.extend(params.get(part).filter(|text| !text.is_empty()).cloned()),
        }
    }
    face.markdown = texts.join("\n\n");
    let note = complex.get("source").and_then(|source| source.get("text")).and_then(Value::as_str);
    face.note = note.unwrap_or_default().to_owned();
    face
}

/// Any other template: its layout is not known here, so the usual variable names are tried and the rest is listed.
fn generic(params: &Params, complex: &Value) -> Face {
    let mut face = Face::default();
    let mut texts = Vec::new();
    for (key, value) in params {
        let complex = serde_json::from_str::<Value>(value).unwrap_or_default();
        if let Some(form) = Form::of(key, &complex) {
            face.forms.push(form);
            continue;
        }
        let list = Some(complex).filter(Value::is_array);
        match key.as_str() {
            "flowStatus" | "config" | "sys_full_json_obj" | "logo" => {}
            _ if value.is_empty() => {}
            "title" | "msgTitle" => face.title.clone_from(value),
            "content" | "markdown" | "msgContent" | "staticMsgContent" => texts.push(value.clone()),
            "note" | "tips" | "footer" => face.note.clone_from(value),
            _ => match list.map(|list| button_list(&list)).filter(|buttons| !buttons.is_empty()) {
                Some(buttons) => face.buttons.extend(buttons),
                None => texts.push(format!("**{key}**: {value}")),
            },
        }
    }
    for (key, value) in complex.as_object().into_iter().flatten() {
        face.buttons.extend(button_list(value));
        face.forms.extend(Form::of(key, value));
    }
    face.markdown = texts.join("\n\n");
    face
}

/// Entries of a list that look like buttons: a label, and an id that calls back or an address.
fn button_list(list: &Value) -> Vec<Button> {
    let entries = list.as_array().map(Vec::as_slice).unwrap_or_default();
    entries.iter().enumerate().filter_map(|(number, entry)| button(number, entry)).collect()
}

fn button(number: usize, entry: &Value) -> Option<Button> {
    let field = |name: &str| entry.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    let label = field("text").or_else(|| field("label")).or_else(|| field("title"))?.to_owned();
    let style = match field("color").or_else(|| field("style")).unwrap_or_default() {
        "blue" | "primary" => "primary",
        "red" | "danger" => "danger",
        _ => "default",
    };
    let calls_back = entry.get("request").and_then(Value::as_bool).unwrap_or(field("url").is_none());
    if calls_back {
        let id = field("id").filter(|id| id.len() <= MAX_ACTION_ID_BYTES)?.to_owned();
        let params = entry.get("params").cloned().unwrap_or_else(|| serde_json::json!({}));
        return Some(Button { id, label, style, does: Does::CallBack(params) });
    }
    let id = field("id").map_or_else(|| format!("link-{number}"), str::to_owned);
    Some(Button { id, label, style, does: Does::Open(field("url")?.to_owned()) })
}
