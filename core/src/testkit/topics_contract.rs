//! What every store must do with topics and with what it remembers beside them.

#![expect(clippy::unwrap_used, reason = "a test panics to fail")]

use std::time::Duration;

use super::samples::{BOT, USER, message_entry};
use super::store_contract::{open, turn};
use super::stores::{Fixture, LEASE};
use crate::event::Body;
use crate::ids::{BotId, ConversationId, EventId, ScopeKey};
use crate::inbox::{CancelCause, Cancelled, Entry, Fence};
use crate::store::{Admission, Allowance, Listening, Overheard, StoreError, Summary, Topic};

/// Makes a test of every case, as [`crate::inbox_contract`].
#[macro_export]
macro_rules! topics_contract {
    ($open:path) => {
        $crate::contract_cases! { $open, topics_contract:
            topics_are_listed_with_the_latest_first,
            a_conversation_without_a_question_is_no_topic,
            a_topic_is_resumed_and_the_next_question_goes_on_with_it,
            a_topic_of_another_scope_is_not_resumed,
            topics_resumed_at_once_leave_one_current,
            a_summary_is_replaced_unless_it_reaches_further,
            a_late_worker_summarises_and_decides_nothing,
            what_was_overheard_is_given_in_order_up_to_the_event,
            what_was_overheard_elsewhere_is_not_given,
            a_choice_is_set_replaced_and_taken_away,
            of_two_choices_at_once_one_sees_the_other,
            so_many_questions_are_admitted_and_then_refused,
            a_decision_on_an_event_is_repeated_and_told_once,
            an_allowance_is_shared_by_all_instances,
            tidying_removes_summaries_and_keeps_choices,
        }
    };
}

async fn topics(fixture: &Fixture, scope: &str) -> Vec<Topic> {
    fixture.store.topics(&BOT.into(), &scope.into(), 10).await.unwrap()
}

async fn end(fixture: &Fixture, scope: &str) {
    assert!(fixture.store.end_conversation(&BOT.into(), &scope.into()).await.unwrap());
    fixture.clock.advance(Duration::from_secs(1));
}

async fn resume(fixture: &Fixture, scope: &str, conversation: ConversationId) -> bool {
    fixture.store.resume(&BOT.into(), &scope.into(), conversation).await.unwrap()
}

pub async fn topics_are_listed_with_the_latest_first(fixture: &Fixture) {
    assert!(topics(fixture, "s").await.is_empty());
    let (_, first) = turn(fixture, "a", "s").await;
    let (upto, _) = turn(fixture, "b", "s").await;
    end(fixture, "s").await;
    let (_, second) = turn(fixture, "c", "s").await;
    turn(fixture, "elsewhere", "t").await;
    let fence = fixture.claimed("task", "task").await;
    let summary = Summary { text: "about a and b".to_owned(), upto };
    fixture.store.save_summary(fence, first, &summary).await.unwrap();

    let seen = topics(fixture, "s").await;
    let latest = Topic {
        conversation: second,
        question: "c?".to_owned(),
        updated_at: fixture.now(),
        questions: 1,
        current: true,
        summary: None,
    };
    let former = Topic {
        conversation: first,
        question: "a?".to_owned(),
        updated_at: fixture.now() - Duration::from_secs(1),
        questions: 2,
        current: false,
        summary: Some(summary.text),
    };
    assert_eq!(seen, [latest.clone(), former]);
    let (bot, scope) = (BOT.into(), "s".into());
    assert_eq!(fixture.store.topics(&bot, &scope, 1).await.unwrap(), [latest]);
    assert!(fixture.store.topics(&"it".into(), &scope, 10).await.unwrap().is_empty());
}

pub async fn a_conversation_without_a_question_is_no_topic(fixture: &Fixture) {
    let fence = fixture.claimed("a", "s").await;
    open(fixture, fence, "s").await;
    assert!(topics(fixture, "s").await.is_empty());
}

pub async fn a_topic_is_resumed_and_the_next_question_goes_on_with_it(fixture: &Fixture) {
    let (_, first) = turn(fixture, "a", "s").await;
    end(fixture, "s").await;
    let (_, second) = turn(fixture, "b", "s").await;
    fixture.clock.advance(Duration::from_secs(1_000_000));
    assert!(resume(fixture, "s", first).await);
    let (_, third) = turn(fixture, "c", "s").await;
    assert_eq!(third, first, "although it was silent for long");
    let current: Vec<_> = topics(fixture, "s").await.iter().map(|topic| (topic.conversation, topic.current)).collect();
    assert_eq!(current, [(first, true), (second, false)]);
    assert!(resume(fixture, "s", first).await, "it is the current one already");
    assert!(topics(fixture, "s").await[0].current);
}

