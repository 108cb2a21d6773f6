//! What every store must do with several answers to one question.

#![expect(clippy::unwrap_used, reason = "a test panics to fail")]

use std::time::Duration;

use super::samples::{answer, card};
use super::store_contract::{ask, open, texts, turn};
use super::stores::{Fixture, LEASE};
use crate::card::{Card, CardState};
use crate::ids::{ConversationId, EventId};
use crate::inbox::{Fence, Outcome};
use crate::store::{Answer, Delivery, DeliveryState, StoreError, VersionChoice};

/// Makes a test of every case, as [`crate::inbox_contract`].
#[macro_export]
macro_rules! versions_contract {
    ($open:path) => {
        $crate::contract_cases! { $open, versions_contract:
            an_answer_alone_has_no_versions,
            a_further_answer_keeps_the_former_one_as_a_version,
            a_version_is_recorded_once_per_event,
            a_question_without_an_answer_gets_its_first,
            a_version_without_an_engine_is_only_delivered,
            a_delivery_ends_again_with_the_card_of_the_new_version,
            a_version_is_chosen_and_stands_in_the_conversation,
            no_version_is_chosen_that_is_not_there_or_while_the_card_changes,
            of_two_changes_of_a_finished_card_that_read_the_same_one_is_made,
            a_late_worker_changes_no_version,
            versions_recorded_at_once_get_numbers_of_their_own,
            tidying_removes_versions_with_their_question,
        }
    };
}

/// A further answer to the question of `event`, on its way to the card.
async fn further(fixture: &Fixture, event: EventId, conversation: ConversationId, text: &str) -> Answer {
    let delivery = fixture.store.delivery(event, "answer").await.unwrap().unwrap();
    let answer = answer(conversation, event, text, fixture.now());
    let final_card = answer.delivery.final_card.clone();
    let delivery = Delivery { state: DeliveryState::Finishing, final_card, ..delivery };
    Answer { delivery, ..answer }
}

async fn record(fixture: &Fixture, fence: Fence, answer: &Answer) -> u32 {
    fixture.store.record_version(fence, answer.delivery.event, answer).await.unwrap()
}

/// Records a further answer by a task of its own, shows it, and ends the task.
async fn again(fixture: &Fixture, (event, conversation): (EventId, ConversationId), text: &str) -> u32 {
    let fence = fixture.claimed(text, text).await;
    let answer = further(fixture, event, conversation, text).await;
    let number = record(fixture, fence, &answer).await;
    fixture.store.complete(fence, &answer.delivery, None).await.unwrap();
    number
}

/// Number, text of the card, and whether it stands, of each version.
async fn versions(fixture: &Fixture, event: EventId) -> Vec<(u32, String, bool)> {
    let versions = fixture.other_store.versions(event).await.unwrap();
    versions.into_iter().map(|version| (version.number, version.card.text, version.chosen)).collect()
}

async fn history(fixture: &Fixture, conversation: ConversationId) -> Vec<String> {
    let messages = fixture.store.history(conversation, EventId::new(), 10).await.unwrap();
    texts(&messages).into_iter().map(str::to_owned).collect()
}

fn version(number: u32, text: &str, chosen: bool) -> (u32, String, bool) {
    (number, text.to_owned(), chosen)
}

pub async fn an_answer_alone_has_no_versions(fixture: &Fixture) {
    let (event, _) = turn(fixture, "a", "s").await;
    assert!(versions(fixture, event).await.is_empty());
    assert!(versions(fixture, EventId::new()).await.is_empty());
}

pub async fn a_further_answer_keeps_the_former_one_as_a_version(fixture: &Fixture) {
    let question = turn(fixture, "a", "s").await;
    assert_eq!(again(fixture, question, "second").await, 2);
    assert_eq!(versions(fixture, question.0).await, [version(1, "a!", false), version(2, "second", true)]);
    assert_eq!(again(fixture, question, "third").await, 3);
    let all = [version(1, "a!", false), version(2, "second", false), version(3, "third", true)];
    assert_eq!(versions(fixture, question.0).await, all);
    assert_eq!(history(fixture, question.1).await, ["a?", "third"]);
}

pub async fn a_version_is_recorded_once_per_event(fixture: &Fixture) {
    let (event, conversation) = turn(fixture, "a", "s").await;
    let fence = fixture.claimed("again", "t").await;
    let second = further(fixture, event, conversation, "second").await;
    assert_eq!(record(fixture, fence, &second).await, 2);
    let other = further(fixture, event, conversation, "other").await;
    assert_eq!(record(fixture, fence, &other).await, 2);
    fixture.clock.advance(LEASE);
    let retry = fixture.claim("another", 1).await[0].fence;
    assert_eq!(record(fixture, retry, &other).await, 2, "nor in a later attempt");
    assert_eq!(versions(fixture, event).await, [version(1, "a!", false), version(2, "second", true)]);
    assert_eq!(history(fixture, conversation).await, ["a?", "second"]);
    assert_eq!(fixture.store.delivery(event, "answer").await.unwrap(), Some(second.delivery));
}

