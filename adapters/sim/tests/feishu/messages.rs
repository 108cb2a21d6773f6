//! Tokens, sending, replying, changing, files; limits and faults of these calls.

use std::time::Duration;

use magpie_sim::feishu::{Call, Fault, FeishuConfig, FeishuSim, RateLimits, Said, Target, Topics};
use magpie_sim::view::{CardState, SimulatedPlatform};
use reqwest::Method;
use serde_json::{Value, json};

use crate::service::Bench;

fn text(text: &str) -> Value {
    json!({"text": text})
}

#[actix_web::test]
async fn tokens_are_required_and_end() {
    let mut bench = Bench::start().await;
    let again = bench.fetch_token().await;
    assert_eq!(again, bench.token);
    bench.sim.clock().advance(Duration::from_secs(7_200));
    assert_eq!(bench.get("bot/v3/info").await.code(), 99_991_663);
    bench.token.clear();
    assert_eq!(bench.get("bot/v3/info").await.code(), 99_991_661);
    bench.token = bench.fetch_token().await;
    let info = bench.get("bot/v3/info").await;
    assert_eq!(info.text("/bot/open_id"), bench.sim.config().bot_open_id);
    assert!(info.body.get("data").is_none() && info.log_id.is_some());
    bench.sim.invalidate_tokens();
    assert_eq!(bench.get("bot/v3/info").await.code(), 99_991_663);
}

#[actix_web::test]
async fn wrong_credentials_are_refused_with_status_200() {
    let bench = Bench::start().await;
    let config = bench.sim.config();
    let wrong = json!({"app_id": config.app_id, "app_secret": "wrong"});
    let answer = bench.post("auth/v3/tenant_access_token/internal", wrong).await;
    assert_eq!((answer.status, answer.code()), (200, 10_015));
    let unknown = json!({"app_id": "cli_0", "app_secret": "x"});
    assert_eq!(bench.post("auth/v3/tenant_access_token/internal", unknown).await.code(), 10_003);
}

#[actix_web::test]
async fn content_must_be_a_string_of_json() {
    let bench = Bench::start().await;
    let path = "im/v1/messages?receive_id_type=chat_id";
    let object = json!({"receive_id": bench.sim.group(), "msg_type": "text", "content": {"text": "x"}});
    assert_eq!(bench.post(path, object).await.code(), 99_992_402);
    let broken = json!({"receive_id": bench.sim.group(), "msg_type": "text", "content": "x"});
    assert_eq!(bench.post(path, broken).await.code(), 230_001);
    assert_eq!(bench.send("text", &text(&"x".repeat(150 * 1024)), "").await.code(), 230_025);
    assert_eq!(bench.send("image", &json!({"image_key": "img_v3_made_up"}), "").await.code(), 230_001);
}

#[actix_web::test]
async fn same_uuid_sends_once_within_an_hour() {
    let bench = Bench::start().await;
    let first = bench.send("text", &text("one"), "u-1").await;
    let second = bench.send("text", &text("one"), "u-1").await;
    assert_eq!(first.text("/data/message_id"), second.text("/data/message_id"));
    assert_eq!(bench.sim.chats()[0].messages.len(), 1);
    bench.sim.clock().advance(Duration::from_secs(3_600));
    let later = bench.send("text", &text("one"), "u-1").await;
    assert_ne!(first.text("/data/message_id"), later.text("/data/message_id"));
    assert_eq!(bench.send("text", &text("x"), &"u".repeat(51)).await.code(), 99_992_402);
}

#[actix_web::test]
async fn sixth_message_to_a_chat_within_a_second_is_too_many() {
    let bench = Bench::start().await;
    for _ in 0..5 {
        assert_eq!(bench.send("text", &text("x"), "").await.code(), 0);
    }
    assert_eq!(bench.send("text", &text("x"), "").await.code(), 230_020);
    bench.sim.clock().advance(Duration::from_secs(1));
    assert_eq!(bench.send("text", &text("x"), "").await.code(), 0);
    bench.sim.set_limits(RateLimits { app_per_second: Some(1), ..RateLimits::off() });
    bench.send("text", &text("x"), "").await;
    let limited = bench.send("text", &text("x"), "").await;
    assert_eq!((limited.status, limited.code(), limited.reset.as_deref()), (429, 99_991_400, Some("1")));
}

#[actix_web::test]
async fn replies_know_their_chain_and_refuse_lost_targets() {
    let bench = Bench::start().await;
    let asked = bench.sim.send(Said::text(&bench.sim.group(), &bench.first_person(), "hi").mentioning_bot()).await;
    let path = format!("im/v1/messages/{}/reply", asked.id);
    let body = json!({"msg_type": "text", "content": text("yes").to_string()});
    let answer = bench.post(&path, body.clone()).await;
    assert_eq!(answer.text("/data/root_id"), asked.id);
    assert_eq!(answer.text("/data/parent_id"), asked.id);
    assert!(answer.body["data"].get("thread_id").is_none());
    assert_eq!(bench.sim.replies(&asked.id)[0].id, answer.text("/data/message_id"));
    assert_eq!(bench.sim.calls(Call::ReplyMessage), 1);
    let mut threaded = body.clone();
    threaded["reply_in_thread"] = json!(true);
    bench.sim.allow_topics(&bench.sim.group(), Topics::Refused);
    assert_eq!(bench.post(&path, threaded.clone()).await.code(), 230_071);
    bench.sim.allow_topics(&bench.sim.group(), Topics::Allowed);
    assert!(bench.post(&path, threaded).await.text("/data/thread_id").starts_with("omt_"));
    bench.sim.recall(&asked.id).await;
    assert_eq!(bench.post(&path, body.clone()).await.code(), 230_011);
    assert_eq!(bench.post("im/v1/messages/om_none/reply", body).await.code(), 99_992_354);
}

