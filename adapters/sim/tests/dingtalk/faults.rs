//! Faults on request, as a caller meets them.

use magpie_sim::dingtalk::{Api, Fault, Target, Times};
use magpie_sim::view::SimulatedPlatform;
use serde_json::{Value, json};

use crate::support::{Caller, code, frame, group_card, start};

#[tokio::test]
async fn each_fault_answers_in_its_own_way_once() {
    let sim = start();
    let bot = Caller::new(&sim).await;
    let cases = [
        (Fault::ServerError, 503, "serviceBusy"),
        (Fault::RateLimited, 403, "Forbidden.AccessDenied.QpsLimitForAppkeyAndApi"),
        (Fault::TokenInvalid, 400, "InvalidAuthentication"),
        (Fault::PermissionMissing, 403, "Forbidden.AccessDenied.AccessTokenPermissionDenied"),
        (Fault::TemplateNotExist, 400, "param.templateNotExist"),
    ];
    for (fault, status, expected) in cases {
        sim.faults().inject(Target::Cards, fault, Times::Next(1));
        let (got, answer) = bot.create(&group_card("c1")).await;
        assert_eq!((got, code(&answer)), (status, expected));
        if expected.ends_with("PermissionDenied") {
            assert_eq!(answer["accessdenieddetail"]["requiredScopes"], json!(["Card.Instance.Write"]));
        }
    }
    sim.faults().inject(Target::Cards, Fault::PunishPage, Times::Next(1));
    assert!(matches!(bot.create(&group_card("c1")).await, (200, Value::String(page)) if page.contains("<html>")));
    assert_eq!(bot.create(&group_card("c1")).await.0, 200);
}

#[tokio::test]
async fn a_lost_answer_takes_effect_and_a_disconnect_does_not() {
    let sim = start();
    let bot = Caller::new(&sim).await;
    let path = "/v1.0/card/instances/createAndDeliver";
    sim.faults().inject(Target::Api(Api::CardCreateAndDeliver), Fault::Disconnect, Times::Next(1));
    assert!(bot.send(reqwest::Method::POST, path, &group_card("c1")).await.is_err());
    assert!(sim.chats()[0].messages.is_empty());
    sim.faults().inject(Target::Api(Api::CardCreateAndDeliver), Fault::AnswerLost, Times::Next(1));
    assert!(bot.send(reqwest::Method::POST, path, &group_card("c1")).await.is_err());
    assert_eq!(sim.chats()[0].messages.len(), 1);
    let (status, answer) = bot.create(&group_card("c1")).await;
    assert_eq!((status, code(&answer)), (400, "param.cardAlreadyExist"));
}

#[tokio::test]
async fn a_refused_delivery_comes_under_http_200() {
    let sim = start();
    let bot = Caller::new(&sim).await;
    sim.faults().inject(Target::Everything, Fault::DeliverRefused, Times::Next(1));
    let (status, answer) = bot.create(&group_card("c1")).await;
    assert_eq!((status, &answer["result"]["deliverResults"][0]["success"]), (200, &json!(false)));
    assert!(sim.chats()[0].messages.is_empty());
}

#[tokio::test]
async fn only_final_frames_fail_when_asked() {
    let sim = start();
    let bot = Caller::new(&sim).await;
    bot.create(&group_card("c1")).await;
    let id = sim.faults().inject(Target::FinalFrame, Fault::ServerError, Times::Always);
    assert_eq!(bot.stream(&frame("c1", "g1", "a")).await.0, 200);
    let mut last = frame("c1", "g2", "ab");
    last["isFinalize"] = json!(true);
    assert_eq!(bot.stream(&last).await.0, 503);
    assert!(!sim.card_report("c1").expect("a report").finished);
    sim.faults().remove(id);
    assert_eq!(bot.stream(&last).await.0, 200);
    assert!(sim.card_report("c1").expect("a report").finished);
}

#[tokio::test]
async fn taken_down_it_answers_nobody_until_it_is_back() {
    let sim = start();
    let bot = Caller::new(&sim).await;
    let down = sim.faults().take_down();
    assert!(bot.send(reqwest::Method::POST, "/v1.0/oauth2/accessToken", &json!({})).await.is_err());
    sim.faults().remove(down);
    assert_eq!(bot.create(&group_card("c1")).await.0, 200);
}
