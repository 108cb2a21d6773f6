//! `kill -9` at every moment. What was acknowledged is answered once, visibly, to the end, in the card it began in.

use std::sync::Mutex;
use std::time::Duration;

use futures::FutureExt as _;
use magpie_sim::view::MessageView;
use magpie_sim::{dingtalk, feishu};

use crate::harness::endpoint::usual_answer;
use crate::harness::traffic::{Dice, all_answered_once, answer_to, open_chats, talk};
use crate::harness::{Backing, Endpoint, Gate, Plan, Script, Seat, Stage};

const QUESTION: &str = "will this survive";

/// Runs tests on both stores.
macro_rules! on_both_stores {
    ($($test:ident),+ $(,)?) => {
        mod on_sqlite {
            $(#[tokio::test]
            async fn $test() {
                super::$test(super::Backing::Sqlite).await;
            })+
        }
        mod on_postgres {
            $(#[tokio::test]
            async fn $test() {
                if let Some(backing) = super::Backing::postgres().await {
                    super::$test(backing).await;
                }
            })+
        }
    };
}

on_both_stores!(
    killed_right_after_the_acknowledgement,
    killed_after_the_card_appeared,
    killed_in_mid_answer,
    killed_while_the_platform_holds_the_end,
    killed_at_random_moments_under_traffic,
);

async fn stage_on(backing: Backing) -> (Stage, Endpoint) {
    let model = Endpoint::start().await;
    let stage = Stage::start(Plan::new(backing).cloud("primary", &model)).await;
    (stage, model)
}

/// The model says `first` to whoever asks, and holds back the rest.
fn hold(model: &Endpoint, first: &'static str) -> Gate {
    let gate = Gate::closed();
    let held = gate.clone();
    model.usually(move |_| Script::gated(first, &held, "and the rest."));
    gate
}

/// The model answers again.
fn recover(model: &Endpoint) {
    model.usually(|question| Script::answer(&usual_answer(question)));
}

/// The text stands in each chat, once, and nothing else does; every event and delivery has ended.
async fn assert_answered_once(stage: &Stage, seats: &[Seat], text: &str) -> Vec<MessageView> {
    let mut answers = Vec::new();
    for seat in seats {
        let answer = seat.finished(text).await;
        assert_eq!(seat.answers().len(), 1, "one card: {}", seat.described());
        answers.push(answer);
    }
    stage.tables.settled().await;
    assert_eq!(stage.tables.count("events WHERE state = 'done' AND reason IS NULL").await, seats.len());
    assert_eq!(stage.tables.count("deliveries WHERE state = 'final'").await, seats.len());
    assert_eq!(stage.tables.count("messages").await, 2 * seats.len());
    answers
}

async fn killed_right_after_the_acknowledgement(backing: Backing) {
    let (mut stage, model) = stage_on(backing).await;
    let seats = stage.groups();
    let _gate = hold(&model, "");
    for seat in &seats {
        seat.say_acknowledged(QUESTION).await;
    }
    stage.service.kill();
    recover(&model);
    stage.service.start().await;
    assert_answered_once(&stage, &seats, &usual_answer(QUESTION)).await;
}

async fn killed_after_the_card_appeared(backing: Backing) {
    let (mut stage, model) = stage_on(backing).await;
    let seats = stage.groups();
    let _gate = hold(&model, "");
    let mut cards = Vec::new();
    for seat in &seats {
        seat.say_acknowledged(QUESTION).await;
        cards.push(seat.streaming("").await.id);
    }
    stage.service.kill();
    recover(&model);
    stage.service.start().await;
    let answers = assert_answered_once(&stage, &seats, &usual_answer(QUESTION)).await;
    assert_eq!(answers.into_iter().map(|answer| answer.id).collect::<Vec<_>>(), cards, "the same cards");
}

async fn killed_in_mid_answer(backing: Backing) {
    let (mut stage, model) = stage_on(backing).await;
    let seats = stage.groups();
    let _gate = hold(&model, "The first words ");
    let mut cards = Vec::new();
    for seat in &seats {
        seat.say_acknowledged(QUESTION).await;
        cards.push(seat.streaming("The first words").await.id);
    }
    stage.service.kill();
    recover(&model);
    stage.service.start().await;
    let answers = assert_answered_once(&stage, &seats, &usual_answer(QUESTION)).await;
    assert!(answers.iter().all(|answer| !answer.markdown.contains("The first words")), "{answers:?}");
    assert_eq!(answers.into_iter().map(|answer| answer.id).collect::<Vec<_>>(), cards, "the same cards");
    for card in stage.dingtalk.card_reports() {
        assert!(card.finished && card.concurrency_violations == 0, "{card:?}");
    }
}

