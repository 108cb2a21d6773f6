//! A message: judged, answered by a command or by an engine, delivered, recorded.
//!
//! The order is what makes a crash harmless. The question is written down before the engine is asked; the answer is
//! written down, together with the card to end with, before that card is shown; the event is done only after it was
//! shown. A later attempt finds how far the earlier one came and goes on from there.

use metrics::histogram;
use tracing::{Span, info, instrument, warn};

use super::{Bot, MAX_ATTEMPTS, Turn, count, dead, done};
use crate::card::{Card, CardState, Language};
use crate::conversation::command::{self, Command};
use crate::conversation::policy::{Verdict, judge};
use crate::conversation::window;
use crate::engine::{Completion, EngineError, Finish, Prompt, Sampling};
use crate::event::{Addressed, ChatKind, ContentKind, Message};
use crate::ids::ConversationId;
use crate::inbox::worker::{Cancellation, Ended};
use crate::inbox::{CancelCause, Claim, Outcome};
use crate::platform::Health;
use crate::reply::{ANSWER, Draft, End, Pace, Reply, ReplyError, fixed_card};
use crate::router::EngineState;
use crate::store::{Answer, Delivery, DeliveryState, Opening, Question};
use crate::texts::{Text, engine_error};

impl Turn {
    #[instrument(name = "turn", skip_all, fields(conversation.id))]
    pub(super) async fn message(
        &self,
        claim: &Claim,
        bot: &Bot,
        mut message: Message,
        cancel: &Cancellation,
    ) -> Result<Ended, ReplyError> {
        let mut begun = false;
        if let Some(delivery) = self.store.delivery(claim.fence.event, ANSWER).await? {
            match delivery.state {
                DeliveryState::Finishing => return self.show_recorded(claim, bot, &message, delivery).await,
                DeliveryState::Final => return Ok(Ended::Settle(Outcome::Done(None))),
                DeliveryState::Dropped => return Ok(done("target_gone")),
                DeliveryState::Prepared | DeliveryState::Open => begun = true,
            }
        }
        if message.addressed == Addressed::Unknown {
            bot.platform.settle(&mut message).await?;
        }
        let verdict = judge(&bot.settings.chat, &message, claim.event.occurred_at, claim.received_at);
        // A card that an earlier attempt began is ended, even if the policy has changed since.
        if let Verdict::Ignore(reason) = verdict
            && !begun
        {
            info!(reason, "message not answered");
            return Ok(done(reason));
        }
        // Blanks alone ask nothing; a bare mention in a group deserves a hint.
        if message.text.is_empty() && message.chat.kind == ChatKind::Direct && written(&message) {
            return Ok(done("no_text"));
        }
        let language = Language::of(&message.text);
        if claim.fence.attempt > MAX_ATTEMPTS {
            return self.give_up(claim, bot, &message, language).await;
        }
        if let Some(fixed) = self.fixed_answer(claim, bot, &message, language).await? {
            return self.deliver_fixed(claim, bot, &message, fixed).await;
        }
        self.ask(claim, bot, &message, language, cancel).await
    }

    /// The answer that needs no engine, if there is one: a command, a message without readable text, or no engine.
    async fn fixed_answer(
        &self,
        claim: &Claim,
        bot: &Bot,
        message: &Message,
        language: Language,
    ) -> Result<Option<Fixed>, ReplyError> {
        let card = |text: String| fixed_card(claim.fence.event, &message.text, text, language);
        let fixed = |text: Text, reason| Ok(Some(Fixed { card: card(text.of(language)), reason }));
        if message.text.is_empty() {
            return fixed(if written(message) { Text::EmptyMessage } else { Text::UnreadableMessage }, Some("no_text"));
        }
        match command::parse(&message.text) {
            Some(Command::Help) => fixed(Text::Help, None),
            Some(Command::Unknown) => fixed(Text::UnknownCommand, None),
            Some(Command::New) => {
                self.store.end_conversation(&bot.settings.id, &claim.scope).await?;
                fixed(Text::NewTopic, None)
            }
            Some(Command::Status) => {
                Ok(Some(Fixed { card: card(status(&self.router.engines(), language)), reason: None }))
            }
            None if self.router.candidates(&bot.settings.model).is_empty() => {
                self.log_error(claim, "no_engine", "no engine is configured for this bot").await;
                fixed(Text::NoEngine, Some("no_engine"))
            }
            None => Ok(None),
        }
    }

