//! From the neutral card to what DingTalk is sent: variables of a card template, or one Markdown text.

use std::collections::BTreeMap;
use std::path::Path;

use magpie_core::card::{Card, CardState, Form, Language, Reason};
use magpie_core::ids::EventId;
use magpie_core::texts::Text;
use minijinja::value::{Serde, Value};
use minijinja::{Environment, Error, ErrorKind};
use serde::Serialize;

use crate::action::HintRoom;
use crate::buttons::{Buttons, form_view, shorten};
use crate::markdown;
use crate::regions::closed;
use crate::split::{PageLimit, page};

const ANSWER: &str = "answer.json.j2";
const MESSAGE: &str = "message.md.j2";
const BUILT_IN: [(&str, &str); 2] = [
    (ANSWER, include_str!("../../../cards/dingtalk/answer.json.j2")),
    (MESSAGE, include_str!("../../../cards/dingtalk/message.md.j2")),
];

/// A variable takes 20 000 characters in practice; this much of an answer leaves room for line break tags.
const ANSWER_LIMIT: PageLimit = PageLimit { chars: 18_000, bytes: 72_000 };
const VARIABLE_CHARS: usize = 19_000;
/// Small texts share one variable; they are the beginning of a question, labels and a line of figures.
const TITLE_CHARS: usize = 60;
const NOTICE_CHARS: usize = 500;
const FOOTER_CHARS: usize = 300;

/// Variables of a card template: text to text, as the platform insists.
pub(crate) type Variables = BTreeMap<String, String>;

/// Whether presses can come back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Presses {
    ComeBack,
    AreLost,
}

/// How a card comes to be in the state it shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Making {
    /// It streams, or will.
    Streamed,
    /// Created finished, in one call.
    AtOnce,
}

/// A rendered card, and how many bytes of the answer it shows.
#[derive(Debug)]
pub(crate) struct Face {
    pub variables: Variables,
    /// Less than the answer's length if it goes on elsewhere.
    pub shown_bytes: usize,
}

/// The templates of one bot.
pub(crate) struct Templates {
    environment: Environment<'static>,
}

/// What templates see; explained in `cards/dingtalk/answer.json.j2`.
#[derive(Serialize)]
struct Context<'a> {
    title: String,
    state: &'static str,
    flow: &'static str,
    text: &'a str,
    reasoning: &'a str,
    reasoning_note: Option<String>,
    notice: Option<String>,
    version: Option<String>,
    footer: Option<String>,
    settled: bool,
    form: Option<serde_json::Value>,
    form_title: Option<String>,
    #[serde(flatten)]
    buttons: Buttons,
    language: Language,
}

impl<'a> Context<'a> {
    fn of(card: &'a Card) -> Self {
        Self {
            title: shorten(&card.title, TITLE_CHARS),
            state: card.state.as_str(),
            flow: flow(card.state),
            text: "",
            reasoning: &card.reasoning,
            reasoning_note: reasoning_note(card),
            notice: None,
            version: card.version.map(|version| format!("{}/{}", version.number, version.of)),
            footer: footer(card),
            settled: false,
            form: None,
            form_title: None,
            buttons: Buttons::default(),
            language: card.language,
        }
    }
}

impl Templates {
    /// The built-in templates, each replaced by a file of its name in `folder` if there is one; tried out once.
    ///
    /// # Errors
    /// Name and cause if a template can't be read or does not give what the platform takes.
    pub fn load(folder: Option<&Path>) -> Result<Self, (&'static str, Box<dyn std::error::Error + Send + Sync>)> {
        let mut environment = Environment::new();
        environment.add_filter("json_text", json_text);
        for (name, built_in) in BUILT_IN {
            let own = folder.map(|folder| folder.join(name)).filter(|file| file.exists());
            let source = match own {
                Some(file) => std::fs::read_to_string(file).map_err(|error| (name, error.into()))?,
                None => built_in.to_owned(),
            };
            environment.add_template_owned(name, source).map_err(|error| (name, error.into()))?;
        }
        let templates = Self { environment };
        let sample = sample();
        for card in [&sample, &Card { form: Some(sample_form()), ..sample.clone() }] {
            templates.face(card, Presses::ComeBack, Making::Streamed).map_err(|error| (ANSWER, error.into()))?;
        }
        templates.message(&sample).map_err(|error| (MESSAGE, error.into()))?;
        Ok(templates)
    }

