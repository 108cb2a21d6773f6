//! What every inbox must do with messages whose turn has not come.

#![expect(clippy::unwrap_used, reason = "a test panics to fail")]

use std::collections::HashSet;
use std::time::Duration;

use futures::future::join_all;

use super::samples::{BOT, action_event, delivery, entry, message_entry};
use super::stores::{Fixture, LEASE, names};
use crate::event::Event;
use crate::ids::{EventId, WorkerId};
use crate::inbox::{CancelCause, Cancelled, Claim, Fence, Lane, Outcome};
use crate::store::StoreError;

/// Makes a test of every case, as [`crate::inbox_contract`].
#[macro_export]
macro_rules! waiting_contract {
    ($open:path) => {
        $crate::contract_cases! { $open, waiting_contract:
            messages_behind_others_are_claimed_with_their_number,
            a_noted_number_is_claimed_again_when_it_has_changed,
            showing_a_place_is_no_attempt,
            a_message_whose_place_is_shown_is_not_overtaken,
            a_message_whose_place_is_shown_holds_nobody_up,
            a_place_that_nobody_shows_any_more_is_shown_by_another_worker,
            a_message_is_answered_in_turn_although_the_showing_of_its_place_crashed,
            a_place_handed_back_is_shown_again,
            a_place_that_can_not_be_shown_leaves_the_message_in_the_queue,
            a_waiting_card_that_somebody_ends_is_claimed_at_once,
            a_card_ended_while_its_place_is_shown_is_claimed_again,
            concurrent_claims_never_show_a_place_twice,
            the_open_events_of_a_scope_are_listed_in_order,
            later_messages_become_part_of_a_claimed_one,
            what_somebody_works_on_and_what_is_older_is_not_merged,
            a_lost_claim_merges_nothing,
            a_message_is_either_merged_or_claimed,
        }
    };
}

/// How many each has before it.
fn places(claims: &[Claim]) -> Vec<(&str, u32)> {
    names(claims).into_iter().zip(claims.iter().map(|claim| claim.ahead)).collect()
}

async fn wait_on(fixture: &Fixture, claim: &Claim) {
    fixture.inbox.settle(claim.fence, Outcome::Waits { ahead: claim.ahead }).await.unwrap();
}

async fn done(fixture: &Fixture, fence: Fence) {
    fixture.inbox.settle(fence, Outcome::Done(None)).await.unwrap();
}

/// `b` behind the running `a`, claimed to show its place.
async fn shown(fixture: &Fixture) -> (Fence, Claim) {
    let first = fixture.claimed("a", "s").await;
    fixture.message("b", "s").await;
    let mut claims = fixture.waiting("greeter", 10).await;
    assert_eq!(places(&claims), [("b", 1)]);
    (first, claims.remove(0))
}

pub async fn messages_behind_others_are_claimed_with_their_number(fixture: &Fixture) {
    assert!(fixture.waiting("worker", 10).await.is_empty());
    fixture.claimed("a", "s").await;
    for name in ["b", "c", "d"] {
        fixture.message(name, "s").await;
    }
    fixture.message("alone", "t").await;
    for id in ["press_1", "press_2"] {
        fixture.accept(entry(action_event(id), "s", fixture.now())).await;
    }
    let claims = fixture.waiting("worker", 2).await;
    assert_eq!(places(&claims), [("b", 1), ("c", 2)], "oldest first, up to the limit");
    assert!(claims.iter().all(|claim| claim.fence.attempt >= Fence::WAITING && claim.scope.as_str() == "s"));
    assert_eq!(places(&fixture.waiting("worker", 10).await), [("d", 3)]);
    assert!(fixture.waiting("another", 10).await.is_empty(), "each is held by a worker");
    let depth = fixture.inbox.depth().await.unwrap();
    assert_eq!((depth.received, depth.running), (3, 4));
}

pub async fn a_noted_number_is_claimed_again_when_it_has_changed(fixture: &Fixture) {
    let first = fixture.claimed("a", "s").await;
    for name in ["b", "c"] {
        fixture.message(name, "s").await;
    }
    for claim in fixture.waiting("worker", 10).await {
        wait_on(fixture, &claim).await;
    }
    assert!(fixture.waiting("worker", 10).await.is_empty());
    done(fixture, first).await;
    assert_eq!(places(&fixture.waiting("worker", 10).await), [("c", 1)], "it is the turn of the other");
    assert_eq!(names(&fixture.claim("worker", 10).await), ["b"]);
}

