//! Tokens, session webhooks, the robot's OpenAPI, files and emotions.

use std::time::Duration;

use magpie_sim::dingtalk::{Content, DingTalkConfig, Said, robot_sign};
use magpie_sim::view::{CardState, SimulatedPlatform, Utterance};
use serde_json::{Value, json};

use crate::support::{Caller, GROUP, Service, ZHANG, code, group_card, start, start_with};

#[tokio::test]
async fn a_token_is_the_same_until_it_ends() {
    let sim = start();
    let mut bot = Caller::new(&sim).await;
    let first = bot.token.clone();
    bot.log_in().await;
    assert_eq!(bot.token, first);
    sim.clock().advance(Duration::from_secs(7_201));
    let (status, answer) = bot.create(&group_card("c1")).await;
    assert_eq!((status, code(&answer)), (400, "InvalidAuthentication"));
    bot.log_in().await;
    assert_ne!(bot.token, first);
    assert_eq!(bot.create(&group_card("c1")).await.0, 200);
    let wrong = json!({"appKey": DingTalkConfig::default().client_id, "appSecret": "wrong"});
    let (status, answer) = bot.post("/v1.0/oauth2/accessToken", &wrong).await;
    assert_eq!((status, code(&answer)), (400, "invalidClientIdOrSecret"));
}

#[tokio::test]
async fn the_21st_call_in_a_second_is_refused_unless_switched_off() {
    let sim = start();
    let bot = Caller::new(&sim).await;
    sim.clock().stop();
    let calls = futures::future::join_all((0..24).map(|number| {
        let (bot, card) = (&bot, group_card(&format!("c{number}")));
        async move { bot.create(&card).await }
    }));
    let refused = calls.await.into_iter().filter(|(status, _)| *status == 403).collect::<Vec<_>>();
    assert_eq!(refused.len(), 4);
    assert_eq!(code(&refused[0].1), "Forbidden.AccessDenied.QpsLimitForAppkeyAndApi");
    assert_eq!(sim.monthly_api_calls(), 20);
    sim.set_rate_check(false);
    assert_eq!(bot.create(&group_card("later")).await.0, 200);
}

/// The session webhook that a message in the group brings.
async fn session_webhook(sim: &magpie_sim::dingtalk::DingTalkSim, service: &Service) -> String {
    sim.set_webhook_url(Some(service.url.clone()));
    let utterance = Utterance { chat: GROUP.into(), user: ZHANG.into(), text: "你好".into(), mention_bot: true };
    assert_eq!(sim.say(utterance).await.status, 200);
    let body = service.pushes(1).await[0].json();
    body["sessionWebhook"].as_str().expect("a webhook").to_owned()
}

#[tokio::test]
async fn the_session_webhook_posts_mentions_and_expires() {
    let sim = start();
    let bot = Caller::new(&sim).await;
    let service = Service::start(|_, _| (200, "{}".to_owned()));
    let webhook = session_webhook(&sim, &service).await;
    let message = json!({"msgtype": "markdown", "markdown": {"title": "好", "text": format!("**好** @{ZHANG}")},
        "at": {"atUserIds": [ZHANG]}});
    assert_eq!(bot.post(&webhook, &message).await, (200, json!({"errcode": 0, "errmsg": "ok"})));
    let last = sim.chats()[0].messages.last().cloned().expect("a message");
    assert_eq!((last.markdown.as_str(), last.from_bot), ("**好** @张三", true));

    let long = json!({"msgtype": "text", "text": {"content": "x".repeat(20_000)}});
    assert_eq!(bot.post(&webhook, &long).await.1["errcode"], 460_101);
    assert_eq!(bot.post(&webhook, &json!({"msgtype": "voice", "voice": {}})).await.1["errcode"], 400_105);
    sim.clock().advance(Duration::from_secs(5_401));
    let (status, answer) = bot.post(&webhook, &message).await;
    assert_eq!((status, &answer["errcode"]), (200, &json!(300_001)));
}

#[tokio::test]
async fn robot_messages_reach_people_and_name_the_unknown_ones() {
    let sim = start();
    let bot = Caller::new(&sim).await;
    let param = json!({"title": "t", "text": "**x**"}).to_string();
    let mut message = json!({"robotCode": "dingsimmagpie0001", "userIds": [ZHANG, "nobody"], "msgKey": "sampleMarkdown", "msgParam": param});
    let (status, answer) = bot.post("/v1.0/robot/oToMessages/batchSend", &message).await;
    assert_eq!((status, &answer["invalidStaffIdList"]), (200, &json!(["nobody"])));
    let key = answer["processQueryKey"].clone();
    let recall = json!({"robotCode": "dingsimmagpie0001", "processQueryKeys": [key, "unknown"]});
    let (_, recalled) = bot.post("/v1.0/robot/otoMessages/batchRecall", &recall).await;
    assert_eq!(recalled["successResult"], json!([key]));
    assert_eq!(recalled["failedResult"].as_object().map(serde_json::Map::len), Some(1));
    let direct = sim.chats().into_iter().find(|chat| chat.id == sim.direct_chat(ZHANG)).expect("a chat");
    assert_eq!(direct.messages[0].state, CardState::Recalled);

    message["msgParam"] = json!({"title": "t", "text": "x"});
    assert_eq!(
        code(&bot.post("/v1.0/robot/oToMessages/batchSend", &message).await.1),
        "invalidParameter.msgParam.empty"
    );
    message["robotCode"] = json!("dingother");
    assert_eq!(
        code(&bot.post("/v1.0/robot/oToMessages/batchSend", &message).await.1),
        "invalidParameter.robotCode.auth"
    );
    let long = json!({"content": "x".repeat(15_000)}).to_string();
    let group = json!({"robotCode": "dingsimmagpie0001", "openConversationId": GROUP, "msgKey": "sampleText", "msgParam": long});
    assert_eq!(code(&bot.post("/v1.0/robot/groupMessages/send", &group).await.1), "invalidParameter.msgParam.tooLong");
}

