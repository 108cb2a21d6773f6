//! Buttons: the callback, what its answer does, and the update token.

use magpie_sim::feishu::{FeishuConfig, crypto};
use magpie_sim::view::SimulatedPlatform;
use serde_json::{Value, json};

use crate::service::{Bench, Webhook};

fn card_with_button(text: &str) -> Value {
    json!({"schema": "2.0", "body": {"elements": [{"tag": "markdown", "content": text},
        {"tag": "button", "element_id": "up", "text": {"tag": "plain_text", "content": "👍"},
            "behaviors": [{"type": "callback", "value": {"a": "fb", "v": "up"}}]}]}})
}

async fn bench(webhook: &Webhook) -> Bench {
    Bench::with(FeishuConfig { webhook_url: Some(webhook.url.clone()), ..FeishuConfig::default() }).await
}

async fn send(bench: &Bench) -> String {
    bench.send("interactive", &card_with_button("before"), "").await.text("/data/message_id")
}

#[actix_web::test]
async fn answered_card_and_toast_are_applied() {
    let webhook = Webhook::answering(|_, _| {
        let card = json!({"type": "raw", "data": card_with_button("after")});
        (200, json!({"toast": {"type": "success", "content": "Saved"}, "card": card}).to_string())
    });
    let bench = bench(&webhook).await;
    let message = send(&bench).await;
    let pushed = bench.sim.press(&message, "up", &bench.first_person()).await;
    assert_eq!(pushed.status, 200);
    assert_eq!(bench.sim.chats()[0].messages[0].markdown, "after");
    let toast = bench.sim.last_toast().unwrap();
    assert_eq!((toast.kind.as_str(), toast.content.as_str(), toast.client_error), ("success", "Saved", None));
    let event = webhook.received()[0].event(bench.sim.config().encrypt_key.as_deref().unwrap());
    assert_eq!(event["header"]["event_type"], "card.action.trigger");
    assert_eq!(event["header"]["create_time"].as_str().unwrap().len(), 16, "microseconds");
    assert_eq!(event["event"]["action"]["value"], json!({"a": "fb", "v": "up"}));
    assert_eq!(event["event"]["context"]["open_message_id"], message.as_str());
    assert_eq!(event["event"]["context"]["open_chat_id"], bench.sim.group());
}

#[actix_web::test]
async fn useless_answers_become_client_errors() {
    let answers = [(500, "{}"), (200, "ok"), (200, r#"{"card":{"type":"raw","data":{"schema":"2.0"}}}"#)];
    let webhook = Webhook::answering(move |number, _| (answers[number].0, answers[number].1.to_owned()));
    let bench = bench(&webhook).await;
    let message = send(&bench).await;
    let mut disabled = card_with_button("x");
    disabled["body"]["elements"][1]["disabled"] = json!(true);
    let other = bench.send("interactive", &disabled, "").await.text("/data/message_id");
    assert_eq!(bench.sim.press(&other, "up", &bench.first_person()).await.status, 0);
    for expected in [200_671, 200_672, 200_673] {
        bench.sim.press(&message, "up", &bench.first_person()).await;
        assert_eq!(bench.sim.last_toast().unwrap().client_error, Some(expected));
    }
    assert_eq!(bench.sim.chats()[0].messages[0].markdown, "before");
    assert_eq!(bench.sim.press(&message, "no such button", &bench.first_person()).await.status, 0);
}

#[actix_web::test]
async fn update_token_works_twice_after_the_answer_for_half_an_hour() {
    let webhook = Webhook::accepting();
    let mut bench = bench(&webhook).await;
    let message = send(&bench).await;
    let mut tokens = Vec::new();
    for _ in 0..2 {
        bench.sim.press(&message, "up", &bench.first_person()).await;
        let received = webhook.received();
        let event = received[received.len() - 1].event(bench.sim.config().encrypt_key.as_deref().unwrap());
        tokens.push(event["event"]["token"].as_str().unwrap().to_owned());
    }
    let update = |token: &str| json!({"token": token, "card": card_with_button("later")});
    let path = "interactive/v1/card/update";
    assert_eq!(bench.post(path, update(&tokens[0])).await.code(), 0);
    assert_eq!(bench.sim.chats()[0].messages[0].markdown, "later");
    assert_eq!(bench.post(path, update(&tokens[0])).await.code(), 0);
    assert_eq!(bench.post(path, update(&tokens[0])).await.code(), 300_040);
    assert_eq!(bench.post(path, update("c-other")).await.code(), 300_020);
    bench.sim.clock().advance(std::time::Duration::from_secs(1_801));
    bench.token = bench.fetch_token().await;
    assert_eq!(bench.post(path, update(&tokens[1])).await.code(), 300_030);
}

#[actix_web::test]
async fn card_is_locked_while_a_press_is_answered() {
    let (asked, wait_asked) = std::sync::mpsc::channel::<()>();
    let (release, wait_release) = std::sync::mpsc::channel::<()>();
    let wait_release = std::sync::Mutex::new(wait_release);
    let webhook = Webhook::answering(move |_, _| {
        asked.send(()).unwrap();
        wait_release.lock().unwrap().recv().unwrap();
        (200, "{}".into())
    });
    let bench = bench(&webhook).await;
    let message = send(&bench).await;
    let card_id = bench.post("cardkit/v1/cards/id_convert", json!({"message_id": message})).await.text("/data/card_id");
    let press = async { bench.sim.press(&message, "up", &bench.first_person()).await };
    let meanwhile = async {
        tokio::task::spawn_blocking(move || wait_asked.recv().unwrap()).await.unwrap();
        let content = json!({"content": card_with_button("x").to_string()});
        let patched = bench.patch(&format!("im/v1/messages/{message}"), content).await;
        let settings = json!({"settings": "{\"config\":{\"enable_forward\":true}}", "sequence": 1});
        let set = bench.patch(&format!("cardkit/v1/cards/{card_id}/settings"), settings).await;
        release.send(()).unwrap();
        (patched, set)
    };
    let (pushed, (patched, set)) = futures::join!(press, meanwhile);
    assert_eq!(pushed.status, 200);
    assert!(patched.text("/msg").contains("card action is lock"), "{patched:?}");
    assert_eq!(set.code(), 200_810);
}

#[actix_web::test]
async fn old_callback_is_flat_plain_and_signed_with_the_token() {
    let webhook = Webhook::accepting();
    let bench = bench(&webhook).await;
    let message = send(&bench).await;
    bench.sim.press_old_style(&message, "up", &bench.first_person()).await;
    let received = webhook.received().remove(0);
    let token = &bench.sim.config().verification_token;
    let expected = crypto::old_card_signature(&received.timestamp, &received.nonce, token, &received.body);
    assert_eq!(received.signature, expected);
    let body: Value = serde_json::from_slice(&received.body).unwrap();
    assert_eq!(body["open_message_id"], message.as_str());
    assert!(body["token"].as_str().unwrap().starts_with("c-"));
}
