//! Whether a pressed button may do what it says.
//!
//! What a button carries is not trusted by itself: the card must be one that this bot sent, for that event.

use crate::card::Language;
use crate::event::{Action, Body, CardAction, Event, Lifecycle, Press, ReplyTo};
use crate::ids::{EventId, ScopeKey, UserId};
use crate::platform::Toast;
use crate::settings::BotSettings;
use crate::store::{Delivery, DeliveryState, Store, StoreError, StoredEvent};
use crate::task::Task;
use crate::texts::Text;

/// A question is asked again through tasks, each of which names the one before; nobody does that so often.
const LONGEST_CHAIN: usize = 64;

/// The card that was pressed, and what it belongs to.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Pressed {
    pub delivery: Delivery,
    /// The event that carried the question: the card's own, unless the card came with another answer to it.
    pub question: EventId,
    /// Who asked the question on the card, or has it otherwise; nobody for what was sent unasked.
    pub asker: Option<UserId>,
    /// The conversation's scope.
    pub scope: ScopeKey,
    /// Where the card is.
    pub to: ReplyTo,
    pub language: Language,
}

/// What is to become of a press.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Judgement {
    Allowed(Box<Pressed>),
    /// What changes an answer belongs to the asker and to administrators.
    Denied(Language),
    /// Not a card of this bot, or not for that event.
    UnknownCard,
}

pub(super) async fn judge(
    store: &dyn Store,
    bot: &BotSettings,
    action: &CardAction,
    press: &Press,
) -> Result<Judgement, StoreError> {
    let known = store.delivery_of_card(&bot.id, action.message.as_ref(), action.card.as_ref()).await?;
    let Some(delivery) = known.filter(|delivery| delivery.event == press.event) else {
        return Ok(Judgement::UnknownCard);
    };
    let origin = origin(store, press.event).await?.filter(|(_, origin)| origin.event.bot == bot.id);
    let Some((question_event, origin)) = origin else { return Ok(Judgement::UnknownCard) };
    let Some(to) = reply_to(&origin.event.body).cloned() else { return Ok(Judgement::UnknownCard) };
    let language = delivery.final_card.as_ref().map(|card| card.language);
    let language = language.unwrap_or_else(|| bot.language_for(question(&origin.event.body)));
    let pressed =
        Pressed { question: question_event, asker: to.user.clone(), scope: origin.scope, language, delivery, to };
    Ok(match may(press.action, action, &pressed, bot) {
        true => Judgement::Allowed(Box::new(pressed)),
        false => Judgement::Denied(language),
    })
}

/// The event that a card goes back to: for a task on a question, that question's.
pub(super) async fn origin(store: &dyn Store, event: EventId) -> Result<Option<(EventId, StoredEvent)>, StoreError> {
    let mut id = event;
    for _ in 0..LONGEST_CHAIN {
        let Some(stored) = store.event(id).await? else { return Ok(None) };
        match &stored.event.body {
            Body::Task(task) => match task.as_ref() {
                Task::Regenerate { of, .. } | Task::FollowUp { of, .. } => id = *of,
                Task::Summarise { .. } | Task::Post { .. } => return Ok(Some((id, stored))),
            },
            _ => return Ok(Some((id, stored))),
        }
    }
    Ok(None)
}

fn reply_to(body: &Body) -> Option<&ReplyTo> {
    match body {
        Body::Message(message) => Some(&message.reply_to),
        Body::Lifecycle(
            Lifecycle::BotAdded { reply_to, .. }
            | Lifecycle::DirectOpened { reply_to, .. }
            | Lifecycle::Menu { reply_to, .. },
        ) => Some(reply_to),
        Body::Task(task) => match task.as_ref() {
            Task::Post { to, .. } => Some(to),
            _ => None,
        },
        _ => None,
    }
}

fn question(body: &Body) -> &str {
    match body {
        Body::Message(message) => &message.text,
        _ => "",
    }
}

/// What to tell the person who pressed a button, before the press is carried out. `None` for other events.
///
/// # Errors
/// The store can't tell; then say nothing.
pub async fn toast(store: &dyn Store, bot: &BotSettings, event: &Event) -> Result<Option<Toast>, StoreError> {
    let Body::Action(action) = &event.body else { return Ok(None) };
    let Some(press) = &action.press else { return Ok(None) };
    let (text, success, language) = match judge(store, bot, action, press).await? {
        Judgement::Denied(language) => (Text::NotYours, false, language),
        Judgement::UnknownCard => (Text::UnknownCard, false, bot.language_for("")),
        Judgement::Allowed(pressed) => {
            let open = !is_ended(pressed.delivery.state);
            let (text, success) = match press.action {
                Action::Stop => (Text::Stopping, true),
                Action::VoteUp | Action::VoteReason => (Text::ThanksForVote, true),
                Action::VoteDown => (Text::PleaseSayWhy, true),
                Action::NewTopic => (Text::NewTopic, true),
                Action::Regenerate | Action::OtherEngine if open => (Text::StillAnswering, false),
                Action::ShowVersion if open => (Text::StillAnswering, false),
                Action::Regenerate | Action::OtherEngine => (Text::Regenerating, true),
                Action::Ask => (Text::AskedForYou, true),
                Action::Command => (Text::CommandSent, true),
                Action::ShowVersion | Action::CloseForm => return Ok(None),
            };
            (text, success, pressed.language)
        }
    };
    Ok(Some(Toast { text: text.of(language), success, language }))
}

/// Whether the answer on the card is known, even if its end is still on the way.
pub(super) fn is_ended(state: DeliveryState) -> bool {
    matches!(state, DeliveryState::Final | DeliveryState::Finishing)
}

/// Anybody may vote, turn pages and ask for themselves.
fn may(what: Action, action: &CardAction, pressed: &Pressed, bot: &BotSettings) -> bool {
    match what {
        Action::VoteUp
        | Action::VoteDown
        | Action::VoteReason
        | Action::CloseForm
        | Action::ShowVersion
        | Action::Ask
        | Action::Command => true,
        Action::Stop | Action::Regenerate | Action::OtherEngine | Action::NewTopic => {
            let admins = &bot.chat_in(&pressed.to.chat).admin_users;
            pressed.asker.as_ref() == Some(&action.operator) || admins.contains(&action.operator.0)
        }
    }
}
