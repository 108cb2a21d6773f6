//! SIGTERM: stop accepting, finish or hand back, end with 0.

use std::time::Duration;

use crate::harness::endpoint::usual_answer;
use crate::harness::{Backing, Endpoint, Gate, Plan, Script, Stage};

#[tokio::test]
async fn a_stopping_service_finishes_what_it_is_saying() {
    let model = Endpoint::start().await;
    let mut stage = Stage::start(Plan::new(Backing::Sqlite).cloud("primary", &model)).await;
    let gate = Gate::closed();
    let seats = stage.groups();
    for seat in &seats {
        model.next(Script::gated("Before I go, ", &gate, "good bye."));
        seat.say_acknowledged("leaving").await;
        seat.streaming("Before I go,").await;
    }
    stage.service.ask_to_stop();
    gate.open();
    assert_eq!(stage.service.ended(Duration::from_secs(15)).await, 0);
    for seat in &seats {
        seat.finished("Before I go, good bye.").await;
    }
    stage.tables.settled().await;
}

#[tokio::test]
async fn what_can_not_be_finished_in_time_is_handed_back_and_finished_after_the_restart() {
    let model = Endpoint::start().await;
    let plan = Plan::new(Backing::Sqlite).cloud("primary", &model).set("server.shutdown_grace_seconds", 1);
    let mut stage = Stage::start(plan).await;
    let gate = Gate::closed();
    let seats = stage.groups();
    let mut cards = Vec::new();
    for seat in &seats {
        model.next(Script::gated("This takes ", &gate, "for ever."));
        seat.say_acknowledged("a long story").await;
        cards.push(seat.streaming("This takes").await.id);
    }
    stage.service.ask_to_stop();
    assert_eq!(stage.service.ended(Duration::from_secs(6)).await, 0);
    let held = "SELECT state FROM events WHERE done_at IS NULL AND lease_until IS NULL ORDER BY id";
    let handed_back = stage.tables.rows(held).await.expect("the table can be read");
    assert_eq!(handed_back.len(), 2, "nothing stays leased to a process that is gone: {handed_back:?}");
    stage.service.start().await;
    for (seat, card) in seats.iter().zip(cards) {
        let answer = seat.finished(&usual_answer("a long story")).await;
        assert_eq!((answer.id, seat.answers().len()), (card, 1), "{}", seat.described());
    }
}

#[tokio::test]
async fn a_stopping_service_takes_no_more_events_and_loses_none() {
    let model = Endpoint::start().await;
    let mut stage = Stage::start(Plan::new(Backing::Sqlite).cloud("primary", &model)).await;
    stage.service.ask_to_stop();
    assert_eq!(stage.service.ended(Duration::from_secs(15)).await, 0);
    let seat = stage.feishu_group();
    assert_eq!(seat.say("is anybody there").await.status, 0, "nobody acknowledges");
    stage.service.start().await;
    seat.finished(&usual_answer("is anybody there")).await;
}
