//! Card actions and lifecycle events.

use tracing::info;

use super::press::{Asker, Judgement, judge};
use super::{Bot, Turn, done};
use crate::event::{Action, CardAction, Lifecycle, Press};
use crate::inbox::worker::Ended;
use crate::inbox::{CancelCause, Claim, Outcome};
use crate::reply::ReplyError;
use crate::store::Vote;

impl Turn {
    /// Carries out a pressed button, if it may.
    pub(super) async fn action(&self, claim: &Claim, bot: &Bot, action: &CardAction) -> Result<Ended, ReplyError> {
        let Some(press) = &action.press else { return Ok(done("unknown_action")) };
        let (judgement, _) = judge(self.store.as_ref(), &bot.settings, action, press).await?;
        info!(action = press.action.as_str(), allowed = matches!(judgement, Judgement::Allowed(_)), "card action");
        match judgement {
            Judgement::Allowed(asker) => self.carry_out(claim, bot, action, press, &asker).await,
            Judgement::Denied => Ok(done("denied")),
            Judgement::UnknownCard => Ok(done("unknown_card")),
        }
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
                    reason: None,
                    comment: None,
                    now: self.now(),
                };
                if !self.store.vote(&vote).await? {
                    return Ok(done("no_answer"));
                }
            }
            _ => return Ok(done("unknown_action")),
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
