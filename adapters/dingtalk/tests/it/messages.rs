//! Whole requests of the platform, read as the vectors say.

use magpie_core::event::{Addressed, Body, ChatKind, ContentKind, Event, Lifecycle, Message};
use magpie_core::platform::{Inbound, Platform as _};
use magpie_dingtalk::{DingTalk, DingTalkConfig, Secret};
use serde_json::{Value, json};

use crate::bot::{now, request, start, vectors};

fn bot(case: &Value) -> DingTalk {
    let text = |key: &str| case["bot"][key].as_str().unwrap();
    let mut config = DingTalkConfig::new("it".into(), text("client_id"), text("client_secret"));
    config.robot_code = Some(text("robot_code").to_owned());
    config.callback_token = Some(Secret::from(text("callback_token")));
    config.callback_aes_key = Some(Secret::from(text("callback_aes_key")));
    config.corp_id = Some(text("corp_id").to_owned());
    start(config)
}

#[test]
fn every_request_is_read_or_refused_as_its_vector_says() {
    for case in vectors("messages") {
        let bot = bot(&case);
        let expect = &case["expect"];
        let id = case["id"].as_str().unwrap();
        let inbound = match bot.open(&request(&case), now(&case)) {
            Ok(inbound) => inbound,
            Err(error) => {
                assert_eq!(json!(error.status()), expect["http_status"], "{id}: {error}");
                let timed = expect["reason"] == "timestamp_out_of_window";
                assert_eq!(error.kind() == "timestamp", timed, "{id}: {error}");
                continue;
            }
        };
        assert_eq!(expect["http_status"], 200, "{id} was accepted");
        match (expect["kind"].as_str().unwrap(), &inbound) {
            ("event_check_url", Inbound::Challenge(body)) => check_reply(&body.0, &case),
            ("event", Inbound::Event(received)) => {
                check_event(&received.event, expect, id);
                check_reply(&bot.ack(received, None).0, &case);
            }
            ("robot_message", Inbound::Event(received)) => {
                assert_eq!(json!(received.event.platform_event_id), expect["dedupe_key"], "{id}");
                assert_eq!(bot.ack(received, None).0, "{}", "{id}");
                check_message(&received.event, &expect["message"], id);
            }
            ("quota_exceeded", Inbound::Event(received)) => {
                assert_eq!(json!(received.event.platform_event_id), expect["dedupe_key"], "{id}");
                let quota = matches!(received.event.body, Body::Lifecycle(Lifecycle::QuotaExhausted { .. }));
                assert!(quota, "{id}");
            }
            (kind, _) => panic!("{id}: expected {kind}"),
        }
    }
}

/// The vectors' example answers were made with a time and a nonce of their own; ours uses those of the request, which
/// the platform allows. What is encrypted must be the same to the byte.
fn check_reply(body: &[u8], case: &Value) {
    let reply: Value = serde_json::from_slice(body).unwrap();
    let example = &case["expect"]["reply"]["example"]["body"];
    assert_eq!(reply["encrypt"], example["encrypt"], "{}", case["id"]);
    assert_eq!(reply["timeStamp"], case["request"]["query"]["timestamp"], "{}", case["id"]);
    assert_eq!(reply["nonce"], case["request"]["query"]["nonce"], "{}", case["id"]);
    assert_eq!(reply["msg_signature"].as_str().unwrap().len(), 40, "{}", case["id"]);
}

fn check_event(event: &Event, expect: &Value, id: &str) {
    assert_eq!(json!(event.platform_event_id), expect["dedupe_key"], "{id}");
    let chat = expect["conversation_id"].as_str();
    match (expect["event_type"].as_str().unwrap(), &event.body) {
        ("chat_update_title", Body::Lifecycle(Lifecycle::ChatRenamed { chat: renamed, title })) => {
            assert_eq!((Some(renamed.as_str()), &json!(title)), (chat, &expect["title"]), "{id}");
        }
        ("im_cool_app_install", Body::Lifecycle(Lifecycle::BotAdded { reply_to, .. })) => {
            assert_eq!(Some(reply_to.chat.as_str()), chat, "{id}");
        }
        ("robot_msg_recall", Body::Lifecycle(Lifecycle::Recalled { message, .. })) => {
            assert_eq!(json!(message), expect["process_query_key"], "{id}");
        }
        (name, Body::Other { type_name }) => {
            assert_eq!((name, type_name.as_str()), ("org_change", "org_change"), "{id}")
        }
        (name, body) => panic!("{id}: {name} became {body:?}"),
    }
}

