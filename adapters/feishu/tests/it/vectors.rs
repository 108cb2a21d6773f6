//! Every golden request gets the right status and the right meaning.

use std::path::PathBuf;

use magpie_core::clock::UnixMillis;
use magpie_core::event::{Addressed, Body, CardAction, ChatKind, ContentKind, Event, Lifecycle, Message, PlatformKind};
use magpie_core::ids::BotId;
use magpie_core::platform::{Inbound, Platform, RawRequest, WebhookError};
use magpie_feishu::{Feishu, FeishuConfig, Secret};
use serde_json::{Value, json};

use crate::support;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/vectors")
}

fn read(path: &std::path::Path) -> Value {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn bot_of(config: &Value) -> Feishu {
    let text = |key: &str| config[key].as_str().unwrap_or_default();
    let mut settings = FeishuConfig::new(
        BotId::from("helpdesk"),
        PlatformKind::Feishu,
        text("app_id"),
        "secret".into(),
        text("verification_token").into(),
    );
    settings.encrypt_key = Some(text("encrypt_key")).filter(|key| !key.is_empty()).map(Secret::from);
    settings.own_id = Some(text("bot_open_id")).filter(|id| !id.is_empty()).map(str::to_owned);
    support::bot(settings)
}

fn raw(request: &Value) -> RawRequest {
    let headers = request["headers"].as_object().expect("headers");
    let header = |(name, value): (&String, &Value)| (name.clone(), value.as_str().unwrap_or_default().to_owned());
    RawRequest {
        query: Vec::new(),
        headers: headers.iter().map(header).collect(),
        body: request["body"].as_str().expect("body").to_owned().into(),
    }
}

fn seconds(value: &Value) -> UnixMillis {
    UnixMillis(value.as_i64().expect("seconds") * 1_000)
}

#[test]
fn every_request_vector_has_its_status_and_meaning() {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder().join("events"))
        .expect("vectors")
        .map(|entry| entry.expect("entry").path())
        .collect();
    paths.sort();
    assert_eq!(paths.len(), 97);
    for path in paths {
        let case = read(&path);
        let id = case["id"].as_str().expect("id");
        let opened = bot_of(&case["config"]).open(&raw(&case["request"]), seconds(&case["now"]));
        check(id, &case["expect"], opened);
    }
}

fn check(id: &str, expect: &Value, opened: Result<Inbound, WebhookError>) {
    match (expect["outcome"].as_str().expect("outcome"), opened) {
        ("reject", Err(error)) => {
            let statuses = expect["status_any"].as_array().cloned().unwrap_or(vec![expect["status"].clone()]);
            assert!(statuses.contains(&json!(error.status())), "{id}: {error}");
            let label = match expect["reason"].as_str().unwrap_or_default() {
                "stale_timestamp" => "timestamp",
                "malformed" | "no_key" => return assert_ne!(error.kind(), "timestamp", "{id}"),
                "bad_signature" | "missing_signature" => "signature",
                // Nothing is told apart for whoever encrypts without signing.
                "wrong_token" if id != "handshake-encrypted-wrong-token" => "token",
                _ => return,
            };
            assert_eq!(error.kind(), label, "{id}: {error}");
        }
        ("challenge", Ok(Inbound::Challenge(answer))) => {
            let answer: Value = serde_json::from_slice(&answer.0).expect("JSON");
            assert_eq!(answer, expect["response_json"], "{id}");
        }
        ("accept" | "ignore" | "callback", Ok(Inbound::Event(received))) => check_event(id, expect, &received.event),
        (outcome, opened) => panic!("{id}: expected {outcome}, got {opened:?}"),
    }
}

fn check_event(id: &str, expect: &Value, event: &Event) {
    assert_eq!(event.bot, BotId::from("helpdesk"));
    match expect["event_id"].as_str() {
        Some(event_id) => assert_eq!(event.platform_event_id, event_id, "{id}"),
        None => assert_eq!(event.platform_event_id.len(), 64, "{id}: a hash stands in"),
    }
    let event_type = expect["event_type"].as_str().expect("event_type");
    match &event.body {
        Body::Message(message) => {
            check_message(id, &expect["message"], message);
            if let Some(sent_ms) = expect["message"]["create_time_ms"].as_i64() {
                assert_eq!(event.occurred_at, Some(UnixMillis(sent_ms)), "{id}");
            }
            if let Some(should_answer) = expect["should_answer"].as_bool() {
                let answers = message.addressed == Addressed::Bot && !message.sender.is_bot && !message.text.is_empty();
                assert_eq!(answers, should_answer, "{id}");
            }
        }
        Body::Action(action) => check_action(id, &expect["callback"], action),
        Body::Lifecycle(lifecycle) => check_lifecycle(id, &expect["data"], lifecycle),
        Body::Task(_) => unreachable!("no platform sends tasks"),
        Body::Other { type_name } => {
            assert_eq!(type_name, event_type, "{id}");
            let kept =
                ["im.message.message_read_v1", "calendar.calendar.changed_v4", "app_ticket"].contains(&event_type);
            assert!(kept || id == "event-reaction-by-app", "{id} was not understood");
        }
    }
}

