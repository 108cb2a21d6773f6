//! From the neutral card to Feishu's card JSON, by templates that an operator may replace.
//!
//! Source: "Card JSON 2.0 structure"
//! (<https://open.feishu.cn/document/feishu-cards/card-json-v2-structure>), checked May 2026.

mod parts;

use std::path::Path;

use magpie_core::card::{Button, ButtonStyle, Card, CardState, Form, Language, Reason, Version};
use magpie_core::event::Action;
use magpie_core::ids::{BotId, EventId};
use magpie_core::texts::Text;
use minijinja::{Environment, context};
use serde_json::Value;

use crate::config::ConfigError;
use crate::markdown::{growing, plain, safe, safe_text};
use crate::pages::{PAGE_BYTES, beginning, json_bytes, split};

const TEMPLATE: &str = "card.json.j2";
const BUILT_IN: &str = include_str!("../../../cards/feishu/card.json.j2");

/// The element that streamed text is written into.
pub(crate) const ANSWER: &str = "answer";

const TITLE_CHARS: usize = 80;
const SUMMARY_CHARS: usize = 60;
const REASONING_BYTES: usize = 4_000;
/// A card may have 30 KB; what is counted is not said to the byte.
const CARD_BYTES: usize = 28_000;

/// How much of a card's own wishes the platform still accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Look {
    /// Markdown as the model wrote it.
    Rich,
    /// The same text without any markup, after the platform refused the markup.
    Plain,
}

/// Whether the platform types the text on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flow {
    Streaming,
    Whole,
}

/// A card's text in pages, safe to show, and the page to render.
pub(crate) struct Page<'a> {
    pub(crate) card: &'a Card,
    pub(crate) text: &'a str,
    /// From 1.
    pub(crate) number: usize,
    pub(crate) of: usize,
}

/// The answer's text, made safe and cut into pages. A running answer shows its beginning, and that stays as it is.
pub(crate) fn pages(card: &Card) -> Vec<String> {
    match card.state.is_final() {
        true => split(&safe(&card.text), PAGE_BYTES),
        false => vec![beginning(&growing(&card.text), PAGE_BYTES).to_owned()],
    }
}

/// What stands in the answer's place while there is none.
pub(crate) fn waiting(card: &Card) -> String {
    match card.notice.as_deref() {
        Some(notice) if !notice.is_empty() => safe(notice),
        _ => safe(&Text::Thinking.of(card.language)),
    }
}

/// The settings that end streaming, as the text that the call wants.
pub(crate) fn closing_settings(card: &Card) -> String {
    serde_json::json!({"config": {"streaming_mode": false, "summary": {"content": summary(card)}}}).to_string()
}

/// The templates of one bot.
pub(crate) struct Cards {
    templates: Environment<'static>,
}

impl Cards {
    /// Loads the templates, those in `folder` first, and tries them on cards of every state.
    pub(crate) fn load(bot: &BotId, folder: Option<&Path>) -> Result<Self, ConfigError> {
        let refuse = |source: Box<dyn std::error::Error + Send + Sync>| ConfigError::Template {
            bot: bot.clone(),
            name: TEMPLATE.to_owned(),
            source,
        };
        let own = folder.map(|folder| folder.join(TEMPLATE)).filter(|path| path.exists());
        let source = match own {
            Some(path) => std::fs::read_to_string(path).map_err(|error| refuse(error.into()))?,
            None => BUILT_IN.to_owned(),
        };
        let mut templates = Environment::new();
        templates.add_template_owned(TEMPLATE, source).map_err(|error| refuse(error.into()))?;
        let cards = Self { templates };
        for card in samples() {
            let page = Page { card: &card, text: &card.text, number: 1, of: 1 };
            cards.render(&page, Look::Rich, Flow::Whole).map_err(|error| refuse(error.into()))?;
        }
        Ok(cards)
    }

    /// The card's JSON as text, without blanks. Reasoning gets the room that everything else leaves.
    pub(crate) fn render(&self, page: &Page<'_>, look: Look, flow: Flow) -> Result<String, minijinja::Error> {
        let json = self.render_with(page, look, flow, REASONING_BYTES)?;
        match json.len().saturating_sub(CARD_BYTES) {
            0 => Ok(json),
            over => self.render_with(page, look, flow, REASONING_BYTES.saturating_sub(over)),
        }
    }

