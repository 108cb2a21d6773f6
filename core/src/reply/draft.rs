//! The answer as it grows, and the card that shows it.

use tokio::time::Instant;

use super::buttons::Buttons;
use crate::card::{Button, Card, CardState, Footer, Language};
use crate::engine::{Backlog, Choice, Completion, Delta, EngineKind};
use crate::ids::EventId;
use crate::texts::{Text, fallback_cause, in_line};

/// Longest title in characters; the rest of the question is in the chat anyway.
const TITLE_CHARS: usize = 40;

/// Collects deltas. Whatever way an answer is cut into deltas, the draft ends up the same.
#[derive(Debug, Clone)]
pub struct Draft {
    event: EventId,
    title: String,
    language: Language,
    began: Instant,
    first_token: Option<Instant>,
    text: String,
    reasoning: String,
    choice: Option<Choice>,
    completion: Option<Completion>,
    /// What is said about the wait until an engine says something.
    waiting: Option<String>,
    /// The event that is worked on, if it is not the one whose answer this is.
    worker: Option<EventId>,
    /// An engine that could have answered instead.
    other_engine: Option<String>,
    /// What is said beside the finished answer, if nothing else is.
    remark: Option<String>,
}

impl Draft {
    /// An empty draft for the answer to `question`.
    #[must_use]
    pub fn new(event: EventId, question: &str, language: Language) -> Self {
        Self {
            event,
            title: title(question),
            language,
            began: Instant::now(),
            first_token: None,
            text: String::new(),
            reasoning: String::new(),
            choice: None,
            completion: None,
            waiting: None,
            worker: None,
            other_engine: None,
            remark: None,
        }
    }

    /// The same for a task that works on the card of another event: `worker` is to be stopped, not that event.
    #[must_use]
    pub fn worked_on_by(self, worker: EventId) -> Self {
        Self { worker: Some(worker), ..self }
    }

    /// Offers another engine on the finished card.
    pub fn offer(&mut self, engine: Option<String>) {
        self.other_engine = engine;
    }

    /// Notes what the answer could not take into account, for the finished card.
    pub fn remark(&mut self, remarks: &[String]) {
        self.remark = Some(remarks.join("\n")).filter(|remark| !remark.is_empty());
    }

    /// Notes how many questions of the same conversation come first, for the cards that are shown until then.
    pub fn wait_for(&mut self, questions: u32) {
        self.waiting = Some(Text::Queue.with(self.language, &[("questions", questions.into())]));
    }

    /// Notes what is before this answer, for the cards that are shown until it begins.
    pub fn stand_behind(&mut self, backlog: Backlog) {
        self.waiting = in_line(backlog, self.language);
    }

    /// Takes one delta in; true if the card looks different now.
    pub fn apply(&mut self, delta: Delta) -> bool {
        match delta {
            Delta::Engine(choice) => {
                self.choice = Some(choice);
                self.waiting = None;
                return false;
            }
            Delta::Text(text) => self.text.push_str(&text),
            Delta::Reasoning(text) => self.reasoning.push_str(&text),
            Delta::Restart => {
                self.text.clear();
                self.reasoning.clear();
                return true;
            }
            Delta::Done(completion) => {
                self.completion = Some(completion);
                return false;
            }
        }
        self.first_token.get_or_insert_with(Instant::now);
        true
    }

    #[must_use]
    pub fn text(&self) -> &str {
        self.text.trim_end()
    }

    #[must_use]
    pub fn reasoning(&self) -> &str {
        self.reasoning.trim()
    }

    #[must_use]
    pub fn choice(&self) -> Option<&Choice> {
        self.choice.as_ref()
    }

    #[must_use]
    pub fn completion(&self) -> Option<Completion> {
        self.completion
    }

    /// From the beginning of the turn to the first token, in seconds.
    #[must_use]
    pub fn first_token_seconds(&self) -> Option<f64> {
        self.first_token.map(|at| (at - self.began).as_secs_f64())
    }

