//! What becomes of a message while another is being answered.

use magpie_core::card::CardState;
use magpie_core::settings::{BusyPolicy, ChatSettings};
use magpie_core::testkit::engine::Step;

use super::hall::{Hall, Shown, button};

fn notices(shown: &[Shown], event: magpie_core::ids::EventId) -> Vec<String> {
    shown.iter().filter(|one| one.event == event).filter_map(|one| one.card.notice.clone()).collect()
}

#[tokio::test]
async fn a_waiting_message_shows_its_place_and_moves_up() {
    let hall = Hall::open(ChatSettings::default()).await;
    hall.engine.script(vec![vec![Step::text("half"), Step::Hang], vec![Step::text("answer"), Step::Done]]);
    let mut events = Vec::new();
    for question in ["q1", "q2", "q3"] {
        events.push(hall.say("ada", question).await);
    }
    let place = |event, text: &'static str| {
        hall.until(move |shown| notices(shown, event).contains(&text.to_owned()).then_some(()))
    };
    place(events[1], "1 question before yours.").await;
    place(events[2], "2 questions before yours.").await;
    assert!(!hall.shown().iter().any(|one| one.call == "finish"), "the first one is still being answered");
    let running =
        hall.until(|shown| shown.iter().find(|one| one.card.text == "half").map(|one| one.card.clone())).await;
    hall.press("ada", events[0], &button(&running, magpie_core::event::Action::Stop)).await;
    for event in &events[1..] {
        let card = hall.answer(*event).await;
        assert_eq!((card.text.as_str(), card.notice), ("answer", None));
    }
    assert_eq!(hall.answer(events[0]).await.state, CardState::Stopped);
    let cards = hall.rows("SELECT count(*) || '' FROM deliveries").await;
    assert_eq!(cards, ["3"], "the place was shown in the card of the answer");
}

#[tokio::test]
async fn what_needs_no_answer_does_not_wait_for_one() {
    let hall = Hall::open(ChatSettings::default()).await;
    hall.engine.script(vec![vec![Step::Hang]]);
    hall.say("ada", "q1").await;
    let mut aside = super::hall::message("ada", "not for you");
    aside.addressed = magpie_core::event::Addressed::NotBot;
    let aside = hall.send(aside).await;
    assert_eq!(hall.reason(aside).await.as_deref(), Some("not_mentioned"));
}

#[tokio::test]
async fn messages_shortly_after_one_another_become_one_question() {
    let chat = ChatSettings {
        busy: BusyPolicy::Merge,
        debounce: std::time::Duration::from_millis(400),
        ..ChatSettings::default()
    };
    let hall = Hall::open(chat).await;
    let first = hall.say("ada", "I have").await;
    let rest = [hall.say("ada", "a question").await, hall.say("ada", "about trees").await];
    let other = hall.say("bob", "mine").await;
    hall.answer(first).await;
    hall.answer(other).await;
    for merged in rest {
        assert_eq!(hall.reason(merged).await.as_deref(), Some("merged"));
    }
    let mut asked: Vec<_> =
        hall.engine.prompts().iter().map(|prompt| prompt.messages.last().unwrap().text.clone()).collect();
    asked.sort();
    assert_eq!(asked, ["I have\na question\nabout trees", "mine"]);
}

#[tokio::test]
async fn a_new_message_interrupts_the_answer_before_it() {
    let chat = ChatSettings { busy: BusyPolicy::Interrupt, ..ChatSettings::default() };
    let hall = Hall::open(chat).await;
    hall.engine.script(vec![vec![Step::text("half"), Step::Hang], vec![Step::text("whole"), Step::Done]]);
    let first = hall.say("ada", "q1").await;
    hall.until(|shown| shown.iter().find(|one| one.card.text == "half").map(|_| ())).await;
    let second = hall.say("ada", "q2").await;
    let ended = hall.answer(first).await;
    assert_eq!(ended.state, CardState::Stopped);
    assert_eq!(ended.notice.as_deref(), Some("Ended here, because you asked something new."));
    assert_eq!(hall.reason(first).await.as_deref(), Some("interrupted"));
    assert_eq!(hall.answer(second).await.text, "whole");
}

#[tokio::test]
async fn ten_questions_of_one_person_do_not_hold_up_nine_others() {
    let hall = Hall::open(ChatSettings::default()).await;
    let slow = vec![Step::Wait(std::time::Duration::from_millis(20)), Step::text("answer"), Step::Done];
    hall.engine.script(vec![slow]);
    let mut many = Vec::new();
    for number in 0..10 {
        many.push(hall.say("ada", &format!("q{number}")).await);
    }
    let mut others = Vec::new();
    for number in 0..9 {
        others.push(hall.say(&format!("user{number}"), "mine").await);
    }
    hall.answer(*many.last().unwrap()).await;
    let ends: Vec<_> = hall.shown().iter().filter(|one| one.call == "finish").map(|one| one.event).collect();
    let place = |event| ends.iter().position(|end| *end == event).unwrap();
    let last = place(*many.last().unwrap());
    assert!(others.iter().all(|event| place(*event) < last), "all others were answered before the tenth");
    let order: Vec<_> = many.iter().map(|event| place(*event)).collect();
    assert!(order.is_sorted(), "and the ten in their order");
}

#[tokio::test]
async fn a_message_that_is_stopped_while_it_waits_ends_its_card_at_once() {
    let hall = Hall::open(ChatSettings::default()).await;
    hall.engine.script(vec![vec![Step::text("half"), Step::Hang]]);
    let (running, waiting) = (hall.say("ada", "q1").await, hall.say("ada", "q2").await);
    let waits = |shown: &[Shown]| shown.iter().find(|one| one.event == waiting).map(|one| one.card.clone());
    let card = hall.until(waits).await;
    hall.press("ada", waiting, &button(&card, magpie_core::event::Action::Stop)).await;
    let ended = hall.answer(waiting).await;
    assert_eq!((ended.state, ended.notice.as_deref()), (CardState::Stopped, Some("Stopped.")));
    assert_eq!(hall.reason(waiting).await.as_deref(), Some("cancelled"));
    assert!(!hall.shown().iter().any(|one| one.event == running && one.card.state.is_final()));
}
