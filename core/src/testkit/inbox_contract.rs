//! What every inbox must do.

#![expect(clippy::unwrap_used, reason = "a test panics to fail")]

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;

use super::samples::{BOT, action_event, delivery, entry, message_entry, message_event};
use super::stores::{Fixture, LEASE, names};
use crate::ids::{EventId, MessageId, WorkerId};
use crate::inbox::{Acceptance, CancelCause, Cancelled, Claim, Lane, Outcome};
use crate::store::StoreError;

/// Makes a test of every case: `inbox_contract!(open)`, where `open` is an
/// `async fn(case: &str) -> Option<Fixture>`; `None` skips the case.
#[macro_export]
macro_rules! inbox_contract {
    ($open:path) => {
        $crate::contract_cases! { $open, inbox_contract:
            event_delivered_twice_is_stored_once,
            message_under_another_event_id_is_a_duplicate,
            ten_parallel_deliveries_make_one_event,
            equal_ids_of_another_bot_are_new,
            five_hundred_concurrent_events_are_all_stored,
            a_duplicate_of_a_duplicate_is_not_lost,
            event_done_at_acceptance_is_never_claimed,
            recall_before_its_message_ends_it,
            a_claim_gives_back_what_was_stored,
            text_that_a_database_can_not_keep_is_stored_all_the_same,
            events_of_a_scope_are_claimed_one_at_a_time_in_order,
            an_older_event_that_comes_late_waits_for_the_running_one,
            scopes_do_not_wait_for_each_other,
            the_control_lane_does_not_wait,
            concurrent_claims_never_share_a_scope,
            a_lost_lease_is_claimed_again_and_fences_the_former_worker,
            a_renewed_lease_is_kept,
            a_failed_event_waits_for_its_time_and_holds_its_scope_up,
            a_dead_event_lets_the_next_one_go,
            released_events_are_claimable_at_once,
            cancel_ends_an_event_that_nobody_works_on,
            cancel_of_a_running_event_is_seen_at_renewal,
            cancel_of_an_event_with_a_visible_card_is_left_to_a_worker,
            cancel_finds_messages_by_the_platforms_id,
            a_cancellation_is_heard_by_another_instance,
            a_new_event_wakes_who_waits,
            depth_counts_by_state,
        }
    };
}

/// The list of tests behind [`crate::inbox_contract`] and [`crate::store_contract`].
#[macro_export]
macro_rules! contract_cases {
    ($open:path, $suite:ident: $($case:ident,)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                if let Some(fixture) = $open(stringify!($case)).await {
                    $crate::testkit::$suite::$case(&fixture).await;
                }
            }
        )*
    };
}

/// Long enough for any machine; a case that works never waits for it.
const PATIENCE: Duration = Duration::from_secs(30);

pub async fn event_delivered_twice_is_stored_once(fixture: &Fixture) {
    let entry = fixture.message("a", "s").await;
    let again = message_entry("a", "s", fixture.now());
    assert_eq!(fixture.inbox.accept(again.clone()).await.unwrap(), Acceptance::Duplicate);
    assert_eq!(fixture.other_inbox.accept(again).await.unwrap(), Acceptance::Duplicate);
    let claims = fixture.claim("worker", 10).await;
    assert_eq!(claims.len(), 1);
    assert_eq!(claims[0].fence.event, entry.id);
}

pub async fn message_under_another_event_id_is_a_duplicate(fixture: &Fixture) {
    fixture.message("a", "s").await;
    let renamed = entry(message_event("ev_other", "om_a", "a"), "s", fixture.now());
    assert_eq!(fixture.inbox.accept(renamed).await.unwrap(), Acceptance::Duplicate);
}

pub async fn ten_parallel_deliveries_make_one_event(fixture: &Fixture) {
    let deliveries = (0..10).map(|number| {
        let inbox = if number % 2 == 0 { &fixture.inbox } else { &fixture.other_inbox };
        inbox.accept(message_entry("a", "s", fixture.now()))
    });
    let outcomes: Vec<_> = join_all(deliveries).await.into_iter().map(Result::unwrap).collect();
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == Acceptance::New).count(), 1);
    assert_eq!(fixture.inbox.depth().await.unwrap().received, 1);
}