#[actix_web::test]
async fn bot_outside_a_chat_can_not_send_there() {
    let bench = Bench::start().await;
    bench.sim.remove_bot(&bench.sim.group(), &bench.first_person()).await;
    assert_eq!(bench.send("text", &text("x"), "").await.code(), 230_002);
    assert_eq!(bench.get(&format!("im/v1/chats/{}", bench.sim.group())).await.code(), 230_002);
    let direct = json!({"receive_id": bench.first_person(), "msg_type": "text", "content": text("x").to_string()});
    assert_eq!(bench.post("im/v1/messages?receive_id_type=open_id", direct).await.code(), 0);
}

#[actix_web::test]
async fn cards_are_patched_and_texts_are_edited() {
    let bench = Bench::start().await;
    let old_card = |text: &str, multi: bool| json!({"config": {"update_multi": multi}, "elements": [{"tag": "markdown", "content": text}]});
    let sent = bench.send("interactive", &old_card("one", true), "").await.text("/data/message_id");
    let path = format!("im/v1/messages/{sent}");
    assert_eq!(bench.patch(&path, json!({"content": old_card("two", false).to_string()})).await.code(), 230_001);
    assert_eq!(bench.patch(&path, json!({"content": old_card("two", true).to_string()})).await.code(), 0);
    let shown = bench.sim.chats()[0].messages[0].clone();
    assert_eq!((shown.markdown.as_str(), shown.updates, shown.state), ("two", 1, CardState::Final));
    assert_eq!(bench.put(&path, json!({"msg_type": "text", "content": text("x").to_string()})).await.code(), 230_001);
    bench.sim.clock().advance(Duration::from_secs(14 * 86_400 + 1));
    let bench = Bench { token: bench.fetch_token().await, ..bench };
    assert_eq!(bench.patch(&path, json!({"content": old_card("three", true).to_string()})).await.code(), 230_031);
    let said = bench.send("text", &text("a"), "").await.text("/data/message_id");
    let edited = bench
        .put(&format!("im/v1/messages/{said}"), json!({"msg_type": "text", "content": text("b").to_string()}))
        .await;
    assert_eq!(edited.body["data"]["updated"], false, "the clock stands still");
    assert_eq!(bench.sim.chats()[0].messages[1].markdown, "b");
}

#[actix_web::test]
async fn sixth_change_of_a_message_within_a_second_is_too_many() {
    let bench = Bench::start().await;
    let card =
        |n: usize| json!({"schema": "2.0", "body": {"elements": [{"tag": "markdown", "content": n.to_string()}]}});
    let sent = bench.send("interactive", &card(0), "").await.text("/data/message_id");
    let path = format!("im/v1/messages/{sent}");
    for n in 1..=5 {
        assert_eq!(bench.patch(&path, json!({"content": card(n).to_string()})).await.code(), 0);
    }
    assert_eq!(bench.patch(&path, json!({"content": card(6).to_string()})).await.code(), 230_020);
    let report = bench.sim.card_report(&sent).unwrap();
    assert_eq!((report.calls, report.refused, report.max_in_flight), (6, 1, 1));
}

#[actix_web::test]
async fn recalled_messages_take_no_more_changes() {
    let bench = Bench::start().await;
    let sent = bench.send("text", &text("x"), "").await.text("/data/message_id");
    let path = format!("im/v1/messages/{sent}");
    assert_eq!(bench.call(Method::DELETE, &path, &Value::Null).await.unwrap().code(), 0);
    assert_eq!(bench.get(&path).await.code(), 230_011);
    assert_eq!(bench.sim.chats()[0].messages[0].state, CardState::Recalled);
}

