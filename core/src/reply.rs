//! One answer on its way into a chat: a card that appears once, is updated in order and always ends.
//!
//! The delivery's state is saved before it matters: what has to exist before the card can be sent, that the card was
//! sent, where its numbering stands, and at last the finished card itself. Whoever takes the event over after a crash
//! goes on from there with the same card.

pub(crate) mod buttons;
pub mod draft;
mod pump;

use std::sync::Arc;

use metrics::counter;
use tracing::{debug, instrument, warn};

use crate::budget::Budget;
use crate::card::{Card, CardState};
use crate::clock::Clock;
use crate::event::ReplyTo;
use crate::ids::{BotId, DeliveryId, EventId};
use crate::inbox::Fence;
use crate::platform::{DeliveryKey, Platform, SendError};
use crate::store::{Delivery, DeliveryState, Store, StoreError};
use crate::texts::Text;

pub use draft::{Draft, fixed_card};
pub use pump::{End, Pace};

/// The name of an event's one answer among its deliveries.
pub const ANSWER: &str = "answer";

/// What a reply works with.
#[derive(Clone)]
pub struct Desk {
    pub platform: Arc<dyn Platform>,
    pub store: Arc<dyn Store>,
    pub clock: Arc<dyn Clock>,
    pub bot: BotId,
    pub fence: Fence,
    /// The event whose answer it is; another one than the fence's for a task.
    pub event: EventId,
    pub to: ReplyTo,
    /// What the platform's calls draw on.
    pub budget: Arc<Budget>,
}

