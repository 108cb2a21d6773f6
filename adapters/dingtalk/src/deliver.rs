//! One answer on its way: which form it takes, and how each form reaches its end.
//!
//! Forms in order: a card by the bot's own template, a card by the public template, Markdown messages. A card goes
//! through the stages of [`Stage`]: created waiting, switched to typing with the first text, streamed frame by frame,
//! closed by a last frame, settled with buttons (and perhaps reopened, see [`crate::revise`]). Every step can be repeated: a card that exists already counts as
//! created, frames carry the full text, updates name their values. What a crash can do: the saved stage lags behind,
//! and the step after it is made again, which shows nothing new. Only messages have no such id (see
//! [`crate::messages`]).

use std::time::Duration;

use magpie_core::card::Card;
use magpie_core::event::ReplyTo;
use magpie_core::ids::MessageId;
use magpie_core::platform::{CardRef, DeliveryKey, SendError};

use crate::answer::Class;
use crate::api::Call;
use crate::calls::{Last, NewCard, STREAM_KEY, Target, frame, update_card};
use crate::card::{Face, Making};
use crate::courier::{Courier, card_id};
use crate::failure::Failure;
use crate::form::{CardForm, Form, Live, MessagesForm, Stage, Template};
use crate::markdown::first_words;
use crate::route::WayBack;

/// What the chat list shows of a card.
const SUMMARY_CHARS: usize = 60;
/// A card whose end the platform refuses to take for so long is given up for messages.
const CARD_IS_GIVEN_UP_AFTER: Duration = Duration::from_secs(10 * 60);
/// Codes that say that the card is not there (any more).
const CARD_IS_LOST: [&str; 2] = ["param.cardNotExist", "param.stream.outTrackId"];

/// One delivery in the hands of one caller.
pub(crate) struct Delivery<'a> {
    pub courier: &'a Courier,
    pub to: &'a ReplyTo,
    pub way: WayBack,
    pub at: &'a mut CardRef,
    pub card: &'a Card,
    pub form: Form,
}

impl<'a> Delivery<'a> {
    pub fn new(courier: &'a Courier, to: &'a ReplyTo, card: &'a Card, at: &'a mut CardRef) -> Self {
        let form = Form::of(at);
        Self { courier, to, way: WayBack::of(to), at, card, form }
    }

    /// Makes it visible. A card that is final already is shown so in one call.
    pub async fn start(&mut self) -> Result<(), SendError> {
        while let Form::Card(form) = &self.form {
            if form.stage != Stage::Prepared {
                return Ok(());
            }
            match self.create().await {
                Ok(()) if self.card.state.is_final() => return self.finish().await,
                Ok(()) => return Ok(()),
                Err(failure) => self.fall_back(failure)?,
            }
        }
        if self.card.state.is_final() { self.finish().await } else { Ok(()) }
    }

    /// Shows the text so far.
    pub async fn update(&mut self) -> Result<(), SendError> {
        if self.card.state.is_final() {
            return self.finish().await;
        }
        match &self.form {
            Form::Card(form) if form.stage == Stage::Prepared => self.start().await,
            Form::Card(form) if form.stage <= Stage::Writing || form.stage == Stage::Reopened => {
                let form = form.clone();
                match self.show(&form).await {
                    Ok(()) => Ok(()),
                    Err(failure) => self.bear(failure),
                }
            }
            _ => Ok(()),
        }
    }

    /// Brings it to its end, in whatever form still works.
    pub async fn finish(&mut self) -> Result<(), SendError> {
        loop {
            let Form::Card(form) = &self.form else { return self.send_all().await };
            match form.stage {
                Stage::Prepared => match self.create().await {
                    Ok(()) => {}
                    Err(failure) if failure.passes() => self.postpone(failure)?,
                    Err(failure) => self.fall_back(failure)?,
                },
                Stage::Waiting | Stage::Writing if self.wants_last_frame()? => self.close().await?,
                Stage::Waiting | Stage::Writing | Stage::Closed | Stage::Reopened => self.settle().await?,
                Stage::Finished => return self.send_rest().await,
            }
        }
    }