    /// Asks an engine and streams its answer into a card.
    async fn ask(
        &self,
        claim: &Claim,
        bot: &Bot,
        message: &Message,
        language: Language,
        cancel: &Cancellation,
    ) -> Result<Ended, ReplyError> {
        let mut draft = Draft::new(claim.fence.event, &message.text, language);
        let (conversation, prompt) = self.prompt(claim, bot, message).await?;
        draft.stand_behind(self.router.backlog(&bot.settings.model));
        let desk = self.desk(claim, bot, message.reply_to.clone());
        let mut reply = Reply::begin(desk, &draft.opening_card()).await?;

        let limits = bot.platform.limits();
        let pace = Pace {
            interval: bot.settings.chat.card_update_interval.max(limits.min_update_interval),
            max_silence: limits.max_silence,
        };
        let deltas = self.router.answer(prompt, &bot.settings.model, cancel.token.clone());
        let end = reply.stream(deltas, &mut draft, pace).await?;

        let ending = Ending::of(&end, &draft, cancel.cause(), language);
        observe(claim, &draft, ending.outcome);
        if let End::Failed(error) = &end {
            warn!(error = error as &dyn std::error::Error, "no engine finished the answer");
            self.log_error(claim, error.reason(), &error.to_string()).await;
        }
        let by = draft.choice().cloned().zip(ending.completion);
        let answer = Answer {
            conversation,
            bot: bot.settings.id.clone(),
            user: message.sender.id.clone(),
            text: draft.text().to_owned(),
            reasoning: draft.reasoning().to_owned(),
            by,
            delivery: reply.end_with(ending.card).clone(),
            now: self.now(),
        };
        self.store.record_answer(claim.fence, &answer).await?;
        self.show_end(claim, &mut reply, ending.reason).await
    }

    async fn prompt(
        &self,
        claim: &Claim,
        bot: &Bot,
        message: &Message,
    ) -> Result<(ConversationId, Prompt), ReplyError> {
        let opening = Opening {
            bot: bot.settings.id.clone(),
            platform: bot.settings.platform,
            scope: claim.scope.clone(),
            chat: message.chat.id.clone(),
            user: Some(message.sender.id.clone()),
            thread: message.thread.clone(),
            idle: bot.settings.chat.session_idle,
            now: self.now(),
        };
        let conversation = self.store.open_conversation(claim.fence, opening).await?;
        Span::current().record("conversation.id", tracing::field::display(conversation.id));
        let limit = bot.settings.chat.history_messages;
        let history = self.store.history(conversation.id, claim.fence.event, limit).await?;
        let text = question_text(message);
        let question = Question {
            conversation: conversation.id,
            text: text.clone(),
            user: message.sender.id.clone(),
            user_name: message.sender.name.clone(),
            now: self.now(),
        };
        self.store.add_question(claim.fence, question).await?;
        let prompt = Prompt {
            messages: window::messages(&bot.settings.system_prompt, &history, &text),
            sampling: Sampling::default(),
            conversation: Some(conversation.id),
        };
        Ok((conversation.id, prompt))
    }

    async fn deliver_fixed(
        &self,
        claim: &Claim,
        bot: &Bot,
        message: &Message,
        fixed: Fixed,
    ) -> Result<Ended, ReplyError> {
        let desk = self.desk(claim, bot, message.reply_to.clone());
        let mut reply = Reply::begin(desk, &fixed.card).await?;
        reply.end_with(fixed.card);
        reply.save().await?;
        self.show_end(claim, &mut reply, fixed.reason).await
    }

