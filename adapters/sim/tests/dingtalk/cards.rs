//! Strictness of the card APIs, and what a person sees of a card.

use std::time::Duration;

use magpie_sim::dingtalk::{DingTalkSim, Ending, Fault, TEMPLATE_B, Target, Times};
use magpie_sim::view::{CardState, MessageView, SimulatedPlatform};
use serde_json::json;

use crate::support::{Caller, GROUP, ZHANG, code, frame, group_card, start};

fn seen(sim: &DingTalkSim) -> MessageView {
    sim.chats()[0].messages.last().expect("a card").clone()
}

fn update(id: &str, params: serde_json::Value, by_key: bool) -> serde_json::Value {
    json!({"outTrackId": id, "cardData": {"cardParamMap": params}, "cardUpdateOptions": {"updateCardDataByKey": by_key}})
}

#[tokio::test]
async fn a_card_streams_and_ends_clean() {
    let sim = start();
    let bot = Caller::new(&sim).await;
    let (status, answer) = bot.create(&group_card("c1")).await;
    assert_eq!(status, 200);
    assert_eq!(answer["result"]["deliverResults"][0]["success"], true);
    assert_eq!(seen(&sim).state, CardState::Streaming);

    assert_eq!(bot.stream(&frame("c1", "g1", "**一**")).await.0, 200);
    assert_eq!(seen(&sim).html, "<p><strong>一</strong></p>\n");
    let mut last = frame("c1", "g2", "**一**二");
    last["isFinalize"] = json!(true);
    assert_eq!(bot.stream(&last).await.0, 200);
    let (status, _) = bot.put("/v1.0/card/instances", &update("c1", json!({"flowStatus": "3"}), true)).await;
    assert_eq!(status, 200);

    let view = seen(&sim);
    assert_eq!((view.state, view.title.as_str(), view.markdown.as_str()), (CardState::Final, "标题", "**一**二"));
    assert_eq!(view.buttons.len(), 1);
    let report = sim.card_report("c1").expect("a report");
    assert_eq!(report.endings, [Ending::FinalFrame, Ending::FinishedStatus]);
    assert!(report.finished && report.oddities.is_empty(), "{report:?}");
    assert_eq!((report.api_calls, report.frames, report.updates), (4, 2, 1));
    assert_eq!(sim.monthly_api_calls(), 4);
}

#[tokio::test]
async fn an_update_without_by_key_makes_the_buttons_vanish() {
    let sim = start();
    let bot = Caller::new(&sim).await;
    bot.create(&group_card("c1")).await;
    bot.put("/v1.0/card/instances", &update("c1", json!({"msgContent": "a"}), true)).await;
    assert_eq!(seen(&sim).buttons.len(), 1);
    bot.put("/v1.0/card/instances", &update("c1", json!({"flowStatus": "3"}), false)).await;
    let view = seen(&sim);
    assert!(view.buttons.is_empty() && view.markdown.is_empty());
    assert!(!sim.card_report("c1").expect("a report").oddities.is_empty());
}

#[tokio::test]
async fn creation_refuses_what_the_platform_refuses() {
    let sim = start();
    let bot = Caller::new(&sim).await;
    let mut number = group_card("n");
    number["cardData"]["cardParamMap"]["flowStatus"] = json!(1);
    let mut template = group_card("t");
    template["cardTemplateId"] = json!("11111111-2222-3333-4444-555555555555.schema");
    let mut space = group_card("s");
    space["openSpaceId"] = json!("IM_GROUP.x");
    let mut model = group_card("m");
    model["imGroupOpenDeliverModel"] = json!(null);
    let mut direct = group_card("d");
    direct["openSpaceId"] = json!(format!("dtv1.card//IM_ROBOT.{ZHANG}"));
    direct["imRobotOpenDeliverModel"] = json!({"robotCode": "dingsimmagpie0001"});
    let refused = [
        (number, "MissingcardParamMap"),
        (template, "param.templateNotExist"),
        (space, "param.openSpaceIdInvalid"),
        (model, "param.openDeliverModelEmpty"),
        (direct, "param.openDeliverModelError"),
        (group_card(&"x".repeat(65)), "param.invalid"),
    ];
    for (card, expected) in refused {
        let (status, answer) = bot.create(&card).await;
        assert_eq!((status, code(&answer)), (400, expected));
    }
    assert_eq!(bot.create(&group_card("c1")).await.0, 200);
    let (status, answer) = bot.create(&group_card("c1")).await;
    assert_eq!((status, code(&answer)), (400, "param.cardAlreadyExist"));
}

