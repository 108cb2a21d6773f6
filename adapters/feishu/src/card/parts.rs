//! The parts of a card that a person can press or fill in, as templates are given them.

use magpie_core::card::{Button, ButtonStyle, Form, Version};
use magpie_core::event::Action;
use minijinja::{Value, context};

use crate::action::press_value;
use crate::markdown::safe_text;

/// A button's label is on one line with others.
const LABEL_CHARS: usize = 40;
/// A question has its line for itself.
const QUESTION_CHARS: usize = 100;
/// Longest comment of a form in characters.
const COMMENT_CHARS: usize = 500;

pub(super) fn buttons(buttons: &[Button]) -> Vec<Value> {
    buttons.iter().map(|button| pressable(button, LABEL_CHARS)).collect()
}

pub(super) fn questions(questions: &[Button]) -> Vec<Value> {
    questions.iter().map(|question| pressable(question, QUESTION_CHARS)).collect()
}

fn pressable(button: &Button, characters: usize) -> Value {
    let style = match button.style {
        ButtonStyle::Default => "default",
        ButtonStyle::Primary => "primary",
        ButtonStyle::Danger => "danger",
    };
    context! {
        label => label(&button.label, characters),
        style,
        action => button.action.as_str(),
        value => Value::from_pairs(press_value(button.action, button.event, &button.argument)),
    }
}

/// `2/3`, and the number of buttons before it: it stands between those that turn back and forth.
pub(super) fn version(version: Version, buttons: &[Button]) -> Value {
    let target = |button: &Button| match button.action {
        Action::ShowVersion => button.argument.parse::<u32>().ok(),
        _ => None,
    };
    let forth = buttons.iter().position(|button| target(button).is_some_and(|number| number > version.number));
    let behind_back = || buttons.iter().rposition(|button| target(button).is_some()).map(|back| back + 1);
    let at = forth.or_else(behind_back).unwrap_or(buttons.len());
    context! { number => version.number, of => version.of, text => format!("{}/{}", version.number, version.of), at }
}

pub(super) fn form(form: &Form) -> Value {
    let reasons: Vec<Value> = form
        .reasons
        .iter()
        .map(|reason| context! { name => reason.name.as_str(), label => label(&reason.label, LABEL_CHARS) })
        .collect();
    let value = |action| Value::from_pairs(press_value(action, form.event, ""));
    context! {
        title => safe_text(&form.title),
        reason => Form::REASON,
        reasons,
        comment => Form::COMMENT,
        comment_label => label(&form.comment, QUESTION_CHARS),
        comment_chars => COMMENT_CHARS,
        submit => label(&form.submit, LABEL_CHARS),
        submit_value => value(Action::VoteReason),
        close => label(&form.close, LABEL_CHARS),
        close_value => value(Action::CloseForm),
    }
}

fn label(text: &str, characters: usize) -> String {
    safe_text(&super::shorten(text, characters))
}