    /// From the beginning of the turn until now, in seconds.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        self.began.elapsed().as_secs_f64()
    }

    /// The card before any text.
    #[must_use]
    pub fn opening_card(&self) -> Card {
        self.card(CardState::Thinking, None)
    }

    /// The card while text comes in.
    #[must_use]
    pub fn running_card(&self) -> Card {
        let empty = self.text.is_empty() && self.reasoning.is_empty();
        self.card(if empty { CardState::Thinking } else { CardState::Streaming }, None)
    }

    /// The card to end with.
    #[must_use]
    pub fn final_card(&self, state: CardState, notice: Option<Text>) -> Card {
        self.card(state, notice)
    }

    fn card(&self, state: CardState, notice: Option<Text>) -> Card {
        Card {
            title: self.title.clone(),
            state,
            text: self.text().to_owned(),
            reasoning: self.reasoning().to_owned(),
            notice: notice.map(|text| text.of(self.language)).or_else(|| self.notice_while(state)),
            footer: state.is_final().then(|| self.footer()).flatten(),
            buttons: self.buttons(state),
            language: self.language,
            ..Card::default()
        }
    }

    fn buttons(&self, state: CardState) -> Vec<Button> {
        let buttons = Buttons { event: self.event, language: self.language };
        if state.is_final() {
            buttons.finished(!self.text().is_empty(), self.other_engine.as_deref())
        } else {
            buttons.running(self.worker)
        }
    }

    /// The notice that goes with a card which says nothing else.
    fn notice_while(&self, state: CardState) -> Option<String> {
        match state {
            CardState::Thinking => self.waiting.clone(),
            CardState::Streaming => None,
            CardState::Done | CardState::Stopped | CardState::Failed => self.remark.clone(),
        }
    }

    fn footer(&self) -> Option<Footer> {
        let choice = self.choice.as_ref()?;
        let took_ms = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        let completion_tokens = self.completion.map_or(0, |done| done.completion_tokens);
        let fallback = choice.fallback.as_ref().map(|was| format!("{}: {}", was.from, was.reason));
        let kind = match choice.engine.kind {
            EngineKind::Local => Text::Local,
            EngineKind::Cloud => Text::Cloud,
        };
        #[expect(clippy::cast_precision_loss, reason = "shown with one decimal")]
        let seconds = took_ms as f64 / 1000.0;
        let took = Text::Took.with(self.language, &[("seconds", format!("{seconds:.1}").into())]);
        let mut parts = vec![kind.of(self.language), choice.engine.model.clone(), took];
        if completion_tokens > 0 {
            parts.push(Text::Tokens.with(self.language, &[("count", completion_tokens.into())]));
        }
        if let Some(was) = &choice.fallback {
            let cause = format!("{}: {}", was.from, fallback_cause(&was.reason, self.language));
            parts.push(Text::FellBack.with(self.language, &[("cause", cause.as_str().into())]));
        }
        Some(Footer {
            engine: choice.engine.name.clone(),
            engine_kind: choice.engine.kind,
            model: choice.engine.model.clone(),
            fallback,
            took_ms,
            completion_tokens,
            line: parts.join(" · "),
        })
    }
}

/// A finished card with a fixed text, such as the answer to a command.
#[must_use]
pub fn fixed_card(event: EventId, question: &str, text: String, language: Language) -> Card {
    let buttons = vec![Buttons { event, language }.new_topic()];
    Card { title: title(question), text, buttons, language, ..Card::default() }
}

fn title(question: &str) -> String {
    let line = question.lines().find(|line| !line.trim().is_empty()).unwrap_or("Magpie").trim();
    let mut chars = line.chars();
    let mut title: String = chars.by_ref().take(TITLE_CHARS).collect();
    if chars.next().is_some() {
        title.push('…');
    }
    title
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{EngineInfo, Fallback, Finish};

    fn footer_line(language: Language, completion_tokens: u32) -> String {
        let engine = EngineInfo {
            name: "cloud".into(),
            kind: EngineKind::Cloud,
            model: "m".into(),
            context_tokens: None,
            vision: false,
        };
        let fallback = Some(Fallback { from: "local".into(), reason: "overloaded".into() });
        let mut draft = Draft::new(EventId(uuid::Uuid::nil()), "why?", language);
        draft.apply(Delta::Engine(Choice { engine, fallback }));
        draft.apply(Delta::Done(Completion { prompt_tokens: 9, completion_tokens, finish: Finish::Stop }));
        draft.final_card(CardState::Done, None).footer.expect("an engine answered").line
    }

    #[tokio::test(start_paused = true)]
    async fn the_small_print_is_in_the_language_of_the_card() {
        assert_eq!(footer_line(Language::Zh, 42), "云端 · m · 0.0 s · 42 tokens · 已切换（local: 太忙）");
        assert_eq!(footer_line(Language::En, 42), "cloud · m · 0.0 s · 42 tokens · fell back (local: busy)");
        assert_eq!(footer_line(Language::En, 1), "cloud · m · 0.0 s · 1 token · fell back (local: busy)");
        assert_eq!(footer_line(Language::En, 0), "cloud · m · 0.0 s · fell back (local: busy)");
    }
}