#[tokio::test]
async fn delivery_to_an_unknown_space_fails_under_http_200() {
    let sim = start();
    let bot = Caller::new(&sim).await;
    let mut card = group_card("c1");
    card["openSpaceId"] = json!("dtv1.card//IM_GROUP.cidUnknown==");
    let (status, answer) = bot.create(&card).await;
    assert_eq!(status, 200);
    assert_eq!(answer["result"]["deliverResults"][0]["success"], false);
    assert!(sim.chats().iter().all(|chat| chat.messages.is_empty()));
}

#[tokio::test]
async fn two_step_delivery_gives_a_list_and_wants_the_deliver_model() {
    let sim = start();
    let bot = Caller::new(&sim).await;
    let create =
        json!({"cardTemplateId": TEMPLATE_B, "outTrackId": "c1", "cardData": {"cardParamMap": {"msgContent": "x"}}});
    assert_eq!(bot.post("/v1.0/card/instances", &create).await.1["result"], "c1");
    let mut deliver =
        json!({"outTrackId": "c1", "openSpaceId": format!("dtv1.card//IM_ROBOT.{ZHANG}"), "imRobotOpenSpaceModel": {}});
    let (status, answer) = bot.post("/v1.0/card/instances/deliver", &deliver).await;
    assert_eq!((status, code(&answer)), (400, "param.spaceDeliverModelEmpty"));
    deliver["imRobotOpenDeliverModel"] = json!({"spaceType": "IM_ROBOT"});
    let (status, answer) = bot.post("/v1.0/card/instances/deliver", &deliver).await;
    assert_eq!((status, &answer["result"][0]["success"]), (200, &json!(true)));
}

#[tokio::test]
async fn streaming_refuses_bad_frames_and_frames_after_the_end() {
    let sim = start();
    let bot = Caller::new(&sim).await;
    bot.create(&group_card("c1")).await;
    let mut partial = frame("c1", "g", "x");
    partial["isFull"] = json!(false);
    let refused = [
        (frame("other", "g", "x"), "param.stream.outTrackId"),
        (frame("c1", "", "x"), "param.stream.guidEmpty"),
        (frame("c1", "g", ""), "param.stream.contentEmpty"),
        (frame("c1", "g", &"字".repeat(20_001)), "param.stream.content"),
        (partial, "param.stream.isFull"),
    ];
    for (body, expected) in refused {
        let (status, answer) = bot.stream(&body).await;
        assert_eq!((status, code(&answer)), (400, expected));
    }
    let mut failed = frame("c1", "g7", "x");
    failed["isError"] = json!(true);
    assert_eq!(bot.stream(&failed).await.0, 200);
    assert_eq!(seen(&sim).state, CardState::Failed);
    assert_eq!(bot.stream(&frame("c1", "g8", "y")).await.0, 400);
    assert_eq!(seen(&sim).markdown, "x");
}

#[tokio::test]
async fn shrinking_text_and_a_repeated_guid_are_reported() {
    let sim = start();
    let bot = Caller::new(&sim).await;
    bot.create(&group_card("c1")).await;
    for (guid, text) in [("g1", "longer"), ("g2", "short"), ("g2", "ignored")] {
        assert_eq!(bot.stream(&frame("c1", guid, text)).await.0, 200);
    }
    assert_eq!(seen(&sim).markdown, "short");
    assert_eq!(sim.card_report("c1").expect("a report").oddities.len(), 2);
}

#[tokio::test]
async fn a_second_call_for_a_card_at_once_is_refused_and_counted() {
    let sim = start();
    let bot = Caller::new(&sim).await;
    bot.create(&group_card("c1")).await;
    sim.faults().inject(Target::Cards, Fault::Slow(Duration::from_secs(600)), Times::Next(1));
    let (first, second) = (frame("c1", "g1", "a"), frame("c1", "g2", "b"));
    let second = async {
        while sim.card_report("c1").expect("a report").api_calls < 2 {
            tokio::task::yield_now().await;
        }
        bot.stream(&second).await
    };
    tokio::select! {
        first = bot.stream(&first) => panic!("the slow call was answered: {first:?}"),
        (status, answer) = second => assert_eq!((status, code(&answer)), (500, "system.busy")),
    }
    assert_eq!(sim.card_report("c1").expect("a report").concurrency_violations, 1);
}

#[tokio::test]
async fn private_data_is_seen_by_its_owner_only() {
    let sim = start();
    let bot = Caller::new(&sim).await;
    bot.create(&group_card("c1")).await;
    let update = json!({"outTrackId": "c1", "privateData": {ZHANG: {"cardParamMap": {"msgTitle": "只给你"}}}});
    assert_eq!(bot.put("/v1.0/card/instances", &update).await.0, 200);
    let title = |person: &str| sim.chats_as(person)[0].messages[0].title.clone();
    assert_eq!((title(ZHANG).as_str(), title("manager7413").as_str()), ("只给你", "标题"));
    assert_eq!(sim.chats()[0].id, GROUP);
}