pub async fn equal_ids_of_another_bot_are_new(fixture: &Fixture) {
    fixture.message("a", "s").await;
    let mut other = message_entry("a", "s", fixture.now());
    other.event.bot = "it".into();
    fixture.accept(other).await;
    assert_eq!(fixture.claim("worker", 10).await.len(), 2, "bots do not share scopes");
}

pub async fn five_hundred_concurrent_events_are_all_stored(fixture: &Fixture) {
    let entries: Vec<_> = (0..500).map(|n| message_entry(&n.to_string(), &format!("s{n}"), fixture.now())).collect();
    let accepted = join_all(entries.iter().map(|entry| fixture.inbox.accept(entry.clone()))).await;
    assert!(accepted.into_iter().all(|outcome| outcome.unwrap() == Acceptance::New));
    let claimed: HashSet<_> = fixture.claim("worker", 1000).await.iter().map(|claim| claim.fence.event).collect();
    assert_eq!(claimed, entries.iter().map(|entry| entry.id).collect());
}

/// The second entry repeats the first's event id and is not stored; so the third, which repeats only the second's
/// message id, is news. All three may fall into one transaction.
pub async fn a_duplicate_of_a_duplicate_is_not_lost(fixture: &Fixture) {
    fixture.message("a", "s").await;
    let second = entry(message_event("ev_a", "om_b", "b"), "s", fixture.now());
    let third = entry(message_event("ev_c", "om_b", "c"), "s", fixture.now());
    let (second, third) = tokio::join!(fixture.inbox.accept(second), fixture.inbox.accept(third));
    assert_eq!((second.unwrap(), third.unwrap()), (Acceptance::Duplicate, Acceptance::New));
}

pub async fn event_done_at_acceptance_is_never_claimed(fixture: &Fixture) {
    let mut entry = message_entry("a", "s", fixture.now());
    entry.done = Some("not_mentioned".to_owned());
    fixture.accept(entry.clone()).await;
    assert!(fixture.claim("worker", 10).await.is_empty());
    assert_eq!(fixture.inbox.cancel(entry.id, CancelCause::Stopped).await.unwrap(), Cancelled::TooLate);
}

pub async fn recall_before_its_message_ends_it(fixture: &Fixture) {
    let message = MessageId::from("om_a");
    let met = fixture.other_inbox.cancel_message(&BOT.into(), &message, CancelCause::Recalled).await.unwrap();
    assert_eq!(met, Cancelled::Unknown);
    let entry = fixture.message("a", "s").await;
    assert!(fixture.claim("worker", 10).await.is_empty());
    assert_eq!(fixture.inbox.cancel(entry.id, CancelCause::Stopped).await.unwrap(), Cancelled::TooLate);
}

pub async fn a_claim_gives_back_what_was_stored(fixture: &Fixture) {
    let mut entry = message_entry("a", "scope", fixture.now());
    entry.trace = Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned());
    fixture.accept(entry.clone()).await;
    let claim = fixture.claim("worker", 1).await.remove(0);
    assert_eq!(claim.fence.attempt, 1);
    assert_eq!(claim.event, entry.event);
    assert_eq!(claim.scope, entry.scope);
    assert_eq!(claim.trace, entry.trace);
    assert_eq!(claim.received_at, entry.received_at);
    assert_eq!((claim.ahead, claim.cancel), (0, None));
}

pub async fn text_that_a_database_can_not_keep_is_stored_all_the_same(fixture: &Fixture) {
    fixture.accept(entry(message_event("ev\0a", "om\0a", "nul \0 in it"), "s\0", fixture.now())).await;
    let again = entry(message_event("ev\0a", "om\0a", "nul \0 in it"), "s\0", fixture.now());
    assert_eq!(fixture.inbox.accept(again).await.unwrap(), Acceptance::Duplicate);
    let long = "x".repeat(100_000);
    fixture.accept(entry(message_event(&long, &long, "long"), "t", fixture.now())).await;
    assert_eq!(fixture.claim("worker", 10).await.len(), 2);
}

