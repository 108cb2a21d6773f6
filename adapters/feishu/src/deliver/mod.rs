//! One answer on its way to a chat: chosen form, updates, certain end.
//!
//! Forms from best to plainest: a card entity that streams, a card that is replaced as a whole, one card at the end,
//! text. A form that the platform refuses is left for the next one, and the state after each step lies in the
//! [`CardRef`], so another process can go on. What becomes visible carries a key derived from the delivery, so a
//! repeat shows nothing twice.

mod again;
mod entity;
mod message;

use std::sync::Arc;
use std::sync::atomic::AtomicI64;

use magpie_core::card::Card;
use magpie_core::clock::Clock;
use magpie_core::event::ReplyTo;
use magpie_core::platform::{CardRef, DeliveryKey};

use crate::api::Api;
use crate::card::{Cards, Flow, Look, Page, pages};
use crate::errors::{ApiError, Class};
use crate::form::{Form, Progress};

/// Delivers one bot's answers.
pub(crate) struct Courier {
    pub(crate) api: Api,
    pub(crate) cards: Cards,
    pub(crate) clock: Arc<dyn Clock>,
    /// Unix milliseconds until which card entities are not tried; 0 if they may be.
    pub(crate) entities_denied_until: AtomicI64,
}

/// One step of a delivery: what to show, where, and how far it is.
struct Step<'a> {
    to: &'a ReplyTo,
    card: &'a Card,
    at: &'a mut CardRef,
    progress: Progress,
}

impl<'a> Step<'a> {
    fn new(to: &'a ReplyTo, card: &'a Card, at: &'a mut CardRef) -> Self {
        let progress = Progress::of(at);
        Self { to, card, at, progress }
    }

    /// The key of a message of this answer; those of an answer that the card showed before have others.
    fn key(&self, name: &str) -> String {
        match self.progress.reopened {
            0 => self.at.key.step(name),
            times => self.at.key.step(&format!("{name}:again-{times}")),
        }
    }

    /// Keeps the state for the next step, whoever takes it.
    fn save(self) {
        self.progress.save(self.at);
    }
}

impl Courier {
    /// Chooses the form. A card that is final already needs one message only.
    pub(crate) async fn prepare(&self, card: &Card, key: &DeliveryKey) -> Result<CardRef, ApiError> {
        let now = self.clock.now();
        let mut progress = Progress { streaming_since: now, ..Progress::default() };
        let mut entity = None;
        if !card.state.is_final() {
            // A card in a message costs two calls from start to end, an entity five without a single frame.
            if !self.api.budget().is_short() {
                entity = self.create_entity(card).await?;
            }
            progress.form = if entity.is_some() { Form::Stream } else { Form::Patch };
        }
        let mut at = CardRef {
            key: key.clone(),
            message: None,
            card: entity,
            sequence: 0,
            created_at: now,
            form: serde_json::Value::Null,
        };
        progress.save(&mut at);
        Ok(at)
    }

    pub(crate) async fn start(&self, to: &ReplyTo, card: &Card, at: &mut CardRef) -> Result<(), ApiError> {
        if card.state.is_final() && matches!(Progress::of(at).form, Form::Once | Form::Text) {
            return self.finish(to, card, at).await;
        }
        let mut step = Step::new(to, card, at);
        let result = match step.progress.form {
            _ if step.progress.done || step.progress.shown => Ok(()),
            Form::Stream | Form::Entity => self.show_entity(&mut step).await,
            Form::Patch => self.show_card(&mut step).await,
            Form::Once | Form::Text => Ok(()),
        };
        step.save();
        result
    }

    pub(crate) async fn update(&self, to: &ReplyTo, card: &Card, at: &mut CardRef) -> Result<(), ApiError> {
        if card.state.is_final() {
            return self.finish(to, card, at).await;
        }
        self.start(to, card, at).await?;
        let mut step = Step::new(to, card, at);
        let result = match step.progress.form {
            _ if step.progress.done => Ok(()),
            Form::Stream => self.stream(&mut step).await,
            Form::Entity => self.replace_or_patch(&mut step).await,
            Form::Patch => self.patch(&step, Look::Rich).await,
            Form::Once | Form::Text => Ok(()),
        };
        // What can't be changed any more is replaced by the final card.
        let lost = result.as_ref().is_err_and(|error| error.class() == Class::CardLost);
        if lost {
            step.progress.form = Form::Once;
        }
        step.save();
        match result {
            Err(_) if lost => Ok(()),
            // A part of a text may be refused where the whole is not; the end decides.
            Err(error) if matches!(error.class(), Class::Content | Class::Words) => Ok(()),
            result => result,
        }
    }

    /// Shows the final card by whatever form still works.
    pub(crate) async fn finish(&self, to: &ReplyTo, card: &Card, at: &mut CardRef) -> Result<(), ApiError> {
        let mut step = Step::new(to, card, at);
        if step.progress.done {
            return Ok(());
        }
        let result = self.finish_by_any_form(&mut step).await;
        step.progress.done = result.is_ok();
        step.save();
        result
    }

    async fn finish_by_any_form(&self, step: &mut Step<'_>) -> Result<(), ApiError> {
        if !step.progress.shown && matches!(step.progress.form, Form::Stream | Form::Entity) {
            self.show_entity(step).await?;
        }
        let mut look = Look::Rich;
        while let Err(error) = self.show_final(step, look).await {
            let form = step.progress.form;
            look = match (error.class(), look) {
                (Class::Content, Look::Rich) if form != Form::Text => Look::Plain,
                (class, _) => {
                    step.progress.form = form.after(class).ok_or(error)?;
                    tracing::info!(form = ?step.progress.form, "the final card goes on in a plainer form");
                    Look::Rich
                }
            };
        }
        match step.progress.form {
            Form::Text => Ok(()),
            _ => self.send_more(step).await,
        }
    }

    async fn show_final(&self, step: &mut Step<'_>, look: Look) -> Result<(), ApiError> {
        match step.progress.form {
            Form::Stream => self.close_entity(step, look).await,
            Form::Entity => self.replace(step, look).await,
            Form::Patch if step.at.message.is_some() => self.patch(step, look).await,
            Form::Patch | Form::Once => self.send_final(step, look).await,
            Form::Text => self.send_text(step).await,
        }
    }

    /// The first page as card JSON.
    fn render(&self, card: &Card, look: Look, flow: Flow) -> Result<String, ApiError> {
        let pages = pages(card);
        let of = if card.state.is_final() { pages.len() } else { 1 };
        let page = Page { card, text: &pages[0], number: 1, of };
        Ok(self.cards.render(&page, look, flow)?)
    }
}
