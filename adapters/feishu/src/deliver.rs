//! One answer on its way to a chat: chosen form, updates, certain end.
//!
//! Forms from best to plainest: a card entity that streams, a card that is replaced as a whole, one card at the end,
//! text. A form that the platform refuses is left for the next one, and the state after each step lies in the
//! [`CardRef`], so another process can go on. What becomes visible carries a key derived from the delivery, so a
//! repeat shows nothing twice.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use magpie_core::card::Card;
use magpie_core::clock::{Clock, UnixMillis};
use magpie_core::event::ReplyTo;
use magpie_core::platform::{CardRef, DeliveryKey};
use serde_json::json;

use crate::api::Api;
use crate::card::{Cards, Flow, Look, Page, pages, waiting, withheld};
use crate::cardkit;
use crate::errors::{ApiError, Class};
use crate::form::{Form, Progress};
use crate::markdown::safe_text;
use crate::messages::{self, Outgoing};
use crate::pages::split;

/// Streaming is switched on again after this long; by itself it ends after 10 minutes.
const REOPEN_AFTER: Duration = Duration::from_mins(8);
/// After a missing permission for card entities they are tried again this much later.
const ENTITIES_DENIED_FOR: Duration = Duration::from_mins(10);
/// The platform's duplicate check for messages ends after this long.
const UUID_LIFE: Duration = Duration::from_hours(1);
/// Text messages may have 150 KB; people should not have to read so much at once.
const TEXT_BYTES: usize = 30_000;

/// Delivers one bot's answers.
pub(crate) struct Courier {
    pub(crate) api: Api,
    pub(crate) cards: Cards,
    pub(crate) clock: Arc<dyn Clock>,
    /// Unix milliseconds until which card entities are not tried; 0 if they may be.
    pub(crate) entities_denied_until: AtomicI64,
}

