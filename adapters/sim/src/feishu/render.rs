//! What a client shows of chats and messages.

use serde_json::Value;

use super::face::Face;
use super::markdown;
use super::world::World;
use super::world::card::Streaming;
use super::world::message::{Author, Body, Message};
use crate::view::{CardState, ChatView, FormView, MessageView, PanelView};

/// All chats as their members see them.
pub(super) fn chats(world: &World) -> Vec<ChatView> {
    let view = |chat: &super::world::Chat| ChatView {
        id: chat.id.clone(),
        title: chat.title.clone(),
        direct: chat.direct,
        members: chat.members.clone(),
        bot_inside: chat.bot_inside,
        messages: world.messages_in(chat).map(|message| message_view(world, message)).collect(),
    };
    world.chats.iter().map(view).collect()
}

/// One message as its readers see it.
pub(super) fn message_view(world: &World, message: &Message) -> MessageView {
    let mut view = MessageView {
        id: message.id.clone(),
        sender: world.author_name(&message.author),
        sender_id: match &message.author {
            Author::Bot => String::new(),
            Author::Person(open_id) => open_id.clone(),
        },
        from_bot: message.is_by_bot(),
        reply_to: message.parent_id.clone(),
        thread: message.thread_id.clone(),
        card: false,
        title: String::new(),
        markdown: String::new(),
        html: String::new(),
        panels: Vec::new(),
        state: CardState::Final,
        note: String::new(),
        buttons: Vec::new(),
        forms: Vec::new(),
        updates: u64::from(message.edits),
    };
    match &message.body {
        Body::Card(card_id) => fill_card(world, card_id, &mut view),
        Body::Plain(content) => fill_plain(world, message, content, &mut view),
    }
    if message.recalled {
        view.state = CardState::Recalled;
        view.buttons.clear();
        view.forms.clear();
    }
    view
}

fn fill_card(world: &World, card_id: &str, view: &mut MessageView) {
    let Some(card) = world.cards.get(card_id) else { return };
    let face = Face::of(&card.json);
    let html = |text: &str| markdown::to_html(text, &|id| name_of(world, id));
    let header = &card.json["header"];
    view.card = true;
    view.title = header["title"]["content"].as_str().unwrap_or_default().to_owned();
    view.markdown = face.body.join("\n\n");
    view.html = html(&view.markdown);
    view.note = face.note.join("\n");
    view.updates = card.updates;
    let panel = |panel: super::face::Panel| PanelView {
        html: html(&panel.markdown),
        title: panel.title,
        markdown: panel.markdown,
        expanded: panel.expanded,
    };
    view.panels = face.panels.into_iter().map(panel).collect();
    view.buttons = face.buttons.into_iter().map(super::face::Button::view).collect();
    let form = |form: super::face::Form| {
        let markdown = form.texts.join("\n\n");
        FormView { name: form.name, html: html(&markdown), markdown, fields: form.fields }
    };
    view.forms = face.forms.into_iter().map(form).collect();
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