fn check_message(id: &str, expect: &Value, message: &Message) {
    assert_eq!(message.id.as_str(), expect["message_id"], "{id}");
    assert_eq!(message.chat.id.as_str(), expect["chat_id"], "{id}");
    assert_eq!(message.chat.kind == ChatKind::Direct, expect["chat_type"] == "p2p", "{id}");
    assert_eq!(json!(message.thread), expect["thread_id"], "{id}");
    assert_eq!(json!(message.quote.as_ref().and_then(|quote| quote.message_id.clone())), expect["parent_id"], "{id}");
    assert_eq!(message.sender.id.as_str(), expect["sender"]["open_id"], "{id}");
    assert_eq!(message.sender.is_bot, expect["sender"]["type"] == "bot", "{id}");
    assert_eq!(message.reply_to.message.as_ref(), Some(&message.id), "{id}");
    check_mentions(id, expect, message);
    check_text(id, expect, message);
    if let Some(resources) = expect["resources"].as_array() {
        let read = message.content.resources.iter().map(|resource| {
            let mut shown = json!({"type": type_name(&resource.kind), "key": resource.key});
            if let Some(name) = &resource.name {
                shown["file_name"] = json!(name);
            }
            if let Some(duration_ms) = resource.duration_ms {
                shown["duration_ms"] = json!(duration_ms);
            }
            shown
        });
        assert_eq!(read.collect::<Vec<_>>(), *resources, "{id}");
    }
    assert_eq!(type_name(&message.content.kind), expect["message_type"], "{id}");
}

fn check_mentions(id: &str, expect: &Value, message: &Message) {
    let Some(mentions) = expect["mentions"].as_array() else { return };
    let others = mentions.iter().filter(|mention| mention["is_this_bot"] == false);
    let expected: Vec<(Value, Value)> = others.map(|of| (of["open_id"].clone(), of["name"].clone())).collect();
    let read: Vec<(Value, Value)> = message.mentions.iter().map(|of| (json!(of.id), json!(of.name))).collect();
    assert_eq!(read, expected, "{id}");
    if message.chat.kind == ChatKind::Group {
        assert_eq!(message.addressed == Addressed::Bot, expect["mentions_bot"] == true, "{id}");
        let only_everyone = expect["mentions_all"] == true && expect["mentions_bot"] == false;
        assert_eq!(message.addressed == Addressed::Everyone, only_everyone, "{id}");
    }
}

fn check_text(id: &str, expect: &Value, message: &Message) {
    if let Some(text) = expect["text"].as_str() {
        assert_eq!(message.text, text, "{id}");
    }
    if let Some(bytes) = expect["text_len_bytes"].as_u64() {
        assert_eq!(message.text.len() as u64, bytes, "{id}");
    }
    let list = |key: &str| expect[key].as_array().cloned().unwrap_or_default();
    for part in list("text_contains") {
        assert!(message.text.contains(part.as_str().expect("text")), "{id}: {part} not in {}", message.text);
    }
    for part in list("text_not_contains") {
        assert!(!message.text.contains(part.as_str().expect("text")), "{id}: {part} in {}", message.text);
    }
}

fn type_name(kind: &ContentKind) -> &str {
    match kind {
        ContentKind::Text => "text",
        ContentKind::RichText => "post",
        ContentKind::Image => "image",
        ContentKind::Audio => "audio",
        ContentKind::Video => "media",
        ContentKind::File => "file",
        ContentKind::Folder => "folder",
        ContentKind::Sticker => "sticker",
        ContentKind::Card => "interactive",
        ContentKind::Location => "location",
        ContentKind::Forwarded => "merge_forward",
        ContentKind::Contact => "share_chat",
        ContentKind::System => "system",
        ContentKind::Unknown(name) => name,
    }
}