pub async fn showing_a_place_is_no_attempt(fixture: &Fixture) {
    let mut running = fixture.claimed("first", "s").await;
    for name in ["1", "2", "3", "last"] {
        fixture.message(name, "s").await;
    }
    let mut seen = HashSet::new();
    for _ in 0..4 {
        for claim in fixture.waiting("worker", 10).await {
            assert!(seen.insert(claim.fence), "no two claims have one number");
            wait_on(fixture, &claim).await;
        }
        done(fixture, running).await;
        running = fixture.claim("worker", 1).await[0].fence;
        assert_eq!(running.attempt, 1);
    }
    assert_eq!(seen.len(), 4 + 3 + 2 + 1);
}

pub async fn a_message_whose_place_is_shown_is_not_overtaken(fixture: &Fixture) {
    let (first, shown) = shown(fixture).await;
    fixture.message("c", "s").await;
    done(fixture, first).await;
    assert!(fixture.claim("worker", 10).await.is_empty(), "neither it nor the next one");
    wait_on(fixture, &shown).await;
    assert_eq!(names(&fixture.claim("worker", 10).await), ["b"]);
}

pub async fn a_message_whose_place_is_shown_holds_nobody_up(fixture: &Fixture) {
    let (first, shown) = shown(fixture).await;
    let retry = Outcome::Retry { at: fixture.now(), reason: "overloaded".to_owned() };
    fixture.inbox.settle(first, retry).await.unwrap();
    let claims = fixture.claim("worker", 10).await;
    assert_eq!(names(&claims), ["a"]);
    assert_eq!(fixture.inbox.renew(shown.fence, LEASE).await.unwrap(), None, "it is still held");
}

pub async fn a_place_that_nobody_shows_any_more_is_shown_by_another_worker(fixture: &Fixture) {
    let (first, late) = shown(fixture).await;
    fixture.clock.advance(LEASE / 2);
    fixture.inbox.renew(first, LEASE).await.unwrap();
    fixture.clock.advance(LEASE / 2);
    let claims = fixture.waiting("another", 10).await;
    assert_eq!(places(&claims), [("b", 1)]);
    let settled = fixture.inbox.settle(late.fence, Outcome::Waits { ahead: 1 }).await;
    assert!(matches!(settled, Err(StoreError::Fenced(event)) if event == late.fence.event));
    let written = fixture.store.save_delivery(late.fence, &delivery(late.fence.event, fixture.now())).await;
    assert!(matches!(written, Err(StoreError::Fenced(_))));
    fixture.store.save_delivery(claims[0].fence, &delivery(late.fence.event, fixture.now())).await.unwrap();
}

pub async fn a_message_is_answered_in_turn_although_the_showing_of_its_place_crashed(fixture: &Fixture) {
    let (first, late) = shown(fixture).await;
    fixture.message("c", "s").await;
    done(fixture, first).await;
    fixture.clock.advance(LEASE);
    let claims = fixture.claim("worker", 10).await;
    assert_eq!(names(&claims), ["b"]);
    assert_eq!(claims[0].fence.attempt, 1);
    assert!(fixture.inbox.settle(late.fence, Outcome::Waits { ahead: 1 }).await.is_err());
}

pub async fn a_place_handed_back_is_shown_again(fixture: &Fixture) {
    let (_, shown) = shown(fixture).await;
    assert_eq!(fixture.inbox.release(&"greeter".into()).await.unwrap(), 1);
    let claims = fixture.waiting("another", 10).await;
    assert_eq!(places(&claims), [("b", 1)]);
    assert_ne!(claims[0].fence, shown.fence);
}