pub async fn a_topic_of_another_scope_is_not_resumed(fixture: &Fixture) {
    let (_, first) = turn(fixture, "a", "s").await;
    let (_, other) = turn(fixture, "b", "t").await;
    assert!(!resume(fixture, "s", other).await);
    assert!(!resume(fixture, "s", ConversationId::new()).await);
    assert!(!fixture.store.resume(&"it".into(), &"s".into(), first).await.unwrap());
    for scope in ["s", "t"] {
        assert!(topics(fixture, scope).await[0].current, "nothing has changed");
    }
}

pub async fn topics_resumed_at_once_leave_one_current(fixture: &Fixture) {
    let mut ids = Vec::new();
    for name in ["a", "b", "c"] {
        ids.push(turn(fixture, name, "s").await.1);
        end(fixture, "s").await;
    }
    let (bot, scope) = (BotId::from(BOT), ScopeKey::from("s"));
    for _ in 0..10 {
        let outcomes = tokio::join!(
            fixture.store.resume(&bot, &scope, ids[0]),
            fixture.other_store.resume(&bot, &scope, ids[1]),
            fixture.store.resume(&bot, &scope, ids[2])
        );
        assert!(outcomes.0.unwrap() && outcomes.1.unwrap() && outcomes.2.unwrap());
        assert_eq!(topics(fixture, "s").await.iter().filter(|topic| topic.current).count(), 1);
    }
}

pub async fn a_summary_is_replaced_unless_it_reaches_further(fixture: &Fixture) {
    let (first, conversation) = turn(fixture, "a", "s").await;
    let (second, _) = turn(fixture, "b", "s").await;
    let fence = fixture.claimed("task", "task").await;
    assert_eq!(fixture.store.summary(conversation).await.unwrap(), None);
    let summary = |text: &str, upto| Summary { text: text.to_owned(), upto };
    let cases = [("one", first, "one"), ("two", second, "two"), ("late", first, "two"), ("again", second, "again")];
    for (text, upto, stands) in cases {
        fixture.store.save_summary(fence, conversation, &summary(text, upto)).await.unwrap();
        let stored = fixture.other_store.summary(conversation).await.unwrap().unwrap();
        assert_eq!(stored.text, stands);
    }
    assert_eq!(fixture.store.summary(conversation).await.unwrap(), Some(summary("again", second)));
    let gone = ConversationId::new();
    fixture.store.save_summary(fence, gone, &summary("of nothing", second)).await.unwrap();
    assert_eq!(fixture.store.summary(gone).await.unwrap(), None, "it was tidied away meanwhile");
}

pub async fn a_late_worker_summarises_and_decides_nothing(fixture: &Fixture) {
    let (event, conversation) = turn(fixture, "a", "s").await;
    let late = fixture.claimed("task", "task").await;
    fixture.clock.advance(LEASE);
    let fence = fixture.claim("another", 1).await[0].fence;
    let summary = Summary { text: "late".to_owned(), upto: event };
    let saved = fixture.store.save_summary(late, conversation, &summary).await;
    assert!(matches!(saved, Err(StoreError::Fenced(event)) if event == late.event));
    assert_eq!(fixture.store.summary(conversation).await.unwrap(), None);
    let admitted = fixture.store.admit(late, &allowance(fixture, USER)).await;
    assert!(matches!(admitted, Err(StoreError::Fenced(_))));
    assert_eq!(admit(fixture, fence, USER).await, Admission::Allowed);
}

/// A message of the group that is not meant for the bot.
fn aside(fixture: &Fixture, name: &str, bend: impl FnOnce(&mut crate::event::Message)) -> Entry {
    let mut entry = message_entry(name, name, fixture.now());
    entry.done = Some("not_mentioned".to_owned());
    let Body::Message(message) = &mut entry.event.body else { unreachable!("it is a message") };
    bend(message);
    entry
}

fn listening(before: EventId) -> Listening {
    let since = crate::clock::UnixMillis(0);
    Listening { bot: BOT.into(), chat: "oc_team".into(), thread: None, before, since, limit: 10 }
}

async fn heard(fixture: &Fixture, listening: &Listening) -> Vec<String> {
    let heard = fixture.store.overheard(listening).await.unwrap();
    heard.into_iter().map(|overheard| overheard.text).collect()
}

