//! Pushes to the service: robot messages, events, card callbacks, and their repeats.

use std::time::Duration;

use magpie_sim::dingtalk::{
    Api, DingTalkConfig, EventAnswerError, EventCrypto, Quote, RawPush, Said, card_sign, robot_sign,
};
use magpie_sim::view::{SimulatedPlatform, Utterance};
use magpie_sim::wire::Direction;
use serde_json::{Value, json};

use crate::support::{Caller, GROUP, Got, Service, ZHANG, frame, group_card, start, start_with};

fn ok(_: usize, _: &Got) -> (u16, String) {
    (200, "{}".to_owned())
}

#[tokio::test]
async fn a_group_mention_is_pushed_with_a_valid_signature() {
    let (sim, service) = (start(), Service::start(ok));
    sim.set_webhook_url(Some(service.url.clone()));
    let pushed = sim.post(Said::text(GROUP, ZHANG, "你好")).await;
    let got = service.pushes(1).await.remove(0);
    let expected = robot_sign(&DingTalkConfig::default().client_secret, got.header("timestamp"));
    assert_eq!(got.header("sign"), expected);
    let body = got.json();
    assert_eq!(body["msgId"], json!(pushed.id));
    assert_eq!(body["text"]["content"], " 你好");
    assert_eq!(body["senderStaffId"], ZHANG);
    assert_eq!(body["atUsers"][0]["dingtalkId"], body["chatbotUserId"]);
    assert_eq!(body["conversationType"], "2");
    assert!(sim.unacknowledged().is_empty());
}

#[tokio::test]
async fn a_group_message_without_mention_is_visible_but_not_pushed() {
    let (sim, service) = (start(), Service::start(ok));
    sim.set_webhook_url(Some(service.url.clone()));
    let utterance = Utterance { chat: GROUP.into(), user: ZHANG.into(), text: "闲聊".into(), mention_bot: false };
    let pushed = sim.say(utterance).await;
    assert_eq!((pushed.status, sim.chats()[0].messages.len()), (0, 1));
    assert!(service.got.lock().expect("no panic").is_empty());
}

#[tokio::test]
async fn an_outsider_has_no_staff_id() {
    let (sim, service) = (start(), Service::start(ok));
    sim.set_webhook_url(Some(service.url.clone()));
    sim.add_outsider("outsideriEiE", "外部客户");
    sim.join(GROUP, "outsideriEiE");
    sim.post(Said::text(GROUP, "outsideriEiE", "你好")).await;
    let body = service.pushes(1).await[0].json();
    assert_eq!((body.get("senderStaffId"), &body["senderNick"]), (None, &json!("外部客户")));
}

#[tokio::test]
async fn a_failed_push_is_repeated_under_the_same_id_until_it_is_answered() {
    let sim = start_with(|config| config.repeat_after = vec![Duration::from_millis(5); 5]);
    let service = Service::start(|number, _| if number < 2 { (503, String::new()) } else { (200, String::new()) });
    sim.set_webhook_url(Some(service.url.clone()));
    assert_eq!(sim.post(Said::text(GROUP, ZHANG, "你好")).await.status, 503);
    let got = service.pushes(3).await;
    assert_eq!(got[0].body, got[2].body);
    let again = sim.deliver_again(got[0].json()["msgId"].as_str().expect("an id")).await;
    assert_eq!(again.status, 200);
    assert_eq!(service.pushes(4).await[3].body, got[0].body);
}

#[tokio::test]
async fn duplicates_are_pushed_on_request() {
    let (sim, service) = (start(), Service::start(ok));
    sim.set_webhook_url(Some(service.url.clone()));
    sim.faults().duplicate_next_push(3);
    sim.post(Said::text(GROUP, ZHANG, "你好")).await;
    let got = service.pushes(4).await;
    assert!(got.iter().all(|push| push.body == got[0].body));
}

#[tokio::test]
async fn a_used_up_quota_leaves_the_content_out() {
    let (sim, service) = (start(), Service::start(ok));
    sim.set_webhook_url(Some(service.url.clone()));
    sim.faults().set_messages_exhausted(true);
    sim.post(Said::text(&sim.direct_chat(ZHANG), ZHANG, "你好")).await;
    let body = service.pushes(1).await[0].json();
    assert_eq!((&body["errorCode"], body.get("text")), (&json!("20001"), None));
}