pub async fn a_question_without_an_answer_gets_its_first(fixture: &Fixture) {
    let fence = fixture.claimed("a", "s").await;
    let conversation = open(fixture, fence, "s").await;
    ask(fixture, fence, conversation, "a?").await;
    let failed = Answer { by: None, ..answer(conversation, fence.event, "no engine", fixture.now()) };
    fixture.store.record_answer(fence, &failed).await.unwrap();
    fixture.store.complete(fence, &failed.delivery, None).await.unwrap();
    let question = (fence.event, conversation);
    assert_eq!(again(fixture, question, "first").await, 1);
    assert!(versions(fixture, fence.event).await.is_empty(), "one is not several");
    assert_eq!(history(fixture, conversation).await, ["a?", "first"]);
    assert_eq!(again(fixture, question, "second").await, 2);
    assert_eq!(versions(fixture, fence.event).await, [version(1, "first", false), version(2, "second", true)]);
}

pub async fn a_version_without_an_engine_is_only_delivered(fixture: &Fixture) {
    let question = turn(fixture, "a", "s").await;
    let fence = fixture.claimed("again", "t").await;
    let failed = Answer { by: None, ..further(fixture, question.0, question.1, "no engine").await };
    assert_eq!(record(fixture, fence, &failed).await, 1, "the first stands");
    assert_eq!(history(fixture, question.1).await, ["a?", "a!"]);
    assert_eq!(fixture.store.delivery(question.0, "answer").await.unwrap().as_ref(), Some(&failed.delivery));
    fixture.inbox.settle(fence, Outcome::Done(None)).await.unwrap();
    assert_eq!(again(fixture, question, "second").await, 2);
    assert_eq!(history(fixture, question.1).await, ["a?", "second"]);
}

pub async fn a_delivery_ends_again_with_the_card_of_the_new_version(fixture: &Fixture) {
    let (event, conversation) = turn(fixture, "a", "s").await;
    let stored = || fixture.store.delivery(event, "answer");
    let before = stored().await.unwrap().unwrap();
    assert_eq!(before.state, DeliveryState::Final);
    let fence = fixture.claimed("again", "t").await;
    let opened = Delivery { state: DeliveryState::Open, final_card: None, ..before.clone() };
    fixture.store.save_delivery(fence, &opened).await.unwrap();
    let seen = stored().await.unwrap().unwrap();
    assert_eq!((seen.state, seen.final_card), (DeliveryState::Open, before.final_card), "the old card is kept");
    let second = further(fixture, event, conversation, "second").await;
    record(fixture, fence, &second).await;
    let seen = stored().await.unwrap().unwrap();
    assert_eq!(seen.state, DeliveryState::Finishing);
    assert_eq!(seen.final_card, Some(card(CardState::Done, "second")));
    fixture.store.complete(fence, &second.delivery, None).await.unwrap();
    assert_eq!(stored().await.unwrap().unwrap().state, DeliveryState::Final);
    assert_eq!(versions(fixture, event).await[0], version(1, "a!", false));
}

/// Turns to a version with `card` on show, as somebody does who read the delivery as it is now.
async fn turn_to(fixture: &Fixture, fence: Fence, choice: (EventId, u32), card: &Card) -> Result<bool, StoreError> {
    let (question, number) = choice;
    let Some(mut delivery) = fixture.store.delivery(question, "answer").await.unwrap() else { return Ok(false) };
    let before = delivery.card.sequence;
    delivery.card.take_over();
    delivery.final_card = Some(card.clone());
    fixture.store.choose_version(fence, VersionChoice { question, number }, &delivery, before).await
}

pub async fn a_version_is_chosen_and_stands_in_the_conversation(fixture: &Fixture) {
    let (event, conversation) = turn(fixture, "a", "s").await;
    again(fixture, (event, conversation), "second").await;
    let fence = fixture.claimed("page", "t").await;
    let first = card(CardState::Done, "first of two");
    assert!(turn_to(fixture, fence, (event, 1), &first).await.unwrap());
    let delivery = fixture.store.delivery(event, "answer").await.unwrap().unwrap();
    assert_eq!((delivery.state, delivery.final_card.as_ref()), (DeliveryState::Final, Some(&first)));
    assert_eq!(history(fixture, conversation).await, ["a?", "a!"]);
    assert_eq!(versions(fixture, event).await, [version(1, "a!", true), version(2, "second", false)]);
    let second = card(CardState::Done, "second of two");
    for _ in 0..2 {
        assert!(turn_to(fixture, fence, (event, 2), &second).await.unwrap());
        assert_eq!(history(fixture, conversation).await, ["a?", "second"]);
    }
    fixture.inbox.settle(fence, Outcome::Done(None)).await.unwrap();
    assert_eq!(again(fixture, (event, conversation), "third").await, 3);
    assert!(versions(fixture, event).await[2].2, "the newest stands");
}

