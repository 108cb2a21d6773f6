//! What can be pressed on a card.

use crate::card::{Button, ButtonStyle, Card, Form, Language, Reason, Version};
use crate::event::Action;
use crate::ids::EventId;
use crate::texts::Text;

/// Longer questions are cut on their button; what is asked is the whole one, within what a button carries.
const QUESTION_CHARS: usize = 60;
/// A button's argument may have 3,000 bytes.
const ARGUMENT_CHARS: usize = 750;
/// More lines of buttons than this push the answer out of sight.
const QUESTIONS: usize = 5;

/// Why a person did not like an answer, as kept in `feedback`.
const REASONS: [(&str, Text); 5] = [
    ("wrong", Text::ReasonWrong),
    ("incomplete", Text::ReasonIncomplete),
    ("off_topic", Text::ReasonOffTopic),
    ("unclear", Text::ReasonUnclear),
    ("other", Text::ReasonOther),
];

/// The buttons of one event's card.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Buttons {
    pub event: EventId,
    pub language: Language,
}

impl Buttons {
    /// While an answer runs; `worker` is the event that is worked on, if it is not the card's own.
    pub(crate) fn running(self, worker: Option<EventId>) -> Vec<Button> {
        let argument = worker.map(|event| event.to_string()).unwrap_or_default();
        vec![Button { style: ButtonStyle::Danger, argument, ..self.named(Action::Stop, Text::StopButton) }]
    }

    /// After the end of an answer, or of the attempt at one.
    pub(crate) fn finished(self, answered: bool, other_engine: Option<&str>) -> Vec<Button> {
        let mut buttons = Vec::new();
        if answered {
            buttons.push(self.labelled(Action::VoteUp, "👍"));
            buttons.push(self.labelled(Action::VoteDown, "👎"));
        }
        buttons.push(self.named(Action::Regenerate, Text::RegenerateButton));
        if let Some(engine) = other_engine {
            let label = Text::OtherEngineButton.with(self.language, &[("engine", engine.into())]);
            buttons.push(Button { argument: engine.to_owned(), ..self.labelled(Action::OtherEngine, label) });
        }
        buttons.push(self.new_topic());
        buttons
    }

    pub(crate) fn new_topic(self) -> Button {
        self.named(Action::NewTopic, Text::NewTopicButton)
    }

    /// A command, such as `/status`, under its label.
    pub(crate) fn command(self, command: &str, label: String) -> Button {
        Button { argument: command.to_owned(), ..self.labelled(Action::Command, label) }
    }

    /// Questions to be asked by pressing.
    pub(crate) fn questions(self, questions: &[String]) -> Vec<Button> {
        let clean = questions.iter().map(|question| question.trim()).filter(|question| !question.is_empty());
        let button = |question: &str| Button {
            argument: question.chars().take(ARGUMENT_CHARS).collect(),
            ..self.labelled(Action::Ask, shorten(question, QUESTION_CHARS))
        };
        clean.take(QUESTIONS).map(button).collect()
    }

    /// The form behind 👎.
    pub(crate) fn vote_form(self) -> Form {
        let reason = |(name, label): (&str, Text)| Reason { name: name.to_owned(), label: label.of(self.language) };
        Form {
            event: self.event,
            title: Text::VoteFormTitle.of(self.language),
            reasons: REASONS.map(reason).to_vec(),
            comment: Text::VoteFormComment.of(self.language),
            submit: Text::VoteFormSubmit.of(self.language),
            close: Text::VoteFormClose.of(self.language),
        }
    }

    /// Makes `card` show which version it is, with buttons to the ones beside it.
    pub(crate) fn turn_pages(self, card: &mut Card, version: Version) {
        card.buttons.retain(|button| button.action != Action::ShowVersion);
        card.version = (version.of > 1).then_some(version);
        let to = |number: u32, label: &str| Button {
            argument: number.to_string(),
            ..self.labelled(Action::ShowVersion, label)
        };
        let mut pager = Vec::new();
        if version.number > 1 {
            pager.push(to(version.number - 1, "‹"));
        }
        if version.number < version.of {
            pager.push(to(version.number + 1, "›"));
        }
        card.buttons.splice(0..0, pager);
    }

    fn named(self, action: Action, label: Text) -> Button {
        self.labelled(action, label.of(self.language))
    }

    fn labelled(self, action: Action, label: impl Into<String>) -> Button {
        let style = ButtonStyle::Default;
        Button { action, label: label.into(), style, event: self.event, argument: String::new() }
    }
}

/// Whether `name` is a reason of the form.
pub(crate) fn is_reason(name: &str) -> bool {
    REASONS.iter().any(|(known, _)| *known == name)
}

fn shorten(text: &str, characters: usize) -> String {
    match text.char_indices().nth(characters) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
