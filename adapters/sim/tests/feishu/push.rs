//! What reaches the service: sealed, complete, again after failures, twice or out of order on demand.

use std::time::Duration;

use magpie_sim::feishu::{FeishuConfig, FeishuSim, Said, crypto};
use magpie_sim::view::{SimulatedPlatform, Utterance};
use serde_json::{Value, json};

use crate::service::{Received, Webhook};

const PATIENCE: Duration = Duration::from_secs(10);

fn platform(webhook: &Webhook, config: FeishuConfig) -> FeishuSim {
    FeishuSim::start(FeishuConfig { webhook_url: Some(webhook.url.clone()), ..config }).unwrap()
}

fn key() -> String {
    FeishuConfig::default().encrypt_key.unwrap()
}

fn group_message(sim: &FeishuSim, text: &str) -> Said {
    Said::text(&sim.group(), &sim.people()[0].0, text).mentioning_bot()
}

fn verified(received: &Received) -> Value {
    let expected = crypto::event_signature(&received.timestamp, &received.nonce, &key(), &received.body);
    assert_eq!(received.signature, expected);
    received.event(&key())
}

#[actix_web::test]
async fn group_message_is_signed_encrypted_and_complete() {
    let webhook = Webhook::accepting();
    let sim = platform(&webhook, FeishuConfig::default());
    let (user, _) = sim.people()[0].clone();
    let text = "how are you, @Alice Chen?".to_owned();
    let pushed = sim.say(Utterance { chat: sim.group(), user: user.clone(), text, mention_bot: true }).await;
    assert_eq!((pushed.status, pushed.answer.as_str()), (200, "{}"));
    let event = verified(&webhook.received()[0]);
    assert_eq!(event["header"]["event_type"], "im.message.receive_v1");
    assert_eq!(event["header"]["token"], sim.config().verification_token.as_str());
    let message = &event["event"]["message"];
    assert_eq!(message["content"], r#"{"text":"@_user_1 how are you, @_user_2?"}"#);
    assert_eq!(message["mentions"][0]["id"]["open_id"], sim.config().bot_open_id.as_str());
    assert_eq!(message["mentions"][1]["name"], "Alice Chen");
    assert_eq!(
        (message["chat_type"].as_str(), message["message_id"].as_str()),
        (Some("group"), Some(pushed.id.as_str()))
    );
    assert_eq!(event["event"]["sender"]["sender_id"]["open_id"], user.as_str());
    assert_eq!(sim.chats()[0].messages[0].markdown, "@Magpie how are you, @Alice Chen?");
}

#[actix_web::test]
async fn without_encrypt_key_the_body_is_plain_and_unsigned() {
    let webhook = Webhook::accepting();
    let sim = platform(&webhook, FeishuConfig { encrypt_key: None, ..FeishuConfig::default() });
    let user = sim.people()[1].0.clone();
    let direct = sim.direct_chat(&user).unwrap();
    sim.send(Said::text(&direct, &user, "hi").mentioning_bot()).await;
    let received = webhook.received().remove(0);
    assert!(received.signature.is_empty());
    let message = &received.event("")["event"]["message"];
    assert_eq!((message["chat_type"].as_str(), message["content"].as_str()), (Some("p2p"), Some(r#"{"text":"hi"}"#)));
    assert!(message.get("mentions").is_none());
}

#[actix_web::test]
async fn failed_delivery_follows_the_schedule_and_is_sealed_afresh() {
    let webhook = Webhook::answering(|number, _| if number < 2 { (503, String::new()) } else { (200, "{}".into()) });
    let schedule = vec![Duration::from_millis(5); 4];
    let sim = platform(&webhook, FeishuConfig { retry_schedule: schedule, ..FeishuConfig::default() });
    let pushed = sim.send(group_message(&sim, "hi")).await;
    assert_eq!(pushed.status, 503);
    let acknowledged = |sim: &FeishuSim| sim.delivery(&pushed.id).filter(|report| report.acknowledged == 1);
    assert!(sim.wait_for(PATIENCE, acknowledged).await.is_some());
    let received = webhook.received();
    assert_eq!(received.len(), 3);
    assert_ne!(received[0].body, received[1].body);
    assert_ne!(received[0].nonce, received[1].nonce);
    assert_eq!(verified(&received[0]), verified(&received[2]));
    assert!(!sim.delivery(&pushed.id).unwrap().lost);
}

#[actix_web::test]
async fn event_is_lost_when_the_schedule_runs_out() {
    let webhook = Webhook::answering(|_, _| (500, String::new()));
    let config = FeishuConfig { retry_schedule: vec![Duration::ZERO], ..FeishuConfig::default() };
    let sim = platform(&webhook, config);
    let pushed = sim.send(group_message(&sim, "hi")).await;
    assert!(sim.wait_for(PATIENCE, |sim| sim.delivery(&pushed.id).filter(|report| report.lost)).await.is_some());
    assert_eq!(webhook.received().len(), 2);
}

#[actix_web::test]
async fn service_that_does_not_answer_in_time_counts_as_failed() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let config = FeishuConfig {
        webhook_url: Some(url),
        answer_limit: Duration::from_millis(50),
        retry_schedule: Vec::new(),
        ..FeishuConfig::default()
    };
    let sim = FeishuSim::start(config).unwrap();
    assert_eq!(sim.send(group_message(&sim, "hi")).await.status, 0);
}

#[actix_web::test]
async fn duplicates_come_with_the_same_or_another_event_id() {
    let webhook = Webhook::accepting();
    let sim = platform(&webhook, FeishuConfig::default());
    sim.faults().duplicate_pushes(2);
    let pushed = sim.send(group_message(&sim, "hi")).await;
    sim.deliver_again(&pushed.id).await;
    sim.deliver_under_new_event_id(&pushed.id).await;
    let events: Vec<Value> = webhook.received().iter().map(verified).collect();
    let ids: Vec<&Value> = events.iter().map(|event| &event["header"]["event_id"]).collect();
    assert_eq!(events.len(), 5);
    assert!(ids[..4].iter().all(|id| *id == ids[0]) && ids[4] != ids[0]);
    assert!(events.iter().all(|event| event["event"]["message"]["message_id"] == pushed.id.as_str()));
}

#[actix_web::test]
async fn held_messages_arrive_after_later_ones() {
    let webhook = Webhook::accepting();
    let sim = platform(&webhook, FeishuConfig::default());
    sim.faults().hold_pushes(2);
    let mut sent = Vec::new();
    for text in ["one", "two", "three"] {
        sent.push(sim.send(group_message(&sim, text)).await.id);
    }
    let order: Vec<Value> =
        webhook.received().iter().map(|it| verified(it)["event"]["message"]["message_id"].clone()).collect();
    assert_eq!(order, [sent[2].clone(), sent[1].clone(), sent[0].clone()].map(Value::from));
}

#[actix_web::test]
async fn challenge_is_encrypted_unsigned_and_checked() {
    let echo = Webhook::answering(|_, received| {
        assert!(received.signature.is_empty());
        let challenge = received.event(&key());
        (200, json!({"challenge": challenge["challenge"]}).to_string())
    });
    assert_eq!(platform(&echo, FeishuConfig::default()).verify_url().await, Ok(()));
    let deaf = Webhook::accepting();
    let refused = platform(&deaf, FeishuConfig::default()).verify_url().await.unwrap_err();
    assert_eq!((refused.status, refused.answer.as_str()), (200, "{}"));
}

#[actix_web::test]
async fn lifecycle_events_have_their_types() {
    let webhook = Webhook::accepting();
    let sim = platform(&webhook, FeishuConfig::default());
    let user = sim.people()[0].0.clone();
    let message = sim.send(group_message(&sim, "hi")).await.id;
    sim.remove_bot(&sim.group(), &user).await;
    sim.add_bot(&sim.group(), &user).await;
    sim.enter_direct_chat(&user).await;
    sim.react(&message, &user, "THUMBSUP").await;
    sim.pick_menu(&user, "help").await;
    sim.recall(&message).await;
    let received = webhook.received();
    let types: Vec<String> =
        received.iter().map(|it| verified(it)["header"]["event_type"].as_str().unwrap().to_owned()).collect();
    assert_eq!(
        types,
        [
            "im.message.receive_v1",
            "im.chat.member.bot.deleted_v1",
            "im.chat.member.bot.added_v1",
            "im.chat.access_event.bot_p2p_chat_entered_v1",
            "im.message.reaction.created_v1",
            "application.bot.menu_v6",
            "im.message.recalled_v1",
        ]
    );
    assert!(verified(&received[5])["event"]["timestamp"].is_number());
}

#[actix_web::test]
async fn quotes_topics_and_rich_text_carry_their_ids() {
    let webhook = Webhook::accepting();
    let sim = platform(&webhook, FeishuConfig::default());
    let (group, user) = (sim.group(), sim.people()[0].0.clone());
    let first = sim.send(group_message(&sim, "hi")).await.id;
    sim.send(group_message(&sim, "quote").replying_to(&first)).await;
    sim.send(group_message(&sim, "topic").replying_to(&first).in_thread()).await;
    sim.send(Said::post(&group, &user, "T", &["line"]).mentioning_bot()).await;
    let messages: Vec<Value> = webhook.received().iter().map(|it| verified(it)["event"]["message"].clone()).collect();
    assert_eq!(messages[1]["parent_id"], first.as_str());
    assert!(messages[1].get("thread_id").is_none());
    assert!(messages[2]["thread_id"].as_str().unwrap().starts_with("omt_"));
    let post: Value = serde_json::from_str(messages[3]["content"].as_str().unwrap()).unwrap();
    assert_eq!(post["content"][0][0], json!({"tag": "at", "user_id": "@_user_1", "user_name": "Magpie", "style": []}));
}

#[actix_web::test]
async fn many_messages_go_out_at_the_same_time() {
    let webhook = Webhook::accepting();
    let sim = platform(&webhook, FeishuConfig::default());
    let all = (0..50).map(|n| sim.send(group_message(&sim, &n.to_string())));
    let statuses: Vec<u16> = futures::future::join_all(all).await.into_iter().map(|pushed| pushed.status).collect();
    assert_eq!(statuses, [200; 50]);
    assert_eq!(webhook.received().len(), 50);
}