pub async fn a_place_that_can_not_be_shown_leaves_the_message_in_the_queue(fixture: &Fixture) {
    let (first, shown) = shown(fixture).await;
    let retry = Outcome::Retry { at: fixture.now() + Duration::from_secs(300), reason: "refused".to_owned() };
    fixture.inbox.settle(shown.fence, retry).await.unwrap();
    assert!(fixture.waiting("greeter", 10).await.is_empty(), "not before its number changes");
    done(fixture, first).await;
    let claims = fixture.claim("worker", 10).await;
    assert_eq!((names(&claims), claims[0].fence.attempt), (vec!["b"], 1), "and not later than its turn");
}

pub async fn a_waiting_card_that_somebody_ends_is_claimed_at_once(fixture: &Fixture) {
    let (_, shown) = shown(fixture).await;
    let card = delivery(shown.fence.event, fixture.now());
    fixture.store.save_delivery(shown.fence, &card).await.unwrap();
    wait_on(fixture, &shown).await;
    assert_eq!(fixture.inbox.cancel(shown.fence.event, CancelCause::Stopped).await.unwrap(), Cancelled::Asked);
    let claims = fixture.waiting("greeter", 10).await;
    assert_eq!((places(&claims), claims[0].cancel), (vec![("b", 1)], Some(CancelCause::Stopped)));
    wait_on(fixture, &claims[0]).await;
    assert!(fixture.waiting("greeter", 10).await.is_empty(), "who does not end it is not asked over and over");
    fixture.inbox.cancel(shown.fence.event, CancelCause::Stopped).await.unwrap();
    let claims = fixture.waiting("greeter", 10).await;
    fixture.store.complete(claims[0].fence, &card, Some("cancelled")).await.unwrap();
    assert_eq!(fixture.inbox.cancel(shown.fence.event, CancelCause::Stopped).await.unwrap(), Cancelled::TooLate);
}

pub async fn a_card_ended_while_its_place_is_shown_is_claimed_again(fixture: &Fixture) {
    let (_, shown) = shown(fixture).await;
    assert_eq!(fixture.inbox.cancel(shown.fence.event, CancelCause::Recalled).await.unwrap(), Cancelled::Asked);
    wait_on(fixture, &shown).await;
    let claims = fixture.waiting("greeter", 10).await;
    assert_eq!((places(&claims), claims[0].cancel), (vec![("b", 1)], Some(CancelCause::Recalled)));
}

pub async fn concurrent_claims_never_show_a_place_twice(fixture: &Fixture) {
    for number in 0..30 {
        fixture.message(&number.to_string(), &format!("s{}", number % 10)).await;
    }
    fixture.claim("worker", 10).await;
    let workers: Vec<_> = (0..8).map(|number| WorkerId(format!("worker {number}"))).collect();
    let claims = workers.iter().enumerate().map(|(number, worker)| {
        let inbox = if number % 2 == 0 { &fixture.inbox } else { &fixture.other_inbox };
        inbox.claim(worker, Lane::Waiting, 5, LEASE)
    });
    let claimed: Vec<Claim> = join_all(claims).await.into_iter().flat_map(Result::unwrap).collect();
    let events: HashSet<_> = claimed.iter().map(|claim| claim.fence.event).collect();
    assert_eq!((claimed.len(), events.len()), (20, 20));
}

pub async fn the_open_events_of_a_scope_are_listed_in_order(fixture: &Fixture) {
    let (first, _) = shown(fixture).await;
    fixture.message("c", "s").await;
    fixture.message("elsewhere", "t").await;
    let (bot, scope) = (BOT.into(), "s".into());
    let open = fixture.inbox.open_in_scope(&bot, &scope).await.unwrap();
    let seen: Vec<_> = open.iter().map(|open| (open.event.platform_event_id.as_str(), open.running)).collect();
    assert_eq!(seen, [("ev_a", true), ("ev_b", false), ("ev_c", false)], "showing a place is not answering");
    assert_eq!((open[0].id, open[0].received_at), (first.event, fixture.now()));
    done(fixture, first).await;
    assert_eq!(fixture.inbox.open_in_scope(&bot, &scope).await.unwrap().len(), 2);
    assert!(fixture.inbox.open_in_scope(&"it".into(), &scope).await.unwrap().is_empty());
}

fn merged(events: &[Event]) -> Vec<&str> {
    events.iter().map(|event| event.platform_event_id.as_str()).collect()
}