pub async fn no_version_is_chosen_that_is_not_there_or_while_the_card_changes(fixture: &Fixture) {
    let (event, conversation) = turn(fixture, "a", "s").await;
    let fence = fixture.claimed("page", "t").await;
    let other = card(CardState::Done, "other");
    assert!(!turn_to(fixture, fence, (event, 1), &other).await.unwrap(), "there is nothing to choose from");
    again(fixture, (event, conversation), "second").await;
    assert!(!turn_to(fixture, fence, (event, 3), &other).await.unwrap());
    assert!(!turn_to(fixture, fence, (EventId::new(), 1), &other).await.unwrap());
    let ended = fixture.store.delivery(event, "answer").await.unwrap().unwrap();
    for state in [DeliveryState::Open, DeliveryState::Finishing, DeliveryState::Dropped] {
        let changing = Delivery { state, ..ended.clone() };
        fixture.store.save_delivery(fence, &changing).await.unwrap();
        assert!(!turn_to(fixture, fence, (event, 1), &other).await.unwrap());
        assert_eq!(fixture.store.delivery(event, "answer").await.unwrap(), Some(changing), "nothing has changed");
    }
    assert_eq!(history(fixture, conversation).await, ["a?", "second"]);
    assert_eq!(versions(fixture, event).await, [version(1, "a!", false), version(2, "second", true)]);
}

pub async fn of_two_changes_of_a_finished_card_that_read_the_same_one_is_made(fixture: &Fixture) {
    let (event, _) = turn(fixture, "a", "s").await;
    let (one, other) = (fixture.claimed("one", "t").await, fixture.claimed("other", "u").await);
    let read = fixture.store.delivery(event, "answer").await.unwrap().unwrap();
    let change = |text: &str| {
        let mut delivery = Delivery { final_card: Some(card(CardState::Done, text)), ..read.clone() };
        delivery.card.take_over();
        delivery
    };
    let (first, second) = (change("first"), change("second"));
    let before = read.card.sequence;
    let (ours, theirs) = tokio::join!(
        fixture.store.revise_delivery(one, &first, before),
        fixture.other_store.revise_delivery(other, &second, before)
    );
    let (ours, theirs) = (ours.unwrap(), theirs.unwrap());
    assert!(ours != theirs, "one of them");
    let now = fixture.store.delivery(event, "answer").await.unwrap().unwrap();
    assert_eq!(now, if ours { first } else { second });
}

pub async fn a_late_worker_changes_no_version(fixture: &Fixture) {
    let (event, conversation) = turn(fixture, "a", "s").await;
    again(fixture, (event, conversation), "second").await;
    let late = fixture.claimed("page", "t").await;
    fixture.clock.advance(LEASE);
    fixture.claim("another", 1).await;
    let answer = further(fixture, event, conversation, "late").await;
    let outcomes = [
        fixture.store.record_version(late, event, &answer).await.map(|_| ()),
        turn_to(fixture, late, (event, 1), &card(CardState::Done, "late")).await.map(|_| ()),
    ];
    for outcome in outcomes {
        assert!(matches!(outcome, Err(StoreError::Fenced(event)) if event == late.event), "{outcome:?}");
    }
    assert_eq!(history(fixture, conversation).await, ["a?", "second"]);
    assert_eq!(versions(fixture, event).await.len(), 2);
}

pub async fn versions_recorded_at_once_get_numbers_of_their_own(fixture: &Fixture) {
    for round in 0..10 {
        let (event, conversation) = turn(fixture, &format!("{round}"), &format!("s{round}")).await;
        let ours = fixture.claimed(&format!("{round}_ours"), "ours").await;
        let theirs = fixture.claimed(&format!("{round}_theirs"), "theirs").await;
        let answer = further(fixture, event, conversation, "more").await;
        let (one, other) = tokio::join!(
            fixture.store.record_version(ours, event, &answer),
            fixture.other_store.record_version(theirs, event, &answer)
        );
        let mut numbers = [one.unwrap(), other.unwrap()];
        numbers.sort_unstable();
        assert_eq!(numbers, [2, 3]);
        let stored = versions(fixture, event).await;
        assert_eq!(stored.iter().filter(|(_, _, chosen)| *chosen).count(), 1);
        assert!(stored[2].2, "the newest stands");
        for fence in [ours, theirs] {
            fixture.inbox.settle(fence, Outcome::Done(None)).await.unwrap();
        }
    }
}

pub async fn tidying_removes_versions_with_their_question(fixture: &Fixture) {
    let old = turn(fixture, "old", "s").await;
    again(fixture, old, "second").await;
    fixture.clock.advance(Duration::from_secs(3600));
    let new = turn(fixture, "new", "t").await;
    again(fixture, new, "third").await;
    fixture.store.tidy(Duration::from_secs(86_400), Duration::from_secs(1800)).await.unwrap();
    assert!(versions(fixture, old.0).await.is_empty());
    assert_eq!(versions(fixture, new.0).await.len(), 2);
    let fence = fixture.claimed("late", "u").await;
    let page = turn_to(fixture, fence, (old.0, 1), &card(CardState::Done, "page")).await;
    assert!(!page.unwrap(), "a press on an old card finds nothing");
}
