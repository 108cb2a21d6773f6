//! A message: judged, answered by a command or by an engine, delivered, recorded.
//!
//! The order is what makes a crash harmless. The question is written down before the engine is asked; the answer is
//! written down, together with the card to end with, before that card is shown; the event is done only after it was
//! shown. A later attempt finds how far the earlier one came and goes on from there.

use tracing::{info, instrument};

use super::{Bot, MAX_ATTEMPTS, Turn, count, dead, done};
use crate::card::{Card, CardState, Language};
use crate::conversation::command::{self, Command};
use crate::conversation::policy::{Verdict, judge};
use crate::event::{Addressed, ChatKind, ContentKind, Message};
use crate::ids::EventId;
use crate::inbox::worker::{Cancellation, Ended};
use crate::inbox::{CancelCause, Claim, Outcome};
use crate::reply::{ANSWER, Draft, Reply, ReplyError, fixed_card};
use crate::settings::ChatSettings;
use crate::store::{Admission, Allowance, Delivery, DeliveryState};
use crate::texts::Text;

/// The reason of events that were given up.
const EXHAUSTED: &str = "attempts_exhausted";

/// The name under which a chat's pause is kept.
pub(super) const PAUSED: &str = "paused";

/// A message that a bot is to do something about.
pub(super) struct Case<'a> {
    pub claim: &'a Claim,
    pub bot: &'a Bot,
    /// What holds in the message's chat.
    pub chat: &'a ChatSettings,
    pub message: &'a Message,
    /// What the person wrote.
    pub words: String,
    pub language: Language,
}

impl<'a> Case<'a> {
    pub fn new(claim: &'a Claim, bot: &'a Bot, message: &'a Message) -> Self {
        let chat = bot.settings.chat_in(&message.chat.id);
        let words = message.words();
        let language = bot.settings.language_for(&words);
        Self { claim, bot, chat, message, words, language }
    }

    pub fn event(&self) -> EventId {
        self.claim.fence.event
    }

    pub fn command(&self) -> Option<Command> {
        command::parse(&self.words)
    }

    pub fn is_admin(&self) -> bool {
        self.chat.admin_users.contains(&self.message.sender.id.0)
    }

    /// A finished card with this text.
    pub fn card(&self, text: String) -> Card {
        fixed_card(self.event(), &self.words, text, self.language)
    }

    pub fn text(&self, text: Text) -> String {
        text.of(self.language)
    }
}

/// An answer that needs no engine.
pub(super) struct Fixed {
    pub card: Card,
    /// Reason in the events table, if the question was not answered.
    pub reason: Option<&'static str>,
}