pub async fn later_messages_become_part_of_a_claimed_one(fixture: &Fixture) {
    let fence = fixture.claimed("a", "s").await;
    let mut ids = Vec::new();
    for name in ["b", "c", "d"] {
        ids.push(fixture.message(name, "s").await.id);
    }
    let elsewhere = fixture.message("elsewhere", "t").await.id;
    assert!(fixture.inbox.absorb(fence, &[]).await.unwrap().is_empty());
    let wanted = [ids[1], ids[0], elsewhere, fence.event, EventId::new()];
    assert_eq!(merged(&fixture.inbox.absorb(fence, &wanted).await.unwrap()), ["ev_b", "ev_c"]);
    assert_eq!(fixture.inbox.cancel(ids[0], CancelCause::Stopped).await.unwrap(), Cancelled::TooLate);
    assert_eq!(names(&fixture.claim("another", 10).await), ["elsewhere"]);

    fixture.clock.advance(LEASE);
    let again = fixture.claim("third", 1).await[0].fence;
    assert_eq!(again.event, fence.event);
    assert_eq!(merged(&fixture.inbox.absorb(again, &[]).await.unwrap()), ["ev_b", "ev_c"], "a retry finds them");
    assert_eq!(merged(&fixture.inbox.absorb(again, &ids[2..]).await.unwrap()), ["ev_b", "ev_c", "ev_d"]);
    let taken_back = fixture.inbox.cancel_message(&BOT.into(), &"om_c".into(), CancelCause::Recalled).await.unwrap();
    assert_eq!(taken_back, Cancelled::Asked, "a part that is taken back ends the whole");
    let wish = fixture.inbox.renew(again, LEASE).await.unwrap();
    assert_eq!(wish, Some(CancelCause::Recalled));
    done(fixture, again).await;
    assert_eq!(names(&fixture.claim("third", 10).await), ["elsewhere"]);
}

pub async fn what_somebody_works_on_and_what_is_older_is_not_merged(fixture: &Fixture) {
    let (first, shown) = shown(fixture).await;
    assert!(fixture.inbox.absorb(first, &[shown.fence.event]).await.unwrap().is_empty());
    let older = message_entry("older", "t", fixture.now());
    let newer = fixture.claimed("newer", "t").await;
    fixture.accept(older.clone()).await;
    assert!(fixture.inbox.absorb(newer, &[older.id]).await.unwrap().is_empty());
    done(fixture, newer).await;
    assert_eq!(names(&fixture.claim("worker", 10).await), ["older"]);
}

pub async fn a_lost_claim_merges_nothing(fixture: &Fixture) {
    let late = fixture.claimed("a", "s").await;
    let next = fixture.message("b", "s").await;
    fixture.clock.advance(LEASE);
    let fence = fixture.claim("another", 1).await[0].fence;
    let refused = fixture.inbox.absorb(late, &[next.id]).await;
    assert!(matches!(refused, Err(StoreError::Fenced(event)) if event == late.event));
    assert!(fixture.inbox.absorb(fence, &[]).await.unwrap().is_empty());
}

pub async fn a_message_is_either_merged_or_claimed(fixture: &Fixture) {
    let greeter = WorkerId::from("greeter");
    for round in 0..10 {
        let scope = format!("s{round}");
        let fence = fixture.claimed(&format!("{round}"), &scope).await;
        let mut later = Vec::new();
        for number in 0..6 {
            later.push(fixture.message(&format!("{round}_{number}"), &scope).await.id);
        }
        let (merged, claimed) = tokio::join!(
            fixture.inbox.absorb(fence, &later),
            fixture.other_inbox.claim(&greeter, Lane::Waiting, 10, LEASE)
        );
        let (merged, claimed) = (merged.unwrap(), claimed.unwrap());
        let mut all: Vec<_> = merged.iter().chain(claimed.iter().map(|claim| &claim.event)).collect();
        all.sort_by(|one, other| one.platform_event_id.cmp(&other.platform_event_id));
        all.dedup();
        assert_eq!((merged.len() + claimed.len(), all.len()), (6, 6), "all of them, each once");
        for claim in &claimed {
            wait_on(fixture, claim).await;
        }
    }
}
