//! A platform in trouble while a finished answer is regenerated or its pages are turned: the person sees the whole
//! answer, and no card stays open.

use std::time::Duration;

use magpie_sim::dingtalk::{self, Api, DingTalkSim, Times};
use magpie_sim::feishu::{self, Call, FeishuSim};
use magpie_sim::view::{CardState, MessageView};

use crate::harness::seat::offers;
use crate::harness::{Backing, Endpoint, Gate, Plan, Script, Seat, Stage};

const REGENERATE: &str = "Regenerate";

async fn stage() -> (Stage, Endpoint) {
    let model = Endpoint::start().await;
    let stage = Stage::start(Plan::new(Backing::Sqlite).cloud("primary", &model)).await;
    (stage, model)
}

fn nothing_left_open(seat: &Seat, case: &str) {
    let open = seat.answers().into_iter().any(|answer| answer.state == CardState::Streaming);
    assert!(!open, "{case}: a card stayed open: {}", seat.described());
}

/// An answer to the question of a case.
async fn answered(seat: &Seat, model: &Endpoint, case: &str) -> MessageView {
    let question = format!("about {case}");
    let text = format!("First about {case}.");
    model.when(&question, Script::answer(&text));
    seat.ask(&question, &text).await
}

/// Trouble strikes at the press, in the middle of the new answer, and when the page is turned back.
async fn survives(stage: &Stage, seat: &Seat, model: &Endpoint, (case, strike): (&str, &dyn Fn())) {
    println!("case: {case} on {}", seat.platform.name());
    let first = answered(seat, model, case).await;
    stage.tables.settled().await;
    let gate = Gate::closed();
    model.when(&format!("about {case}"), Script::gated("Again ", &gate, &format!("about {case}.")));
    strike();
    seat.press(&first, REGENERATE).await;
    seat.streaming("Again").await;
    strike();
    gate.open();
    let second = seat.changed(&first, "the second answer", |card| {
        card.markdown.contains(&format!("Again about {case}.")) && offers(card, "‹")
    });
    let second = second.await;
    stage.tables.settled().await;
    strike();
    seat.press(&second, "‹").await;
    let is_first = |card: &MessageView| card.markdown.contains(&format!("First about {case}.")) && offers(card, "›");
    seat.changed(&first, "the first answer", is_first).await;
    stage.tables.settled().await;
    nothing_left_open(seat, case);
}

/// A world for each case, so that none waits for another.
async fn feishu_survives(case: &str, strike: impl Fn(&FeishuSim)) {
    let (stage, model) = stage().await;
    let seat = stage.feishu_group();
    survives(&stage, &seat, &model, (case, &|| strike(&stage.feishu))).await;
    assert_eq!(seat.answers().len(), 1, "{case}: {}", seat.described());
}

async fn dingtalk_survives(case: &str, strike: impl Fn(&DingTalkSim)) {
    let (stage, model) = stage().await;
    let seat = stage.dingtalk_group();
    survives(&stage, &seat, &model, (case, &|| strike(&stage.dingtalk))).await;
    assert_eq!(seat.answers().len(), 1, "{case}: {}", seat.described());
    for card in stage.dingtalk.card_reports() {
        assert!(card.finished && card.concurrency_violations == 0, "{case}: {card:?}");
    }
}

#[tokio::test]
async fn feishu_faults_spare_regenerated_answers_and_pages() {
    use feishu::{Fault, Target};
    let cases = [
        ("closed stream", Target::Only(Call::ElementContent), Fault::Refused { status: 200, code: 300_309 }, 1),
        ("rate limit", Target::CardKit, Fault::RateLimited { reset_s: 1 }, 1),
        ("server error", Target::CardKit, Fault::ServerError(502), 2),
        ("dropped connections", Target::CardKit, Fault::Dropped, 2),
        ("lost answer", Target::CardKit, Fault::AnswerLost, 1),
        ("refused token", Target::CardKit, Fault::TokenInvalid { status: 400 }, 1),
        ("slow answer", Target::CardKit, Fault::Slow(Duration::from_millis(900)), 2),
    ];
    let all = cases.map(|(case, target, fault, times)| {
        feishu_survives(case, move |platform| platform.faults().times(target, fault.clone(), times))
    });
    let dead_tokens = feishu_survives("dead tokens", FeishuSim::invalidate_tokens);
    futures::join!(futures::future::join_all(all), dead_tokens);
}

#[tokio::test]
async fn dingtalk_faults_spare_regenerated_answers_and_pages() {
    use dingtalk::{Fault, Target};
    let cases = [
        ("rate limit", Fault::RateLimited, 1),
        ("server error", Fault::ServerError, 2),
        ("dropped connections", Fault::Disconnect, 2),
        ("lost answer", Fault::AnswerLost, 1),
        ("guard page", Fault::PunishPage, 1),
        ("refused token", Fault::TokenInvalid, 1),
        ("slow answer", Fault::Slow(Duration::from_millis(900)), 2),
    ];
    let all = cases.map(|(case, fault, times)| {
        dingtalk_survives(case, move |platform| {
            platform.faults().inject(Target::Cards, fault.clone(), Times::Next(times));
        })
    });
    let dead_token = dingtalk_survives("dead token", DingTalkSim::invalidate_token);
    futures::join!(futures::future::join_all(all), dead_token);
}

/// A finished card that the platform does not let anybody change: the new answer comes apart from it.
#[tokio::test]
async fn where_a_card_can_not_be_changed_the_new_answer_comes_whole_in_a_place_of_its_own() {
    let (stage, model) = stage().await;
    for seat in stage.groups() {
        let first = answered(&seat, &model, "change").await;
        stage.tables.settled().await;
        stage.feishu.faults().always(feishu::Target::CardKit, feishu::Fault::NoScope);
        stage
            .feishu
            .faults()
            .always(feishu::Target::Only(Call::PatchMessage), feishu::Fault::Refused { status: 200, code: 230_031 });
        stage.dingtalk.faults().inject(dingtalk::Target::Cards, dingtalk::Fault::PermissionMissing, Times::Always);
        stage.dingtalk.expire_sessions();
        model.when("about change", Script::answer("Second about change."));
        seat.press(&first, REGENERATE).await;
        seat.finished("Second about change.").await;
        seat.finished("First about change.").await;
        stage.tables.settled().await;
        nothing_left_open(&seat, "change");
        stage.feishu.faults().clear();
        stage.dingtalk.faults().clear();
    }
    assert_eq!(stage.dingtalk.calls(Api::GroupSend), 1, "the session had expired");
}
