//! The same event again and again: at once, under another id, after a restart. One answer.

use crate::harness::endpoint::usual_answer;
use crate::harness::stage::FEISHU;
use crate::harness::{Backing, Endpoint, Plan, Stage, eventually};

async fn a_repeated_event_is_answered_once(backing: Backing) {
    let model = Endpoint::start().await;
    let mut stage = Stage::start(Plan::new(backing).cloud("primary", &model)).await;
    let (feishu, dingtalk) = (stage.feishu_group(), stage.dingtalk_group());

    stage.feishu.faults().duplicate_pushes(9);
    let first = feishu.say_acknowledged("once on Feishu").await;
    stage.feishu.faults().clear();
    assert_eq!(stage.feishu.deliver_under_new_event_id(&first).await.status, 200);
    stage.dingtalk.faults().duplicate_next_push(9);
    let second = dingtalk.say_acknowledged("once on DingTalk").await;
    feishu.finished(&usual_answer("once on Feishu")).await;
    dingtalk.finished(&usual_answer("once on DingTalk")).await;
    all_repeats_counted(&stage).await;

    stage.service.crash_and_restart().await;
    for _ in 0..3 {
        assert_eq!(stage.feishu.deliver_again(&first).await.status, 200);
        assert_eq!(stage.feishu.deliver_under_new_event_id(&first).await.status, 200);
        assert_eq!(stage.dingtalk.deliver_again(&second).await.status, 200);
    }

    // A conversation keeps its order: a second answer to the first question would come before these.
    feishu.ask("and then", &usual_answer("and then")).await;
    dingtalk.ask("and then", &usual_answer("and then")).await;
    for seat in [&feishu, &dingtalk] {
        assert_eq!(seat.answers().len(), 2, "{}", seat.described());
    }
    stage.tables.settled().await;
    assert_eq!((model.prompts().len(), stage.tables.count("events").await), (4, 4));
    assert_eq!(stage.tables.count("events WHERE state = 'done' AND reason IS NULL").await, 4);
}

/// The copies of the first pushes have all been taken, and as duplicates.
async fn all_repeats_counted(stage: &Stage) {
    eventually("nine and one duplicates on Feishu, nine on DingTalk", async || {
        let duplicates = stage.service.metric("magpie_events_total", &[r#"outcome="duplicate""#]).await;
        let bot = format!(r#"bot="{FEISHU}""#);
        let on_feishu = stage.service.metric("magpie_events_total", &[r#"outcome="duplicate""#, &bot]).await;
        let seen = [duplicates, on_feishu].map(|count| count.round());
        if seen == [19.0, 10.0] { Ok(()) } else { Err(format!("{seen:?}")) }
    })
    .await;
}

#[tokio::test]
async fn a_repeated_event_is_answered_once_on_sqlite() {
    a_repeated_event_is_answered_once(Backing::Sqlite).await;
}

#[tokio::test]
async fn a_repeated_event_is_answered_once_on_postgres() {
    let Some(backing) = Backing::postgres().await else { return };
    a_repeated_event_is_answered_once(backing).await;
}

#[tokio::test]
async fn a_message_that_changes_its_event_id_while_it_is_answered_is_answered_once() {
    let model = Endpoint::start().await;
    let stage = Stage::start(Plan::new(Backing::Sqlite).cloud("primary", &model)).await;
    let seat = stage.feishu_direct();
    let message = seat.say_acknowledged("many names").await;
    let again = (0..10).map(|_| stage.feishu.deliver_under_new_event_id(&message));
    for pushed in futures::future::join_all(again).await {
        assert_eq!(pushed.status, 200);
    }
    seat.ask("the next", &usual_answer("the next")).await;
    assert_eq!((seat.answers().len(), stage.tables.count("events").await), (2, 2), "{}", seat.described());
}