    /// An earlier attempt recorded the answer; only its end is to be shown.
    async fn show_recorded(
        &self,
        claim: &Claim,
        bot: &Bot,
        message: &Message,
        delivery: Delivery,
    ) -> Result<Ended, ReplyError> {
        if claim.fence.attempt > MAX_ATTEMPTS {
            self.log_error(claim, "delivery_failed", "the answer is recorded and could not be shown").await;
            return Ok(dead("delivery_failed"));
        }
        let reason = delivery.final_card.as_ref().and_then(reason_of);
        let mut reply = Reply::resume(self.desk(claim, bot, message.reply_to.clone()), delivery).await?;
        self.show_end(claim, &mut reply, reason).await
    }

    async fn show_end(
        &self,
        claim: &Claim,
        reply: &mut Reply,
        reason: Option<&'static str>,
    ) -> Result<Ended, ReplyError> {
        let delivery = reply.finish().await?.clone();
        self.store.complete(claim.fence, &delivery, reason).await?;
        count(
            claim,
            match reason {
                None => "answered",
                Some("cancelled" | "recalled" | "no_text") => "ignored",
                Some(_) => "failed",
            },
        );
        Ok(Ended::Settled)
    }

    /// Ends the card of an event that was tried too often.
    async fn give_up(
        &self,
        claim: &Claim,
        bot: &Bot,
        message: &Message,
        language: Language,
    ) -> Result<Ended, ReplyError> {
        self.log_error(claim, "attempts_exhausted", "given up after too many attempts").await;
        let desk = self.desk(claim, bot, message.reply_to.clone());
        if let Some(delivery) = self.store.delivery(claim.fence.event, ANSWER).await? {
            let draft = Draft::new(claim.fence.event, &message.text, language);
            let mut reply = Reply::resume(desk, delivery).await?;
            reply.end_with(draft.final_card(CardState::Failed, Some(Text::GivenUp)));
            if let Err(ReplyError::Store(error)) = reply.finish().await {
                return Err(error.into());
            }
            reply.save().await?;
        }
        Ok(dead("attempts_exhausted"))
    }
}

/// An answer that needs no engine.
struct Fixed {
    card: Card,
    /// Reason in the events table, if the question was not answered.
    reason: Option<&'static str>,
}

/// How an answer ends, for the card, the record and the metrics.
struct Ending {
    card: Card,
    completion: Option<Completion>,
    /// Reason in the events table, if the question was not answered.
    reason: Option<&'static str>,
    outcome: &'static str,
}

impl Ending {
    fn of(end: &End, draft: &Draft, cause: Option<CancelCause>, language: Language) -> Self {
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
            (End::Answered(done), Some(cause)) if done.finish == Finish::Cancelled => Self {
                card: ended(CardState::Stopped, Some(Text::Stopped)),
                completion: Some(*done).filter(|_| !draft.text().is_empty()),
                reason: Some(cause.reason()),
                outcome: "cancelled",
            },
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

/// The reason in the events table that goes with a recorded final card.
fn reason_of(card: &Card) -> Option<&'static str> {
    match card.state {
        CardState::Stopped => Some(CancelCause::Stopped.reason()),
        CardState::Failed => Some("engine_failed"),
        CardState::Thinking | CardState::Streaming | CardState::Done => None,
    }
}

/// Whether it is a kind of message that consists of text.
fn written(message: &Message) -> bool {
    matches!(message.content.kind, ContentKind::Text | ContentKind::RichText) && message.content.resources.is_empty()
}

/// One line an engine: its name, its model, whether it works.
fn status(engines: &[EngineState], language: Language) -> String {
    if engines.is_empty() {
        return Text::NoEngine.of(language);
    }
    let line = |engine: &EngineState| {
        let word = match engine.health {
            Health::Ok => Text::Works,
            Health::Degraded { .. } => Text::DoesNotWork,
        };
        format!("- {} · {}: {}", engine.info.name, engine.info.model, word.of(language))
    };
    engines.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// What is asked: the text, after the quoted text it speaks of.
fn question_text(message: &Message) -> String {
    match message.quote.as_ref().and_then(|quote| quote.text.as_deref()) {
        Some(quoted) if !quoted.trim().is_empty() => {
            let quoted: Vec<_> = quoted.trim().lines().map(|line| format!("> {line}")).collect();
            format!("{}\n\n{}", quoted.join("\n"), message.text)
        }
        _ => message.text.clone(),
    }
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