#[tokio::test]
async fn quoting_a_card_names_its_carrier() {
    let (sim, service) = (start(), Service::start(ok));
    sim.set_webhook_url(Some(service.url.clone()));
    let bot = Caller::new(&sim).await;
    let (_, created) = bot.create(&group_card("c1")).await;
    sim.post(Said { quote: Some(Quote::Full("c1".into())), ..Said::text(GROUP, ZHANG, "这个呢") }).await;
    let body = service.pushes(1).await[0].json();
    assert_eq!(body["text"]["repliedMsg"]["msgType"], "interactiveCard");
    assert_eq!(body["originalProcessQueryKey"], created["result"]["deliverResults"][0]["carrierId"]);
}

/// A service that opens events and answers as the platform wants, with `word` inside.
fn event_service(word: &'static str) -> Service {
    Service::start(move |_, got| {
        let config = DingTalkConfig::default();
        let crypto = EventCrypto::new(&config.callback_token, &config.callback_aes_key, &config.client_id);
        let crypto = crypto.expect("the default key is good");
        let parameter = |name: &str| {
            let found = url::form_urlencoded::parse(got.query.as_bytes()).find(|(key, _)| key == name);
            found.expect("a parameter").1.into_owned()
        };
        let (timestamp, nonce) = (parameter("timestamp"), parameter("nonce"));
        let encrypted = got.json()["encrypt"].as_str().expect("a ciphertext").to_owned();
        let event = crypto.open(&parameter("signature"), &timestamp, &nonce, &encrypted).expect("a good envelope");
        assert!(event.contains("EventType"));
        let encrypt = crypto.seal(word);
        let signature = crypto.signature(&timestamp, &nonce, &encrypt);
        let answer = json!({"msg_signature": signature, "timeStamp": timestamp, "nonce": nonce, "encrypt": encrypt});
        (200, answer.to_string())
    })
}

#[tokio::test]
async fn an_event_is_accepted_only_with_an_encrypted_success() {
    let sim = start();
    let good = event_service("success");
    sim.set_webhook_url(Some(good.url.clone()));
    assert_eq!(sim.check_url().await.accepted, Ok(()));
    let wrong_word = event_service("fine");
    sim.set_webhook_url(Some(wrong_word.url.clone()));
    assert_eq!(sim.check_url().await.accepted, Err(EventAnswerError::Word));
    let plain = Service::start(ok);
    sim.set_webhook_url(Some(plain.url.clone()));
    assert_eq!(sim.check_url().await.accepted, Err(EventAnswerError::Shape));
}

#[tokio::test]
async fn a_press_calls_the_registered_address_and_applies_the_answer() {
    let sim = start();
    let bot = Caller::new(&sim).await;
    bot.create(&group_card("c1")).await;
    bot.stream(&frame("c1", "g1", "答")).await;
    assert_eq!(sim.press("c1", "stop", ZHANG).await.status, 0, "no address is registered yet");

    let answer = json!({"cardUpdateOptions": {"updateCardDataByKey": true}, "cardData": {"cardParamMap": {"msgTitle": "已停止"}}});
    let service = Service::start(move |_, _| (200, answer.to_string()));
    let register =
        json!({"callbackRouteKey": "route", "callbackUrl": service.url, "apiSecret": "s", "forceUpdate": false});
    assert_eq!(bot.post("/v1.0/card/callbacks/register", &register).await.1["success"], true);
    assert_eq!(bot.post("/v1.0/card/callbacks/register", &register).await.0, 500);

    assert_eq!(sim.press("c1", "stop", ZHANG).await.status, 200);
    let got = service.pushes(1).await.remove(0);
    assert_eq!(got.header("x-ddpaas-signature"), card_sign("s", got.header("x-ddpaas-signature-timestamp")));
    let body = got.json();
    assert_eq!((&body["type"], &body["outTrackId"]), (&json!("actionCallback"), &json!("c1")));
    let content: Value = serde_json::from_str(body["content"].as_str().expect("text")).expect("JSON in text");
    assert_eq!(content["cardPrivateData"], json!({"actionIds": ["stop"], "params": {"round": "1"}}));
    assert_eq!(sim.chats_as(ZHANG)[0].messages[0].title, "已停止");
    assert_eq!(sim.chats_as("manager7413")[0].messages[0].title, "标题");
}