fn check_message(event: &Event, expect: &Value, id: &str) {
    let Body::Message(message) = &event.body else { panic!("{id}: not a message") };
    if expect.is_null() {
        return;
    }
    assert_eq!(json!(message.id), expect["message_id"], "{id}");
    assert_eq!(json!(event.occurred_at), expect["created_ms"], "{id}");
    assert_eq!(json!(message.chat.id), expect["conversation"]["id"], "{id}");
    assert_eq!(message.chat.kind == ChatKind::Group, expect["conversation"]["type"] == "group", "{id}");
    assert_eq!(json!(message.chat.title), expect["conversation"]["title"], "{id}");
    let sender = &expect["sender"];
    let sender_id = if sender["staff_id"].is_null() { &sender["sender_id"] } else { &sender["staff_id"] };
    assert_eq!(&json!(message.sender.id), sender_id, "{id}");
    assert_eq!(json!(message.sender.name), sender["nick"], "{id}");
    let spoken_to = message.chat.kind == ChatKind::Direct || expect["bot_mentioned"] == true;
    assert_eq!(message.addressed == Addressed::Bot, spoken_to, "{id}");
    check_route(message, expect, id);
    check_content(message, expect, id);
    let mentions: Vec<Value> = expect["other_mentions"].as_array().unwrap().clone();
    let mentions: Vec<&Value> = mentions
        .iter()
        .map(|one| if one["staff_id"].is_null() { &one["dingtalk_id"] } else { &one["staff_id"] })
        .collect();
    assert_eq!(json!(message.mentions.iter().map(|mention| &mention.id).collect::<Vec<_>>()), json!(mentions), "{id}");
}

fn check_route(message: &Message, expect: &Value, id: &str) {
    let route = &message.reply_to.route.0;
    assert_eq!(route["session_webhook"], expect["session_webhook"], "{id}");
    assert_eq!(route["session_webhook_expires_at"], expect["session_webhook_expires_ms"], "{id}");
    assert_eq!(route["staff_id"], expect["sender"]["staff_id"], "{id}");
    assert_eq!(route["no_staff_id"], expect["sender"]["staff_id"].is_null(), "{id}");
    if !expect["robot_code"].is_null() {
        assert_eq!(route["robot_code"], expect["robot_code"], "{id}");
    }
}

fn check_content(message: &Message, expect: &Value, id: &str) {
    let kind = match &message.content.kind {
        ContentKind::Text => "text",
        ContentKind::RichText => "rich_text",
        ContentKind::Image => "picture",
        ContentKind::Audio => "audio",
        ContentKind::Video => "video",
        ContentKind::File => "file",
        ContentKind::Unknown(_) => "unknown",
        // The vector allows an implementation to understand forwarded messages.
        ContentKind::Forwarded if id == "direct_chat_record_string_content" => return,
        other => panic!("{id}: {other:?}"),
    };
    assert_eq!(json!(kind), expect["message_kind"], "{id}");
    assert_eq!(json!(message.text), expect["text"], "{id}");
    let resources = &message.content.resources;
    let attachments = expect["attachments"].as_array().unwrap();
    assert_eq!(resources.len(), attachments.len(), "{id}");
    for (resource, attachment) in resources.iter().zip(attachments) {
        assert_eq!(json!(resource.key), attachment["download_code"], "{id}");
        assert_eq!(json!(resource.name), attachment["file_name"], "{id}");
        assert_eq!(json!(resource.duration_ms), attachment["duration_ms"], "{id}");
    }
    match (&message.quote, &expect["quoted"]) {
        (None, Value::Null) => {}
        (Some(quote), quoted) => {
            // Our own card is known by the key that we got when sending it.
            let by = if quoted["process_query_key"].is_null() { "message_id" } else { "process_query_key" };
            assert_eq!(json!(quote.message_id), quoted[by], "{id}");
            assert_eq!(json!(quote.text), quoted["text"], "{id}");
            assert_eq!(json!(quote.from_bot), quoted["from_bot"], "{id}");
        }
        (None, quoted) => panic!("{id}: {quoted} was not seen"),
    }
}
