//! Finished cards that change once more: another version, an open form, or a second answer in the same card.

use std::time::Duration;

use magpie_core::card::Card;
use magpie_core::event::ReplyTo;
use magpie_core::platform::{CardRef, SendError};

use super::entity::{Done, mendable};
use super::{Courier, Step};
use crate::card::{Flow, Look};
use crate::errors::{ApiError, Class};
use crate::form::Form;
use crate::messages;

/// Entities and cards in messages can't be changed after 14 days.
///
/// Sources: "CardKit" (200750), "Update card message" (230031), checked May 2026.
const CARD_LIFE: Duration = Duration::from_hours(14 * 24);

impl Courier {
    /// Shows another finished card in place of a finished one.
    pub(crate) async fn revise(&self, to: &ReplyTo, card: &Card, at: &mut CardRef) -> Result<(), SendError> {
        let mut step = Step::new(to, card, at);
        let shown = self.show_again(&mut step, Flow::Whole).await;
        step.save();
        changed("revise", shown?)
    }

    /// Shows a running card in place of a finished one. A repeat does the same: only what was finished counts.
    pub(crate) async fn reopen(&self, to: &ReplyTo, card: &Card, at: &mut CardRef) -> Result<(), SendError> {
        let mut step = Step::new(to, card, at);
        let shown = self.show_again(&mut step, Flow::Streaming).await;
        if matches!(shown, Ok(Done::Yes)) {
            let progress = &mut step.progress;
            progress.reopened += u32::from(progress.done);
            progress.more_sent = if progress.done { 0 } else { progress.more_sent };
            progress.done = false;
            progress.streaming_since = self.clock.now();
            if progress.form == Form::Entity {
                progress.form = Form::Stream;
            }
        }
        step.save();
        changed("reopen", shown?)
    }

    /// Replaces what is there by whatever way works. Markup that is refused is left out.
    async fn show_again(&self, step: &mut Step<'_>, flow: Flow) -> Result<Done, ApiError> {
        let text = step.progress.form == Form::Text;
        if text || self.clock.now().since(step.at.created_at) >= CARD_LIFE {
            return Ok(Done::No);
        }
        match self.replace_shown(step, Look::Rich, flow).await {
            Err(error) if error.class() == Class::Content => self.replace_shown(step, Look::Plain, flow).await,
            shown => shown,
        }
    }

    async fn replace_shown(&self, step: &mut Step<'_>, look: Look, flow: Flow) -> Result<Done, ApiError> {
        let entity = matches!(step.progress.form, Form::Stream | Form::Entity) && step.at.card.is_some();
        if entity && mendable(self.replace_as(step, look, flow).await)? == Done::Yes {
            return Ok(Done::Yes);
        }
        let Some(message) = &step.at.message else { return Ok(Done::No) };
        let json = self.render(step.card, look, Flow::Whole)?;
        match messages::patch(&self.api, message, &json).await {
            Ok(()) => {
                step.progress.form = Form::Patch;
                Ok(Done::Yes)
            }
            Err(error) if matches!(error.class(), Class::CardLost | Class::Scope | Class::Defect) => Ok(Done::No),
            Err(error) => Err(error),
        }
    }
}

fn changed(call: &'static str, done: Done) -> Result<(), SendError> {
    match done {
        Done::Yes => Ok(()),
        Done::No => Err(SendError::Unchangeable { call }),
    }
}
