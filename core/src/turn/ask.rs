//! A question: put together, given to an engine, its answer streamed into a card and recorded.

use metrics::histogram;
use tracing::{Span, info, warn};

use super::Turn;
use super::gather::Gathered;
use super::message::Case;
use crate::budget::scope;
use crate::card::{Card, CardState, Language};
use crate::conversation::window::{self, Past};
use crate::engine::{Choice, Completion, EngineError, Finish, Prompt};
use crate::ids::{ConversationId, EventId};
use crate::inbox::worker::{Cancellation, Ended};
use crate::inbox::{CancelCause, Claim};
use crate::reply::{Draft, End, Pace, Reply, ReplyError};
use crate::settings::{BotSettings, ChatSettings, ModelChoice};
use crate::store::{Answer, Opening, Question};
use crate::texts::{Text, engine_error};

/// The name under which a person's choice of an engine is kept.
pub(super) const MODEL: &str = "model";

impl Turn {
    /// Asks an engine and streams its answer into a card.
    pub(super) async fn ask(&self, case: &Case<'_>, cancel: &Cancellation) -> Result<Ended, ReplyError> {
        let model = self.model(case.bot, case.chat, case.claim.scope.as_str()).await?;
        let mut draft = Draft::new(case.event(), &case.words, case.language);
        draft.stand_behind(self.router.backlog(&model));
        let desk = self.desk(case.claim, case.bot, case.message.reply_to.clone());
        let mut reply = Reply::begin(desk, &draft.opening_card()).await?;

        let gathered = self.gather(case, &model, cancel).await?;
        if gathered.text.is_empty() {
            return self.end_unread(case, reply, &gathered).await;
        }
        draft.remark(&gathered.remarks);
        let (conversation, prompt) = self.prompt(case, gathered).await?;
        let deltas = self.router.answer(prompt, &model, cancel.token.clone());
        let pace = pace(case.bot.platform.limits(), case.chat);
        let end = reply.stream(deltas, &mut draft, pace).await?;

        draft.offer(self.other_engine(case.chat, draft.choice()));
        let ending = Ending::of(&end, &draft, cancel.cause(), case.language);
        self.note(case.claim, &end, &draft, ending.outcome).await;
        let answer = Answer {
            conversation,
            bot: case.bot.settings.id.clone(),
            user: case.message.sender.id.clone(),
            text: draft.text().to_owned(),
            reasoning: draft.reasoning().to_owned(),
            by: draft.choice().cloned().zip(ending.completion),
            delivery: reply.end_with(ending.card).clone(),
            now: self.now(),
        };
        self.store.record_answer(case.claim.fence, &answer).await?;
        let ended = self.show_end(case.claim, &mut reply, ending.reason).await?;
        let (bot, platform) = (case.bot.settings.id.to_string(), case.bot.settings.platform.as_str());
        histogram!("magpie_platform_calls_per_answer", "bot" => bot, "platform" => platform).record(scope::calls());
        if ending.reason.is_none() {
            self.afterwards(case, conversation).await;
        }
        Ok(ended)
    }

    /// Ends the card of a message in which there is nothing to read, with what would work.
    async fn end_unread(&self, case: &Case<'_>, mut reply: Reply, gathered: &Gathered) -> Result<Ended, ReplyError> {
        let text = match gathered.remarks.as_slice() {
            [] => case.text(Text::UnreadableMessage),
            remarks => remarks.join("\n\n"),
        };
        reply.end_with(case.card(text));
        reply.save().await?;
        self.show_end(case.claim, &mut reply, Some("no_text")).await
    }

    /// The engine that a person chose, if it may still be chosen; else what the bot is set to.
    pub(super) async fn model(
        &self,
        bot: &super::Bot,
        chat: &ChatSettings,
        scope: &str,
    ) -> Result<ModelChoice, ReplyError> {
        let chosen = self.store.choice(&bot.settings.id, scope, MODEL).await?;
        let chosen = chosen.filter(|name| self.choosable(chat).contains(name));
        Ok(chosen.map_or_else(|| bot.settings.model.clone(), ModelChoice::Named))
    }

    /// The engines that people may choose, in the order of the configuration.
    pub(super) fn choosable(&self, chat: &ChatSettings) -> Vec<String> {
        let names = self.router.engines().into_iter().map(|engine| engine.info.name);
        names.filter(|name| chat.models.is_empty() || chat.models.contains(name)).collect()
    }

    /// An engine that could have answered instead, if there is one.
    pub(super) fn other_engine(&self, chat: &ChatSettings, choice: Option<&Choice>) -> Option<String> {
        let answered = choice.map(|choice| choice.engine.name.as_str());
        self.choosable(chat).into_iter().find(|name| Some(name.as_str()) != answered).filter(|_| answered.is_some())
    }

