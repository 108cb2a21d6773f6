//! What an answer costs in calls of the platform, alone and in a crowd: no limit is ever hit, and every answer ends.

use std::time::Duration;

use magpie_sim::dingtalk::DingTalkConfig;
use magpie_sim::tally::Tally;
use magpie_sim::view::{CardState, SimulatedPlatform as _};
use toml::{Table, Value};

use crate::harness::{Backing, Endpoint, Plan, Script, Seat, Stage};

/// What the service may do; the platforms allow a quarter more, because calls are counted where they arrive, and on a
/// busy machine they arrive closer together than they left.
const CALLS_PER_SECOND: i64 = 40;
const PLATFORM_ALLOWS: usize = 50;

/// Two seconds of text at ten updates a second would be twenty, and what begins and ends a card.
const MOST_PER_ANSWER: u64 = 25;

fn budget(calls_per_second: i64, calls_per_month: i64) -> Value {
    let mut budget = Table::new();
    budget.insert("calls_per_second".into(), calls_per_second.into());
    budget.insert("calls_per_month".into(), calls_per_month.into());
    budget.into()
}

/// Both platforms with this budget each. The simulated Feishu has its real limits.
fn plan(backing: Backing, model: &Endpoint, budget: Value) -> Plan {
    let mut plan = Plan::new(backing).cloud("primary", model);
    plan.dingtalk = DingTalkConfig { calls_per_second: PLATFORM_ALLOWS, ..plan.dingtalk };
    plan.set("bots.helpdesk.budget", budget.clone()).set("bots.it.budget", budget).set("model.max_concurrent", 200)
}

/// So many chats on each platform, Feishu first.
fn chats(stage: &Stage, name: &str, count: usize) -> Vec<Seat> {
    let [feishu, dingtalk] = stage.groups();
    let mut seats = Vec::new();
    for number in 0..count {
        let chat = stage.feishu.add_group(&format!("{name} {number}"), &[&feishu.user]);
        seats.push(Seat { chat, ..feishu.clone() });
    }
    for number in 0..count {
        let chat = format!("cid{name}{number}+w==");
        stage.dingtalk.add_group(&chat, &format!("{name} {number}"), &[&dingtalk.user]);
        seats.push(Seat { chat, ..dingtalk.clone() });
    }
    seats
}

/// Everybody asks at once; each gets the whole answer in one card.
async fn everybody_is_answered(seats: &[Seat], question: &str) {
    let asking = seats.iter().map(|seat| seat.say_acknowledged(question));
    futures::future::join_all(asking).await;
    for seat in seats {
        seat.finished(&answer_to(question)).await;
        let answers = seat.answers();
        assert!(answers.len() == 1 && answers[0].state == CardState::Final, "{}", seat.described());
    }
}

fn answer_to(question: &str) -> String {
    format!("This is a longer answer that takes its time and comes word by word for two seconds: {question}.")
}

/// A slow model: twenty words, a tenth of a second each.
fn speak_slowly(model: &Endpoint) {
    model.usually(|question| Script::paced(&answer_to(question), Duration::from_millis(100)));
}

fn tallies(stage: &Stage) -> [(&'static str, Tally); 2] {
    [("feishu", stage.feishu.tally()), ("dingtalk", stage.dingtalk.tally())]
}

#[tokio::test]
async fn crowds_of_cards_share_the_rate_and_every_answer_comes_whole() {
    let model = Endpoint::start().await;
    speak_slowly(&model);
    let stage = Stage::start(plan(Backing::Sqlite, &model, budget(CALLS_PER_SECOND, 0))).await;
    for count in [1, 10, 50] {
        let seats = chats(&stage, &format!("crowd{count}"), count);
        let before = tallies(&stage);
        everybody_is_answered(&seats, &format!("how are {count}")).await;
        stage.tables.settled().await;
        for ((platform, after), (_, before)) in tallies(&stage).into_iter().zip(before) {
            let spent = after.since(&before);
            assert_eq!(spent.rate_limited(), 0, "{platform} with {count} cards: {spent:?}");
            let calls = spent.counted();
            println!("calls per answer on {platform} with {count} open cards: {:.1}", calls as f64 / count as f64);
            assert!(calls <= MOST_PER_ANSWER * count as u64, "{platform} with {count} cards: {spent:?}");
        }
    }
}

#[tokio::test]
async fn at_the_end_of_the_month_a_card_costs_its_start_and_its_end() {
    let model = Endpoint::start().await;
    speak_slowly(&model);
    let stage = Stage::start(plan(Backing::Sqlite, &model, budget(CALLS_PER_SECOND, 1))).await;
    // The first calls use the month up.
    everybody_is_answered(&chats(&stage, "first", 1), "what is left").await;
    stage.tables.settled().await;
    let before = tallies(&stage);
    everybody_is_answered(&chats(&stage, "last", 1), "how much is it").await;
    stage.tables.settled().await;
    for ((platform, after), (_, before)) in tallies(&stage).into_iter().zip(before) {
        let spent = after.since(&before);
        assert_eq!((spent.counted(), spent.refused()), (2, 0), "{platform}: {spent:?}");
    }
}

#[tokio::test]
async fn two_instances_share_one_rate() {
    let Some(backing) = Backing::postgres().await else { return };
    let model = Endpoint::start().await;
    speak_slowly(&model);
    let stage = Stage::start(plan(backing, &model, budget(CALLS_PER_SECOND, 0))).await;
    let mut second = stage.second_instance("second");
    second.start().await;
    let seats = chats(&stage, "shared", 30);
    for half in seats.chunks(seats.len() / 4) {
        everybody_asks(half).await;
        // The other half of each platform's chats goes to the other instance.
        stage.deliver_to(&second);
    }
    for seat in &seats {
        seat.finished(&answer_to("who is there")).await;
    }
    stage.tables.settled().await;
    for (platform, tally) in tallies(&stage) {
        let busiest = tally.classes.values().map(|class| class.busiest_second).max();
        println!("busiest second on {platform} with two instances: {busiest:?}");
        assert_eq!(tally.rate_limited(), 0, "{platform}: {tally:?}");
    }
}

async fn everybody_asks(seats: &[Seat]) {
    futures::future::join_all(seats.iter().map(|seat| seat.say_acknowledged("who is there"))).await;
}
