//! What the service reads: quoted messages, own cards, merged messages, and what people attach.

use magpie_sim::feishu::{Call, Fault, FeishuConfig, Said, Target};
use magpie_sim::view::{Attachment, AttachmentKind, SimulatedPlatform, Speech, Utterance};
use serde_json::{Value, json};

use crate::service::{Answer, Bench, Webhook};

async fn bench(webhook: &Webhook) -> Bench {
    Bench::with(FeishuConfig { webhook_url: Some(webhook.url.clone()), ..FeishuConfig::default() }).await
}

fn last_message(bench: &Bench, webhook: &Webhook) -> Value {
    let received = webhook.received();
    let key = bench.sim.config().encrypt_key.as_deref().unwrap();
    received[received.len() - 1].event(key)["event"]["message"].clone()
}

fn content(answer: &Answer, item: usize) -> Value {
    serde_json::from_str(&answer.text(&format!("/data/items/{item}/body/content"))).unwrap()
}

async fn download(bench: &Bench, message: &str, key: &Value, kind: &str) -> (u16, Vec<u8>) {
    let key = key.as_str().unwrap();
    let path = format!("{}/open-apis/im/v1/messages/{message}/resources/{key}?type={kind}", bench.sim.base_url());
    let response = bench.http.get(path).bearer_auth(&bench.token).send().await.unwrap();
    (response.status().as_u16(), response.bytes().await.unwrap().to_vec())
}

#[actix_web::test]
async fn a_quoted_message_is_read_with_its_sender() {
    let webhook = Webhook::accepting();
    let bench = bench(&webhook).await;
    let (group, people) = (bench.sim.group(), bench.sim.people());
    let quoted = bench.sim.send(Said::text(&group, &people[1].0, "the figure is 12,408")).await;
    bench.sim.send(Said::text(&group, &people[0].0, "is that right?").mentioning_bot().replying_to(&quoted.id)).await;
    let event = last_message(&bench, &webhook);
    assert_eq!((&event["parent_id"], &event["root_id"]), (&json!(quoted.id), &json!(quoted.id)));
    let read = bench.get(&format!("im/v1/messages/{}", quoted.id)).await;
    assert_eq!(content(&read, 0), json!({"text": "the figure is 12,408"}));
    let sender = &read.body["data"]["items"][0]["sender"];
    assert_eq!((&sender["id"], &sender["sender_type"]), (&json!(people[1].0), &json!("user")));
    bench.sim.recall(&quoted.id).await;
    assert_eq!(bench.get(&format!("im/v1/messages/{}", quoted.id)).await.code(), 230_011);
}

#[actix_web::test]
async fn an_own_card_is_read_reduced_or_whole() {
    let bench = Bench::start().await;
    let card = json!({"schema": "2.0", "header": {"title": {"tag": "plain_text", "content": "Helpdesk"}},
        "body": {"elements": [{"tag": "markdown", "content": "**yes**"}]}});
    let sent = bench.send("interactive", &card, "").await.text("/data/message_id");
    let path = format!("im/v1/messages/{sent}");
    let reduced = bench.get(&path).await;
    assert_eq!(content(&reduced, 0), json!({"title": "Helpdesk", "elements": [[{"tag": "text", "text": "**yes**"}]]}));
    assert_eq!(reduced.text("/data/items/0/sender/sender_type"), "app");
    let whole = bench.get(&format!("{path}?card_msg_content_type=user_card_content")).await;
    assert_eq!(content(&whole, 0), card);
}