impl Fixed {
    pub fn answer(card: Card) -> Self {
        Self { card, reason: None }
    }
}

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
        let verdict = self.judge(claim, bot, &mut message).await?;
        let case = Case::new(claim, bot, &message);
        // A card that an earlier attempt began is ended, even if the policy has changed since.
        if let (false, Some(ended)) = (begun, self.turn_away(&case, verdict).await?) {
            return Ok(ended);
        }
        if claim.fence.attempt > MAX_ATTEMPTS {
            return self.give_up(&case).await;
        }
        match self.fixed_answer(&case).await? {
            Some(fixed) => self.deliver_fixed(&case, fixed).await,
            None => self.ask(&case, cancel).await,
        }
    }

    /// What policy says of a message, once everything is known that it depends on.
    pub(super) async fn judge(&self, claim: &Claim, bot: &Bot, message: &mut Message) -> Result<Verdict, ReplyError> {
        if message.addressed == Addressed::Unknown {
            bot.platform.settle(message).await?;
        }
        let chat = bot.settings.chat_in(&message.chat.id);
        if chat.answer_replies
            && message.addressed != Addressed::Bot
            && let Some(quote) = message.quote.as_mut().filter(|quote| !quote.from_bot)
            && let Some(quoted) = &quote.message_id
        {
            quote.from_bot = self.store.delivery_of_card(&bot.settings.id, Some(quoted), None).await?.is_some();
        }
        let verdict = judge(chat, message, claim.event.occurred_at, claim.received_at);
        let paused = verdict == Verdict::Answer && self.is_paused(bot, message).await?;
        let by_admin = chat.admin_users.contains(&message.sender.id.0);
        Ok(if paused && !by_admin { Verdict::Ignore(PAUSED) } else { verdict })
    }

    pub(super) async fn is_paused(&self, bot: &Bot, message: &Message) -> Result<bool, ReplyError> {
        let paused = self.store.choice(&bot.settings.id, &chat_subject(message), PAUSED).await?;
        Ok(paused.is_some())
    }

    /// The end of a message that is not to be answered, or not now; `None` if it is.
    pub(super) async fn turn_away(&self, case: &Case<'_>, verdict: Verdict) -> Result<Option<Ended>, ReplyError> {
        let tell = |text, reason| Fixed { card: case.card(text), reason: Some(reason) };
        if let Verdict::Ignore(reason) = verdict {
            info!(reason, "message not answered");
            return Ok(Some(done(reason)));
        }
        if verdict == Verdict::Deny {
            info!("message denied");
            return match self.admit(case).await? {
                Admission::Allowed if case.chat.deny_reply => {
                    self.deliver_fixed(case, tell(case.text(Text::Denied), "denied")).await.map(Some)
                }
                _ => Ok(Some(done("denied"))),
            };
        }
        // Blanks alone ask nothing; a bare mention in a group deserves a hint.
        if case.words.is_empty() && case.message.chat.kind == ChatKind::Direct && written(case.message) {
            return Ok(Some(done("no_text")));
        }
        match self.admit(case).await? {
            Admission::Allowed => Ok(None),
            Admission::Refused { tell: false, .. } => Ok(Some(done("rate_limited"))),
            Admission::Refused { wait, tell: true } => {
                let seconds = wait.as_secs().max(1);
                let text = Text::TooManyMessages.with(case.language, &[("seconds", seconds.into())]);
                self.deliver_fixed(case, tell(text, "rate_limited")).await.map(Some)
            }
        }
    }

    /// *Stop* is always allowed: it makes less work.
    async fn admit(&self, case: &Case<'_>) -> Result<Admission, ReplyError> {
        let messages_per_minute = case.chat.user_messages_per_minute;
        if messages_per_minute == 0 || case.command() == Some(Command::Stop) {
            return Ok(Admission::Allowed);
        }
        let allowance = Allowance {
            bot: case.bot.settings.id.clone(),
            user: case.message.sender.id.clone(),
            messages_per_minute,
            now: self.now(),
        };
        Ok(self.store.admit(case.claim.fence, &allowance).await?)
    }

    /// The answer that needs no engine, if there is one: a command, a message without readable text, or no engine.
    async fn fixed_answer(&self, case: &Case<'_>) -> Result<Option<Fixed>, ReplyError> {
        if let Some(command) = case.command() {
            return self.command(case, command).await.map(Some);
        }
        let readable = matches!(
            case.message.content.kind,
            ContentKind::Image | ContentKind::Audio | ContentKind::File | ContentKind::Forwarded
        );
        let pictured = !case.message.content.resources.is_empty();
        if case.words.is_empty() && !readable && !pictured {
            let text = if written(case.message) { Text::EmptyMessage } else { Text::UnreadableMessage };
            return Ok(Some(Fixed { card: case.card(case.text(text)), reason: Some("no_text") }));
        }
        if self.router.candidates(&case.bot.settings.model).is_empty() {
            self.log_error(case.claim, "no_engine", "no engine is configured for this bot").await;
            return Ok(Some(Fixed { card: case.card(case.text(Text::NoEngine)), reason: Some("no_engine") }));
        }
        Ok(None)
    }

    pub(super) async fn deliver_fixed(&self, case: &Case<'_>, fixed: Fixed) -> Result<Ended, ReplyError> {
        let desk = self.desk(case.claim, case.bot, case.message.reply_to.clone());
        let mut reply = Reply::begin(desk, &fixed.card).await?;
        reply.end_with(fixed.card);
        reply.save().await?;
        self.show_end(case.claim, &mut reply, fixed.reason).await
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

    pub(super) async fn show_end(
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
                Some("cancelled" | "recalled" | "interrupted" | "no_text" | "denied" | "rate_limited") => "ignored",
                Some(_) => "failed",
            },
        );
        Ok(Ended::Settled)
    }

    /// Gives an event up that was tried too often.
    async fn give_up(&self, case: &Case<'_>) -> Result<Ended, ReplyError> {
        let Some(delivery) = self.store.delivery(case.event(), ANSWER).await? else {
            self.log_error(case.claim, EXHAUSTED, "given up after too many attempts").await;
            return Ok(dead(EXHAUSTED));
        };
        let draft = Draft::new(case.event(), &case.words, case.language);
        let desk = self.desk(case.claim, case.bot, case.message.reply_to.clone());
        let card = draft.final_card(CardState::Failed, Some(Text::GivenUp));
        self.leave(case, Reply::resume(desk, delivery).await?, card).await
    }

    /// Ends a card that was tried too often, as well as that goes.
    pub(super) async fn leave(&self, case: &Case<'_>, mut reply: Reply, card: Card) -> Result<Ended, ReplyError> {
        self.log_error(case.claim, EXHAUSTED, "given up after too many attempts").await;
        reply.end_with(card);
        if let Err(ReplyError::Store(error)) = reply.finish().await {
            return Err(error.into());
        }
        reply.save().await?;
        Ok(dead(EXHAUSTED))
    }
}

/// Under which name a chat's own choices are kept.
pub(super) fn chat_subject(message: &Message) -> String {
    format!("chat:{}", message.chat.id)
}

/// The reason in the events table that goes with a recorded final card.
pub(super) fn reason_of(card: &Card) -> Option<&'static str> {
    match card.state {
        CardState::Stopped => Some(CancelCause::Stopped.reason()),
        CardState::Failed => Some("engine_failed"),
        CardState::Thinking | CardState::Streaming | CardState::Done => None,
    }
}

/// Whether it is a kind of message that consists of text.
pub(super) fn written(message: &Message) -> bool {
    matches!(message.content.kind, ContentKind::Text | ContentKind::RichText) && message.content.resources.is_empty()
}
