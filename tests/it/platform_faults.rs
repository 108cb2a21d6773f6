//! What a platform does to a bot on a bad day. The person gets the whole answer, once, and no card stays open.

use futures::FutureExt as _;
use magpie_sim::dingtalk::{self, Api, Times};
use magpie_sim::feishu::{self, Call};
use magpie_sim::view::CardState;
use serde_json::Value;
use tokio::net::TcpListener;

use crate::harness::endpoint::usual_answer;
use crate::harness::{Backing, Endpoint, Gate, Plan, Script, Seat, Stage, eventually};

async fn stage() -> (Stage, Endpoint) {
    let model = Endpoint::start().await;
    let stage = Stage::start(Plan::new(Backing::Sqlite).cloud("primary", &model)).await;
    (stage, model)
}

/// Something goes wrong once the card has begun to grow.
async fn survives_in_mid_answer(seat: &Seat, model: &Endpoint, case: &str, strike: impl FnOnce()) {
    println!("case: {case}");
    let gate = Gate::closed();
    let rest = format!("and the rest of it ({case}).");
    let question = format!("about {case} on {}", seat.platform.name());
    model.when(&question, Script::gated("The beginning ", &gate, &rest));
    seat.say_acknowledged(&question).await;
    let begun = seat.streaming("The beginning").await;
    strike();
    gate.open();
    let answer = seat.finished(&format!("The beginning {rest}")).await;
    assert_eq!(answer.id, begun.id, "{case}: the answer ends in the card it began in: {}", seat.described());
    nothing_left_open(seat, case);
}

/// Something is wrong before the question is asked.
async fn survives_from_the_start(seat: &Seat, case: &str) {
    println!("case: {case}");
    let question = format!("from the start {case}");
    seat.ask(&question, &usual_answer(&question)).await;
    nothing_left_open(seat, case);
}

fn nothing_left_open(seat: &Seat, case: &str) {
    let open = seat.answers().into_iter().any(|answer| answer.state == CardState::Streaming);
    assert!(!open, "{case}: a card stayed open: {}", seat.described());
}

/// Waits until an attempt has failed, for a platform to come back from its absence afterwards.
async fn an_attempt_failed(stage: &Stage, seat: &Seat) {
    let platform = seat.platform.name();
    let failed = format!("events WHERE state = 'failed' AND platform = '{platform}'");
    eventually("an attempt to fail", async || match stage.tables.count(&failed).await {
        0 => Err(format!("no event on {platform} has state failed")),
        _ => Ok(()),
    })
    .await;
}

#[tokio::test]
async fn faults_in_mid_answer_lose_and_double_nothing() {
    let (stage, model) = stage().await;
    futures::join!(feishu_faults_in_mid_answer(&stage, &model), dingtalk_faults_in_mid_answer(&stage, &model));
}

#[tokio::test]
async fn faults_at_the_start_lose_and_double_nothing() {
    let (stage, _model) = stage().await;
    futures::join!(feishu_faults_at_the_start(&stage), dingtalk_faults_at_the_start(&stage));
}

async fn feishu_faults_in_mid_answer(stage: &Stage, model: &Endpoint) {
    use feishu::{Fault, Target};
    let seat = stage.feishu_group();
    let faults = stage.feishu.faults();
    let cases = [
        ("closed stream", Target::Only(Call::ElementContent), Fault::Refused { status: 200, code: 300_309 }, 1),
        ("rate limit", Target::CardKit, Fault::RateLimited { reset_s: 1 }, 2),
        ("server error", Target::CardKit, Fault::ServerError(502), 2),
        ("dropped connections", Target::CardKit, Fault::Dropped, 2),
        ("lost answer", Target::CardKit, Fault::AnswerLost, 1),
        ("refused token", Target::CardKit, Fault::TokenInvalid { status: 400 }, 1),
    ];
    for (case, target, fault, times) in cases {
        survives_in_mid_answer(&seat, model, case, || faults.times(target, fault, times)).await;
        faults.clear();
    }
    survives_in_mid_answer(&seat, model, "dead tokens", || stage.feishu.invalidate_tokens()).await;
    assert_eq!(seat.answers().len(), 7, "{}", seat.described());
}

