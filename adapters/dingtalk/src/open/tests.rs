use bytes::Bytes;
use magpie_core::event::Body;
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::entropy::SystemEntropy;
use crate::route::WebhookHosts;
use crate::sign::{card_sign, robot_sign};

const NOW: UnixMillis = UnixMillis(1_767_261_600_000);

fn intake() -> Intake {
    let aes_key = Secret::from("T9vXc4kQn2LrZb7WmY1sHd6JfP3gUa5EoN8iKxVqRtA");
    Intake {
        recipient: Recipient { bot: "it".into(), robot_code: "ding1".to_owned(), hosts: WebhookHosts::new(&[], None) },
        client_id: "ding1".to_owned(),
        client_secret: Secret::from("app"),
        corp_id: None,
        envelope: Envelope::new(Secret::from("token"), &aes_key),
        card_secret: Secret::from("card"),
        timestamp_window: Duration::from_secs(3_600),
        entropy: Arc::new(SystemEntropy),
    }
}

fn headers(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn robot_request(body: impl Into<Bytes>) -> RawRequest {
    let time = NOW.0.to_string();
    let sign = robot_sign("app", &time);
    RawRequest {
        headers: headers(&[("Timestamp", &time), ("SIGN", &sign)]),
        body: body.into(),
        ..RawRequest::default()
    }
}

fn card_request(body: impl Into<Bytes>) -> RawRequest {
    let time = NOW.0.to_string();
    let sign = card_sign("card", &time);
    let headers = headers(&[("x-ddpaas-signature-timestamp", &time), ("X-DDPAAS-Signature", &sign)]);
    RawRequest { headers, body: body.into(), ..RawRequest::default() }
}

fn event_request(intake: &Intake, text: &str, owner: &str) -> RawRequest {
    let time = NOW.0.to_string();
    let sealing = crate::envelope::Sealing { random: [1; 16], timestamp: &time, nonce: "n", owner };
    let sealed = intake.envelope.as_ref().unwrap().seal(text, &sealing);
    RawRequest {
        query: headers(&[("msg_signature", &sealed.msg_signature), ("timeStamp", &time), ("nonce", "n")]),
        body: json!({"encrypt": sealed.encrypt}).to_string().into(),
        ..RawRequest::default()
    }
}

fn message() -> serde_json::Value {
    json!({
        "msgId": "msg1", "conversationId": "cid1", "conversationType": "1", "msgtype": "text",
        "text": {"content": "hi"}, "senderId": "$:LWCP_v1:$x", "senderStaffId": "u1",
        "sessionWebhook": "https://evil.example/robot/sendBySession?session=1", "sessionWebhookExpiredTime": NOW.0 + 5_400_000,
    })
}

fn kind(outcome: Result<Inbound, WebhookError>) -> &'static str {
    outcome.err().map_or("accepted", |error| error.kind())
}

#[test]
fn a_session_webhook_to_a_stranger_is_dropped_and_the_message_kept() {
    let Ok(Inbound::Event(received)) = intake().open(&robot_request(message().to_string()), NOW) else {
        panic!("refused")
    };
    let Body::Message(message) = received.event.body else { panic!("not a message") };
    let way = crate::route::WayBack::of(&message.reply_to);
    assert_eq!((way.session_webhook, way.staff_id.as_deref()), (None, Some("u1")));
}

#[test]
fn material_of_one_class_does_not_open_another() {
    let card_body = json!({"type": "actionCallback", "outTrackId": "t", "userId": "u", "content": "{}"}).to_string();
    assert_eq!(kind(intake().open(&card_request(card_body.clone()), NOW)), "accepted");
    assert_eq!(kind(intake().open(&robot_request(card_body), NOW)), "signature");
    assert_eq!(kind(intake().open(&robot_request(json!({"encrypt": "AAAA"}).to_string()), NOW)), "signature");
    let mut both = robot_request(message().to_string());
    both.headers.extend(headers(&[("x-ddpaas-signature", "x")]));
    assert_eq!(kind(intake().open(&both, NOW)), "signature");
}

#[test]
fn an_encrypted_event_without_configured_key_is_refused() {
    let without = Intake { envelope: None, ..intake() };
    assert_eq!(kind(without.open(&event_request(&intake(), "{}", "ding1"), NOW)), "token");
}

#[test]
fn stale_events_are_refused_and_owners_named_by_the_event_are_accepted() {
    let intake = intake();
    let event = r#"{"EventType":"org_change","corpId":"dingcorp"}"#;
    assert_eq!(kind(intake.open(&event_request(&intake, event, "dingcorp"), NOW)), "accepted");
    assert_eq!(kind(intake.open(&event_request(&intake, event, "dingother"), NOW)), "token");
    let later = NOW + Duration::from_secs(3_600);
    assert_eq!(kind(intake.open(&event_request(&intake, event, "ding1"), later)), "timestamp");
}

#[test]
fn a_press_is_answered_for_the_presser_alone() {
    let body = json!({"type": "actionCallback", "outTrackId": "t", "userId": "u", "content": "{}"}).to_string();
    let Ok(Inbound::Event(received)) = intake().open(&card_request(body), NOW) else { panic!("refused") };
    assert_eq!(intake().ack(&received, None).0, "{}");
    let toast = Toast { text: "谢谢".to_owned(), success: true, language: magpie_core::card::Language::Zh };
    let answer: Value = serde_json::from_slice(&intake().ack(&received, Some(&toast)).0).unwrap();
    assert_eq!(answer["userPrivateData"]["cardParamMap"]["toast"], "谢谢");
    assert_eq!(answer.get("cardData"), None);
}

proptest! {
    #[test]
    fn any_bytes_are_judged_without_panic(body: Vec<u8>, names in proptest::collection::vec("[a-z-]{0,20}", 0..3)) {
        let headers = names.iter().map(|name| (name.clone(), "x".to_owned())).collect();
        let raw = RawRequest { headers, body: body.clone().into(), ..RawRequest::default() };
        prop_assert!(intake().open(&raw, NOW).is_err());
        let _ = intake().open(&robot_request(body.clone()), NOW);
        let _ = intake().open(&card_request(body), NOW);
    }

    #[test]
    fn any_plaintext_of_an_event_is_judged_without_panic(text: String) {
        let intake = intake();
        let _ = intake.open(&event_request(&intake, &text, "ding1"), NOW);
    }

    #[test]
    fn a_field_of_any_type_does_not_break_a_message(key in "[a-zA-Z]{1,16}", known in 0usize..12, value in json_value()) {
        let mut message = message();
        let keys: Vec<String> = message.as_object().unwrap().keys().cloned().collect();
        message[keys.get(known).unwrap_or(&key).clone()] = value;
        let _ = intake().open(&robot_request(message.to_string()), NOW);
        let _ = intake().open(&card_request(message.to_string()), NOW);
    }
}

fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::vec(("[a-zA-Z]{0,12}", inner), 0..4)
                .prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
        ]
    })
}