/// Why a reply could not go on.
#[derive(Debug, thiserror::Error)]
pub enum ReplyError {
    #[error(transparent)]
    Send(#[from] SendError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A delivery in the hands of one worker.
pub struct Reply {
    desk: Desk,
    delivery: Delivery,
    saved_sequence: u64,
    /// What is on show is not what this attempt began with.
    outdated: bool,
}

impl Reply {
    /// Begins the delivery, or goes on with the one that an earlier attempt began. Afterwards `card` is visible, if
    /// the platform shows anything before the end.
    ///
    /// # Errors
    /// [`ReplyError`]; repeating it later is safe.
    #[instrument(name = "reply.begin", skip_all)]
    pub async fn begin(desk: Desk, card: &Card) -> Result<Self, ReplyError> {
        let known = desk.store.delivery(desk.event, ANSWER).await?;
        let mut reply = match known {
            Some(delivery) => Self::resume(desk, delivery).await?,
            None => Self::prepare(desk, card).await?,
        };
        if reply.delivery.state != DeliveryState::Prepared {
            reply.outdated = true;
        } else {
            reply.desk.platform.start(&reply.desk.to, card, &mut reply.delivery.card).await?;
            reply.delivery.state = DeliveryState::Open;
            reply.save().await?;
        }
        Ok(reply)
    }

    /// The reply of a delivery as it is, for [`Reply::revise`].
    #[must_use]
    pub fn of(desk: Desk, delivery: Delivery) -> Self {
        Self { desk, saved_sequence: delivery.card.sequence, delivery, outdated: false }
    }

    /// Brings a finished delivery back to running, for another answer in the same card.
    ///
    /// # Errors
    /// [`ReplyError`]; with [`SendError::Unchangeable`] nothing has changed and the answer needs a card of its own.
    #[instrument(name = "reply.reopen", skip_all)]
    pub async fn reopen(desk: Desk, delivery: Delivery, card: &Card) -> Result<Self, ReplyError> {
        let mut reply = Self::resume(desk, delivery).await?;
        reply.desk.platform.reopen(&reply.desk.to, card, &mut reply.delivery.card).await?;
        reply.delivery.state = DeliveryState::Open;
        reply.save().await?;
        Ok(reply)
    }

    /// Shows another card on a delivery that is on show, as long as it has no end. A failure is no reason to give up:
    /// whatever comes next shows more.
    ///
    /// # Errors
    /// [`ReplyError`] when going on makes no sense: the card is gone, or another worker has it.
    pub async fn update(&mut self, card: &Card) -> Result<(), ReplyError> {
        let shown = self.desk.platform.update(&self.desk.to, card, &mut self.delivery.card).await;
        self.count(&shown);
        self.save().await?;
        match shown {
            Err(error @ (SendError::Gone { .. } | SendError::Superseded { .. })) => Err(error.into()),
            Err(error) => {
                debug!(error = &error as &dyn std::error::Error, "card update left out");
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    /// Shows the recorded card of a delivery that was finished before, changed since.
    ///
    /// # Errors
    /// [`SendError::Unchangeable`] among others.
    pub async fn revise(&mut self) -> Result<(), ReplyError> {
        let Some(card) = self.delivery.final_card.clone() else { return Ok(()) };
        let shown = self.desk.platform.revise(&self.desk.to, &card, &mut self.delivery.card).await;
        self.count(&shown);
        Ok(shown?)
    }

    /// The delivery as it is.
    #[must_use]
    pub fn delivery(&self) -> &Delivery {
        &self.delivery
    }

    /// Goes on with a known delivery, without showing anything yet.
    ///
    /// # Errors
    /// [`ReplyError::Store`].
    pub async fn resume(desk: Desk, mut delivery: Delivery) -> Result<Self, ReplyError> {
        delivery.card.take_over();
        let mut reply = Self { desk, delivery, saved_sequence: 0, outdated: false };
        reply.save().await?;
        Ok(reply)
    }

    async fn prepare(desk: Desk, card: &Card) -> Result<Self, ReplyError> {
        let key = DeliveryKey { event: desk.event, part: ANSWER.to_owned() };
        let at = desk.platform.prepare(&desk.to, card, &key).await?;
        let delivery = Delivery {
            id: DeliveryId::new(),
            event: desk.event,
            bot: desk.bot.clone(),
            part: ANSWER.to_owned(),
            state: DeliveryState::Prepared,
            card: at,
            final_card: None,
            updated_at: desk.clock.now(),
        };
        let mut reply = Self { desk, delivery, saved_sequence: 0, outdated: false };
        reply.save().await?;
        Ok(reply)
    }

    /// The delivery as it would be with `card` as its end, for the record that makes the end certain.
    pub fn end_with(&mut self, card: Card) -> &Delivery {
        self.delivery.state = DeliveryState::Finishing;
        self.delivery.final_card = Some(card);
        self.delivery.updated_at = self.desk.clock.now();
        &self.delivery
    }

    /// Shows the recorded end. An answer that the platform refuses to show is replaced by a sentence that says so,
    /// so that the card does not stay open.
    ///
    /// # Errors
    /// [`SendError`]; the state is saved, and repeating it later shows nothing twice.
    #[instrument(name = "reply.finish", skip_all, fields(card.id = self.delivery.card.card.as_ref().map(tracing::field::display)))]
    pub async fn finish(&mut self) -> Result<&Delivery, ReplyError> {
        let Some(card) = self.delivery.final_card.clone() else { return Ok(&self.delivery) };
        let mut shown = self.desk.platform.finish(&self.desk.to, &card, &mut self.delivery.card).await;
        if let Err(SendError::Content { call, code }) = &shown {
            warn!(call, code, "the platform refused the answer's content");
            let refused = refused_card(card);
            self.end_with(refused.clone());
            self.save().await?;
            shown = self.desk.platform.finish(&self.desk.to, &refused, &mut self.delivery.card).await;
        }
        self.count(&shown);
        if let Err(error) = shown {
            if matches!(error, SendError::Gone { .. }) {
                self.delivery.state = DeliveryState::Dropped;
            }
            self.save().await?;
            return Err(error.into());
        }
        self.delivery.state = DeliveryState::Final;
        self.delivery.updated_at = self.desk.clock.now();
        Ok(&self.delivery)
    }

    /// Counts a change of the card, the last one included.
    fn count(&self, result: &Result<(), SendError>) {
        let (platform, outcome) = (self.desk.platform.kind(), result.as_ref().map_or_else(SendError::name, |()| "ok"));
        counter!("magpie_card_updates_total", "platform" => platform.as_str(), "outcome" => outcome).increment(1);
    }

    /// Writes the delivery down as it is.
    ///
    /// # Errors
    /// [`StoreError::Fenced`] when another worker has taken over.
    pub async fn save(&mut self) -> Result<(), StoreError> {
        self.delivery.updated_at = self.desk.clock.now();
        self.desk.store.save_delivery(self.desk.fence, &self.delivery).await?;
        self.saved_sequence = self.delivery.card.sequence;
        Ok(())
    }
}

fn refused_card(card: Card) -> Card {
    let title = Text::ContentRefused.of(card.language);
    let notice = Some(title.clone());
    Card { title, state: CardState::Failed, text: String::new(), reasoning: String::new(), notice, ..card }
}

#[cfg(test)]
pub(crate) mod tests;