pub async fn events_of_a_scope_are_claimed_one_at_a_time_in_order(fixture: &Fixture) {
    for name in ["a", "b", "c"] {
        fixture.message(name, "s").await;
    }
    for name in ["a", "b", "c"] {
        let claims = fixture.claim("worker", 10).await;
        assert_eq!(names(&claims), [name]);
        assert!(fixture.claim("another", 10).await.is_empty());
        fixture.inbox.settle(claims[0].fence, Outcome::Done(None)).await.unwrap();
    }
    assert!(fixture.claim("worker", 10).await.is_empty());
}

/// Ids are made at receipt, and two instances may store what they received in the other order.
pub async fn an_older_event_that_comes_late_waits_for_the_running_one(fixture: &Fixture) {
    let older = message_entry("older", "s", fixture.now());
    let running = fixture.claimed("newer", "s").await;
    fixture.accept(older).await;
    assert!(fixture.claim("worker", 10).await.is_empty());
    fixture.inbox.settle(running, Outcome::Done(None)).await.unwrap();
    assert_eq!(names(&fixture.claim("worker", 10).await), ["older"]);
}

pub async fn scopes_do_not_wait_for_each_other(fixture: &Fixture) {
    for (name, scope) in [("a1", "a"), ("a2", "a"), ("b1", "b"), ("c1", "c")] {
        fixture.message(name, scope).await;
    }
    assert_eq!(names(&fixture.claim("worker", 2).await), ["a1", "b1"], "oldest first, up to the limit");
    assert_eq!(names(&fixture.claim("worker", 2).await), ["c1"]);
}

pub async fn the_control_lane_does_not_wait(fixture: &Fixture) {
    fixture.claimed("a", "s").await;
    for id in ["press_1", "press_2"] {
        fixture.accept(entry(action_event(id), "s", fixture.now())).await;
    }
    assert!(fixture.claim("worker", 10).await.is_empty(), "lanes are claimed apart");
    let worker = WorkerId::from("worker");
    let claims = fixture.inbox.claim(&worker, Lane::Control, 10, LEASE).await.unwrap();
    assert_eq!(names(&claims), ["press_1", "press_2"], "no order among them, so both at once");
}

pub async fn concurrent_claims_never_share_a_scope(fixture: &Fixture) {
    for number in 0..40 {
        fixture.message(&number.to_string(), &format!("s{}", number % 20)).await;
    }
    let workers: Vec<_> = (0..8).map(|number| WorkerId(format!("worker {number}"))).collect();
    let claims = workers.iter().enumerate().map(|(number, worker)| {
        let inbox = if number % 2 == 0 { &fixture.inbox } else { &fixture.other_inbox };
        inbox.claim(worker, Lane::Messages, 5, LEASE)
    });
    let claimed: Vec<Claim> = join_all(claims).await.into_iter().flat_map(Result::unwrap).collect();
    let scopes: HashSet<_> = claimed.iter().map(|claim| claim.scope.clone()).collect();
    assert_eq!((claimed.len(), scopes.len()), (20, 20));
}

pub async fn a_lost_lease_is_claimed_again_and_fences_the_former_worker(fixture: &Fixture) {
    let late = fixture.claimed("a", "s").await;
    fixture.message("b", "s").await;
    fixture.clock.advance(LEASE);
    let claims = fixture.claim("another", 10).await;
    assert_eq!(names(&claims), ["a"], "the older one comes first, again");
    assert_eq!(claims[0].fence.attempt, 2);
    let refused = |result| matches!(result, Err(StoreError::Fenced(event)) if event == late.event);
    assert!(refused(fixture.inbox.settle(late, Outcome::Done(None)).await));
    assert!(refused(fixture.inbox.settle(late, Outcome::Dead { reason: "x".to_owned() }).await));
    assert!(refused(fixture.inbox.renew(late, LEASE).await.map(|_| ())));
    fixture.inbox.settle(claims[0].fence, Outcome::Done(None)).await.unwrap();
    assert!(refused(fixture.inbox.settle(claims[0].fence, Outcome::Done(None)).await), "it has ended");
}