    /// Creates and delivers the card; one that exists already was created by an earlier attempt.
    async fn create(&mut self) -> Result<(), Failure> {
        let Form::Card(form) = &self.form else { return Ok(()) };
        let template = form.template;
        let at_once = self.card.state.is_final();
        let face = self.face(if at_once { Making::AtOnce } else { Making::Streamed })?;
        let target = Target::of(self.to, &self.way)
            .ok_or_else(|| Failure::new(Call::CreateCard.name(), Class::BadRequest, "no_member_id"))?;
        let out_track_id = self.out_track_id();
        let summary = first_words(&self.card.title, SUMMARY_CHARS);
        let new_card = NewCard {
            template_id: self.courier.template_id(template),
            out_track_id: &out_track_id,
            target: &target,
            robot_code: self.robot_code(),
            callback_route: self.courier.callback_route.as_deref(),
            variables: &face.variables,
            summary: &summary,
            language: self.card.language,
        };
        let body = new_card.body();
        match self.courier.api.insist(Call::CreateCard, || body.clone()).await {
            Ok(answer) => {
                // The key that quotes and recalls of this card name.
                let carrier = answer.pointer("/result/deliverResults/0/carrierId").and_then(|id| id.as_str());
                self.at.message = carrier.filter(|id| !id.is_empty()).map(MessageId::from);
                self.note(if at_once { Stage::Finished } else { Stage::Waiting });
                if at_once {
                    self.note_rest(&face);
                }
            }
            Err(failure) if failure.class == Class::AlreadyDone => self.note(Stage::Waiting),
            Err(failure) => return Err(failure),
        }
        Ok(())
    }

    /// After a card was refused: the next form, unless the failure is of a kind that passes or ends everything.
    fn fall_back(&mut self, failure: Failure) -> Result<(), SendError> {
        if failure.passes() || failure.class == Class::Gone {
            return Err(failure.into());
        }
        let Form::Card(form) = &self.form else { return Ok(()) };
        let template = form.template;
        let until = self.courier.clock.now() + self.courier.timing.cards_off;
        let about_template = matches!(failure.code.as_str(), "param.templateNotExist" | "param.templateUnpublished");
        if about_template || failure.class == Class::FailedInsideOk {
            self.courier.gate.close(template, until);
        }
        if matches!(failure.class, Class::Permission | Class::QuotaExhausted) {
            self.courier.gate.close(Template::Own, until);
            self.courier.gate.close(Template::Public, until);
        }
        tracing::warn!(
            platform = "dingtalk",
            code = %failure.code,
            ?template,
            "a card was refused; the answer takes another form"
        );
        let can_reach = Target::of(self.to, &self.way).is_some();
        self.change_form(self.courier.form_after(Some(template), can_reach));
        Ok(())
    }

    /// One frame, or, before the first text and where streaming is not allowed, one update.
    async fn show(&mut self, form: &CardForm) -> Result<(), Failure> {
        let face = self.face(Making::Streamed)?;
        let has_text = !self.card.text.trim().is_empty();
        let news = has_text || (self.card.notice.is_some() && self.card.notice != form.shown_notice);
        let reopened = form.stage == Stage::Reopened;
        if !news || (form.live == Live::Nothing && !reopened) {
            return Ok(());
        }
        let least = if reopened { self.courier.timing.update_gap } else { self.courier.timing.frame_gap };
        self.courier.gaps.keep(&self.out_track_id(), least).await;
        let content = face.variables.get(STREAM_KEY).map_or("", String::as_str);
        if has_text && form.stage == Stage::Writing && form.live == Live::Frames && !content.is_empty() {
            let guid = self.next_guid();
            let body = frame(&self.out_track_id(), &guid, content, Last::No);
            self.courier.api.call(Call::StreamCard, &body).await?;
        } else {
            let body = update_card(&self.out_track_id(), &face.variables);
            self.courier.api.call(Call::UpdateCard, &body).await?;
        }
        if let Form::Card(form) = &mut self.form
            && !has_text
        {
            form.shown_notice.clone_from(&self.card.notice);
        }
        self.note(if has_text && !reopened { Stage::Writing } else { form.stage });
        Ok(())
    }

    /// A failed update: what the end can still make good is no failure.
    fn bear(&mut self, failure: Failure) -> Result<(), SendError> {
        let is_frame = failure.call == Call::StreamCard.name();
        match failure.class {
            _ if is_lost(&failure) => self.change_form(Form::Messages(MessagesForm::default())),
            Class::Permission if is_frame => self.show_by(Live::Updates),
            // Whole updates could open a card again that somebody else has closed.
            Class::BadRequest if is_frame => self.show_by(Live::Nothing),
            _ => return Err(failure.into()),
        }
        Ok(())
    }

    /// A card that has streamed is ended by a frame; an own template changes its state by nothing else.
    fn wants_last_frame(&self) -> Result<bool, SendError> {
        let Form::Card(form) = &self.form else { return Ok(false) };
        let face = self.face(Making::Streamed)?;
        let has_content = face.variables.get(STREAM_KEY).is_some_and(|content| !content.is_empty());
        Ok(form.live == Live::Frames && has_content && (form.stage == Stage::Writing || form.template == Template::Own))
    }

