//! Whether a pressed button may do what it says.
//!
//! What a button carries is not trusted by itself: the card must be one that this bot sent, for that event.

use crate::card::Language;
use crate::event::{Action, Body, CardAction, Event, Press};
use crate::platform::Toast;
use crate::settings::BotSettings;
use crate::store::{Asker, Store, StoreError};
use crate::texts::Text;

/// What is to become of a press.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Judgement {
    /// With whoever asked the question on the card.
    Allowed(Asker),
    /// Stop and New topic belong to the asker and to administrators.
    Denied,
    /// Not a card of this bot, or not for that event.
    UnknownCard,
}

pub(super) async fn judge(
    store: &dyn Store,
    bot: &BotSettings,
    action: &CardAction,
    press: &Press,
) -> Result<(Judgement, Language), StoreError> {
    let known = store.delivery_of_card(&bot.id, action.message.as_ref(), action.card.as_ref()).await?;
    let Some(delivery) = known.filter(|delivery| delivery.event == press.event) else {
        return Ok((Judgement::UnknownCard, Language::default()));
    };
    let language = delivery.final_card.map(|card| card.language).unwrap_or_default();
    let judgement = match store.asker(press.event).await? {
        Some(asker) if asker.bot != bot.id => Judgement::UnknownCard,
        None => Judgement::UnknownCard,
        Some(asker) if may(press.action, action, &asker, bot) => Judgement::Allowed(asker),
        Some(_) => Judgement::Denied,
    };
    Ok((judgement, language))
}

/// What to tell the person who pressed a button, before the press is carried out. `None` for other events.
///
/// # Errors
/// The store can't tell; then say nothing.
pub async fn toast(store: &dyn Store, bot: &BotSettings, event: &Event) -> Result<Option<Toast>, StoreError> {
    let Body::Action(action) = &event.body else { return Ok(None) };
    let Some(press) = &action.press else { return Ok(None) };
    let (judgement, language) = judge(store, bot, action, press).await?;
    let (text, success) = match judgement {
        Judgement::Denied => (Text::NotYours, false),
        Judgement::UnknownCard => (Text::UnknownCard, false),
        Judgement::Allowed(_) => match press.action {
            Action::Stop => (Text::Stopping, true),
            Action::VoteUp | Action::VoteDown => (Text::ThanksForVote, true),
            Action::NewTopic => (Text::NewTopic, true),
        },
    };
    Ok(Some(Toast { text: text.of(language).to_owned(), success, language }))
}

/// Stop and New topic belong to the asker and to administrators; anybody may vote.
fn may(what: Action, action: &CardAction, asker: &Asker, bot: &BotSettings) -> bool {
    match what {
        Action::VoteUp | Action::VoteDown => true,
        Action::Stop | Action::NewTopic => {
            asker.user == action.operator || bot.chat.admin_users.contains(&action.operator.0)
        }
    }
}