    /// The variables of a card.
    pub fn face(&self, card: &Card, presses: Presses, making: Making) -> Result<Face, Error> {
        let mut limit = ANSWER_LIMIT;
        loop {
            let part = page(&card.text, 0, limit);
            let text = markdown::for_card(&part.text);
            // Escapes and line breaks make a text longer; some texts much longer.
            if text.chars().count() > VARIABLE_CHARS && limit.chars > 1 {
                limit = limit.halved();
                continue;
            }
            let variables = self.variables(card, &text, presses, making)?;
            return Ok(Face { variables, shown_bytes: part.end });
        }
    }

    /// The whole answer as Markdown.
    pub fn message(&self, card: &Card) -> Result<String, Error> {
        let template = self.environment.get_template(MESSAGE)?;
        let text = template.render(Value::from(Serde(Context {
            title: card.title.clone(),
            text: &closed(&card.text),
            notice: card.notice.clone(),
            ..Context::of(card)
        })))?;
        Ok(text.trim().to_owned())
    }

    fn variables(&self, card: &Card, text: &str, presses: Presses, making: Making) -> Result<Variables, Error> {
        let room = if making == Making::AtOnce { HintRoom::Taken } else { HintRoom::Free };
        let reachable = presses == Presses::ComeBack;
        let form = card.form.as_ref().filter(|_| reachable);
        let rendered = self.environment.get_template(ANSWER)?.render(Value::from(Serde(Context {
            text,
            notice: card.notice.as_deref().map(|notice| markdown::for_card(&shorten(notice, NOTICE_CHARS))),
            settled: making == Making::AtOnce,
            form: form.map(form_view),
            form_title: form.map(|form| markdown::escaped(&shorten(&form.title, TITLE_CHARS))),
            buttons: if reachable { Buttons::of(card, room) } else { Buttons::default() },
            ..Context::of(card)
        })))?;
        serde_json::from_str(&rendered).map_err(|error| {
            Error::new(ErrorKind::BadSerialization, "the template must give one JSON object of texts")
                .with_source(error)
        })
    }
}

/// The platform's number of a state. Source: open.dingtalk.com "AI 卡片流式更新", August 2026.
fn flow(state: CardState) -> &'static str {
    match state {
        CardState::Thinking => "1",
        CardState::Streaming => "2",
        CardState::Done | CardState::Stopped => "3",
        CardState::Failed => "5",
    }
}

/// Cards have no place where reasoning could be folded away, so it is only said that there was some.
fn reasoning_note(card: &Card) -> Option<String> {
    let is_hidden = card.state.is_final() && !card.reasoning.trim().is_empty();
    is_hidden.then(|| Text::ReasoningHidden.of(card.language))
}

fn footer(card: &Card) -> Option<String> {
    card.footer.as_ref().map(|footer| shorten(&footer.line, FOOTER_CHARS)).filter(|line| !line.is_empty())
}

/// JSON of a value as a plain text, to be escaped once more where it is put in.
fn json_text(value: Value) -> Result<String, Error> {
    serde_json::to_string(&value)
        .map_err(|error| Error::new(ErrorKind::BadSerialization, "not JSON").with_source(error))
}

/// A card to try templates with.
fn sample() -> Card {
    Card {
        title: "\"title\"".to_owned(),
        state: CardState::Done,
        text: "text\n\\".to_owned(),
        notice: Some("notice".to_owned()),
        language: Language::Zh,
        ..Card::default()
    }
}

fn sample_form() -> Form {
    let text = || "\"text\"".to_owned();
    Form {
        event: EventId(uuid::Uuid::nil()),
        title: text(),
        reasons: vec![Reason { name: text(), label: text() }],
        comment: text(),
        submit: text(),
        close: text(),
    }
}

#[cfg(test)]
mod tests;
