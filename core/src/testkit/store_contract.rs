//! What every store must do.

#![expect(clippy::unwrap_used, reason = "a test panics to fail")]

use std::time::Duration;

use serde_json::json;

use super::samples::{BOT, USER, action_event, answer, delivery, entry, message_entry};
use super::stores::{Fixture, LEASE};
use crate::engine::Role;
use crate::ids::{ConversationId, EventId, ScopeKey, WorkerId};
use crate::inbox::{Acceptance, CancelCause, Cancelled, Fence, Lane, Outcome};
use crate::store::{Answer, DeliveryState, ErrorRow, Question, StoreError, StoredMessage, Vote};

/// Makes a test of every case, as [`crate::inbox_contract`].
#[macro_export]
macro_rules! store_contract {
    ($open:path) => {
        $crate::contract_cases! { $open, store_contract:
            a_conversation_goes_on_within_its_idle_time,
            a_long_silence_begins_a_new_conversation,
            an_ended_conversation_is_followed_by_a_new_one,
            a_retried_event_stays_in_its_conversation,
            scopes_have_conversations_of_their_own,
            history_is_in_order_and_ends_before_the_event,
            history_gives_the_latest_up_to_the_limit,
            a_question_is_written_once,
            a_delivery_is_replaced_and_found_by_its_card,
            an_answer_is_recorded_once,
            an_answer_without_an_engine_is_only_delivered,
            completing_ends_delivery_and_event_together,
            a_dropped_delivery_stays_dropped,
            a_late_worker_writes_nothing,
            a_vote_replaces_the_former_one,
            a_vote_needs_an_answer_of_that_bot,
            errors_are_kept,
            an_event_is_given_as_it_came_with_its_conversation,
            a_setting_is_set_once,
            tidying_forgets_old_ids_only,
            tidying_removes_old_history_and_no_open_event,
            it_answers_a_ping,
        }
    };
}

pub(super) async fn ask(fixture: &Fixture, fence: Fence, conversation: ConversationId, text: &str) {
    let question = Question {
        conversation,
        text: text.to_owned(),
        user: USER.into(),
        user_name: Some("Ada".to_owned()),
        now: fixture.now(),
    };
    fixture.store.add_question(fence, question).await.unwrap();
}

pub(super) async fn open(fixture: &Fixture, fence: Fence, scope: &str) -> ConversationId {
    fixture.store.open_conversation(fence, fixture.opening(scope)).await.unwrap().id
}

/// Question and answer of one event, from acceptance to its end.
pub(super) async fn turn(fixture: &Fixture, name: &str, scope: &str) -> (EventId, ConversationId) {
    let fence = fixture.claimed(name, scope).await;
    let conversation = open(fixture, fence, scope).await;
    ask(fixture, fence, conversation, &format!("{name}?")).await;
    let answer = answer(conversation, fence.event, &format!("{name}!"), fixture.now());
    fixture.store.record_answer(fence, &answer).await.unwrap();
    fixture.store.complete(fence, &answer.delivery, None).await.unwrap();
    (fence.event, conversation)
}

pub(super) fn texts(messages: &[StoredMessage]) -> Vec<&str> {
    messages.iter().map(|message| message.text.as_str()).collect()
}

pub async fn a_conversation_goes_on_within_its_idle_time(fixture: &Fixture) {
    let (_, first) = turn(fixture, "a", "s").await;
    fixture.clock.advance(Duration::from_secs(3600));
    let (_, second) = turn(fixture, "b", "s").await;
    fixture.clock.advance(Duration::from_secs(3600));
    let (_, third) = turn(fixture, "c", "s").await;
    assert_eq!((first, first), (second, third), "silence counts from the latest message");
}

pub async fn a_long_silence_begins_a_new_conversation(fixture: &Fixture) {
    let (_, first) = turn(fixture, "a", "s").await;
    fixture.clock.advance(Duration::from_secs(3601));
    let fence = fixture.claimed("b", "s").await;
    let mut never_idle = fixture.opening("s");
    never_idle.idle = Duration::ZERO;
    let second = open(fixture, fence, "s").await;
    assert_ne!(first, second);
    fixture.inbox.settle(fence, Outcome::Done(None)).await.unwrap();
    fixture.clock.advance(Duration::from_secs(1_000_000));
    let fence = fixture.claimed("c", "s").await;
    never_idle.now = fixture.now();
    let third = fixture.store.open_conversation(fence, never_idle).await.unwrap().id;
    assert_eq!(second, third, "zero means never idle");
}