pub async fn a_renewed_lease_is_kept(fixture: &Fixture) {
    let fence = fixture.claimed("a", "s").await;
    for _ in 0..3 {
        fixture.clock.advance(LEASE / 2);
        assert_eq!(fixture.inbox.renew(fence, LEASE).await.unwrap(), None);
    }
    assert!(fixture.claim("another", 10).await.is_empty());
}

pub async fn a_failed_event_waits_for_its_time_and_holds_its_scope_up(fixture: &Fixture) {
    let fence = fixture.claimed("a", "s").await;
    fixture.message("b", "s").await;
    let at = fixture.now() + Duration::from_secs(10);
    fixture.inbox.settle(fence, Outcome::Retry { at, reason: "overloaded".to_owned() }).await.unwrap();
    assert!(fixture.claim("worker", 10).await.is_empty());
    assert_eq!(fixture.inbox.depth().await.unwrap().failed, 1);
    fixture.clock.advance(Duration::from_secs(10));
    let claims = fixture.claim("worker", 10).await;
    assert_eq!(names(&claims), ["a"]);
    assert_eq!(claims[0].fence.attempt, 2);
}

pub async fn a_dead_event_lets_the_next_one_go(fixture: &Fixture) {
    let fence = fixture.claimed("a", "s").await;
    fixture.message("b", "s").await;
    fixture.inbox.settle(fence, Outcome::Dead { reason: "too_many_attempts".to_owned() }).await.unwrap();
    assert_eq!(names(&fixture.claim("worker", 10).await), ["b"]);
    assert_eq!(fixture.inbox.depth().await.unwrap().dead, 1);
}

pub async fn released_events_are_claimable_at_once(fixture: &Fixture) {
    let fence = fixture.claimed("a", "s").await;
    fixture.message("b", "t").await;
    fixture.claim("another", 1).await;
    assert_eq!(fixture.inbox.release(&"worker".into()).await.unwrap(), 1, "only its own");
    let claims = fixture.claim("third", 10).await;
    assert_eq!(names(&claims), ["a"]);
    assert_eq!(claims[0].fence.attempt, 2);
    assert!(fixture.inbox.renew(fence, LEASE).await.is_err());
    assert_eq!(fixture.inbox.release(&"worker".into()).await.unwrap(), 0);
}

pub async fn cancel_ends_an_event_that_nobody_works_on(fixture: &Fixture) {
    let unknown = fixture.inbox.cancel(EventId::new(), CancelCause::Stopped).await.unwrap();
    assert_eq!(unknown, Cancelled::Unknown);
    let failed = fixture.claimed("a", "s").await;
    let at = fixture.now() + Duration::from_secs(10);
    fixture.inbox.settle(failed, Outcome::Retry { at, reason: "x".to_owned() }).await.unwrap();
    let waiting = fixture.message("b", "t").await;
    for event in [failed.event, waiting.id] {
        assert_eq!(fixture.inbox.cancel(event, CancelCause::Stopped).await.unwrap(), Cancelled::Ended);
        assert_eq!(fixture.inbox.cancel(event, CancelCause::Stopped).await.unwrap(), Cancelled::TooLate);
    }
    fixture.clock.advance(Duration::from_secs(10));
    assert!(fixture.claim("worker", 10).await.is_empty());
}