async fn feishu_faults_at_the_start(stage: &Stage) {
    use feishu::{Fault, Target};
    let seat = stage.feishu_group();
    let faults = stage.feishu.faults();
    let cases = [
        ("lost answer to the reply", Target::Only(Call::ReplyMessage), Fault::AnswerLost, 1),
        ("lost answer to the message", Target::Only(Call::SendMessage), Fault::AnswerLost, 1),
        ("lost answer to the new card", Target::Only(Call::CreateCard), Fault::AnswerLost, 1),
        ("limited replies", Target::Only(Call::ReplyMessage), Fault::RateLimited { reset_s: 1 }, 1),
        ("server error", Target::Everything, Fault::ServerError(503), 2),
        ("lost answers everywhere", Target::Everything, Fault::AnswerLost, 3),
    ];
    for (case, target, fault, times) in cases {
        faults.times(target, fault, times);
        survives_from_the_start(&seat, case).await;
        faults.clear();
    }
    assert_eq!(seat.answers().len(), 6, "{}", seat.described());
}

#[tokio::test]
async fn feishu_without_streaming_cards_still_gets_the_whole_answer_once() {
    let (stage, _model) = stage().await;
    let seat = stage.feishu_group();
    stage.feishu.faults().always(feishu::Target::CardKit, feishu::Fault::NoScope);
    survives_from_the_start(&seat, "no scope for cards").await;
    survives_from_the_start(&seat, "no scope for cards again").await;
    assert_eq!(seat.answers().len(), 2, "{}", seat.described());
}

async fn dingtalk_faults_in_mid_answer(stage: &Stage, model: &Endpoint) {
    use dingtalk::{Fault, Target};
    let seat = stage.dingtalk_group();
    let faults = stage.dingtalk.faults();
    let cases = [
        ("rate limit", Target::Cards, Fault::RateLimited, 2),
        ("server error", Target::Cards, Fault::ServerError, 2),
        ("dropped connections", Target::Cards, Fault::Disconnect, 2),
        ("lost last answer", Target::FinalFrame, Fault::AnswerLost, 1),
        ("dropped last frame", Target::FinalFrame, Fault::Disconnect, 1),
        ("guard page", Target::Cards, Fault::PunishPage, 1),
        ("refused token", Target::Cards, Fault::TokenInvalid, 1),
    ];
    for (case, target, fault, times) in cases {
        let strike = || {
            faults.inject(target, fault, Times::Next(times));
        };
        survives_in_mid_answer(&seat, model, case, strike).await;
        faults.clear();
    }
    survives_in_mid_answer(&seat, model, "forgotten token", || stage.dingtalk.invalidate_token()).await;
    assert_eq!(seat.answers().len(), 8, "{}", seat.described());
    for card in stage.dingtalk.card_reports() {
        assert!(card.finished && card.concurrency_violations == 0, "{card:?}");
    }
}

async fn dingtalk_faults_at_the_start(stage: &Stage) {
    use dingtalk::{Fault, Target};
    let seat = stage.dingtalk_group();
    let faults = stage.dingtalk.faults();
    let cases = [
        ("lost answer to the new card", Target::Api(Api::CardCreateAndDeliver), Fault::AnswerLost, 1),
        ("no token at first", Target::Api(Api::Token), Fault::ServerError, 1),
        ("server error", Target::Everything, Fault::ServerError, 2),
        ("lost answers everywhere", Target::Everything, Fault::AnswerLost, 3),
    ];
    for (case, target, fault, times) in cases {
        faults.inject(target, fault, Times::Next(times));
        survives_from_the_start(&seat, case).await;
        faults.clear();
    }
    assert_eq!(seat.answers().len(), 4, "{}", seat.described());
}

#[tokio::test]
async fn dingtalk_without_cards_answers_by_the_session_and_without_a_session_by_the_robot() {
    let (stage, model) = stage().await;
    stage.dingtalk.faults().inject(dingtalk::Target::Cards, dingtalk::Fault::TemplateNotExist, Times::Always);
    for (place, seat) in [("group", stage.dingtalk_group()), ("direct chat", stage.dingtalk_direct())] {
        let by_session = stage.dingtalk.calls(Api::SessionWebhook);
        survives_from_the_start(&seat, "no template").await;
        assert_eq!(stage.dingtalk.calls(Api::SessionWebhook), by_session + 1);

        let gate = Gate::closed();
        model.next(Script::gated("", &gate, "Better late than never."));
        let question = format!("will you take long in the {place}");
        seat.say_acknowledged(&question).await;
        model.asked(&question).await;
        stage.dingtalk.expire_sessions();
        gate.open();
        seat.finished("Better late than never.").await;
        assert_eq!(seat.answers().len(), 2, "{}", seat.described());
    }
    assert_eq!((stage.dingtalk.calls(Api::GroupSend), stage.dingtalk.calls(Api::OtoSend)), (1, 1));
}