pub async fn an_ended_conversation_is_followed_by_a_new_one(fixture: &Fixture) {
    let (bot, scope) = (BOT.into(), ScopeKey::from("s"));
    assert!(!fixture.store.end_conversation(&bot, &scope).await.unwrap());
    let (_, first) = turn(fixture, "a", "s").await;
    assert!(fixture.store.end_conversation(&bot, &scope).await.unwrap());
    assert!(!fixture.store.end_conversation(&bot, &scope).await.unwrap());
    let (_, second) = turn(fixture, "b", "s").await;
    assert_ne!(first, second);
}

pub async fn a_retried_event_stays_in_its_conversation(fixture: &Fixture) {
    let fence = fixture.claimed("a", "s").await;
    let first = fixture.store.open_conversation(fence, fixture.opening("s")).await.unwrap();
    fixture.store.end_conversation(&BOT.into(), &"s".into()).await.unwrap();
    fixture.clock.advance(Duration::from_secs(86_400));
    let fence = fixture.claim("another", 1).await[0].fence;
    let again = fixture.other_store.open_conversation(fence, fixture.opening("s")).await.unwrap();
    assert_eq!(first, again);
}

pub async fn scopes_have_conversations_of_their_own(fixture: &Fixture) {
    let (_, first) = turn(fixture, "a", "s").await;
    let (_, second) = turn(fixture, "b", "t").await;
    assert_ne!(first, second);
}

pub async fn history_is_in_order_and_ends_before_the_event(fixture: &Fixture) {
    let (_, conversation) = turn(fixture, "a", "s").await;
    let (second, _) = turn(fixture, "b", "s").await;
    let fence = fixture.claimed("c", "s").await;
    ask(fixture, fence, conversation, "c?").await;
    let seen = fixture.store.history(conversation, fence.event, 10).await.unwrap();
    assert_eq!(texts(&seen), ["a?", "a!", "b?", "b!"]);
    assert_eq!(seen[0].role, Role::User);
    assert_eq!(seen[1].role, Role::Assistant);
    assert_eq!(seen[2].event, Some(second));
    assert_eq!(seen[3].created_at, fixture.now());
    let earlier = fixture.store.history(conversation, second, 10).await.unwrap();
    assert_eq!(texts(&earlier), ["a?", "a!"]);
}

pub async fn history_gives_the_latest_up_to_the_limit(fixture: &Fixture) {
    let (_, conversation) = turn(fixture, "a", "s").await;
    turn(fixture, "b", "s").await;
    let seen = fixture.store.history(conversation, EventId::new(), 3).await.unwrap();
    assert_eq!(texts(&seen), ["a!", "b?", "b!"]);
    assert!(fixture.store.history(conversation, EventId::new(), 0).await.unwrap().is_empty());
    assert!(fixture.store.history(ConversationId::new(), EventId::new(), 3).await.unwrap().is_empty());
}

pub async fn a_question_is_written_once(fixture: &Fixture) {
    let fence = fixture.claimed("a", "s").await;
    let conversation = open(fixture, fence, "s").await;
    ask(fixture, fence, conversation, "a?").await;
    ask(fixture, fence, conversation, "a?").await;
    assert_eq!(fixture.store.history(conversation, EventId::new(), 10).await.unwrap().len(), 1);
}

pub async fn a_delivery_is_replaced_and_found_by_its_card(fixture: &Fixture) {
    let fence = fixture.claimed("a", "s").await;
    assert_eq!(fixture.store.delivery(fence.event, "answer").await.unwrap(), None);
    let mut delivery = delivery(fence.event, fixture.now());
    let (message, card) = (delivery.card.message.take(), delivery.card.card.clone());
    delivery.state = DeliveryState::Prepared;
    fixture.store.save_delivery(fence, &delivery).await.unwrap();
    delivery.card.message = message.clone();
    delivery.card.sequence = u64::from(u32::MAX) + 1;
    delivery.state = DeliveryState::Open;
    fixture.store.save_delivery(fence, &delivery).await.unwrap();
    let stored = fixture.other_store.delivery(fence.event, "answer").await.unwrap();
    assert_eq!(stored.as_ref(), Some(&delivery));
    assert_eq!(fixture.store.delivery(fence.event, "notice").await.unwrap(), None);

    let (bot, unknown) = (BOT.into(), "om_unknown".into());
    let find = |message, card| fixture.store.delivery_of_card(&bot, message, card);
    assert_eq!(find(message.as_ref(), None).await.unwrap().as_ref(), Some(&delivery));
    assert_eq!(find(None, card.as_ref()).await.unwrap().as_ref(), Some(&delivery));
    assert_eq!(find(Some(&unknown), card.as_ref()).await.unwrap().as_ref(), Some(&delivery));
    assert_eq!(find(None, None).await.unwrap(), None);
    let other_bot = "it".into();
    assert_eq!(fixture.store.delivery_of_card(&other_bot, message.as_ref(), None).await.unwrap(), None);
}