pub async fn what_was_overheard_is_given_in_order_up_to_the_event(fixture: &Fixture) {
    fixture.accept(aside(fixture, "first", |_| {})).await;
    fixture.clock.advance(Duration::from_secs(60));
    let since = fixture.now();
    fixture.accept(aside(fixture, "second", |_| {})).await;
    fixture.accept(aside(fixture, "third", |message| message.sender.name = None)).await;
    let question = fixture.claimed("question", "s").await;
    fixture.accept(aside(fixture, "after", |_| {})).await;

    let all = fixture.store.overheard(&listening(question.event)).await.unwrap();
    assert_eq!(all.iter().map(|one| one.text.as_str()).collect::<Vec<_>>(), ["first", "second", "third"]);
    let third = Overheard { user: USER.into(), name: None, text: "third".to_owned(), received_at: since };
    assert_eq!(all[2], third);
    assert_eq!(all[0].name.as_deref(), Some("Ada"));
    let lately = Listening { since, ..listening(question.event) };
    assert_eq!(heard(fixture, &lately).await, ["second", "third"]);
    let few = Listening { limit: 2, ..listening(question.event) };
    assert_eq!(heard(fixture, &few).await, ["second", "third"], "the latest ones");
    let taken_back = fixture.inbox.cancel_message(&BOT.into(), &"om_second".into(), CancelCause::Recalled).await;
    assert_eq!(taken_back.unwrap(), Cancelled::TooLate);
    assert_eq!(heard(fixture, &few).await, ["first", "third"]);
}

pub async fn what_was_overheard_elsewhere_is_not_given(fixture: &Fixture) {
    fixture.accept(aside(fixture, "here", |_| {})).await;
    fixture.accept(aside(fixture, "in a topic", |message| message.thread = Some("omt_1".into()))).await;
    fixture.accept(aside(fixture, "in another topic", |message| message.thread = Some("omt_2".into()))).await;
    fixture.accept(aside(fixture, "in another chat", |message| message.chat.id = "oc_other".into())).await;
    let mut foreign = aside(fixture, "by another bot", |_| {});
    foreign.event.bot = "it".into();
    fixture.accept(foreign).await;
    let mut denied = aside(fixture, "denied", |_| {});
    denied.done = Some("denied".to_owned());
    fixture.accept(denied).await;
    turn(fixture, "addressed", "s").await;

    let here = listening(EventId::new());
    assert_eq!(heard(fixture, &here).await, ["here"]);
    assert_eq!(heard(fixture, &Listening { thread: Some("omt_1".into()), ..here }).await, ["in a topic"]);
}

pub async fn a_choice_is_set_replaced_and_taken_away(fixture: &Fixture) {
    let bot = BotId::from(BOT);
    let choose = |value| fixture.store.choose(&bot, "s", "engine", value);
    assert_eq!(choose(None).await.unwrap(), None);
    assert_eq!(choose(Some("local")).await.unwrap(), None);
    assert_eq!(choose(Some("cloud")).await.unwrap().as_deref(), Some("local"));
    let store = &fixture.other_store;
    assert_eq!(store.choice(&bot, "s", "engine").await.unwrap().as_deref(), Some("cloud"));
    for (bot, subject, name) in [("it", "s", "engine"), (BOT, "t", "engine"), (BOT, "s", "paused")] {
        assert_eq!(store.choice(&bot.into(), subject, name).await.unwrap(), None, "{bot} {subject} {name}");
    }
    assert_eq!(choose(None).await.unwrap().as_deref(), Some("cloud"));
    assert_eq!(store.choice(&bot, "s", "engine").await.unwrap(), None);
}

pub async fn of_two_choices_at_once_one_sees_the_other(fixture: &Fixture) {
    let bot = BotId::from(BOT);
    for round in 0..20 {
        let subject = format!("s{round}");
        let (ours, theirs) = tokio::join!(
            fixture.store.choose(&bot, &subject, "engine", Some("ours")),
            fixture.other_store.choose(&bot, &subject, "engine", Some("theirs"))
        );
        let stands = fixture.store.choice(&bot, &subject, "engine").await.unwrap();
        let seen = (ours.unwrap(), theirs.unwrap(), stands.as_deref());
        let in_turn = matches!(
            (seen.0.as_deref(), seen.1.as_deref(), seen.2),
            (None, Some("ours"), Some("theirs")) | (Some("theirs"), None, Some("ours"))
        );
        assert!(in_turn, "{seen:?}");
    }
}

/// Two questions a minute.
fn allowance(fixture: &Fixture, user: &str) -> Allowance {
    Allowance { bot: BOT.into(), user: user.into(), messages_per_minute: 2, now: fixture.now() }
}

async fn admit(fixture: &Fixture, fence: Fence, user: &str) -> Admission {
    fixture.store.admit(fence, &allowance(fixture, user)).await.unwrap()
}

/// Asks for the admission of a new message. The leases of former ones may have run out.
async fn ask(fixture: &Fixture, name: &str, user: &str) -> Admission {
    let entry = fixture.message(name, name).await;
    let claims = fixture.claim("worker", 100).await;
    let claim = claims.iter().find(|claim| claim.fence.event == entry.id).unwrap();
    admit(fixture, claim.fence, user).await
}

