//! The robot comes into groups and leaves them; messages are taken back; calls are counted and limited.

use std::time::Duration;

use magpie_sim::dingtalk::{DingTalkConfig, DingTalkSim, EventCrypto, RateLimits};
use magpie_sim::view::{CardState, SimulatedPlatform, Utterance};
use serde_json::{Value, json};

use crate::support::{Caller, GROUP, Got, Service, ZHANG, code, group_card, start};

fn ok(_: usize, _: &Got) -> (u16, String) {
    (200, "{}".to_owned())
}

fn listening() -> (DingTalkSim, Service) {
    let (sim, service) = (start(), Service::start(ok));
    sim.set_webhook_url(Some(service.url.clone()));
    (sim, service)
}

fn say(chat: &str, text: &str) -> Utterance {
    Utterance { chat: chat.into(), user: ZHANG.into(), text: text.into(), mention_bot: true }
}

fn event(got: &Got) -> Value {
    let config = DingTalkConfig::default();
    let crypto = EventCrypto::new(&config.callback_token, &config.callback_aes_key, &config.client_id);
    let parameter = |name: &str| {
        let found = url::form_urlencoded::parse(got.query.as_bytes()).find(|(key, _)| key == name);
        found.expect("a parameter").1.into_owned()
    };
    let encrypted = got.json()["encrypt"].as_str().expect("a ciphertext").to_owned();
    let opened = crypto.expect("the default key is good").open(
        &parameter("signature"),
        &parameter("timestamp"),
        &parameter("nonce"),
        &encrypted,
    );
    serde_json::from_str(&opened.expect("a good envelope")).expect("JSON")
}

#[tokio::test]
async fn a_new_group_reaches_the_robot_once_its_app_is_installed() {
    let (sim, service) = listening();
    let bot = Caller::new(&sim).await;
    let group = sim.open_group("新群", &[ZHANG.to_owned()]);
    assert_eq!(sim.say(say(&group, "有人吗")).await.status, 0);
    let param = json!({"content": "hi"}).to_string();
    let message = json!({"robotCode": "dingsimmagpie0001", "openConversationId": group, "msgKey": "sampleText", "msgParam": param});
    assert_eq!(bot.post("/v1.0/robot/groupMessages/send", &message).await.0, 400);

    assert_eq!(sim.invite_bot(&group, ZHANG).await.status, 200);
    let told = event(&service.pushes(1).await[0]);
    assert_eq!((&told["EventType"], &told["openConversationId"]), (&json!("im_cool_app_install"), &json!(group)));
    assert!(told["operateTime"].is_string() && told["eventId"].is_string());
    assert_eq!(bot.post("/v1.0/robot/groupMessages/send", &message).await.0, 200);
    assert_eq!(sim.say(say(&group, "你好")).await.status, 200);

    sim.expel_bot(&group, ZHANG).await;
    let got = service.pushes(3).await;
    assert_eq!(event(&got[2])["EventType"], "im_cool_app_uninstall");
    let mut card = group_card("c1");
    card["openSpaceId"] = json!(format!("dtv1.card//IM_GROUP.{group}"));
    assert_eq!(bot.create(&card).await.1["result"]["deliverResults"][0]["success"], false);
    sim.add_robot_quietly(&group);
    assert_eq!(
        (bot.post("/v1.0/robot/groupMessages/send", &message).await.0, sim.say(say(&group, "又")).await.status),
        (200, 200)
    );
    assert_eq!(service.pushes(4).await.len(), 4, "being added by hand is told by no event");
}

#[tokio::test]
async fn only_the_recall_of_a_robots_message_is_told() {
    let (sim, service) = listening();
    let bot = Caller::new(&sim).await;
    let said = sim.say(say(GROUP, "说错了")).await;
    assert_eq!(sim.take_back(&said.id, "manager7413").await.status, 0);
    let state = |number: usize| sim.chat(GROUP).expect("a group").messages[number].state;
    assert_eq!(state(0), CardState::Final, "it is somebody else's");
    assert_eq!((sim.take_back(&said.id, ZHANG).await.status, state(0)), (0, CardState::Recalled));

    let (_, created) = bot.create(&group_card("c1")).await;
    assert_eq!(sim.recall("c1", ZHANG).await.status, 200);
    assert_eq!(state(1), CardState::Recalled);
    let told = event(&service.pushes(2).await[1]);
    assert_eq!(told["EventType"], "robot_msg_recall");
    assert_eq!(told["ProcessQueryKey"], created["result"]["deliverResults"][0]["carrierId"]);
    assert_eq!((&told["OpenConversationId"], &told["UserId"]), (&json!(GROUP), &json!(ZHANG)));
}

#[tokio::test]
async fn a_new_title_is_told() {
    let (sim, service) = listening();
    sim.rename(GROUP, "新名字", ZHANG).await;
    let told = event(&service.pushes(1).await[0]);
    assert_eq!((&told["EventType"], &told["title"]), (&json!("chat_update_title"), &json!("新名字")));
    assert_eq!(sim.chat(GROUP).expect("a group").title, "新名字");
}

#[tokio::test]
async fn the_platform_has_neither_visits_nor_a_menu() {
    let (sim, service) = listening();
    let abilities = sim.abilities();
    assert!(!abilities.open_direct && !abilities.menu && !abilities.topics);
    assert_eq!((sim.open_direct(ZHANG).await.status, sim.choose_menu(ZHANG, "help").await.status), (0, 0));
    assert!(service.got.lock().expect("no panic while held").is_empty());
}

#[tokio::test]
async fn calls_are_counted_by_api_with_what_limits_refused() {
    let sim = start();
    let bot = Caller::new(&sim).await;
    sim.clock().stop();
    let before = sim.tally();
    sim.set_limits(RateLimits { per_second: 2, per_minute: Some(3), per_month: Some(4) });
    let mut number = 0;
    let mut create = async || {
        number += 1;
        let (status, answer) = bot.create(&group_card(&format!("c{number}"))).await;
        (status, code(&answer).rsplit('.').next().unwrap_or_default().to_owned())
    };
    assert_eq!((create().await.0, create().await.0), (200, 200));
    assert_eq!(create().await, (403, "QpsLimitForAppkeyAndApi".to_owned()));
    sim.clock().advance(Duration::from_secs(1));
    assert_eq!(create().await.0, 200);
    assert_eq!(create().await, (403, "QpmLimitForAppkeyAndApi".to_owned()));
    sim.clock().advance(Duration::from_secs(60));
    assert_eq!(create().await.0, 200);
    assert_eq!(create().await, (403, "ApiCountLimitForOrg".to_owned()));
    let cost = sim.tally().since(&before);
    let class = cost.class("CardCreateAndDeliver");
    assert_eq!((class.calls, class.refused, class.rate_limited, class.busiest_second), (7, 3, 3, 3));
    assert_eq!((cost.counted(), cost.class("Token").calls), (7, 0));
    assert_eq!(sim.monthly_api_calls(), 4, "refused calls cost nothing");
}