    /// The last frame. Its loss would leave the card typing for ever, so it is repeated, and whatever stands in its
    /// way for good leads on to [`Self::settle`] or to messages.
    async fn close(&mut self) -> Result<(), SendError> {
        self.keep_gap().await;
        let face = self.face(Making::Streamed)?;
        let content = face.variables.get(STREAM_KEY).cloned().unwrap_or_default();
        let out_track_id = self.out_track_id();
        let (courier, key, at) = (self.courier, self.at.key.clone(), &mut *self.at);
        let last = || frame(&out_track_id, &guid(&key, at.next_sequence()), &content, Last::Yes);
        let outcome = courier.api.insist(Call::StreamCard, last).await;
        match outcome {
            Ok(_) => self.note(Stage::Closed),
            Err(failure) if failure.passes() => return self.postpone(failure),
            Err(failure) if is_lost(&failure) => self.change_form(Form::Messages(MessagesForm::default())),
            Err(failure) => match failure.class {
                Class::ContentRejected => return Err(failure.into()),
                Class::Permission | Class::QuotaExhausted => self.show_by(Live::Updates),
                // An earlier attempt closed it, and its answer was lost; or frames are not understood.
                _ => self.show_by(Live::Nothing),
            },
        }
        Ok(())
    }

    /// The final update: state, full text, buttons.
    async fn settle(&mut self) -> Result<(), SendError> {
        let Form::Card(form) = &self.form else { return Ok(()) };
        let text_is_there = form.stage == Stage::Closed;
        if !text_is_there {
            self.keep_gap().await;
        }
        let face = self.face(Making::Streamed)?;
        let body = update_card(&self.out_track_id(), &face.variables);
        let outcome = self.courier.api.insist(Call::UpdateCard, || body.clone()).await;
        match outcome {
            Ok(_) => {}
            Err(failure) if failure.passes() => return self.postpone(failure),
            Err(failure) if failure.class == Class::ContentRejected => return Err(failure.into()),
            Err(failure) if text_is_there && !is_lost(&failure) => {
                tracing::warn!(platform = "dingtalk", code = %failure.code, "a finished card got no buttons");
            }
            // The last frame failed for good: the whole text goes out once, as messages.
            Err(_) => {
                self.change_form(Form::Messages(MessagesForm::default()));
                return Ok(());
            }
        }
        self.note(Stage::Finished);
        self.note_rest(&face);
        Ok(())
    }

    /// The end is left to a later attempt; but after a while any form is better than a card that stays open.
    fn postpone(&mut self, failure: Failure) -> Result<(), SendError> {
        let now = self.courier.clock.now();
        if let Form::Card(form) = &mut self.form {
            let since = *form.end_fails_since.get_or_insert(now);
            if now.since(since) < CARD_IS_GIVEN_UP_AFTER {
                self.save();
                return Err(failure.into());
            }
            tracing::warn!(platform = "dingtalk", code = %failure.code, "a card can't be ended; its answer becomes messages");
            self.change_form(Form::Messages(MessagesForm::default()));
        }
        Ok(())
    }

    pub fn save(&mut self) {
        self.form.save(self.at);
    }

    pub fn robot_code(&self) -> &str {
        self.way.robot_code.as_deref().unwrap_or(&self.courier.robot_code)
    }

    fn change_form(&mut self, form: Form) {
        self.at.card = card_id(&form, &self.at.key);
        self.form = form;
        self.save();
    }

    pub fn note(&mut self, stage: Stage) {
        if let Form::Card(form) = &mut self.form {
            form.stage = stage;
        }
        match &self.at.card {
            Some(card) if stage == Stage::Finished => self.courier.gaps.forget(card.as_str()),
            Some(card) => self.courier.gaps.note(card.as_str()),
            None => {}
        }
        self.save();
    }

    /// What the card has no room for goes on in messages.
    fn note_rest(&mut self, face: &Face) {
        if let Form::Card(form) = &mut self.form
            && face.shown_bytes < self.card.text.len()
        {
            form.rest.get_or_insert(MessagesForm { sent_bytes: face.shown_bytes, ..MessagesForm::default() });
        }
        self.save();
    }

    fn show_by(&mut self, live: Live) {
        if let Form::Card(form) = &mut self.form {
            form.live = live;
        }
        self.save();
    }

    pub fn face(&self, making: Making) -> Result<Face, Failure> {
        self.courier.templates.face(self.card, self.courier.presses(), making).map_err(|error| {
            tracing::error!(platform = "dingtalk", %error, "the card template failed");
            Failure::new("render_card", Class::BadRequest, "template")
        })
    }

    pub async fn keep_gap(&self) {
        self.courier.gaps.keep(&self.out_track_id(), self.courier.timing.frame_gap).await;
    }

    pub fn out_track_id(&self) -> String {
        self.at.card.as_ref().map_or_else(String::new, |id| id.0.clone())
    }

    fn next_guid(&mut self) -> String {
        let sequence = self.at.next_sequence();
        guid(&self.at.key, sequence)
    }
}

fn guid(key: &DeliveryKey, sequence: u64) -> String {
    key.step(&format!("frame-{sequence}"))
}

fn is_lost(failure: &Failure) -> bool {
    CARD_IS_LOST.contains(&failure.code.as_str())
}
