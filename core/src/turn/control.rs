//! Pressed buttons.

use tracing::info;

use super::press::{Judgement, Pressed, is_ended, judge};
use super::{Bot, Turn, done};
use crate::card::{Card, Form, Version};
use crate::event::{
    Action, Addressed, Body, CardAction, Chat, Content, ContentKind, Event, Message, Press, ReplyTo, Sender,
};
use crate::ids::{EventId, MessageId, ScopeKey, UserId};
use crate::inbox::worker::Ended;
use crate::inbox::{CancelCause, Claim, Entry, Outcome};
use crate::intake;
use crate::platform::SendError;
use crate::reply::buttons::{Buttons, is_reason};
use crate::reply::{Reply, ReplyError};
use crate::store::{Delivery, DeliveryState, VersionChoice, Vote};
use crate::task::Task;

/// Presses of one button by one person this close together are one.
const SAME_PRESS_MS: i64 = 5_000;
/// Longer comments are cut.
const COMMENT_CHARS: usize = 1_000;

/// A pressed button that may do what it says.
struct Case<'a> {
    claim: &'a Claim,
    bot: &'a Bot,
    action: &'a CardAction,
    press: &'a Press,
    pressed: Pressed,
}

impl Turn {
    /// Carries out a pressed button, if it may.
    pub(super) async fn action(&self, claim: &Claim, bot: &Bot, action: &CardAction) -> Result<Ended, ReplyError> {
        let Some(press) = &action.press else { return Ok(done("unknown_action")) };
        let judgement = judge(self.store.as_ref(), &bot.settings, action, press).await?;
        info!(action = press.action.as_str(), allowed = matches!(judgement, Judgement::Allowed(_)), "card action");
        match judgement {
            Judgement::Allowed(pressed) => self.carry_out(&Case { claim, bot, action, press, pressed: *pressed }).await,
            Judgement::Denied(_) => Ok(done("denied")),
            Judgement::UnknownCard => Ok(done("unknown_card")),
        }
    }

    async fn carry_out(&self, case: &Case<'_>) -> Result<Ended, ReplyError> {
        let (bot, press) = (&case.bot.settings, case.press);
        match press.action {
            Action::Stop => self.stop_pressed(case).await?,
            Action::NewTopic => {
                self.store.end_conversation(&bot.id, &case.pressed.scope).await?;
            }
            Action::Regenerate | Action::OtherEngine => return self.regenerate_pressed(case).await,
            Action::ShowVersion => return self.turn_page(case).await,
            Action::VoteUp | Action::VoteDown | Action::VoteReason => return self.vote(case).await,
            Action::CloseForm => return self.set_form(case, None).await,
            Action::Ask | Action::Command => {
                let (to, user) = (&case.pressed.to, &case.action.operator);
                let bucket = case.claim.received_at.0.div_euclid(SAME_PRESS_MS);
                let told = format!("{}\n{user}\n{}\n{bucket}", press.event, press.argument);
                let name = uuid::Uuid::new_v5(&press.event.0, told.as_bytes()).simple().to_string();
                self.ask_for(case.claim, case.bot, (&name, to, user), &press.argument).await?;
            }
        }
        Ok(Ended::Settle(Outcome::Done(None)))
    }

    /// Stops the event whose answer the card shows, or the task that the button names, if it works on that card.
    async fn stop_pressed(&self, case: &Case<'_>) -> Result<(), ReplyError> {
        let mut target = case.press.event;
        if let Ok(worker) = case.press.argument.parse::<EventId>()
            && let Some(stored) = self.store.event(worker).await?
            && let Body::Task(task) = &stored.event.body
            && matches!(task.as_ref(), Task::Regenerate { of, .. } if *of == case.press.event)
        {
            target = worker;
        }
        self.inbox.cancel(target, CancelCause::Stopped).await?;
        Ok(())
    }

    async fn regenerate_pressed(&self, case: &Case<'_>) -> Result<Ended, ReplyError> {
        if !is_ended(case.pressed.delivery.state) {
            return Ok(done("still_answering"));
        }
        let engine = (case.press.action == Action::OtherEngine).then(|| case.press.argument.clone());
        let task = Task::Regenerate { of: case.press.event, engine, by: case.action.operator.clone() };
        // Whoever presses twice sees the same card both times, and gets one answer more.
        let name = format!("regenerate:{}:{}", case.press.event, case.pressed.delivery.card.sequence);
        self.set(case.bot, &name, case.pressed.scope.clone(), task).await?;
        Ok(Ended::Settle(Outcome::Done(None)))
    }

    async fn turn_page(&self, case: &Case<'_>) -> Result<Ended, ReplyError> {
        let versions = self.store.versions(case.pressed.question).await?;
        let wanted = case.press.argument.parse::<u32>().ok();
        let Some(version) = versions.iter().find(|version| Some(version.number) == wanted) else {
            return Ok(done("unknown_version"));
        };
        let of = versions.last().map_or(version.number, |last| last.number);
        let mut card = version.card.clone();
        self.buttons(case).turn_pages(&mut card, Version { number: version.number, of });
        self.change(case, card, Some(version.number)).await
    }