pub async fn an_answer_is_recorded_once(fixture: &Fixture) {
    let fence = fixture.claimed("a", "s").await;
    let conversation = open(fixture, fence, "s").await;
    let first = answer(conversation, fence.event, "first", fixture.now());
    fixture.store.record_answer(fence, &first).await.unwrap();
    let second = Answer { text: "second".to_owned(), ..first.clone() };
    fixture.store.record_answer(fence, &second).await.unwrap();
    let seen = fixture.store.history(conversation, EventId::new(), 10).await.unwrap();
    assert_eq!(texts(&seen), ["first"]);
    let delivery = fixture.store.delivery(fence.event, "answer").await.unwrap().unwrap();
    assert_eq!(delivery, first.delivery);
}

pub async fn an_answer_without_an_engine_is_only_delivered(fixture: &Fixture) {
    let fence = fixture.claimed("a", "s").await;
    let conversation = open(fixture, fence, "s").await;
    let answer = Answer { by: None, ..answer(conversation, fence.event, "no engine", fixture.now()) };
    fixture.store.record_answer(fence, &answer).await.unwrap();
    assert!(fixture.store.history(conversation, EventId::new(), 10).await.unwrap().is_empty());
    assert_eq!(fixture.store.delivery(fence.event, "answer").await.unwrap(), Some(answer.delivery));
}

pub async fn completing_ends_delivery_and_event_together(fixture: &Fixture) {
    let fence = fixture.claimed("a", "s").await;
    fixture.message("b", "s").await;
    let delivery = delivery(fence.event, fixture.now());
    fixture.store.complete(fence, &delivery, Some("cancelled")).await.unwrap();
    let stored = fixture.store.delivery(fence.event, "answer").await.unwrap().unwrap();
    assert_eq!(stored.state, DeliveryState::Final);
    assert_eq!(fixture.inbox.cancel(fence.event, CancelCause::Stopped).await.unwrap(), Cancelled::TooLate);
    assert_eq!(fixture.claim("worker", 10).await.len(), 1, "the next of the scope");
    let again = fixture.store.complete(fence, &delivery, None).await;
    assert!(matches!(again, Err(StoreError::Fenced(event)) if event == fence.event));
}

pub async fn a_dropped_delivery_stays_dropped(fixture: &Fixture) {
    let fence = fixture.claimed("a", "s").await;
    let mut delivery = delivery(fence.event, fixture.now());
    delivery.state = DeliveryState::Dropped;
    fixture.store.complete(fence, &delivery, Some("target_gone")).await.unwrap();
    assert_eq!(fixture.store.delivery(fence.event, "answer").await.unwrap(), Some(delivery));
}

pub async fn a_late_worker_writes_nothing(fixture: &Fixture) {
    let late = fixture.claimed("a", "s").await;
    let conversation = open(fixture, late, "s").await;
    fixture.clock.advance(LEASE);
    fixture.claim("another", 1).await;

    let answer = answer(conversation, late.event, "late", fixture.now());
    let question =
        Question { conversation, text: "late".to_owned(), user: USER.into(), user_name: None, now: fixture.now() };
    let store = &fixture.store;
    let outcomes = [
        store.open_conversation(late, fixture.opening("s")).await.map(|_| ()),
        store.add_question(late, question).await,
        store.save_delivery(late, &answer.delivery).await,
        store.record_answer(late, &answer).await,
        store.complete(late, &answer.delivery, None).await,
    ];
    for outcome in outcomes {
        assert!(matches!(outcome, Err(StoreError::Fenced(event)) if event == late.event), "{outcome:?}");
    }
    assert!(store.history(conversation, EventId::new(), 10).await.unwrap().is_empty());
    assert_eq!(store.delivery(late.event, "answer").await.unwrap(), None);
}

