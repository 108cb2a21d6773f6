//! Cards that were finished and change once more: versions, forms, a second answer in the same card.

use std::time::Duration;

use magpie_core::card::{Card, Form, Reason, Version};
use magpie_core::event::{Action, Body};
use magpie_core::ids::EventId;
use magpie_core::platform::{Inbound, Platform, SendError};
use magpie_sim::feishu::{Call, Fault, Target};
use magpie_sim::view::CardState as Seen;

use crate::scene::{Scene, done, streaming};
use crate::support::plain_request;

const LIFE: Duration = Duration::from_hours(14 * 24);

fn second_version() -> Card {
    Card { version: Some(Version { number: 2, of: 2 }), ..done("Another answer") }
}

fn with_form(event: EventId) -> Card {
    let reasons = vec![Reason { name: "wrong".into(), label: "Not right".into() }];
    let form = Form {
        event,
        title: "What was wrong?".into(),
        reasons,
        comment: "More".into(),
        submit: "Send".into(),
        close: "Close".into(),
    };
    Card { form: Some(form), ..done("Hello world") }
}

fn lines(count: usize, name: &str) -> String {
    (0..count).map(|number| format!("{name} line {number}\n")).collect()
}

#[tokio::test]
async fn finished_card_shows_another_version_in_its_place() {
    let scene = Scene::new().await;
    let mut at = scene.whole_answer().await;
    scene.bot.revise(&scene.to, &second_version(), &mut at).await.expect("revised");
    let answer = scene.the_answer("Another answer");
    assert!(answer.note.contains("2/2") && !answer.markdown.contains("Hello"), "{answer:#?}");
    scene.bot.revise(&scene.to, &done("Hello world"), &mut at).await.expect("revised");
    scene.the_answer("Hello world");
    let report = scene.sim.card_report(at.message.as_ref().expect("visible").as_str()).expect("a report");
    assert_eq!((report.refused, report.streaming), (0, false));
}

#[tokio::test]
async fn form_opens_is_filled_in_and_closes() {
    let scene = Scene::new().await;
    let mut at = scene.whole_answer().await;
    let event = EventId::new();
    scene.bot.revise(&scene.to, &with_form(event), &mut at).await.expect("revised");
    let answer = scene.the_answer("Hello world");
    assert_eq!(answer.buttons.iter().map(|of| of.label.as_str()).collect::<Vec<_>>(), ["👍", "👎", "Send", "Close"]);
    let message = at.message.clone().expect("visible");
    let card = scene.sim.card_json(message.as_str()).expect("a card");
    let form = card["body"]["elements"].as_array().expect("elements").last().cloned().expect("a form");
    let submit = &form["elements"][3]["columns"][0]["elements"][0];
    let pressed = scene.sim.envelope(
        "card.action.trigger",
        serde_json::json!({
            "operator": {"open_id": "ou_1"}, "context": {"open_message_id": message, "open_chat_id": "oc_1"},
            "action": {
                "tag": "button", "name": submit["name"], "value": submit["behaviors"][0]["value"],
                "form_value": {form["elements"][1]["name"].as_str().expect("a name"): "wrong", "comment": "too old"}
            }
        }),
    );
    let opened = scene.bot.open(&plain_request(&pressed), magpie_core::clock::UnixMillis(0)).expect("opened");
    let Inbound::Event(received) = opened else { panic!("no event") };
    let Body::Action(action) = received.event.body else { panic!("no action") };
    let press = action.press.expect("a button of ours");
    assert_eq!((press.action, press.event), (Action::VoteReason, event));
    assert_eq!(action.inputs.get(Form::REASON).map(String::as_str), Some("wrong"));
    assert_eq!(action.inputs.get(Form::COMMENT).map(String::as_str), Some("too old"));
    scene.bot.revise(&scene.to, &done("Hello world"), &mut at).await.expect("revised");
    assert_eq!(scene.the_answer("Hello world").buttons.len(), 2);
}

