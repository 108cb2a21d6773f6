//! Cards that are pressed and filled in: forms of own templates, many buttons, long ids, cards that begin anew.

use magpie_sim::dingtalk::{DingTalkSim, Ending, TEMPLATE_A};
use magpie_sim::view::{ButtonRole, CardState, FieldKind, FormAt, SimulatedPlatform};
use serde_json::{Value, json};

use crate::support::{Caller, GROUP, Got, Service, ZHANG, code, frame, group_card, start, start_with};

const OWN: &str = "0f0f0f0f-own.schema";

fn ok(_: usize, _: &Got) -> (u16, String) {
    (200, "{}".to_owned())
}

/// A platform whose card presses reach the service.
async fn registered(sim: &DingTalkSim) -> (Caller, Service) {
    let (bot, service) = (Caller::new(sim).await, Service::start(ok));
    let register = json!({"callbackRouteKey": "route", "callbackUrl": service.url, "apiSecret": "s"});
    assert_eq!(bot.post("/v1.0/card/callbacks/register", &register).await.0, 200);
    (bot, service)
}

fn pressed(got: &Got) -> Value {
    let content = got.json()["content"].as_str().expect("text").to_owned();
    serde_json::from_str::<Value>(&content).expect("JSON in text")["cardPrivateData"].clone()
}

fn form_card(id: &str) -> Value {
    let options = json!([{"value": "wrong", "text": "不对"}, {"value": "slow", "text": "太慢"}]);
    let form = json!({"fields": [
        {"name": "reason", "label": "原因", "type": "SELECT", "required": true, "options": options},
        {"name": "comment", "label": "说明", "type": "TEXT_AREA", "placeholder": "可以不填"}]});
    let mut card = group_card(id);
    card["cardTemplateId"] = json!(OWN);
    card["cardData"]["cardParamMap"] = json!({"content": "答", "flowStatus": "3", "why": form.to_string()});
    card
}

#[tokio::test]
async fn a_form_of_an_own_template_is_shown_and_submitted() {
    let sim = start_with(|config| config.own_templates = vec![OWN.to_owned()]);
    let (bot, service) = registered(&sim).await;
    assert_eq!(bot.create(&form_card("c1")).await.0, 200);
    let card = sim.chat(GROUP).expect("a group").messages[0].clone();
    assert_eq!((card.markdown.as_str(), card.forms[0].name.as_str()), ("答", "why"));
    let kinds: Vec<_> = card.forms[0].fields.iter().map(|field| (field.kind, field.label.as_str())).collect();
    assert_eq!(kinds, [(FieldKind::Choice, "原因"), (FieldKind::LongText, "说明")]);
    let button = &card.buttons[0];
    assert_eq!((button.id.as_str(), button.role, button.form.as_deref()), ("form", ButtonRole::Submit, Some("why")));

    let at = FormAt { message_id: "c1", button_id: "form", user: ZHANG };
    assert_eq!(sim.submit_form(at, &json!({"comment": "x"})).await.status, 0, "a reason is required");
    assert_eq!(sim.submit_form(at, &json!({"reason": "slow", "comment": "一\n二"})).await.status, 200);
    let expected = json!({"actionIds": ["form"],
        "params": {"form": {"reason": {"index": 1, "value": "slow"}, "comment": "一\n二"}}});
    assert_eq!(pressed(&service.pushes(1).await[0]), expected);
}

#[tokio::test]
async fn many_buttons_with_long_ids_come_back_as_they_were_given() {
    let sim = start();
    let (bot, service) = registered(&sim).await;
    let ids: Vec<String> = (0..12).map(|number| format!("{number}-{}", "x".repeat(4_000))).collect();
    let buttons: Vec<Value> =
        ids.iter().map(|id| json!({"text": "多长时间能办好？", "color": "gray", "id": id, "request": true})).collect();
    let mut card = group_card("c1");
    let half = json!({"order": ["msgContent", "msgButtons"], "msgButtons": buttons[..4]});
    card["cardData"]["cardParamMap"]["sys_full_json_obj"] = json!(half.to_string());
    assert_eq!(bot.create(&card).await.0, 200);
    let shown = sim.chat(GROUP).expect("a group").messages[0].buttons.clone();
    assert_eq!(shown.iter().map(|button| button.id.clone()).collect::<Vec<_>>(), ids[..4]);
    for id in &ids[..4] {
        assert_eq!(sim.press("c1", id, ZHANG).await.status, 200);
    }
    let got = service.pushes(4).await;
    assert_eq!(pressed(&got[3])["actionIds"], json!([ids[3]]));
    // A value has its limit, so ever more buttons do not fit.
    let all = json!({"order": ["msgButtons"], "msgButtons": buttons});
    card["cardData"]["cardParamMap"]["sys_full_json_obj"] = json!(all.to_string());
    card["outTrackId"] = json!("c2");
    let (status, answer) = bot.create(&card).await;
    assert_eq!((status, code(&answer)), (400, "param.invalid"));
}

#[tokio::test]
async fn a_finished_card_begins_anew_by_update_but_takes_no_frames() {
    let sim = start();
    let bot = Caller::new(&sim).await;
    bot.create(&group_card("c1")).await;
    let mut last = frame("c1", "g1", "第一版");
    last["isFinalize"] = json!(true);
    bot.stream(&last).await;
    let put = |params: Value| {
        json!({"outTrackId": "c1", "cardData": {"cardParamMap": params},
        "cardUpdateOptions": {"updateCardDataByKey": true}})
    };
    bot.put("/v1.0/card/instances", &put(json!({"flowStatus": "3"}))).await;
    let seen = || sim.chat(GROUP).expect("a group").messages[0].clone();
    assert_eq!(seen().state, CardState::Final);
    for status in ["1", "2"] {
        let answer = bot.put("/v1.0/card/instances", &put(json!({"flowStatus": status, "msgContent": "第二"}))).await;
        assert_eq!((answer.0, seen().state), (200, CardState::Streaming));
    }
    assert!(!sim.card_report("c1").expect("a report").finished);
    assert_eq!(bot.stream(&frame("c1", "g2", "第二版")).await.0, 400, "the last frame ended streaming for good");
    bot.put("/v1.0/card/instances", &put(json!({"flowStatus": "3", "msgContent": "第二版"}))).await;
    let report = sim.card_report("c1").expect("a report");
    assert_eq!((report.reopened, report.finished, seen().markdown.as_str()), (1, true, "第二版"));
    assert_eq!(report.endings, [Ending::FinalFrame, Ending::FinishedStatus, Ending::FinishedStatus]);
    assert!(report.oddities.is_empty(), "{report:?}");
}

#[tokio::test]
async fn a_card_that_was_finished_by_update_alone_streams_again() {
    let sim = start();
    let bot = Caller::new(&sim).await;
    let mut card = group_card("c1");
    card["cardTemplateId"] = json!(TEMPLATE_A);
    card["cardData"]["cardParamMap"]["flowStatus"] = json!("3");
    bot.create(&card).await;
    let anew = json!({"outTrackId": "c1", "cardData": {"cardParamMap": {"flowStatus": "2"}},
        "cardUpdateOptions": {"updateCardDataByKey": true}});
    bot.put("/v1.0/card/instances", &anew).await;
    assert_eq!(bot.stream(&frame("c1", "g1", "又一版")).await.0, 200);
    let report = sim.card_report("c1").expect("a report");
    assert_eq!((report.reopened, report.oddities.len()), (1, 0), "{report:?}");
}