    /// Opens the conversation, writes the question down and puts the prompt together.
    async fn prompt(&self, case: &Case<'_>, asked: Gathered) -> Result<(ConversationId, Prompt), ReplyError> {
        let opening = Opening {
            bot: case.bot.settings.id.clone(),
            platform: case.bot.settings.platform,
            scope: case.claim.scope.clone(),
            chat: case.message.chat.id.clone(),
            user: Some(case.message.sender.id.clone()),
            thread: case.message.thread.clone(),
            idle: case.chat.session_idle,
            now: self.now(),
        };
        let conversation = self.store.open_conversation(case.claim.fence, opening).await?.id;
        Span::current().record("conversation.id", tracing::field::display(conversation));
        let question = Question {
            conversation,
            text: asked.text.clone(),
            user: case.message.sender.id.clone(),
            user_name: case.message.sender.name.clone(),
            now: self.now(),
        };
        self.store.add_question(case.claim.fence, question).await?;
        let past = self.past(&case.bot.settings, case.chat, conversation, case.event()).await?;
        let overheard = self.overheard(case, case.event()).await?;
        let prompt = window::prompt(&past, &overheard, &asked.text, conversation);
        Ok((conversation, Prompt { images: asked.images, ..prompt }))
    }

    /// What an engine should know of the conversation before an event.
    pub(super) async fn past(
        &self,
        bot: &BotSettings,
        chat: &ChatSettings,
        conversation: ConversationId,
        before: EventId,
    ) -> Result<Past, ReplyError> {
        let summary = self.store.summary(conversation).await?.filter(|summary| summary.upto < before);
        let mut history = self.store.history(conversation, before, chat.history_messages).await?;
        if let Some(summary) = &summary {
            history.retain(|message| message.event.is_none_or(|event| event > summary.upto));
        }
        let summary = summary.map(|summary| summary.text);
        Ok(Past { system: bot.system_prompt.clone(), summary, history })
    }

    /// Writes down how an answer ended, for metrics, log and the record of what people did not get.
    pub(super) async fn note(&self, claim: &Claim, end: &End, draft: &Draft, outcome: &'static str) {
        observe(claim, draft, outcome);
        if let End::Failed(error) = end {
            warn!(error = error as &dyn std::error::Error, "no engine finished the answer");
            self.log_error(claim, error.reason(), &error.to_string()).await;
        }
    }
}

pub(super) fn pace(limits: &crate::platform::Limits, chat: &ChatSettings) -> Pace {
    Pace { interval: chat.card_update_interval.max(limits.min_update_interval), max_silence: limits.max_silence }
}

/// How an answer ends, for the card, the record and the metrics.
pub(super) struct Ending {
    pub card: Card,
    pub completion: Option<Completion>,
    /// Reason in the events table, if the question was not answered.
    pub reason: Option<&'static str>,
    pub outcome: &'static str,
}

impl Ending {
    pub(super) fn of(end: &End, draft: &Draft, cause: Option<CancelCause>, language: Language) -> Self {
        let ended = |state, notice| draft.final_card(state, notice);
        match (end, cause) {
            (_, Some(CancelCause::Recalled)) => Self {
                card: Card {
                    text: String::new(),
                    reasoning: String::new(),
                    ..ended(CardState::Stopped, Some(Text::Recalled))
                },
                completion: None,
                reason: Some(CancelCause::Recalled.reason()),
                outcome: "cancelled",
            },
            (End::Answered(done), Some(cause)) if done.finish == Finish::Cancelled => {
                let notice = if cause == CancelCause::Interrupted { Text::Overtaken } else { Text::Stopped };
                Self {
                    card: ended(CardState::Stopped, Some(notice)),
                    completion: Some(*done).filter(|_| !draft.text().is_empty()),
                    reason: Some(cause.reason()),
                    outcome: "cancelled",
                }
            }
            (End::Answered(done), _) => {
                Self { card: ended(CardState::Done, None), completion: Some(*done), reason: None, outcome: "answered" }
            }
            (End::Failed(error), _) => Self {
                card: failed_card(error, draft, language),
                completion: None,
                reason: Some(error.reason()),
                outcome: "failed",
            },
        }
    }
}

fn failed_card(error: &EngineError, draft: &Draft, language: Language) -> Card {
    let sentence = if draft.text().is_empty() { engine_error(error, language) } else { Text::Interrupted.of(language) };
    Card { notice: Some(sentence), ..draft.final_card(CardState::Failed, None) }
}

fn observe(claim: &Claim, draft: &Draft, outcome: &'static str) {
    let bot = claim.event.bot.to_string();
    let engine = draft.choice().map_or_else(|| "none".to_owned(), |choice| choice.engine.name.clone());
    info!(
        engine.name = engine,
        outcome,
        seconds = draft.seconds(),
        completion_tokens = draft.completion().map(|done| done.completion_tokens),
        "answer ended"
    );
    if let Some(seconds) = draft.first_token_seconds() {
        histogram!("magpie_reply_first_token_seconds", "bot" => bot.clone(), "engine" => engine.clone())
            .record(seconds);
    }
    histogram!("magpie_reply_seconds", "bot" => bot, "engine" => engine, "outcome" => outcome).record(draft.seconds());
}
