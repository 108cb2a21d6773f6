//! Stop, where it is less simple: on a regenerated answer, before the first word, by way of another instance.

use std::time::Instant;

use magpie_sim::view::MessageView;

use crate::harness::seat::offers;
use crate::harness::{Backing, Endpoint, Gate, Plan, Script, Stage, eventually};
use crate::talk::{REGENERATE, answered, question_on, shows_version, stage_with};

const STOP: &str = "Stop";

#[tokio::test]
async fn a_regenerated_answer_can_be_stopped() {
    let (stage, model) = stage_with(&[]).await;
    for (number, seat) in stage.groups().iter().enumerate() {
        let first = answered(seat, &model, &["The first answer."]).await;
        model.when(&question_on(seat), Script::gated("On and on ", &Gate::closed(), "and on."));
        seat.press(&first, REGENERATE).await;
        let running = seat.streaming("On and on").await;
        assert_eq!(running.id, first.id);
        assert_eq!(seat.press(&running, STOP).await.status, 200);
        let stopped = seat.changed(&first, "the stopped version", |card| shows_version(card, "2/2")).await;
        assert!(stopped.markdown.contains("On and on"), "{stopped:?}");
        assert!(format!("{}{}", stopped.markdown, stopped.note).contains("Stopped."), "{stopped:?}");
        assert_eq!(model.hung_up(), number + 1);
        stage.tables.settled().await;
        seat.press(&stopped, "‹").await;
        seat.changed(&first, "the first answer", |card| card.markdown.contains("The first answer.")).await;
        stage.tables.settled().await;
    }
}

#[tokio::test]
async fn stopped_before_its_first_word_an_answer_gives_way_to_the_one_before() {
    let (stage, model) = stage_with(&[]).await;
    for seat in stage.groups() {
        let first = answered(&seat, &model, &["The first answer."]).await;
        model.when(&question_on(&seat), Script::no_token());
        seat.press(&first, REGENERATE).await;
        let running = seat.answer("a running card", |card| offers(card, STOP)).await;
        seat.press(&running, STOP).await;
        let is_back = |card: &MessageView| card.markdown.contains("The first answer.");
        let back = seat.changed(&first, "the first answer", is_back).await;
        assert!(format!("{}{}", back.markdown, back.note).contains("Stopped."), "{back:?}");
        assert!(offers(&back, REGENERATE) && !offers(&back, "‹"), "{back:?}");
    }
}

/// Two instances share the work; the click reaches the one that does not write the answer.
#[tokio::test]
async fn stop_reaches_the_instance_that_writes_the_answer() {
    let Some(backing) = Backing::postgres().await else { return };
    let model = Endpoint::start().await;
    let stage = Stage::start(Plan::new(backing).cloud("primary", &model)).await;
    let mut cards = Vec::new();
    for seat in stage.groups() {
        model.next(Script::gated("On and on ", &Gate::closed(), "and on."));
        seat.say_acknowledged("never stop").await;
        cards.push((seat.streaming("On and on").await, seat));
    }
    let mut second = stage.second_instance("second");
    second.start().await;
    stage.deliver_to(&second);
    for (number, (card, seat)) in cards.iter().enumerate() {
        let pressed_at = Instant::now();
        assert_eq!(seat.press(card, STOP).await.status, 200);
        eventually("the endpoint to be hung up on", async || match model.hung_up() > number {
            true => Ok(()),
            false => Err(format!("{} closed connections", model.hung_up())),
        })
        .await;
        println!("stop by way of another instance on {}: {:?}", seat.platform.name(), pressed_at.elapsed());
        let stopped = seat.finished("On and on").await;
        assert_eq!((&stopped.id, seat.answers().len()), (&card.id, 1), "{}", seat.described());
    }
    stage.tables.settled().await;
    let pressed = second.metric("http_requests_total", &["/webhook/", "status=\"200\""]).await;
    assert!(pressed >= 2.0, "both clicks landed on the second: {pressed}");
}
