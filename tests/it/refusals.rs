//! What is refused: status, cause in the metrics, and nothing stored.

use std::time::Duration;

use magpie_sim::dingtalk::RawPush;
use serde_json::{Value, json};

use crate::harness::service::client;
use crate::harness::stage::{DINGTALK, FEISHU};
use crate::harness::{Backing, Endpoint, Plan, Stage};

/// Two hours, past the window of one.
const STALE: Duration = Duration::from_secs(2 * 3_600);

async fn stage() -> (Stage, Endpoint) {
    let model = Endpoint::start().await;
    let stage = Stage::start(Plan::new(Backing::Sqlite).cloud("primary", &model)).await;
    (stage, model)
}

/// Nothing of what was refused is anywhere, and the causes are counted as expected.
async fn assert_refused(stage: &Stage, model: &Endpoint, causes: &[(&str, u32)]) {
    for table in ["events", "event_keys", "conversations", "messages", "deliveries"] {
        assert_eq!(stage.tables.count(table).await, 0, "{table} is empty");
    }
    assert!(model.prompts().is_empty());
    for (cause, count) in causes {
        let label = format!(r#"kind="{cause}""#);
        let counted = stage.service.metric("magpie_auth_failures_total", &[&label]).await;
        assert!((counted - f64::from(*count)).abs() < 0.5, "{cause}: {counted} instead of {count}");
    }
}

/// A message event that would be answered if it came as it should.
fn message_event(stage: &Stage) -> Value {
    let seat = stage.feishu_direct();
    let event = json!({
        "sender": {"sender_id": {"open_id": seat.user}, "sender_type": "user", "tenant_key": "t"},
        "message": {"message_id": "om_refused", "chat_id": seat.chat, "chat_type": "p2p", "message_type": "text",
            "content": r#"{"text":"let me in"}"#, "create_time": "1700000000000"},
    });
    stage.feishu.envelope("im.message.receive_v1", event)
}

#[tokio::test]
async fn forged_feishu_events_are_refused_and_leave_nothing() {
    let (stage, model) = stage().await;
    let sim = &stage.feishu;
    let event = message_event(&stage);
    let (headers, body) = sim.seal(&event);

    let unsigned: Vec<_> = headers.iter().filter(|(name, _)| !name.contains("Signature")).cloned().collect();
    assert_eq!(sim.push_raw(unsigned, body.clone()).await.status, 401, "no signature");
    let swap = |name: &str, value: &str| {
        let swapped =
            headers.iter().map(|(key, old)| (key.clone(), if key == name { value.into() } else { old.clone() }));
        swapped.collect::<Vec<(String, String)>>()
    };
    let forged = swap("X-Lark-Signature", &"0".repeat(64));
    assert_eq!(sim.push_raw(forged, body.clone()).await.status, 401, "wrong signature");
    let moved = swap("X-Lark-Request-Timestamp", "1700000000");
    assert_eq!(sim.push_raw(moved, body.clone()).await.status, 401, "another timestamp than the signed one");
    let mut longer = body.clone();
    longer.push(b' ');
    assert_eq!(sim.push_raw(headers.clone(), longer).await.status, 401, "another body than the signed one");

    let mut other_token = event.clone();
    other_token["header"]["token"] = json!("not the token");
    assert_eq!(sim.push_body(&other_token).await.status, 401, "wrong token");
    sim.clock().set_back(STALE);
    assert_eq!(sim.push_body(&event).await.status, 401, "two hours old");
    sim.clock().advance(STALE * 2);
    assert_eq!(sim.push_body(&event).await.status, 401, "two hours ahead");
    assert_eq!(sim.push_raw(Vec::new(), b"{\"schema\":".to_vec()).await.status, 400, "half a body");

    assert_refused(&stage, &model, &[("token", 1), ("timestamp", 2), ("malformed", 1), ("signature", 4)]).await;
}

#[tokio::test]
async fn forged_dingtalk_messages_are_refused_and_leave_nothing() {
    let (stage, model) = stage().await;
    let sim = &stage.dingtalk;
    let body = json!({"msgId": "msgRefused", "msgtype": "text", "text": {"content": "let me in"}}).to_string();
    let raw = |headers: &[(&str, &str)]| RawPush {
        headers: headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        query: String::new(),
        body: body.clone(),
    };
    let now = sim.clock().now_ms().to_string();
    let sign = magpie_sim::dingtalk::robot_sign("not the secret", &now);
    assert_eq!(sim.push_raw(raw(&[("timestamp", &now)])).await.status, 401, "no signature");
    assert_eq!(sim.push_raw(raw(&[("timestamp", &now), ("sign", &sign)])).await.status, 401, "another's signature");
    sim.clock().advance(STALE);
    assert_eq!(sim.push_signed(body.clone()).await.status, 401, "two hours ahead");
    sim.clock().set_offset_ms(0);
    assert_eq!(sim.push_signed("{\"msgId\":".to_owned()).await.status, 400, "half a body");

    assert_refused(&stage, &model, &[("signature", 2), ("timestamp", 1), ("malformed", 1)]).await;
}

#[tokio::test]
async fn addresses_and_sizes_are_checked_and_challenges_leave_no_row() {
    let (stage, model) = stage().await;
    stage.feishu.verify_url().await.expect("the challenge is answered");
    stage.dingtalk.check_url().await.accepted.expect("the check of the address is answered");

    let http = client();
    let post = async |path: &str, body: String| {
        let response = http.post(stage.service.url(path)).body(body).send().await.expect("an answer");
        let status = response.status().as_u16();
        let problem: Value = response.json().await.expect("errors are problem+json");
        (status, problem["code"].as_str().unwrap_or_default().to_owned())
    };
    assert_eq!(post("/webhook/nobody", "{}".into()).await, (404, "not_found".into()));
    assert_eq!(post("/webhook", "{}".into()).await, (404, "not_found".into()), "two bots are configured");
    for bot in [FEISHU, DINGTALK] {
        let too_long = post(&format!("/webhook/{bot}"), "x".repeat(2 << 20)).await;
        assert_eq!(too_long, (413, "body_too_large".into()));
    }
    let got = http.get(stage.service.webhook(FEISHU)).send().await.expect("an answer");
    assert_eq!(got.status().as_u16(), 405);

    assert_refused(&stage, &model, &[("signature", 0)]).await;
    // Whoever asks properly is served all the same.
    stage.feishu_direct().ask("hello", "hello").await;
}
