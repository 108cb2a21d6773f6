//! What happens around the bot: it comes somewhere, a question is taken back.

use super::message::PAUSED;
use super::{Bot, Turn, done};
use crate::card::Card;
use crate::conversation::command;
use crate::conversation::policy::welcomes;
use crate::event::{ChatKind, Lifecycle, ReplyTo};
use crate::inbox::worker::Ended;
use crate::inbox::{CancelCause, Claim, Outcome};
use crate::reply::buttons::Buttons;
use crate::reply::{Reply, ReplyError, fixed_card};
use crate::texts::Text;

/// The name under which it is kept that somebody was welcomed.
const WELCOMED: &str = "welcomed";

impl Turn {
    pub(super) async fn lifecycle(&self, claim: &Claim, bot: &Bot, lifecycle: &Lifecycle) -> Result<Ended, ReplyError> {
        match lifecycle {
            Lifecycle::Recalled { message, .. } => {
                self.inbox.cancel_message(&claim.event.bot, message, CancelCause::Recalled).await?;
                Ok(Ended::Settle(Outcome::Done(None)))
            }
            Lifecycle::QuotaExhausted { detail, .. } => {
                self.log_error(claim, "platform_quota_exhausted", detail).await;
                Ok(done("quota_exhausted"))
            }
            Lifecycle::BotAdded { reply_to, .. } => self.welcome(claim, bot, reply_to).await,
            Lifecycle::DirectOpened { reply_to, .. } => {
                if self.is_news(claim, bot, reply_to).await? {
                    self.welcome(claim, bot, reply_to).await
                } else {
                    Ok(done("noted"))
                }
            }
            Lifecycle::Menu { reply_to, key } => match (command::parse(key), &reply_to.user) {
                (Some(_), Some(user)) => {
                    self.ask_for(claim, bot, (&claim.fence.event.to_string(), reply_to, user), key).await?;
                    Ok(Ended::Settle(Outcome::Done(None)))
                }
                _ => self.welcome(claim, bot, reply_to).await,
            },
            _ => Ok(done("noted")),
        }
    }

    /// Whether this person was never welcomed before. The platform tells of every visit.
    async fn is_news(&self, claim: &Claim, bot: &Bot, to: &ReplyTo) -> Result<bool, ReplyError> {
        let Some(user) = &to.user else { return Ok(false) };
        let event = claim.fence.event.to_string();
        let before = self.store.choose(&bot.settings.id, &format!("user:{user}"), WELCOMED, Some(&event)).await?;
        // An earlier attempt of this very event may have left the mark.
        Ok(before.is_none_or(|before| before == event))
    }

    /// Introduces the bot, with questions to begin with.
    async fn welcome(&self, claim: &Claim, bot: &Bot, to: &ReplyTo) -> Result<Ended, ReplyError> {
        let chat = bot.settings.chat_in(&to.chat);
        let paused = self.store.choice(&bot.settings.id, &format!("chat:{}", to.chat), PAUSED).await?;
        if !welcomes(chat, to) || paused.is_some() {
            return Ok(done("noted"));
        }
        let event = claim.fence.event;
        let language = bot.settings.language_for(&chat.welcome_questions.join(" "));
        let text = if to.chat_kind == ChatKind::Group { Text::WelcomeGroup } else { Text::Welcome };
        let buttons = Buttons { event, language };
        let help = buttons.command("/help", Text::HelpButton.of(language));
        let card = Card {
            title: Text::WelcomeTitle.of(language),
            buttons: vec![help],
            questions: buttons.questions(&chat.welcome_questions),
            ..fixed_card(event, "", text.of(language), language)
        };
        self.send(claim, bot, to, card).await
    }

    /// Sends a finished card that answers nothing.
    pub(super) async fn send(&self, claim: &Claim, bot: &Bot, to: &ReplyTo, card: Card) -> Result<Ended, ReplyError> {
        let mut reply = Reply::begin(self.desk(claim, bot, to.clone()), &card).await?;
        reply.end_with(card);
        reply.save().await?;
        self.show_end(claim, &mut reply, None).await
    }
}