    fn render_with(
        &self,
        page: &Page<'_>,
        look: Look,
        flow: Flow,
        reasoning_bytes: usize,
    ) -> Result<String, minijinja::Error> {
        let card = page.card;
        let waiting = waiting(card);
        let text = if page.text.is_empty() && !card.state.is_final() { &waiting } else { page.text };
        let text = if look == Look::Plain { plain(text) } else { text.to_owned() };
        let (first, last) = (page.number == 1, page.number == page.of);
        let notice = card.notice.as_deref().filter(|_| last && card.state.is_final());
        let context = context! {
            title => title(page),
            text,
            plain => look == Look::Plain,
            state => card.state.as_str(),
            streaming => flow == Flow::Streaming,
            summary => summary(card),
            reasoning => if first { reasoning(card, reasoning_bytes) } else { String::new() },
            reasoning_title => Text::ReasoningTitle.of(card.language),
            notice => safe_text(notice.unwrap_or_default()),
            footer => if last { card.footer.as_ref().map_or(String::new(), |of| safe_text(&of.line)) } else { String::new() },
            buttons => parts::buttons(&card.buttons),
            // Only the first message of an answer is changed later, when these come and go.
            questions => if first { parts::questions(&card.questions) } else { Vec::new() },
            version => card.version.filter(|_| first).map(|version| parts::version(version, &card.buttons)),
            form => card.form.as_ref().filter(|_| first).map(parts::form),
        };
        let rendered = self.templates.get_template(TEMPLATE)?.render(context)?;
        let parsed: Value = serde_json::from_str(&rendered).map_err(|error| {
            let kind = minijinja::ErrorKind::BadSerialization;
            minijinja::Error::new(kind, format!("{TEMPLATE} gives no JSON")).with_source(error)
        })?;
        Ok(parsed.to_string())
    }
}

fn title(page: &Page<'_>) -> String {
    let short = safe_text(&shorten(&page.card.title, TITLE_CHARS));
    let title = if short.is_empty() { "Magpie".to_owned() } else { short };
    if page.of > 1 { format!("{title} ({}/{})", page.number, page.of) } else { title }
}

/// The line in the chat list: what is going on, or how the answer begins.
fn summary(card: &Card) -> String {
    let text = match card.state {
        CardState::Thinking | CardState::Streaming => return waiting(card),
        CardState::Stopped | CardState::Failed => card.notice.as_deref().unwrap_or(&card.text),
        CardState::Done => &card.text,
    };
    let short = shorten(&safe_text(text), SUMMARY_CHARS);
    if short.is_empty() { "…".to_owned() } else { short }
}

/// One line of at most so many characters.
fn shorten(text: &str, characters: usize) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(characters) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

/// The reasoning; of a very long one the end, and a sign that it is not all.
fn reasoning(card: &Card, most_bytes: usize) -> String {
    let whole = safe_text(&card.reasoning);
    let mut used = 0;
    let fits = |character: &char| {
        used += json_bytes(character.encode_utf8(&mut [0; 4]));
        used <= most_bytes
    };
    let kept: usize = whole.chars().rev().take_while(fits).map(char::len_utf8).sum();
    let tail = &whole[whole.len() - kept..];
    if kept < whole.len() { format!("[…] {tail}") } else { tail.to_owned() }
}

/// Cards that a template has to cope with.
fn samples() -> Vec<Card> {
    let states = [CardState::Thinking, CardState::Streaming, CardState::Done, CardState::Stopped, CardState::Failed];
    let sample = |state: CardState| Card {
        title: "\"quoted\" {{ title }}".to_owned(),
        state,
        text: if state == CardState::Failed { String::new() } else { "text \\ with \"quotes\"\n".to_owned() },
        reasoning: "because".to_owned(),
        notice: state.is_final().then(|| "notice".to_owned()),
        language: Language::En,
        ..Card::default()
    };
    let event = EventId::default();
    let button = |action, argument: &str| Button {
        action,
        label: "\"label\"".to_owned(),
        style: ButtonStyle::Default,
        event,
        argument: argument.to_owned(),
    };
    let texts = || "\"text\"".to_owned();
    let full = Card {
        buttons: vec![button(Action::ShowVersion, "1"), button(Action::ShowVersion, "3"), button(Action::NewTopic, "")],
        questions: vec![button(Action::Ask, "\"why?\"")],
        version: Some(Version { number: 2, of: 3 }),
        form: Some(Form {
            event,
            title: texts(),
            reasons: vec![Reason { name: "wrong".to_owned(), label: texts() }],
            comment: texts(),
            submit: texts(),
            close: texts(),
        }),
        ..sample(CardState::Done)
    };
    states.map(sample).into_iter().chain([full]).collect()
}

#[cfg(test)]
mod tests;
