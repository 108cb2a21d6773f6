//! Buttons of a card: those of the turn, questions to press, and the choices of an open form. DingTalk's public card
//! has one list of buttons and no form; see [`crate::action`] for what a button's id says.

use magpie_core::card::{Button, ButtonStyle, Card, Form};
use magpie_core::event::{Action, Press};
use serde::Serialize;
use serde_json::{Value, json};

use crate::action::{FORM_PRESS, HintRoom, LONGEST_ID, button_id};
use crate::markdown;

/// Longer labels are cut; what a press asks is its argument, not its label.
const LABEL_CHARS: usize = 40;

/// A button as templates see it.
#[derive(Debug, Serialize)]
pub(crate) struct ButtonView {
    text: String,
    color: &'static str,
    id: String,
    request: bool,
}

/// All buttons of a card, by what they are for.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Buttons {
    pub buttons: Vec<ButtonView>,
    pub questions: Vec<ButtonView>,
    /// One for each reason, and one that closes the form.
    pub form_buttons: Vec<ButtonView>,
}

impl Buttons {
    pub fn of(card: &Card, room: HintRoom) -> Self {
        let views = |buttons: &[Button]| buttons.iter().filter_map(|button| view(button, room)).collect();
        Self {
            buttons: views(&card.buttons),
            questions: views(&card.questions),
            form_buttons: card.form.as_ref().map_or_else(Vec::new, |form| views(&choices(form))),
        }
    }
}

/// The form as templates of one's own see it: all that the neutral form holds, and `fields`, the platform's own shape
/// of a form. A hidden field says which answer it is about, because a submitted form comes back under the id `form`.
/// Source: open.dingtalk.com "表单组件", August 2026.
pub(crate) fn form_view(form: &Form) -> Value {
    let press = Press { action: Action::VoteReason, event: form.event, argument: String::new() };
    let options: Vec<Value> = form
        .reasons
        .iter()
        .map(|reason| json!({"value": reason.name, "text": markdown::plain(&reason.label)}))
        .collect();
    json!({
        "event": form.event,
        "title": markdown::plain(&form.title),
        "reasons": form.reasons,
        "comment": markdown::plain(&form.comment),
        "submit": markdown::plain(&form.submit),
        "close": markdown::plain(&form.close),
        "fields": [
            {"name": Form::REASON, "label": markdown::plain(&form.title), "type": "SELECT", "options": options},
            {"name": Form::COMMENT, "label": markdown::plain(&form.comment), "type": "TEXT_AREA"},
            {"name": FORM_PRESS, "type": "TEXT", "hidden": true, "defaultValue": button_id(&press, HintRoom::Taken)},
        ],
    })
}

fn choices(form: &Form) -> Vec<Button> {
    let button = |action, label: &str, argument: &str| Button {
        action,
        label: label.to_owned(),
        style: ButtonStyle::Default,
        event: form.event,
        argument: argument.to_owned(),
    };
    let reasons = form.reasons.iter().map(|reason| button(Action::VoteReason, &reason.label, &reason.name));
    reasons.chain([button(Action::CloseForm, &form.close, "")]).collect()
}

/// `None` for one whose id the platform would not carry.
fn view(button: &Button, room: HintRoom) -> Option<ButtonView> {
    let id = button_id(&Press { action: button.action, event: button.event, argument: button.argument.clone() }, room);
    let color = match button.style {
        ButtonStyle::Default => "gray",
        ButtonStyle::Primary => "blue",
        ButtonStyle::Danger => "red",
    };
    (id.len() <= LONGEST_ID).then(|| ButtonView { text: shorten(&button.label, LABEL_CHARS), color, id, request: true })
}

/// One line of at most so many characters, harmless wherever it is shown.
pub(crate) fn shorten(text: &str, max_chars: usize) -> String {
    let line = markdown::plain(&text.replace(['\r', '\n'], " "));
    let mut short: String = line.chars().take(max_chars).collect();
    if line.chars().count() > max_chars {
        short.push('…');
    }
    short
}
