//! Two instances on one Postgres: one answer, whoever takes the event, and whoever dies.

use std::time::{Duration, Instant};

use crate::harness::endpoint::usual_answer;
use crate::harness::service::client;
use crate::harness::stage::FEISHU;
use crate::harness::{Backing, Endpoint, Gate, Plan, Script, Service, Stage};

/// A world with two running instances; the platforms push to the first.
async fn two_instances() -> Option<(Stage, Service, Endpoint)> {
    let backing = Backing::postgres().await?;
    let model = Endpoint::start().await;
    let stage = Stage::start(Plan::new(backing).cloud("primary", &model)).await;
    let mut second = stage.second_instance("second");
    second.start().await;
    Some((stage, second, model))
}

#[tokio::test]
async fn events_that_reach_both_instances_are_answered_once_and_in_order() {
    let Some((stage, second, model)) = two_instances().await else { return };
    let seat = stage.feishu_group();
    let http = client();
    for number in 0..6 {
        // In turn one instance gets it first, and the other at the same time.
        let question = format!("question {number:02}");
        stage.deliver_to(if number % 2 == 0 { &stage.service } else { &second });
        let message = seat.say_acknowledged(&question).await;
        let event = stage.feishu.event_of(&message);
        let both = [&stage.service, &second].map(|instance| {
            let (headers, body) = stage.feishu.seal(&event);
            let request = http.post(instance.webhook(FEISHU)).body(body);
            let request = headers.into_iter().fold(request, |request, (name, value)| request.header(name, value));
            async move { request.send().await.map(|response| response.status().as_u16()) }
        });
        for status in futures::future::join_all(both).await {
            assert_eq!(status.ok(), Some(200));
        }
    }
    let expected: Vec<String> = (0..6).map(|number| usual_answer(&format!("question {number:02}"))).collect();
    for text in &expected {
        seat.finished(text).await;
    }
    let shown: Vec<String> = seat.answers().into_iter().map(|answer| answer.markdown).collect();
    assert!(shown.len() == 6 && shown.iter().zip(&expected).all(|(it, text)| it.contains(text)), "{shown:?}");
    assert_eq!((model.prompts().len(), stage.tables.count("events").await), (6, 6));
}

#[tokio::test]
async fn an_instance_finishes_what_a_dead_one_began_in_the_same_card() {
    let Some(backing) = Backing::postgres().await else { return };
    let model = Endpoint::start().await;
    let mut stage = Stage::start(Plan::new(backing).cloud("primary", &model)).await;
    let seats = stage.groups();
    let mut cards = Vec::new();
    for seat in &seats {
        model.next(Script::gated("The first half ", &Gate::closed(), "is all."));
        seat.say_acknowledged("who will finish this").await;
        cards.push(seat.streaming("The first half").await.id);
    }
    let mut survivor = stage.second_instance("survivor");
    survivor.start().await;
    stage.deliver_to(&survivor);
    stage.service.kill();
    let killed_at = Instant::now();
    for (seat, card) in seats.iter().zip(cards) {
        let answer = seat.finished(&usual_answer("who will finish this")).await;
        assert_eq!((answer.id, seat.answers().len()), (card, 1), "{} {}", seat.platform.name(), seat.described());
    }
    assert!(killed_at.elapsed() < Duration::from_secs(30), "it took {:?}", killed_at.elapsed());
    for seat in &seats {
        seat.ask("and you", &usual_answer("and you")).await;
    }
    stage.tables.settled().await;
}
