//! Answers as card entities: made first, sent once, then changed by numbered operations.

use std::sync::atomic::Ordering;
use std::time::Duration;

use magpie_core::card::Card;
use magpie_core::clock::UnixMillis;
use magpie_core::ids::CardId;

use super::{Courier, Step};
use crate::card::{Flow, Look, closing_settings, pages, waiting};
use crate::cardkit;
use crate::errors::{ApiError, Class};
use crate::form::Form;
use crate::messages::{self, Outgoing};

/// Streaming is switched on again after this long; by itself it ends after 10 minutes.
const REOPEN_AFTER: Duration = Duration::from_mins(8);
/// After a missing permission for card entities they are tried again this much later.
const ENTITIES_DENIED_FOR: Duration = Duration::from_mins(10);
/// The platform's duplicate check for messages ends after this long.
const UUID_LIFE: Duration = Duration::from_hours(1);

const STREAMING_ON: &str = r#"{"config":{"streaming_mode":true}}"#;

impl Courier {
    /// `None` if there can be no entity now: not permitted, not liked, or that part of the platform is down.
    pub(super) async fn create_entity(&self, card: &Card) -> Result<Option<CardId>, ApiError> {
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
            Err(error) if matches!(error.class(), Class::Content | Class::Words | Class::Defect) => Ok(None),
            Err(ApiError::Gateway { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Sends the entity, or a card in its place if the platform does not take it.
    pub(super) async fn show_entity(&self, step: &mut Step<'_>) -> Result<(), ApiError> {
        let entity = step.at.card.as_ref().map_or("", CardId::as_str);
        let message = Outgoing::entity(entity, step.at.key.step("start"));
        let error = match messages::send(&self.api, step.to, &mut step.progress, &message).await {
            Ok(id) => {
                step.at.message = Some(id);
                step.progress.shown = true;
                return Ok(());
            }
            Err(error) => error,
        };
        if !matches!(error.class(), Class::Content | Class::CardLost | Class::Scope | Class::Defect) {
            return Err(error);
        }
        // An entity can be sent once. Long after, a refusal means that a predecessor has sent it.
        if self.clock.now().since(step.at.created_at) >= UUID_LIFE {
            step.progress.shown = true;
            return Ok(());
        }
        step.progress.form = Form::Patch;
        self.show_card(step).await
    }

    /// Types the text on. Streaming that has ended is switched on once; if that does not help, the card is replaced.
    pub(super) async fn stream(&self, step: &mut Step<'_>) -> Result<(), ApiError> {
        if self.clock.now().since(step.progress.streaming_since) >= REOPEN_AFTER {
            mendable(self.stream_again(step).await)?;
        }
        let first = pages(step.card).swap_remove(0);
        let text = if first.is_empty() { waiting(step.card) } else { first };
        let mut written = cardkit::write(&self.api, step.at, &text).await;
        if written.as_ref().is_err_and(|error| error.class() == Class::StreamingClosed) {
            written = match self.stream_again(step).await {
                Ok(()) => cardkit::write(&self.api, step.at, &text).await,
                Err(error) => Err(error),
            };
        }
        // Another operation would be refused for the same text.
        if written.as_ref().is_err_and(|error| matches!(error.class(), Class::Content | Class::Words)) {
            return written;
        }
        if mendable(written)? == Done::No {
            step.progress.form = Form::Entity;
            return self.replace_or_patch(step).await;
        }
        Ok(())
    }

    /// Replaces the entity; one that can't be changed any more is replaced in its message.
    pub(super) async fn replace_or_patch(&self, step: &mut Step<'_>) -> Result<(), ApiError> {
        if mendable(self.replace(step, Look::Rich).await)? == Done::Yes {
            return Ok(());
        }
        step.progress.form = Form::Patch;
        self.patch(step, Look::Rich).await
    }

    pub(super) async fn replace(&self, step: &mut Step<'_>, look: Look) -> Result<(), ApiError> {
        self.replace_as(step, look, Flow::Whole).await
    }

    /// Replaces the entity; [`Flow::Streaming`] switches streaming on, or on again.
    pub(super) async fn replace_as(&self, step: &mut Step<'_>, look: Look, flow: Flow) -> Result<(), ApiError> {
        let json = self.render(step.card, look, flow)?;
        cardkit::replace(&self.api, step.at, &json).await
    }

    /// The last text, then streaming off, then the whole final card with its buttons and footer.
    pub(super) async fn close_entity(&self, step: &mut Step<'_>, look: Look) -> Result<(), ApiError> {
        let text = pages(step.card).swap_remove(0);
        if look == Look::Rich && !text.is_empty() {
            mendable(cardkit::write(&self.api, step.at, &text).await)?;
        }
        mendable(cardkit::settings(&self.api, step.at, &closing_settings(step.card)).await)?;
        self.replace(step, look).await
    }

    async fn stream_again(&self, step: &mut Step<'_>) -> Result<(), ApiError> {
        cardkit::settings(&self.api, step.at, STREAMING_ON).await?;
        step.progress.streaming_since = self.clock.now();
        Ok(())
    }
}

/// Whether an operation on a card entity happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Done {
    Yes,
    No,
}

/// Lets pass what another operation can make up for. What remains is no answer, no permission to act, refused words,
/// or a successor that has taken over.
pub(super) fn mendable(result: Result<(), ApiError>) -> Result<Done, ApiError> {
    match result {
        Ok(()) => Ok(Done::Yes),
        Err(error) => match error.class() {
            Class::Content
            | Class::CardLost
            | Class::StreamingClosed
            | Class::Scope
            | Class::NoThread
            | Class::Defect => Ok(Done::No),
            _ => Err(error),
        },
    }
}