#[tokio::test]
async fn an_answer_that_comes_too_late_counts_as_none() {
    let sim = start_with(|config| {
        config.push_timeout = Duration::from_millis(30);
        config.card_timeout = Duration::from_millis(30);
        config.repeat_after.clear();
    });
    // Connections wait in the backlog of a listener that never takes them.
    let silent = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let url = format!("http://{}/", silent.local_addr().expect("an address"));
    sim.set_webhook_url(Some(url.clone()));
    let pushed = sim.post(Said::text(GROUP, ZHANG, "你好")).await;
    assert_eq!((pushed.status, sim.unacknowledged()), (0, vec![pushed.id]));

    let bot = Caller::new(&sim).await;
    bot.create(&group_card("c1")).await;
    bot.post("/v1.0/card/callbacks/register", &json!({"callbackRouteKey": "route", "callbackUrl": url})).await;
    assert_eq!(sim.press("c1", "stop", ZHANG).await.status, 0);
}

#[tokio::test]
async fn a_send_message_link_makes_the_person_send_its_text() {
    let (sim, service) = (start(), Service::start(ok));
    sim.set_webhook_url(Some(service.url.clone()));
    let bot = Caller::new(&sim).await;
    let link = "dtmd://dingtalkclient/sendMessage?content=%E7%BB%A7%E7%BB%AD";
    let param = json!({"title": "t", "text": "x", "singleTitle": "继续", "singleURL": link}).to_string();
    let card =
        json!({"robotCode": "dingsimmagpie0001", "userIds": [ZHANG], "msgKey": "sampleActionCard", "msgParam": param});
    let (_, sent) = bot.post("/v1.0/robot/oToMessages/batchSend", &card).await;
    let message = sent["processQueryKey"].as_str().expect("a key");
    assert_eq!(sim.press(message, "link-0", ZHANG).await.status, 200);
    assert_eq!(service.pushes(1).await[0].json()["text"]["content"], "继续");
}

#[tokio::test]
async fn a_raw_push_arrives_as_it_was_made() {
    let (sim, service) = (start(), Service::start(|_, _| (401, String::new())));
    sim.set_webhook_url(Some(service.url.clone()));
    let headers = vec![("sign".to_owned(), "forged".to_owned())];
    let raw = RawPush { headers, query: "a=b".to_owned(), body: "not json".to_owned() };
    assert_eq!(sim.push_raw(raw).await.status, 401);
    let got = service.pushes(1).await.remove(0);
    assert_eq!((got.header("sign"), got.query.as_str(), got.body.as_str()), ("forged", "a=b", "not json"));
}

#[tokio::test]
async fn many_messages_at_once_are_all_pushed_and_logged() {
    let (sim, service) = (start(), Service::start(ok));
    sim.set_webhook_url(Some(service.url.clone()));
    let said = futures::future::join_all((0..100).map(|number| {
        let (sim, text) = (sim.clone(), number.to_string());
        async move { sim.post(Said::text(GROUP, ZHANG, &text)).await.status }
    }));
    assert!(said.await.iter().all(|status| *status == 200));
    assert_eq!(service.pushes(100).await.len(), 100);
    assert_eq!(sim.monthly_messages(), 100);
    assert_eq!(sim.calls(Api::Token), 0);
}

#[tokio::test]
async fn the_wire_log_holds_both_directions_without_secrets() {
    let wire = magpie_sim::wire::WireLog::default();
    let sim = start_with(|config| config.wire = wire.clone());
    let service = Service::start(ok);
    sim.set_webhook_url(Some(service.url.clone()));
    let bot = Caller::new(&sim).await;
    sim.post(Said::text(GROUP, ZHANG, "你好")).await;
    let log = wire.all();
    assert_eq!([log[0].direction, log[1].direction], [Direction::ToPlatform, Direction::ToService]);
    let secret = DingTalkConfig::default().client_secret;
    assert!(log.iter().all(|exchange| !format!("{exchange:?}").contains(&secret)));
    assert!(log.iter().all(|exchange| !format!("{exchange:?}").contains(&bot.token)));
}