fn vote_on(event: EventId, user: &str, up: bool, fixture: &Fixture) -> Vote {
    Vote { bot: BOT.into(), event, user: user.into(), up, reason: None, comment: None, now: fixture.now() }
}

pub async fn a_vote_replaces_the_former_one(fixture: &Fixture) {
    let (event, _) = turn(fixture, "a", "s").await;
    for (user, up) in [("ou_ada", true), ("ou_ada", false), ("ou_bob", true), ("ou_ada", false)] {
        assert!(fixture.store.vote(&vote_on(event, user, up, fixture)).await.unwrap());
    }
}

pub async fn a_vote_needs_an_answer_of_that_bot(fixture: &Fixture) {
    assert!(!fixture.store.vote(&vote_on(EventId::new(), USER, true, fixture)).await.unwrap());
    let (event, _) = turn(fixture, "a", "s").await;
    let foreign = Vote { bot: "it".into(), ..vote_on(event, USER, true, fixture) };
    assert!(!fixture.store.vote(&foreign).await.unwrap());
}

pub async fn errors_are_kept(fixture: &Fixture) {
    let row = ErrorRow {
        error_code: "platform_refused".to_owned(),
        bot: BOT.into(),
        request_id: "r-1".to_owned(),
        message: "the platform refused the card".to_owned(),
        detail: json!({ "code": 230_002 }),
        now: fixture.now(),
    };
    fixture.store.log_error(&row).await.unwrap();
    fixture.store.log_error(&row).await.unwrap();
}

pub async fn an_event_is_given_as_it_came_with_its_conversation(fixture: &Fixture) {
    let press = entry(action_event("press"), "p", fixture.now());
    fixture.accept(press.clone()).await;
    let stored = fixture.store.event(press.id).await.unwrap().unwrap();
    assert_eq!((stored.event, stored.scope, stored.conversation), (press.event, "p".into(), None));
    let (event, conversation) = turn(fixture, "a", "s").await;
    assert_eq!(fixture.store.event(event).await.unwrap().unwrap().conversation, Some(conversation));
    assert_eq!(fixture.store.event(EventId::new()).await.unwrap(), None);
}

pub async fn a_setting_is_set_once(fixture: &Fixture) {
    assert_eq!(fixture.store.setting("jwt_secret").await.unwrap(), None);
    let (ours, theirs) = tokio::join!(
        fixture.store.set_setting_once("jwt_secret", "ours"),
        fixture.other_store.set_setting_once("jwt_secret", "theirs")
    );
    let stands = ours.unwrap();
    assert_eq!(stands, theirs.unwrap(), "both go by the same value");
    assert_eq!(fixture.store.setting("jwt_secret").await.unwrap(), Some(stands));
}

pub async fn tidying_forgets_old_ids_only(fixture: &Fixture) {
    turn(fixture, "old", "s").await;
    fixture.clock.advance(Duration::from_secs(3600));
    turn(fixture, "new", "s").await;
    fixture.store.tidy(Duration::from_secs(1800), Duration::ZERO).await.unwrap();
    let again = |name: &str| fixture.inbox.accept(message_entry(name, "s", fixture.now()));
    assert_eq!(again("old").await.unwrap(), Acceptance::New);
    assert_eq!(again("new").await.unwrap(), Acceptance::Duplicate);
}

pub async fn tidying_removes_old_history_and_no_open_event(fixture: &Fixture) {
    let (ended, conversation) = turn(fixture, "ended", "s").await;
    let open = fixture.message("open", "s").await;
    fixture.clock.advance(Duration::from_secs(3600));
    let day = Duration::from_secs(86_400);
    fixture.store.tidy(day, Duration::from_secs(1800)).await.unwrap();
    assert!(fixture.store.history(conversation, EventId::new(), 10).await.unwrap().is_empty());
    assert_eq!(fixture.store.event(ended).await.unwrap(), None);
    assert_eq!(fixture.store.delivery(ended, "answer").await.unwrap(), None);
    let claims = fixture.inbox.claim(&WorkerId::from("worker"), Lane::Messages, 10, LEASE).await.unwrap();
    assert_eq!(claims.iter().map(|claim| claim.fence.event).collect::<Vec<_>>(), [open.id]);
}

pub async fn it_answers_a_ping(fixture: &Fixture) {
    fixture.store.ping().await.unwrap();
}