#[tokio::test]
async fn a_platform_that_is_down_for_a_while_gets_the_answer_when_it_is_back() {
    let (stage, model) = stage().await;
    let gates = [Gate::closed(), Gate::closed()];
    let held = gates.clone();
    model.usually(move |question| match question {
        "in mid-answer on feishu" => Script::gated("The beginning ", &held[0], "and the end."),
        "in mid-answer on dingtalk" => Script::gated("The beginning ", &held[1], "and the end."),
        question => Script::answer(&usual_answer(question)),
    });
    let feishu_goes = |up: Goes| match up {
        Goes::Down => stage.feishu.faults().always(feishu::Target::Everything, feishu::Fault::ServerError(503)),
        Goes::Up => stage.feishu.faults().clear(),
    };
    let dingtalk_goes = |up: Goes| match up {
        Goes::Down => drop(stage.dingtalk.faults().take_down()),
        Goes::Up => stage.dingtalk.faults().clear(),
    };
    let [feishu, dingtalk] = stage.groups();
    futures::join!(
        survives_an_absence(&stage, &feishu, &gates[0], feishu_goes),
        survives_an_absence(&stage, &dingtalk, &gates[1], dingtalk_goes),
    );
    stage.tables.settled().await;
}

#[derive(Debug, Clone, Copy)]
enum Goes {
    Down,
    Up,
}

/// The platform is away once in mid-answer, and once from the start.
async fn survives_an_absence(stage: &Stage, seat: &Seat, gate: &Gate, goes: impl Fn(Goes)) {
    let name = seat.platform.name();
    seat.say_acknowledged(&format!("in mid-answer on {name}")).await;
    let begun = seat.streaming("The beginning").await;
    goes(Goes::Down);
    gate.open();
    an_attempt_failed(stage, seat).await;
    goes(Goes::Up);
    let answer = seat.finished("The beginning and the end.").await;
    assert_eq!((answer.id, seat.answers().len()), (begun.id, 1), "{}", seat.described());

    goes(Goes::Down);
    let question = format!("from the start on {name}");
    seat.say_acknowledged(&question).await;
    an_attempt_failed(stage, seat).await;
    let (status, health) = stage.service.get("/health").await.expect("health is served");
    assert_eq!((status, &health["status"]), (200, &"degraded".into()), "{health}");
    goes(Goes::Up);
    seat.finished(&usual_answer(&question)).await;
    assert_eq!(seat.answers().len(), 2, "{}", seat.described());
}

#[tokio::test]
async fn an_address_that_only_a_forger_names_is_never_called() {
    let (stage, _model) = stage().await;
    let seat = stage.dingtalk_group();
    let trap = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
    let port = trap.local_addr().expect("a bound socket has an address").port();
    stage.dingtalk.faults().inject(dingtalk::Target::Cards, dingtalk::Fault::TemplateNotExist, Times::Always);
    // The signature does not cover the body, so anybody who replays a header can write this.
    let said = seat.say_acknowledged("a template").await;
    seat.finished(&usual_answer("a template")).await;
    let genuine = stage.dingtalk.pushed_body(&said).expect("the message was pushed");
    let mut forged: Value = serde_json::from_str(&genuine).expect("the platform pushes JSON");
    forged["sessionWebhook"] = format!("http://localhost:{port}/robot/sendBySession?session=x").into();
    forged["msgId"] = "msgForgedAddress".into();
    forged["text"]["content"] = "who gets this".into();
    assert_eq!(stage.dingtalk.push_signed(forged.to_string()).await.status, 200);
    seat.finished(&usual_answer("who gets this")).await;
    assert!(trap.accept().now_or_never().is_none(), "nobody called");
}