    async fn vote(&self, case: &Case<'_>) -> Result<Ended, ReplyError> {
        let (inputs, up) = (&case.action.inputs, case.press.action == Action::VoteUp);
        let input = |name: &str| inputs.get(name).map(|text| text.trim()).filter(|text| !text.is_empty());
        let named = Some(case.press.argument.as_str()).filter(|argument| !argument.is_empty());
        let vote = Vote {
            bot: case.bot.settings.id.clone(),
            event: case.pressed.question,
            user: case.action.operator.clone(),
            up,
            reason: input(Form::REASON).or(named).filter(|name| is_reason(name)).map(str::to_owned),
            comment: input(Form::COMMENT).map(|text| text.chars().take(COMMENT_CHARS).collect()),
            now: self.now(),
        };
        if !self.store.vote(&vote).await? {
            return Ok(done("no_answer"));
        }
        let form = (case.press.action == Action::VoteDown).then(|| self.buttons(case).vote_form());
        self.set_form(case, form).await
    }

    async fn set_form(&self, case: &Case<'_>, form: Option<Form>) -> Result<Ended, ReplyError> {
        match &case.pressed.delivery.final_card {
            // What an earlier attempt wrote down may not have been shown.
            Some(card) if card.form != form || case.claim.fence.attempt > 1 => {
                self.change(case, Card { form, ..card.clone() }, None).await
            }
            _ => Ok(Ended::Settle(Outcome::Done(None))),
        }
    }

    /// Puts another finished card in the place of the one that was pressed. Whoever pressed at the same moment and was
    /// later does nothing; a card that can't be changed stays as it is.
    async fn change(&self, case: &Case<'_>, card: Card, version: Option<u32>) -> Result<Ended, ReplyError> {
        if case.pressed.delivery.state == DeliveryState::Finishing {
            // Its end is on the way; after that it can be changed.
            return Ok(self.retry(case.claim.fence, None, "finishing"));
        }
        let (fence, before) = (case.claim.fence, case.pressed.delivery.card.sequence);
        let mut delivery = Delivery { final_card: Some(card), updated_at: self.now(), ..case.pressed.delivery.clone() };
        delivery.card.take_over();
        let changed = match version {
            Some(number) => {
                let choice = VersionChoice { question: case.pressed.question, number };
                self.store.choose_version(fence, choice, &delivery, before).await?
            }
            None => self.store.revise_delivery(fence, &delivery, before).await?,
        };
        if !changed {
            return Ok(done("card_changed"));
        }
        let reserved = delivery.card.sequence;
        let desk = super::Desk { event: delivery.event, ..self.desk(case.claim, case.bot, case.pressed.to.clone()) };
        let mut reply = Reply::of(desk, delivery);
        match reply.revise().await {
            Ok(()) => {
                self.store.revise_delivery(fence, reply.delivery(), reserved).await?;
                Ok(Ended::Settle(Outcome::Done(None)))
            }
            Err(ReplyError::Send(SendError::Unchangeable { .. } | SendError::Superseded { .. })) => {
                Ok(done("unchangeable"))
            }
            Err(error) => Err(error),
        }
    }

    fn buttons(&self, case: &Case<'_>) -> Buttons {
        Buttons { event: case.press.event, language: case.pressed.language }
    }

    /// Lets somebody ask by pressing: a message of theirs, as if they had written it where the card is. Once for each
    /// name, and once while the same is still being answered.
    pub(super) async fn ask_for(
        &self,
        claim: &Claim,
        bot: &Bot,
        (name, to, user): (&str, &ReplyTo, &UserId),
        text: &str,
    ) -> Result<(), ReplyError> {
        let name = format!("press:{name}");
        let message = Message {
            id: MessageId(name.clone()),
            chat: Chat { id: to.chat.clone(), kind: to.chat_kind, title: None },
            thread: to.thread.clone(),
            sender: Sender { id: user.clone(), name: None, is_bot: false },
            content: Content { kind: ContentKind::Text, resources: Vec::new() },
            text: text.to_owned(),
            mentions: Vec::new(),
            addressed: Addressed::Bot,
            quote: None,
            reply_to: ReplyTo { user: Some(user.clone()), ..to.clone() },
        };
        let event = Event {
            bot: bot.settings.id.clone(),
            platform: bot.settings.platform,
            platform_event_id: name,
            occurred_at: None,
            body: Body::Message(Box::new(message)),
        };
        let entry = intake::entry(event, &bot.settings, self.now(), claim.trace.clone());
        if !self.is_asked_already(bot, &entry).await? {
            self.inbox.accept(entry).await?;
        }
        Ok(())
    }

    /// Whether the same person has pressed the same before and is still waiting for the answer.
    async fn is_asked_already(&self, bot: &Bot, entry: &Entry) -> Result<bool, ReplyError> {
        let Body::Message(asked) = &entry.event.body else { return Ok(false) };
        let open = self.inbox.open_in_scope(&bot.settings.id, &entry.scope).await?;
        Ok(open.iter().any(|open| match &open.event.body {
            Body::Message(other) => {
                other.id.as_str().starts_with("press:")
                    && other.sender.id == asked.sender.id
                    && other.text == asked.text
            }
            _ => false,
        }))
    }

    /// Puts a task into the inbox; once for each `name`. Tasks of one scope wait for one another and for its messages.
    pub(super) async fn set(&self, bot: &Bot, name: &str, scope: ScopeKey, task: Task) -> Result<(), ReplyError> {
        self.inbox.accept(intake::task(task, &bot.settings, name, scope, self.now())).await?;
        Ok(())
    }
}