fn check_action(id: &str, expect: &Value, action: &CardAction) {
    assert_eq!(action.operator.as_str(), expect["operator"]["open_id"], "{id}");
    assert_eq!(json!(action.message), expect["open_message_id"], "{id}");
    assert_eq!(json!(action.chat), expect["open_chat_id"], "{id}");
    for (key, expected) in expect["action"].as_object().expect("action") {
        assert_eq!(action.value.get(key).unwrap_or(&Value::Null), expected, "{id}: {key}");
    }
    let told = action.value.to_string();
    assert!(!told.contains(expect["update_token"].as_str().expect("token")), "{id}: a credential is kept");
}

fn check_lifecycle(id: &str, expect: &Value, lifecycle: &Lifecycle) {
    match lifecycle {
        Lifecycle::BotAdded { reply_to, title, operator } => {
            assert_eq!(json!([reply_to.chat, title, operator]), pick(expect, &["chat_id", "name", "operator_open_id"]));
        }
        Lifecycle::BotRemoved { chat } => assert_eq!(json!([chat]), pick(expect, &["chat_id"]), "{id}"),
        Lifecycle::DirectOpened { reply_to, first_time } => {
            assert_eq!(json!([reply_to.chat, reply_to.user]), pick(expect, &["chat_id", "operator_open_id"]), "{id}");
            assert_eq!(*first_time, id.ends_with("-first"), "{id}");
        }
        Lifecycle::Recalled { message, chat } => {
            assert_eq!(json!([message, chat]), pick(expect, &["message_id", "chat_id"]), "{id}");
        }
        Lifecycle::Menu { reply_to, key } => {
            assert_eq!(json!([key, reply_to.user]), pick(expect, &["event_key", "operator_open_id"]), "{id}");
        }
        Lifecycle::Reaction { emoji, user, added, .. } => {
            if !expect.is_null() {
                assert_eq!(json!([emoji, user]), pick(expect, &["emoji_type", "operator_open_id"]), "{id}");
            }
            assert_eq!(*added, id == "event-reaction-created", "{id}");
        }
        other => panic!("{id}: {other:?}"),
    }
}

fn pick(expect: &Value, keys: &[&str]) -> Value {
    keys.iter().map(|key| expect[*key].clone()).collect()
}

#[test]
fn every_request_of_the_sequences_is_admitted_or_refused_and_repeats_keep_their_ids() {
    let mut steps = 0;
    for case in read(&folder().join("event_sequences.json"))["cases"].as_array().expect("cases") {
        let bot = bot_of(&case["config"]);
        let mut first: Option<Event> = None;
        for step in case["steps"].as_array().expect("steps") {
            steps += 1;
            let opened = bot.open(&raw(&step["request"]), seconds(&step["at"]));
            let status = opened.as_ref().map_or_else(WebhookError::status, |_| 200);
            assert_eq!(json!(status), step["status"], "{}", case["id"]);
            let Ok(Inbound::Event(received)) = opened else { continue };
            if step["effect"] == "duplicate" {
                let first = first.as_ref().expect("a duplicate has an original");
                let same_event = first.platform_event_id == received.event.platform_event_id;
                assert!(same_event || first.message_id() == received.event.message_id(), "{}", case["id"]);
                assert_eq!(first.body, received.event.body, "{}", case["id"]);
            }
            first.get_or_insert(received.event);
        }
    }
    assert!(steps >= 20, "{steps}");
}

#[test]
fn every_mention_vector_gives_the_text_that_was_meant() {
    for case in read(&folder().join("mentions.json"))["cases"].as_array().expect("cases") {
        let mut settings = support::config();
        settings.own_id = case["bot_open_id"].as_str().filter(|id| !id.is_empty()).map(str::to_owned);
        let event = json!({
            "message": {
                "message_id": "om_1", "chat_id": "oc_1", "chat_type": "group", "message_type": "text",
                "content": json!({"text": case["text"]}).to_string(), "mentions": case["mentions"]
            },
            "sender": {"sender_id": {"open_id": "ou_1"}, "sender_type": "user"}
        });
        let request = support::plain_request(&support::event_v2("im.message.receive_v1", &event));
        let opened = support::bot(settings).open(&request, UnixMillis(0));
        let Ok(Inbound::Event(received)) = opened else { panic!("{}: {opened:?}", case["id"]) };
        let Body::Message(message) = received.event.body else { panic!("{}: no message", case["id"]) };
        let expect = &case["expect"];
        assert_eq!(message.text, expect["text"].as_str().expect("text"), "{}", case["id"]);
        assert_eq!(message.addressed == Addressed::Bot, expect["mentions_bot"] == true, "{}", case["id"]);
        assert_eq!(message.addressed == Addressed::Everyone, expect["mentions_all"] == true, "{}", case["id"]);
    }
}