#[tokio::test]
async fn second_answer_streams_in_the_same_card() {
    let scene = Scene::new().await;
    let mut at = scene.whole_answer().await;
    let before = at.sequence;
    scene.bot.reopen(&scene.to, &streaming(""), &mut at).await.expect("reopened");
    let answer = scene.answers().remove(0);
    assert_eq!((answer.state, answer.buttons.len()), (Seen::Streaming, 1));
    assert!(!answer.markdown.contains("Hello"), "{answer:#?}");
    scene.update(&mut at, "Good").await;
    scene.update(&mut at, "Good morning").await;
    assert_eq!(scene.answers()[0].state, Seen::Streaming);
    scene.finish(&mut at, "Good morning, world").await;
    let answer = scene.the_answer("Good morning, world");
    assert_eq!(answer.buttons.len(), 2);
    let report = scene.sim.card_report(at.message.as_ref().expect("visible").as_str()).expect("a report");
    assert_eq!((report.refused, report.streaming), (0, false));
    assert!(at.sequence > before);
}

#[tokio::test]
async fn reopening_again_after_a_crash_changes_nothing() {
    let scene = Scene::new().await;
    let finished = scene.whole_answer().await;
    scene.bot.reopen(&scene.to, &streaming(""), &mut finished.clone()).await.expect("reopened");
    let (bot, mut at) = scene.restarted(&finished);
    bot.reopen(&scene.to, &streaming(""), &mut at).await.expect("reopened");
    bot.finish(&scene.to, &done("Good morning"), &mut at).await.expect("finished");
    scene.the_answer("Good morning");
}

#[tokio::test]
async fn further_pages_of_a_second_answer_are_sent_too() {
    let scene = Scene::new().await;
    let mut at = scene.started().await;
    scene.finish(&mut at, &lines(2_000, "first")).await;
    let pages = scene.answers().len();
    assert!(pages > 1);
    for time in ["second", "third"] {
        scene.bot.reopen(&scene.to, &streaming(""), &mut at).await.expect("reopened");
        scene.finish(&mut at, &lines(2_000, time)).await;
    }
    let answers = scene.answers();
    assert!(answers.iter().all(|answer| answer.state == Seen::Final), "{answers:#?}");
    let shown: String = answers.iter().map(|answer| answer.markdown.as_str()).collect();
    assert!(lines(2_000, "third").lines().all(|line| shown.contains(line)));
    assert!(shown.contains("second line 1999"), "pages that were sent stay");
    // The card itself can be revised, and the pages stay as they are.
    let count = answers.len();
    scene.bot.revise(&scene.to, &second_version(), &mut at).await.expect("revised");
    assert_eq!(scene.answers().len(), count);
}

#[tokio::test]
async fn card_without_entity_changes_in_its_message() {
    let scene = Scene::new().await;
    scene.sim.faults().always(Target::CardKit, Fault::NoScope);
    let mut at = scene.whole_answer().await;
    scene.bot.revise(&scene.to, &second_version(), &mut at).await.expect("revised");
    scene.the_answer("Another answer");
    scene.bot.reopen(&scene.to, &streaming("Good"), &mut at).await.expect("reopened");
    scene.update(&mut at, "Good morning").await;
    assert!(scene.answers()[0].markdown.contains("Good morning"));
    scene.finish(&mut at, "Good morning, world").await;
    scene.the_answer("Good morning, world");
}

#[tokio::test]
async fn notice_that_was_sent_at_once_can_be_brought_to_running() {
    let scene = Scene::new().await;
    let notice = done("Please wait.");
    let mut at = scene.bot.prepare(&scene.to, &notice, &scene.key).await.expect("prepared");
    scene.bot.start(&scene.to, &notice, &mut at).await.expect("started");
    scene.bot.reopen(&scene.to, &streaming("Good"), &mut at).await.expect("reopened");
    scene.finish(&mut at, "Good morning").await;
    scene.the_answer("Good morning");
}

#[tokio::test]
async fn entity_that_is_lost_changes_in_its_message() {
    let scene = Scene::new().await;
    let mut at = scene.whole_answer().await;
    scene.sim.faults().always(Target::CardKit, Fault::Refused { status: 400, code: 200_750 });
    scene.bot.reopen(&scene.to, &streaming("Good"), &mut at).await.expect("reopened");
    scene.finish(&mut at, "Good morning").await;
    scene.the_answer("Good morning");
}