#[actix_web::test]
async fn files_of_people_are_downloaded_and_own_ones_uploaded() {
    let bench = Bench::start().await;
    let direct = bench.sim.direct_chat(&bench.first_person()).unwrap();
    let said = bench.sim.send(Said::file(&direct, &bench.first_person(), "报告.txt", &b"content"[..])).await;
    let key = bench.get(&format!("im/v1/messages/{}", said.id)).await.text("/data/items/0/body/content");
    let key: Value = serde_json::from_str(&key).unwrap();
    let path = format!("im/v1/messages/{}/resources/{}", said.id, key["file_key"].as_str().unwrap());
    assert_eq!(bench.get(&format!("{path}?type=image")).await.code(), 234_001);
    assert_eq!(bench.get(&format!("im/v1/messages/{}/resources/file_v3_x?type=file", said.id)).await.code(), 234_003);
    let url = format!("{}/open-apis/{path}?type=file", bench.sim.base_url());
    let bytes = bench.http.get(url).bearer_auth(&bench.token).send().await.unwrap().bytes().await.unwrap();
    assert_eq!(&bytes[..], b"content");

    let form = reqwest::multipart::Form::new()
        .text("image_type", "message")
        .part("image", reqwest::multipart::Part::bytes(vec![1, 2, 3]).file_name("a.png"));
    let url = format!("{}/open-apis/im/v1/images", bench.sim.base_url());
    let answer = bench.http.post(url).bearer_auth(&bench.token).multipart(form).send().await.unwrap();
    let answer: Value = answer.json().await.unwrap();
    assert_eq!(bench.send("image", &json!({"image_key": answer["data"]["image_key"]}), "").await.code(), 0);
}

#[actix_web::test]
async fn reactions_people_and_chats_are_served() {
    let bench = Bench::start().await;
    let sent = bench.send("text", &text("x"), "").await.text("/data/message_id");
    let path = format!("im/v1/messages/{sent}/reactions");
    assert_eq!(bench.post(&path, json!({"reaction_type": {"emoji_type": "typing"}})).await.code(), 231_001);
    let reaction =
        bench.post(&path, json!({"reaction_type": {"emoji_type": "Typing"}})).await.text("/data/reaction_id");
    assert_eq!(bench.sim.reactions(&sent), ["Typing"]);
    let removed = bench.call(Method::DELETE, &format!("{path}/{reaction}"), &Value::Null).await.unwrap();
    assert_eq!((removed.code(), bench.sim.reactions(&sent).len()), (0, 0));
    let user = bench.get(&format!("contact/v3/users/{}?user_id_type=open_id", bench.first_person())).await;
    assert_eq!(user.text("/data/user/name"), "张伟");
    assert_eq!(bench.get("contact/v3/users/ou_none").await.code(), 41_050);
    let chat = bench.get(&format!("im/v1/chats/{}", bench.sim.group())).await;
    assert_eq!(chat.text("/data/chat_mode"), "group");
}

#[actix_web::test]
async fn faults_hit_the_call_they_name() {
    let bench = Bench::start().await;
    let faults = bench.sim.faults().clone();
    let target = Target::Only(Call::SendMessage);
    faults.once(target, Fault::ServerError(502));
    assert_eq!(bench.send("text", &text("a"), "").await.status, 502);
    faults.once(target, Fault::RateLimited { reset_s: 7 });
    assert_eq!(bench.send("text", &text("a"), "").await.reset.as_deref(), Some("7"));
    faults.once(target, Fault::Refused { status: 400, code: 230_022 });
    assert_eq!(bench.send("text", &text("a"), "").await.code(), 230_022);
    assert!(bench.sim.chats()[0].messages.is_empty());

    let body =
        json!({"receive_id": bench.sim.group(), "msg_type": "text", "content": text("lost").to_string(), "uuid": "u"});
    let path = "im/v1/messages?receive_id_type=chat_id";
    faults.once(target, Fault::Dropped);
    assert!(bench.call(Method::POST, path, &body).await.is_none());
    assert!(bench.sim.chats()[0].messages.is_empty());
    faults.once(target, Fault::AnswerLost);
    assert!(bench.call(Method::POST, path, &body).await.is_none());
    assert_eq!(bench.sim.chats()[0].messages.len(), 1);
    assert_eq!(bench.post(path, body).await.code(), 0);
    assert_eq!(bench.sim.chats()[0].messages.len(), 1, "the uuid protects the second try");

    faults.once(Target::Everything, Fault::TokenInvalid { status: 200 });
    let answer = bench.send("text", &text("b"), "").await;
    assert_eq!((answer.status, answer.code()), (200, 99_991_663));
    assert_eq!(bench.send("text", &text("b"), "").await.code(), 99_991_663, "the token stays invalid");
}

#[actix_web::test]
async fn wire_log_shows_calls_without_secrets() {
    let bench = Bench::start().await;
    bench.send("text", &text("x"), "").await;
    let log = bench.sim.wire().all();
    assert_eq!(log.len(), 2);
    assert_eq!(log[1].path, "/open-apis/im/v1/messages?receive_id_type=chat_id");
    let whole = format!("{log:?}");
    assert!(!whole.contains(&bench.token) && !whole.contains(&bench.sim.config().app_secret));
}

#[actix_web::test]
async fn port_is_free_again_when_the_platform_is_gone() {
    let bench = Bench::start().await;
    let port = bench.sim.base_url().rsplit(':').next().unwrap().parse().unwrap();
    assert!(FeishuSim::start(FeishuConfig { port, ..FeishuConfig::default() }).is_err());
    drop(bench);
    let again = FeishuSim::start(FeishuConfig { port, ..FeishuConfig::default() }).unwrap();
    assert!(again.base_url().ends_with(&port.to_string()));
}