fn refused(seconds: u64, tell: bool) -> Admission {
    Admission::Refused { wait: Duration::from_secs(seconds), tell }
}

pub async fn so_many_questions_are_admitted_and_then_refused(fixture: &Fixture) {
    assert_eq!(ask(fixture, "a", USER).await, Admission::Allowed);
    assert_eq!(ask(fixture, "b", USER).await, Admission::Allowed);
    assert_eq!(ask(fixture, "c", USER).await, refused(30, true));
    assert_eq!(ask(fixture, "d", USER).await, refused(30, false), "told within the last minute");
    assert_eq!(ask(fixture, "e", "ou_bob").await, Admission::Allowed, "each has an own allowance");
    let fence = fixture.claimed("f", "f").await;
    let elsewhere = Allowance { bot: "it".into(), ..allowance(fixture, USER) };
    assert_eq!(fixture.store.admit(fence, &elsewhere).await.unwrap(), Admission::Allowed);
    fixture.clock.advance(Duration::from_secs(20));
    assert_eq!(ask(fixture, "g", USER).await, refused(10, false));
    fixture.clock.advance(Duration::from_secs(10));
    assert_eq!(ask(fixture, "h", USER).await, Admission::Allowed, "half of it is back");
    assert_eq!(ask(fixture, "i", USER).await, refused(30, false));
    fixture.clock.advance(Duration::from_secs(29));
    assert_eq!(ask(fixture, "j", USER).await, refused(1, false));
    fixture.clock.advance(Duration::from_secs(1));
    assert_eq!(ask(fixture, "k", USER).await, Admission::Allowed);
    assert_eq!(ask(fixture, "l", USER).await, refused(30, true), "it is a minute since");
}

pub async fn a_decision_on_an_event_is_repeated_and_told_once(fixture: &Fixture) {
    let first = fixture.claimed("a", "a").await;
    for _ in 0..3 {
        assert_eq!(admit(fixture, first, USER).await, Admission::Allowed, "a repeat costs nothing");
    }
    assert_eq!(ask(fixture, "b", USER).await, Admission::Allowed);
    let third = fixture.claimed("c", "c").await;
    assert_eq!(admit(fixture, third, USER).await, refused(30, true));
    fixture.clock.advance(Duration::from_secs(3600));
    let claims = fixture.claim("later", 10).await;
    let again = claims.iter().find(|claim| claim.fence.event == third.event).unwrap().fence;
    assert_eq!(admit(fixture, again, USER).await, refused(30, false));
    fixture.store.tidy(Duration::from_secs(86_400), Duration::ZERO).await.unwrap();
    assert_eq!(ask(fixture, "d", USER).await, Admission::Allowed);
}

pub async fn an_allowance_is_shared_by_all_instances(fixture: &Fixture) {
    for round in 0..10 {
        let user = format!("ou_{round}");
        let mut fences = Vec::new();
        for number in 0..4 {
            let name = format!("{round}_{number}");
            fences.push(fixture.claimed(&name, &name).await);
        }
        let allowance = allowance(fixture, &user);
        let outcomes = tokio::join!(
            fixture.store.admit(fences[0], &allowance),
            fixture.other_store.admit(fences[1], &allowance),
            fixture.store.admit(fences[2], &allowance),
            fixture.other_store.admit(fences[3], &allowance)
        );
        let outcomes = [outcomes.0.unwrap(), outcomes.1.unwrap(), outcomes.2.unwrap(), outcomes.3.unwrap()];
        assert_eq!(outcomes.iter().filter(|outcome| **outcome == Admission::Allowed).count(), 2, "{outcomes:?}");
        assert_eq!(outcomes.iter().filter(|outcome| **outcome == refused(30, true)).count(), 1, "{outcomes:?}");
    }
}

pub async fn tidying_removes_summaries_and_keeps_choices(fixture: &Fixture) {
    let (event, conversation) = turn(fixture, "a", "s").await;
    let fence = fixture.claimed("task", "task").await;
    let summary = Summary { text: "about a".to_owned(), upto: event };
    fixture.store.save_summary(fence, conversation, &summary).await.unwrap();
    fixture.store.choose(&BOT.into(), "s", "engine", Some("local")).await.unwrap();
    fixture.clock.advance(Duration::from_secs(86_400));
    fixture.store.tidy(Duration::from_secs(3600), Duration::from_secs(3600)).await.unwrap();
    assert_eq!(fixture.store.summary(conversation).await.unwrap(), None);
    assert!(topics(fixture, "s").await.is_empty());
    assert_eq!(fixture.store.choice(&BOT.into(), "s", "engine").await.unwrap().as_deref(), Some("local"));
}