pub async fn cancel_of_a_running_event_is_seen_at_renewal(fixture: &Fixture) {
    let fence = fixture.claimed("a", "s").await;
    let asked = fixture.other_inbox.cancel(fence.event, CancelCause::Recalled).await.unwrap();
    assert_eq!(asked, Cancelled::Asked);
    fixture.inbox.cancel(fence.event, CancelCause::Stopped).await.unwrap();
    let seen = fixture.inbox.renew(fence, LEASE).await.unwrap();
    assert_eq!(seen, Some(CancelCause::Recalled), "the first cause stands");
    let other = fixture.claimed("b", "t").await;
    fixture.inbox.cancel(other.event, CancelCause::Interrupted).await.unwrap();
    assert_eq!(fixture.inbox.renew(other, LEASE).await.unwrap(), Some(CancelCause::Interrupted));
    fixture.inbox.settle(fence, Outcome::Done(Some("recalled".to_owned()))).await.unwrap();
    assert_eq!(fixture.inbox.cancel(fence.event, CancelCause::Stopped).await.unwrap(), Cancelled::TooLate);
}

pub async fn cancel_of_an_event_with_a_visible_card_is_left_to_a_worker(fixture: &Fixture) {
    let fence = fixture.claimed("a", "s").await;
    fixture.store.save_delivery(fence, &delivery(fence.event, fixture.now())).await.unwrap();
    let at = fixture.now() + Duration::from_secs(3600);
    fixture.inbox.settle(fence, Outcome::Retry { at, reason: "x".to_owned() }).await.unwrap();
    assert_eq!(fixture.inbox.cancel(fence.event, CancelCause::Stopped).await.unwrap(), Cancelled::Asked);
    let claims = fixture.claim("worker", 10).await;
    assert_eq!(names(&claims), ["a"], "its time has come, so that the card is ended");
    assert_eq!(claims[0].cancel, Some(CancelCause::Stopped));
    let seen = fixture.inbox.renew(claims[0].fence, LEASE).await.unwrap();
    assert_eq!(seen, Some(CancelCause::Stopped));
}

pub async fn cancel_finds_messages_by_the_platforms_id(fixture: &Fixture) {
    let fence = fixture.claimed("a", "s").await;
    let (bot, message) = (BOT.into(), MessageId::from("om_a"));
    let cancel = || fixture.inbox.cancel_message(&bot, &message, CancelCause::Recalled);
    assert_eq!(cancel().await.unwrap(), Cancelled::Asked);
    fixture.inbox.settle(fence, Outcome::Done(None)).await.unwrap();
    assert_eq!(cancel().await.unwrap(), Cancelled::TooLate);
}

pub async fn a_cancellation_is_heard_by_another_instance(fixture: &Fixture) {
    let mut heard = fixture.other_inbox.cancellations();
    let fence = fixture.claimed("a", "s").await;
    let listening = async {
        // The other instance may still be connecting, so it is told until it hears.
        loop {
            fixture.inbox.cancel(fence.event, CancelCause::Stopped).await.unwrap();
            if let Ok(event) = tokio::time::timeout(Duration::from_millis(200), heard.recv()).await {
                return event.unwrap();
            }
        }
    };
    let event = tokio::time::timeout(PATIENCE, listening).await.expect("the cancellation is heard");
    assert_eq!(event, fence.event);
}

pub async fn a_new_event_wakes_who_waits(fixture: &Fixture) {
    let waiting = tokio::spawn({
        let inbox = Arc::clone(&fixture.inbox);
        async move { inbox.wait(PATIENCE * 100).await }
    });
    fixture.message("a", "s").await;
    tokio::time::timeout(PATIENCE, waiting).await.expect("the waiter wakes").unwrap();
}

pub async fn depth_counts_by_state(fixture: &Fixture) {
    let empty = fixture.inbox.depth().await.unwrap();
    assert_eq!((empty.received, empty.oldest_open_seconds), (0, 0));
    fixture.claimed("a", "s").await;
    fixture.clock.advance(Duration::from_secs(5));
    fixture.message("b", "t").await;
    fixture.message("c", "t").await;
    fixture.clock.advance(Duration::from_secs(2));
    let depth = fixture.inbox.depth().await.unwrap();
    assert_eq!((depth.received, depth.running, depth.failed, depth.dead), (2, 1, 0, 0));
    assert_eq!(depth.oldest_open_seconds, 7);
}