#[actix_web::test]
async fn a_merged_message_tells_its_parts_only_when_it_is_read() {
    let webhook = Webhook::accepting();
    let bench = bench(&webhook).await;
    let people = bench.sim.people();
    let direct = bench.sim.direct_chat(&people[0].0).unwrap();
    let parts =
        vec![Said::text(&direct, &people[1].0, "first"), Said::file(&direct, &people[2].0, "a.txt", &b"second"[..])];
    let merged = bench.sim.send(Said::merge_forward(&direct, &people[0].0, parts)).await;
    let event = last_message(&bench, &webhook);
    assert_eq!((&event["message_type"], webhook.received().len()), (&json!("merge_forward"), 1));
    assert_eq!(event["content"], json!({"content": "Merged and Forwarded Message"}).to_string());
    let chat = bench.sim.chats().into_iter().find(|chat| chat.id == direct).unwrap();
    assert_eq!(chat.messages.len(), 1, "the parts stand in no chat");

    let read = bench.get(&format!("im/v1/messages/{}", merged.id)).await;
    let items = read.body["data"]["items"].as_array().unwrap();
    let uppers: Vec<_> = items.iter().map(|item| item["upper_message_id"].as_str()).collect();
    assert_eq!(uppers, [None, Some(merged.id.as_str()), Some(merged.id.as_str())]);
    assert_eq!(content(&read, 1), json!({"text": "first"}));
    assert_eq!(items[1]["sender"]["id"], people[1].0.as_str());
    let part = items[2]["message_id"].as_str().unwrap();
    let key = content(&read, 2)["file_key"].clone();
    let path = format!("im/v1/messages/{part}/resources/{}?type=file", key.as_str().unwrap());
    assert_eq!(bench.get(&path).await.code(), 234_043);
}

#[actix_web::test]
async fn attachments_are_downloaded_as_they_were_sent() {
    let webhook = Webhook::accepting();
    let bench = bench(&webhook).await;
    let user = bench.first_person();
    let chat = bench.sim.direct_chat(&user).unwrap();
    let speak = |kind, text: &str| Speech {
        attachment: Some(Attachment { kind, name: "报告.csv".into(), bytes: b"a,b".as_slice().into() }),
        ..Utterance { chat: chat.clone(), user: user.clone(), text: text.into(), mention_bot: false }.into()
    };
    let kinds = [
        (AttachmentKind::File, "", "file", "/file_key", "file"),
        (AttachmentKind::Voice, "", "audio", "/file_key", "file"),
        (AttachmentKind::Image, "", "image", "/image_key", "image"),
        (AttachmentKind::Image, "what is this?", "post", "/content/1/0/image_key", "image"),
    ];
    for (kind, text, message_type, key, resource) in kinds {
        let said = bench.sim.speak(speak(kind, text)).await;
        assert_eq!(said.status, 200);
        let event = last_message(&bench, &webhook);
        assert_eq!(event["message_type"], message_type);
        let content: Value = serde_json::from_str(event["content"].as_str().unwrap()).unwrap();
        let key = content.pointer(key).unwrap_or_else(|| panic!("{content}"));
        assert_eq!(download(&bench, &said.id, key, resource).await, (200, b"a,b".to_vec()));
    }
    assert_eq!(bench.sim.calls(Call::Download), 4);
}

#[actix_web::test]
async fn stickers_and_foreign_messages_have_nothing_to_download() {
    let bench = Bench::start().await;
    let user = bench.first_person();
    let chat = bench.sim.direct_chat(&user).unwrap();
    let sticker = bench.sim.send(Said::of_type(&chat, &user, "sticker", json!({"file_key": "file_v3_s"}))).await;
    let path = format!("im/v1/messages/{}/resources/file_v3_s?type=file", sticker.id);
    assert_eq!(bench.get(&path).await.code(), 234_043);
    let file = bench.sim.send(Said::media(&bench.sim.group(), &user, "a.mp4", &b"film"[..])).await;
    let read = bench.get(&format!("im/v1/messages/{}", file.id)).await;
    let key = content(&read, 0)["file_key"].clone();
    assert_eq!(download(&bench, &file.id, &key, "file").await, (200, b"film".to_vec()));
    bench.sim.faults().once(Target::Only(Call::Download), Fault::Refused { status: 400, code: 234_037 });
    assert_eq!(download(&bench, &file.id, &key, "file").await.0, 400);
    bench.sim.remove_bot(&bench.sim.group(), &user).await;
    let path = format!("im/v1/messages/{}/resources/{}?type=file", file.id, key.as_str().unwrap());
    assert_eq!(bench.get(&path).await.code(), 234_004);
}
