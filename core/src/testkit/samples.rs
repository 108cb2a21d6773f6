//! Events, cards and answers as they might be.

use std::collections::BTreeMap;

use serde_json::json;

use crate::card::{Card, CardState, Language};
use crate::clock::UnixMillis;
use crate::engine::{Choice, Completion, EngineInfo, EngineKind, Fallback, Finish};
use crate::event::{
    Addressed, Body, CardAction, Chat, ChatKind, Content, ContentKind, Event, Message, PlatformKind, ReplyTo, Route,
    Sender,
};
use crate::ids::{ConversationId, DeliveryId, EventId};
use crate::inbox::{Entry, Lane};
use crate::platform::{CardRef, DeliveryKey};
use crate::store::{Answer, Delivery, DeliveryState};

/// The bot of all samples.
pub const BOT: &str = "helpdesk";
/// Who writes in all samples.
pub const USER: &str = "ou_ada";

/// A text message of [`USER`] in the group `oc_team`.
#[must_use]
pub fn message_event(platform_event_id: &str, message_id: &str, text: &str) -> Event {
    let chat = Chat { id: "oc_team".into(), kind: ChatKind::Group, title: Some("Team".to_owned()) };
    let reply_to = ReplyTo {
        chat: chat.id.clone(),
        chat_kind: chat.kind,
        user: Some(USER.into()),
        message: Some(message_id.into()),
        thread: None,
        route: Route(json!({ "webhook": "https://example.invalid/session", "expires": 1.5 })),
    };
    let message = Message {
        id: message_id.into(),
        chat,
        thread: None,
        sender: Sender { id: USER.into(), name: Some("Ada".to_owned()), is_bot: false },
        content: Content { kind: ContentKind::Text, resources: Vec::new() },
        text: text.to_owned(),
        mentions: Vec::new(),
        addressed: Addressed::Bot,
        quote: None,
        reply_to,
    };
    event(platform_event_id, Body::Message(Box::new(message)))
}

/// A pressed button.
#[must_use]
pub fn action_event(platform_event_id: &str) -> Event {
    let action = CardAction {
        operator: USER.into(),
        chat: None,
        message: None,
        card: Some("card_1".into()),
        press: None,
        inputs: BTreeMap::new(),
        value: json!({ "option": "a" }),
    };
    event(platform_event_id, Body::Action(Box::new(action)))
}

fn event(platform_event_id: &str, body: Body) -> Event {
    Event {
        bot: BOT.into(),
        platform: PlatformKind::Feishu,
        platform_event_id: platform_event_id.to_owned(),
        occurred_at: Some(UnixMillis(1_767_225_599_123)),
        body,
    }
}

/// `event` about to be stored under a new id.
#[must_use]
pub fn entry(event: Event, scope: &str, received_at: UnixMillis) -> Entry {
    let lane = if matches!(event.body, Body::Message(_)) { Lane::Messages } else { Lane::Control };
    Entry { id: EventId::new(), event, lane, scope: scope.into(), done: None, trace: None, received_at }
}

/// A message about to be stored; its ids are derived from `name`.
#[must_use]
pub fn message_entry(name: &str, scope: &str, received_at: UnixMillis) -> Entry {
    entry(message_event(&format!("ev_{name}"), &format!("om_{name}"), name), scope, received_at)
}

/// A card in full.
#[must_use]
pub fn card(state: CardState, text: &str) -> Card {
    Card { title: "question".to_owned(), state, text: text.to_owned(), language: Language::En, ..Card::default() }
}

/// A delivery of an event's answer that is on show.
#[must_use]
pub fn delivery(event: EventId, now: UnixMillis) -> Delivery {
    let card = CardRef {
        key: DeliveryKey { event, part: "answer".to_owned() },
        message: Some(format!("om_card_{event}").into()),
        card: Some(format!("ck_{event}").into()),
        sequence: 7,
        created_at: now,
        form: json!({ "form": "stream", "pages": [1, 2] }),
    };
    Delivery {
        id: DeliveryId::new(),
        event,
        bot: BOT.into(),
        part: "answer".to_owned(),
        state: DeliveryState::Open,
        card,
        final_card: None,
        updated_at: now,
    }
}

/// An answer by the second engine of a strategy.
#[must_use]
pub fn answer(conversation: ConversationId, event: EventId, text: &str, now: UnixMillis) -> Answer {
    let engine = EngineInfo {
        name: "primary".to_owned(),
        kind: EngineKind::Cloud,
        model: "large".to_owned(),
        context_tokens: None,
        vision: false,
    };
    let fallback = Some(Fallback { from: "local".to_owned(), reason: "overloaded".to_owned() });
    let completion = Completion { prompt_tokens: 11, completion_tokens: 5, finish: Finish::Stop };
    let mut delivery = delivery(event, now);
    delivery.state = DeliveryState::Finishing;
    delivery.final_card = Some(card(CardState::Done, text));
    Answer {
        conversation,
        bot: BOT.into(),
        user: USER.into(),
        text: text.to_owned(),
        reasoning: String::new(),
        by: Some((Choice { engine, fallback }, completion)),
        delivery,
        now,
    }
}