impl Courier {
    /// Chooses the form. A card that is final already needs one message only.
    pub(crate) async fn prepare(&self, card: &Card, key: &DeliveryKey) -> Result<CardRef, ApiError> {
        let now = self.clock.now();
        let mut progress = Progress { streaming_since: now, ..Progress::default() };
        let mut entity = None;
        if !card.state.is_final() {
            entity = self.create_entity(card).await?;
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
        let mut progress = Progress::of(at);
        if progress.done || progress.shown {
            return Ok(());
        }
        let result = match progress.form {
            Form::Stream | Form::Entity => self.show_entity(to, card, at, &mut progress).await,
            Form::Patch => self.show_card(to, card, at, &mut progress).await,
            Form::Once | Form::Text if card.state.is_final() => return self.finish(to, card, at).await,
            Form::Once | Form::Text => Ok(()),
        };
        progress.save(at);
        result
    }

    pub(crate) async fn update(&self, to: &ReplyTo, card: &Card, at: &mut CardRef) -> Result<(), ApiError> {
        if card.state.is_final() {
            return self.finish(to, card, at).await;
        }
        self.start(to, card, at).await?;
        let mut progress = Progress::of(at);
        let result = match progress.form {
            _ if progress.done => Ok(()),
            Form::Stream => self.stream(card, at, &mut progress).await,
            Form::Entity => self.replace_entity(card, at, &mut progress).await,
            Form::Patch => self.patch(card, at, Look::Rich).await,
            Form::Once | Form::Text => Ok(()),
        };
        progress.save(at);
        self.count_update(&result);
        result
    }

    /// Shows the final card by whatever form still works.
    pub(crate) async fn finish(&self, to: &ReplyTo, card: &Card, at: &mut CardRef) -> Result<(), ApiError> {
        let mut progress = Progress::of(at);
        if progress.done {
            return Ok(());
        }
        let result = self.finish_by_any_form(to, card, at, &mut progress).await;
        progress.done = result.is_ok();
        progress.save(at);
        self.count_update(&result);
        result
    }

    async fn finish_by_any_form(
        &self,
        to: &ReplyTo,
        card: &Card,
        at: &mut CardRef,
        progress: &mut Progress,
    ) -> Result<(), ApiError> {
        if !progress.shown && matches!(progress.form, Form::Stream | Form::Entity) {
            self.show_entity(to, card, at, progress).await?;
        }
        let mut look = Look::Rich;
        while let Err(error) = self.show_final(to, card, at, progress, look).await {
            look = match (error.class(), look) {
                (Class::Content, Look::Rich) => Look::Plain,
                (Class::Content, Look::Plain) => Look::Withheld,
                (class, _) => {
                    progress.form = progress.form.after(class).ok_or(error)?;
                    tracing::info!(form = ?progress.form, "the final card goes on in a plainer form");
                    Look::Rich
                }
            };
        }
        if look != Look::Withheld && progress.form != Form::Text {
            self.send_more(to, card, at, progress).await?;
        }
        Ok(())
    }

    async fn show_final(
        &self,
        to: &ReplyTo,
        card: &Card,
        at: &mut CardRef,
        progress: &mut Progress,
        look: Look,
    ) -> Result<(), ApiError> {
        match progress.form {
            Form::Stream => self.close_entity(card, at, look).await,
            Form::Entity => self.replace(card, at, look).await,
            Form::Patch if at.message.is_some() => self.patch(card, at, look).await,
            Form::Patch | Form::Once => {
                let json = self.render(card, look, Flow::Whole)?;
                let message = Outgoing::card(json, at.key.step("final"));
                at.message = Some(messages::send(&self.api, to, progress, &message).await?);
                progress.shown = true;
                Ok(())
            }
            Form::Text => self.send_text(to, card, at, progress, look).await,
        }
    }

    /// The last text, then streaming off, then the whole final card with its buttons and footer.
    async fn close_entity(&self, card: &Card, at: &mut CardRef, look: Look) -> Result<(), ApiError> {
        let text = pages(card).swap_remove(0);
        if look == Look::Rich && !text.is_empty() {
            worth_stopping(cardkit::write(&self.api, at, &text).await)?;
        }
        worth_stopping(cardkit::settings(&self.api, at, &Cards::closing_settings(card)).await)?;
        self.replace(card, at, look).await
    }

    /// Sends the entity, or a card in its place if the platform does not take it.
    async fn show_entity(
        &self,
        to: &ReplyTo,
        card: &Card,
        at: &mut CardRef,
        progress: &mut Progress,
    ) -> Result<(), ApiError> {
        let entity = at.card.clone().unwrap_or_else(|| "".into());
        let message = Outgoing::entity(entity.as_str(), at.key.step("start"));
        match messages::send(&self.api, to, progress, &message).await {
            Ok(id) => {
                at.message = Some(id);
                progress.shown = true;
                Ok(())
            }
            Err(error) if !matches!(error.class(), Class::Content | Class::CardLost | Class::Scope | Class::Defect) => {
                Err(error)
            }
            // An entity can be sent once. Long after, a refusal means that a predecessor has sent it.
            Err(_) if self.clock.now().since(at.created_at) >= UUID_LIFE => {
                progress.shown = true;
                Ok(())
            }
            Err(_) => {
                progress.form = Form::Patch;
                self.show_card(to, card, at, progress).await
            }
        }
    }

    async fn show_card(
        &self,
        to: &ReplyTo,
        card: &Card,
        at: &mut CardRef,
        progress: &mut Progress,
    ) -> Result<(), ApiError> {
        let message = Outgoing::card(self.render(card, Look::Rich, Flow::Whole)?, at.key.step("card"));
        match messages::send(&self.api, to, progress, &message).await {
            Ok(id) => {
                at.message = Some(id);
                progress.shown = true;
                Ok(())
            }
            // Nothing is shown before the end then.
            Err(error) if matches!(error.class(), Class::Content | Class::Scope | Class::Defect) => {
                progress.form = Form::Once;
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// Types the text on. Streaming that has ended is switched on once; if that does not help, the card is replaced.
    async fn stream(&self, card: &Card, at: &mut CardRef, progress: &mut Progress) -> Result<(), ApiError> {
        if self.clock.now().since(progress.streaming_since) >= REOPEN_AFTER {
            worth_stopping(self.reopen(at, progress).await)?;
        }
        let first = pages(card).swap_remove(0);
        let text = if first.is_empty() { waiting(card) } else { first };
        let mut written = cardkit::write(&self.api, at, &text).await;
        if written.as_ref().is_err_and(|error| error.class() == Class::StreamingClosed) {
            written = match self.reopen(at, progress).await {
                Ok(()) => cardkit::write(&self.api, at, &text).await,
                Err(error) => Err(error),
            };
        }
        match worth_stopping(written)? {
            Done::Yes => Ok(()),
            Done::No => {
                progress.form = Form::Entity;
                self.replace_entity(card, at, progress).await
            }
        }
    }

    async fn reopen(&self, at: &mut CardRef, progress: &mut Progress) -> Result<(), ApiError> {
        let on = json!({"config": {"streaming_mode": true}}).to_string();
        cardkit::settings(&self.api, at, &on).await?;
        progress.streaming_since = self.clock.now();
        Ok(())
    }

    async fn replace_entity(&self, card: &Card, at: &mut CardRef, progress: &mut Progress) -> Result<(), ApiError> {
        match worth_stopping(self.replace(card, at, Look::Rich).await)? {
            Done::Yes => Ok(()),
            Done::No => {
                progress.form = Form::Patch;
                self.patch(card, at, Look::Rich).await
            }
        }
    }

    async fn replace(&self, card: &Card, at: &mut CardRef, look: Look) -> Result<(), ApiError> {
        let json = self.render(card, look, Flow::Whole)?;
        cardkit::replace(&self.api, at, &json).await
    }

    async fn patch(&self, card: &Card, at: &CardRef, look: Look) -> Result<(), ApiError> {
        let Some(message) = &at.message else { return Ok(()) };
        messages::patch(&self.api, message, &self.render(card, look, Flow::Whole)?).await
    }

    /// The pages after the first, each a message of its own.
    async fn send_more(
        &self,
        to: &ReplyTo,
        card: &Card,
        at: &CardRef,
        progress: &mut Progress,
    ) -> Result<(), ApiError> {
        let pages = pages(card);
        for (index, text) in pages.iter().enumerate().skip(1 + progress.more_sent) {
            let page = Page { card, text, number: index + 1, of: pages.len() };
            let step = format!("page-{}", index + 1);
            let json = self.cards.render(&page, Look::Rich, Flow::Whole)?;
            let sent = messages::send(&self.api, to, progress, &Outgoing::card(json, at.key.step(&step))).await;
            match sent {
                Err(error) if matches!(error.class(), Class::Content | Class::Defect) => {
                    let plain = Outgoing::text(&safe_text(text), at.key.step(&format!("{step}-text")));
                    messages::send(&self.api, to, progress, &plain).await?;
                }
                sent => drop(sent?),
            }
            progress.more_sent += 1;
        }
        Ok(())
    }

    async fn send_text(
        &self,
        to: &ReplyTo,
        card: &Card,
        at: &mut CardRef,
        progress: &mut Progress,
        look: Look,
    ) -> Result<(), ApiError> {
        let notice = card.notice.as_deref().unwrap_or_default();
        let whole = match look {
            Look::Withheld => withheld(card.language).to_owned(),
            _ => format!("{}\n\n{notice}", card.text).trim().to_owned(),
        };
        let whole = if whole.is_empty() { "…".to_owned() } else { safe_text(&whole) };
        for (index, text) in split(&whole, TEXT_BYTES).iter().enumerate().skip(progress.more_sent) {
            let message = Outgoing::text(text, at.key.step(&format!("text-{}", index + 1)));
            let id = messages::send(&self.api, to, progress, &message).await?;
            at.message.get_or_insert(id);
            progress.more_sent = index + 1;
        }
        Ok(())
    }

    /// The first page as card JSON.
    fn render(&self, card: &Card, look: Look, flow: Flow) -> Result<String, ApiError> {
        let pages = pages(card);
        let of = if card.state.is_final() && look != Look::Withheld { pages.len() } else { 1 };
        let page = Page { card, text: &pages[0], number: 1, of };
        Ok(self.cards.render(&page, look, flow)?)
    }

    /// `None` if the app may not make card entities, or the platform does not like this one.
    async fn create_entity(&self, card: &Card) -> Result<Option<magpie_core::ids::CardId>, ApiError> {
        if self.clock.now() < UnixMillis(self.entities_denied_until.load(Ordering::Relaxed)) {
            return Ok(None);
        }
        match cardkit::create(&self.api, &self.render(card, Look::Rich, Flow::Streaming)?).await {
            Ok(entity) => Ok(Some(entity)),
            Err(error) if error.class() == Class::Scope => {
                let until = self.clock.now() + ENTITIES_DENIED_FOR;
                self.entities_denied_until.store(until.0, Ordering::Relaxed);
                tracing::warn!("grant the app the scope cardkit:card:write, then answers can stream");
                Ok(None)
            }
            Err(error) if matches!(error.class(), Class::Content | Class::Defect) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn count_update(&self, result: &Result<(), ApiError>) {
        let outcome = result.as_ref().map_or_else(ApiError::label, |()| "ok");
        metrics::counter!("magpie_card_updates_total", "platform" => self.api.platform(), "outcome" => outcome)
            .increment(1);
    }
}

/// Whether an operation on a card entity happened.
enum Done {
    Yes,
    No,
}

/// Sorts out what another form would not mend: no answer, no permission to act, a successor that has taken over.
fn worth_stopping(result: Result<(), ApiError>) -> Result<Done, ApiError> {
    match result {
        Ok(()) => Ok(Done::Yes),
        Err(error) => match error.class() {
            Class::Token | Class::Busy | Class::Operator(_) | Class::Gone | Class::Recalled | Class::Sequence => {
                Err(error)
            }
            _ => Ok(Done::No),
        },
    }
}
