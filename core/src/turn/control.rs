//! Card actions and lifecycle events.

use tracing::info;

use super::{Bot, Turn, done};
use crate::event::{Action, CardAction, Lifecycle, Press};
use crate::inbox::worker::Ended;
use crate::inbox::{CancelCause, Claim, Outcome};
use crate::reply::ReplyError;
use crate::store::{Asker, Vote};

impl Turn {
    /// Carries out a pressed button.
    ///
    /// What a button carries is not trusted by itself: the card must be one that this bot sent, for that event.
    pub(super) async fn action(&self, claim: &Claim, bot: &Bot, action: &CardAction) -> Result<Ended, ReplyError> {
        let Some(press) = &action.press else { return Ok(done("unknown_action")) };
        let known =
            self.store.delivery_of_card(&bot.settings.id, action.message.as_ref(), action.card.as_ref()).await?;
        let of_event = known.is_some_and(|delivery| delivery.event == press.event);
        let Some(asker) = self.store.asker(press.event).await?.filter(|asker| of_event && asker.bot == bot.settings.id)
        else {
            return Ok(done("unknown_card"));
        };
        let allowed = may(press.action, action, &asker, bot);
        info!(action = press.action.as_str(), allowed, "card action");
        if !allowed {
            return Ok(done("denied"));
        }
        self.carry_out(claim, bot, action, press, &asker).await
    }

    async fn carry_out(
        &self,
        claim: &Claim,
        bot: &Bot,
        action: &CardAction,
        press: &Press,
        asker: &Asker,
    ) -> Result<Ended, ReplyError> {
        match press.action {
            Action::Stop => {
                self.inbox.cancel(press.event, CancelCause::Stopped).await?;
            }
            Action::NewTopic => {
                self.store.end_conversation(&bot.settings.id, &asker.scope).await?;
            }
            Action::VoteUp | Action::VoteDown => {
                let vote = Vote {
                    bot: claim.event.bot.clone(),
                    event: press.event,
                    user: action.operator.clone(),
                    up: press.action == Action::VoteUp,
                    comment: None,
                    now: self.now(),
                };
                if !self.store.vote(&vote).await? {
                    return Ok(done("no_answer"));
                }
            }
        }
        Ok(Ended::Settle(Outcome::Done(None)))
    }

    pub(super) async fn lifecycle(&self, claim: &Claim, lifecycle: &Lifecycle) -> Result<Ended, ReplyError> {
        match lifecycle {
            Lifecycle::Recalled { message, .. } => {
                self.inbox.cancel_message(&claim.event.bot, message, CancelCause::Recalled).await?;
                Ok(Ended::Settle(Outcome::Done(None)))
            }
            Lifecycle::QuotaExhausted { detail, .. } => {
                self.log_error(claim, "platform_quota_exhausted", detail).await;
                Ok(done("quota_exhausted"))
            }
            _ => Ok(done("noted")),
        }
    }
}

/// Stop and New topic belong to the asker and to administrators; anybody may vote.
fn may(what: Action, action: &CardAction, asker: &Asker, bot: &Bot) -> bool {
    match what {
        Action::VoteUp | Action::VoteDown => true,
        Action::Stop | Action::NewTopic => {
            asker.user == action.operator || bot.settings.chat.admin_users.contains(&action.operator.0)
        }
    }
}