#[tokio::test]
async fn a_received_file_is_fetched_by_its_code_without_a_content_type() {
    let sim = start();
    let bot = Caller::new(&sim).await;
    let service = Service::start(|_, _| (200, String::new()));
    sim.set_webhook_url(Some(service.url.clone()));
    let content = Content::File { name: "a.txt".into(), bytes: "内容".as_bytes().into() };
    sim.post(Said { content, ..Said::text(&sim.direct_chat(ZHANG), ZHANG, "") }).await;
    let body = service.pushes(1).await[0].json();
    assert_eq!((&body["msgtype"], &body["content"]["fileName"]), (&json!("file"), &json!("a.txt")));
    let ask = json!({"robotCode": "dingsimmagpie0001", "downloadCode": body["content"]["downloadCode"]});
    let (_, answer) = bot.post("/v1.0/robot/messageFiles/download", &ask).await;
    let url = answer["downloadUrl"].as_str().expect("an address");
    assert_eq!(bot.http.get(url).send().await.expect("an answer").text().await.expect("text"), "内容");
    let typed = bot.http.get(url).header("content-type", "application/json").send().await.expect("an answer");
    assert_eq!(typed.status(), 403);
}

#[tokio::test]
async fn an_upload_gives_a_media_id() {
    let sim = start();
    let bot = Caller::new(&sim).await;
    let part = reqwest::multipart::Part::bytes(vec![0x89, b'\r', b'\n', 0]).file_name("a.png");
    let form = reqwest::multipart::Form::new().text("type", "image").part("media", part);
    let url = format!("{}/media/upload?access_token={}", bot.base, bot.token);
    let answer: Value = bot.http.post(url).multipart(form).send().await.expect("an answer").json().await.expect("JSON");
    assert_eq!(answer["errcode"], 0, "{answer}");
    assert!(answer["media_id"].as_str().is_some_and(|id| id.starts_with('@')));
}

#[tokio::test]
async fn an_emotion_appears_on_the_message_and_goes_again() {
    let sim = start();
    let bot = Caller::new(&sim).await;
    let said = sim.post(Said::text(GROUP, ZHANG, "你好")).await;
    let mut emotion = json!({"robotCode": "dingsimmagpie0001", "openMsgId": said.id, "openConversationId": GROUP,
        "emotionType": 2, "emotionName": "🤔思考中"});
    assert_eq!(bot.post("/v1.0/robot/emotion/reply", &emotion).await.1, json!({"success": true}));
    assert_eq!(sim.chats()[0].messages[0].note, "🤔思考中");
    bot.post("/v1.0/robot/emotion/recall", &emotion).await;
    assert_eq!(sim.chats()[0].messages[0].note, "");
    emotion["openMsgId"] = json!("unknown");
    assert_eq!(bot.post("/v1.0/robot/emotion/reply", &emotion).await.0, 500);
}

#[tokio::test]
async fn a_custom_robot_wants_its_signature() {
    let sim = start_with(|config| config.custom_robot = Some(("custom-token".to_owned(), "SECsecret".to_owned())));
    let bot = Caller::new(&sim).await;
    let timestamp = sim.clock().now_ms().to_string();
    let message = json!({"msgtype": "text", "text": {"content": "警报"}});
    let url = |sign: &str| {
        let sign: String = url::form_urlencoded::byte_serialize(sign.as_bytes()).collect();
        format!("/robot/send?access_token=custom-token&timestamp={timestamp}&sign={sign}")
    };
    assert_eq!(bot.post(&url("wrong"), &message).await.1["errcode"], 310_000);
    assert_eq!(bot.post(&url(&robot_sign("SECsecret", &timestamp)), &message).await.1["errcode"], 0);
    assert_eq!(sim.chats()[0].messages[0].markdown, "警报");
    sim.clock().stop();
    let url = url(&robot_sign("SECsecret", &timestamp));
    let mut last = Value::Null;
    for _ in 0..20 {
        last = bot.post(&url, &message).await.1;
    }
    assert_eq!(last["errcode"], 130_101);
}
