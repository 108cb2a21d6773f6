//! Answers as cards in messages, and as text.

use magpie_core::ids::MessageId;

use super::{Courier, Step};
use crate::card::{Flow, Look, Page, pages};
use crate::errors::{ApiError, Class};
use crate::form::Form;
use crate::markdown::{plain, safe_text};
use crate::messages::{self, Outgoing};
use crate::pages::split;

/// Text messages may have 150 KB; people should not have to read so much at once.
const TEXT_BYTES: usize = 30_000;

impl Courier {
    /// Shows a card that will be replaced. If that is refused, nothing is shown before the end.
    pub(super) async fn show_card(&self, step: &mut Step<'_>) -> Result<(), ApiError> {
        let json = self.render(step.card, Look::Rich, Flow::Whole)?;
        let message = Outgoing::card(json, step.at.key.step("card"));
        match messages::send(&self.api, step.to, &mut step.progress, &message).await {
            Ok(id) => {
                step.at.message = Some(id);
                step.progress.shown = true;
                Ok(())
            }
            Err(error) if matches!(error.class(), Class::Content | Class::Words | Class::Scope | Class::Defect) => {
                step.progress.form = Form::Once;
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    pub(super) async fn patch(&self, step: &Step<'_>, look: Look) -> Result<(), ApiError> {
        let Some(message) = &step.at.message else { return Ok(()) };
        messages::patch(&self.api, message, &self.render(step.card, look, Flow::Whole)?).await
    }

    /// Sends the final card. A card that is there already, but can't be changed, is taken back: it would look
    /// unfinished for ever.
    pub(super) async fn send_final(&self, step: &mut Step<'_>, look: Look) -> Result<(), ApiError> {
        let json = self.render(step.card, look, Flow::Whole)?;
        let message = Outgoing::card(json, step.key("final"));
        let id = messages::send(&self.api, step.to, &mut step.progress, &message).await?;
        self.supersede(step, id).await;
        Ok(())
    }

    /// The pages after the first, each a message of its own.
    pub(super) async fn send_more(&self, step: &mut Step<'_>) -> Result<(), ApiError> {
        let pages = pages(step.card);
        for (index, text) in pages.iter().enumerate().skip(1 + step.progress.more_sent) {
            let page = Page { card: step.card, text, number: index + 1, of: pages.len() };
            let name = format!("page-{}", index + 1);
            let json = self.cards.render(&page, Look::Rich, Flow::Whole)?;
            let card = Outgoing::card(json, step.key(&name));
            let instead = match messages::send(&self.api, step.to, &mut step.progress, &card).await {
                Ok(_) => None,
                Err(error) if matches!(error.class(), Class::Content | Class::Defect) => Some(plain(text)),
                Err(error) => return Err(error),
            };
            if let Some(instead) = instead {
                let message = Outgoing::text(&instead, step.key(&format!("{name}-text")));
                messages::send(&self.api, step.to, &mut step.progress, &message).await?;
            }
            step.progress.more_sent += 1;
        }
        Ok(())
    }

    /// The whole answer as text messages.
    pub(super) async fn send_text(&self, step: &mut Step<'_>) -> Result<(), ApiError> {
        let notice = step.card.notice.as_deref().unwrap_or_default();
        let whole = format!("{}\n\n{notice}", step.card.text);
        let whole = if whole.trim().is_empty() { "…".to_owned() } else { safe_text(whole.trim()) };
        for (index, text) in split(&whole, TEXT_BYTES).iter().enumerate().skip(step.progress.more_sent) {
            let message = Outgoing::text(text, step.key(&format!("text-{}", index + 1)));
            let id = messages::send(&self.api, step.to, &mut step.progress, &message).await?;
            if index == 0 {
                self.supersede(step, id).await;
            }
            step.progress.more_sent = index + 1;
        }
        Ok(())
    }

    /// Makes `id` the delivery's message and takes the one before back, as well as that goes.
    async fn supersede(&self, step: &mut Step<'_>, id: MessageId) {
        let before = step.at.message.replace(id.clone()).filter(|before| *before != id);
        step.progress.shown = true;
        if let Some(before) = before
            && let Err(error) = messages::recall(&self.api, &before).await
        {
            tracing::warn!(error = %error, "an unfinished card could not be taken back");
        }
    }
}