#[tokio::test]
async fn what_can_not_be_changed_is_told_to_the_caller() {
    let unchangeable = |result: Result<(), SendError>| matches!(result, Err(SendError::Unchangeable { .. }));
    // Text.
    let scene = Scene::new().await;
    scene.sim.faults().always(Target::CardKit, Fault::NoScope);
    scene.sim.faults().times(Target::Only(Call::ReplyMessage), Fault::Refused { status: 400, code: 230_099 }, 3);
    let mut at = scene.started().await;
    scene.finish(&mut at, "Hello world").await;
    assert!(!scene.the_answer("Hello world").card);
    assert!(unchangeable(scene.bot.revise(&scene.to, &second_version(), &mut at).await));
    assert!(unchangeable(scene.bot.reopen(&scene.to, &streaming(""), &mut at).await));
    scene.the_answer("Hello world");
    // A card that is too old, by our clock and by the platform's.
    let scene = Scene::new().await;
    let mut at = scene.whole_answer().await;
    scene.sim.clock().advance(LIFE + Duration::from_mins(1));
    assert!(unchangeable(scene.bot.revise(&scene.to, &second_version(), &mut at).await));
    let calls = scene.sim.wire().all().len();
    scene.advance(LIFE);
    assert!(unchangeable(scene.bot.reopen(&scene.to, &streaming(""), &mut at).await));
    assert_eq!(scene.sim.wire().all().len(), calls, "nothing is asked");
    // One that was taken back by hand.
    let scene = Scene::new().await;
    let mut at = scene.whole_answer().await;
    scene.sim.faults().always(Target::CardKit, Fault::NoScope);
    scene.sim.faults().always(Target::Only(Call::PatchMessage), Fault::Refused { status: 400, code: 230_011 });
    let gone = scene.bot.revise(&scene.to, &second_version(), &mut at).await;
    assert!(matches!(gone, Err(SendError::Gone { .. })), "{gone:?}");
}

#[tokio::test]
async fn faults_while_a_card_changes_leave_one_final_card() {
    let faults = [
        Fault::AnswerLost,
        Fault::Dropped,
        Fault::ServerError(502),
        Fault::Slow(Duration::from_millis(5)),
        Fault::TokenInvalid { status: 400 },
        Fault::Refused { status: 400, code: 200_810 },
        Fault::Refused { status: 400, code: 300_309 },
    ];
    for fault in faults {
        let scene = Scene::new().await;
        let mut at = scene.whole_answer().await;
        scene.sim.faults().once(Target::CardKit, fault.clone());
        scene.bot.revise(&scene.to, &second_version(), &mut at).await.expect("revised");
        scene.the_answer("Another answer");
        scene.sim.faults().once(Target::CardKit, fault.clone());
        scene.bot.reopen(&scene.to, &streaming(""), &mut at).await.expect("reopened");
        scene.sim.faults().once(Target::CardKit, fault.clone());
        scene.update(&mut at, "Good").await;
        scene.sim.faults().once(Target::CardKit, fault.clone());
        scene.finish(&mut at, "Good morning").await;
        scene.the_answer("Good morning");
    }
}

#[tokio::test]
async fn long_rate_limit_leaves_the_card_as_it_was_and_is_told() {
    let scene = Scene::new().await;
    let mut at = scene.whole_answer().await;
    scene.sim.faults().once(Target::CardKit, Fault::RateLimited { reset_s: 30 });
    let refused = scene.bot.reopen(&scene.to, &streaming(""), &mut at).await;
    assert!(matches!(refused, Err(SendError::Retry { after: Some(_), .. })), "{refused:?}");
    scene.the_answer("Hello world");
    scene.bot.reopen(&scene.to, &streaming(""), &mut at).await.expect("reopened");
    scene.finish(&mut at, "Good morning").await;
    scene.the_answer("Good morning");
}

#[tokio::test]
async fn card_that_gets_too_old_while_it_runs_is_replaced_at_the_end() {
    let scene = Scene::new().await;
    let mut at = scene.started().await;
    scene.advance(LIFE + Duration::from_mins(1));
    scene.update(&mut at, "Hello").await;
    scene.finish(&mut at, "Hello world").await;
    let answers = scene.answers();
    let last = answers.last().expect("an answer");
    assert!(last.state == Seen::Final && last.markdown.contains("Hello world"), "{answers:#?}");
    assert_eq!(answers.iter().filter(|answer| answer.state == Seen::Streaming).count(), 0);
}