async fn killed_while_the_platform_holds_the_end(backing: Backing) {
    let (mut stage, model) = stage_on(backing).await;
    let long = Duration::from_secs(4);
    for (number, seat) in stage.groups().into_iter().enumerate() {
        let gate = hold(&model, "Almost ");
        seat.say_acknowledged(QUESTION).await;
        seat.streaming("Almost").await;
        stage.feishu.faults().always(feishu::Target::CardKit, feishu::Fault::Slow(long));
        let slow = dingtalk::Fault::Slow(long);
        stage.dingtalk.faults().inject(dingtalk::Target::FinalFrame, slow, dingtalk::Times::Always);
        gate.open();
        // The answer is written down; that it was shown is not.
        let query = "SELECT CAST(count(*) AS TEXT) FROM deliveries WHERE state = 'finishing'";
        stage.tables.become_rows(query, &[&["1"]]).await;
        stage.service.kill();
        stage.feishu.faults().clear();
        stage.dingtalk.faults().clear();
        stage.service.start().await;
        seat.finished("Almost and the rest.").await;
        assert_eq!(seat.answers().len(), 1, "one card: {}", seat.described());
        stage.tables.settled().await;
        assert_eq!(model.prompts().len(), number + 1, "a recorded answer is not asked for again");
        assert_eq!(stage.tables.count("deliveries WHERE state = 'final'").await, number + 1);
    }
}

const CHATS: usize = 20;
const QUESTIONS: usize = 2;

/// The model answers in a hurry or not, as the dice say.
fn answer_at_any_pace(model: &Endpoint, dice: &Dice) {
    let dice = Mutex::new(dice.clone());
    model.usually(move |question| {
        let pause = dice.lock().expect("no test panics while it rolls the dice").pause_ms(5..60);
        Script::paced(&answer_to(question), pause)
    });
}

/// Everybody's questions, on their way while the test goes on.
fn crowd(stage: &Stage, seats: &[Seat], dice: &mut Dice) -> impl Future<Output = ()> + use<> {
    let talks = seats.iter().enumerate().map(|(chat, seat)| {
        let platforms = (stage.feishu.clone(), stage.dingtalk.clone());
        talk(platforms, seat.clone(), (chat, QUESTIONS), Dice::new(dice.roll(0..u64::MAX)))
    });
    futures::future::join_all(talks.collect::<Vec<_>>()).map(|_| ())
}

/// What has to be true of the crowd's questions in the end.
async fn assert_crowd_answered(stage: &Stage, model: &Endpoint, seats: &[Seat]) {
    all_answered_once(seats, QUESTIONS).await;
    stage.tables.settled().await;
    assert_eq!(stage.tables.count("events WHERE state = 'done' AND reason IS NULL").await, CHATS * QUESTIONS);
    assert_eq!(stage.tables.count("deliveries WHERE state = 'final'").await, CHATS * QUESTIONS);
    assert_eq!(stage.tables.count("messages").await, 2 * CHATS * QUESTIONS);
    for prompt in model.prompts() {
        let question = prompt.question();
        if question.ends_with("n001") {
            let earlier = question.replace("n001", "n000");
            assert!(prompt.remembers(&answer_to(&earlier)), "{question:?} came after the answer before it: {prompt:?}");
        }
    }
}

async fn killed_at_random_moments_under_traffic(backing: Backing) {
    const KILLS: usize = 6;
    let mut dice = Dice::said_aloud("kills under traffic");
    let (mut stage, model) = stage_on(backing).await;
    answer_at_any_pace(&model, &dice);
    let seats = open_chats(&stage, CHATS);
    let crowd = crowd(&stage, &seats, &mut dice);
    let kills = async {
        for _ in 0..KILLS {
            // The moment of death is the one thing here that no condition decides.
            tokio::time::sleep(dice.pause_ms(100..900)).await;
            stage.service.crash_and_restart().await;
        }
    };
    futures::join!(crowd, kills);
    assert_crowd_answered(&stage, &model, &seats).await;
}

#[tokio::test]
async fn two_instances_killed_in_turn_under_traffic() {
    const KILLS: usize = 6;
    let Some(backing) = Backing::postgres().await else { return };
    let mut dice = Dice::said_aloud("kills of two instances");
    let (mut stage, model) = stage_on(backing).await;
    let mut second = stage.second_instance("second");
    second.start().await;
    answer_at_any_pace(&model, &dice);
    let seats = open_chats(&stage, CHATS);
    let crowd = crowd(&stage, &seats, &mut dice);
    let kills = async {
        for kill in 0..KILLS {
            tokio::time::sleep(dice.pause_ms(100..900)).await;
            // Whoever lives gets the events meanwhile.
            if kill % 2 == 0 {
                stage.deliver_to(&second);
                stage.service.crash_and_restart().await;
            } else {
                stage.deliver_to(&stage.service);
                second.crash_and_restart().await;
            }
        }
    };
    futures::join!(crowd, kills);
    assert_crowd_answered(&stage, &model, &seats).await;
}

#[tokio::test]
async fn a_card_begun_before_the_policy_changed_is_still_ended() {
    let (mut stage, model) = stage_on(Backing::Sqlite).await;
    let seat = stage.feishu_group();
    let _gate = hold(&model, "The first words ");
    seat.say_acknowledged(QUESTION).await;
    seat.streaming("The first words").await;
    stage.service.kill();
    recover(&model);
    let file = stage.folder().join("magpie.toml");
    let silent = std::fs::read_to_string(&file).unwrap() + "\n[bots.helpdesk.chat]\ngroup_policy = \"off\"\n";
    std::fs::write(&file, silent).unwrap();
    stage.service.start().await;
    assert_answered_once(&stage, std::slice::from_ref(&seat), &usual_answer(QUESTION)).await;
}
