//! Whether a pressed button may do what it says.
//!
//! What a button carries is not trusted by itself: the card must be one that this bot sent, for that event.

use crate::card::Language;
use crate::event::{Action, Body, CardAction, Event, Lifecycle, Press};
use crate::ids::{BotId, EventId, ScopeKey, UserId};
use crate::platform::Toast;
use crate::settings::BotSettings;
use crate::store::{Store, StoreError};
use crate::task::Task;
use crate::texts::Text;

/// Who asked the question that an event carried, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Asker {
    pub bot: BotId,
    pub user: UserId,
    pub scope: ScopeKey,
}

async fn asker(store: &dyn Store, event: EventId) -> Result<Option<Asker>, StoreError> {
    let stored = store.event(event).await?;
    Ok(stored.and_then(|stored| {
        let user = who_asked(stored.event.body)?;
        Some(Asker { bot: stored.event.bot, user, scope: stored.scope })
    }))
}

fn who_asked(body: Body) -> Option<UserId> {
    match body {
        Body::Message(message) => Some(message.sender.id),
        Body::Action(action) => Some(action.operator),
        Body::Lifecycle(
            Lifecycle::BotAdded { reply_to, .. }
            | Lifecycle::DirectOpened { reply_to, .. }
            | Lifecycle::Menu { reply_to, .. },
        ) => reply_to.user,
        Body::Task(task) => match *task {
            Task::Regenerate { by, .. } => Some(by),
            Task::Post { to, .. } => to.user,
            Task::Summarise { .. } | Task::FollowUp { .. } => None,
        },
        Body::Lifecycle(_) | Body::Other { .. } => None,
    }
}

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
    let judgement = match asker(store, press.event).await? {
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
            _ => return Ok(None),
        },
    };
    Ok(Some(Toast { text: text.of(language), success, language }))
}

/// Stop and New topic belong to the asker and to administrators; anybody may vote.
fn may(what: Action, action: &CardAction, asker: &Asker, bot: &BotSettings) -> bool {
    match what {
        Action::VoteUp | Action::VoteDown => true,
        _ => asker.user == action.operator || bot.chat.admin_users.contains(&action.operator.0),
    }
}
