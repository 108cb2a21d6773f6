//! `POST /webhook/{bot}`: what is stored, what is answered, and what a stranger learns.

use std::time::Duration;

use bytes::Bytes;
use magpie_core::ids::WorkerId;
use magpie_core::inbox::Lane;
use reqwest::header::HeaderValue;
use serde_json::Value;

use crate::stand::{Plan, Stand};

#[tokio::test(flavor = "multi_thread")]
async fn an_event_is_on_disk_when_it_is_acknowledged() {
    let stand = Stand::start(Plan::default()).await;
    let answer = stand.post("event", "e1").await;
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["content-type"], "application/json");
    assert_eq!(stand.database.inbox().depth().await.unwrap().received, 1);
    assert_eq!(answer.text().await.unwrap(), "{\"toast\":false}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_event_is_acknowledged_and_stored_once() {
    let stand = Stand::start(Plan::default()).await;
    for _ in 0..3 {
        assert_eq!(stand.post("event", "e1").await.status(), 200);
    }
    assert_eq!(stand.database.inbox().depth().await.unwrap().received, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_challenge_is_answered_and_leaves_no_row() {
    let stand = Stand::start(Plan::default()).await;
    let answer = stand.post("challenge", "").await;
    assert_eq!(answer.text().await.unwrap(), "{\"challenge\":1}");
    assert_eq!(stand.database.inbox().depth().await.unwrap().received, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sender_of_a_refused_request_learns_a_code_and_no_cause() {
    let stand = Stand::start(Plan::default()).await;
    let expected = [
        ("signature", 401, "unauthorized"),
        ("timestamp", 401, "unauthorized"),
        ("token", 401, "unauthorized"),
        ("malformed", 400, "malformed"),
    ];
    for (script, status, code) in expected {
        let answer = stand.post(script, "e1").await;
        assert_eq!(answer.status(), status, "{script}");
        assert_eq!(answer.headers()["content-type"], "application/problem+json");
        let problem: Value = answer.json().await.unwrap();
        assert_eq!((problem["code"].as_str(), problem["detail"].as_str()), (Some(code), Some("")), "{script}");
        assert_eq!(problem["status"], status);
    }
    assert_eq!(stand.database.inbox().depth().await.unwrap().received, 0);
    let metrics = stand.metrics().await;
    for (script, ..) in expected {
        assert!(metrics.contains(&format!("magpie_auth_failures_total{{kind=\"{script}\"}}")), "{script}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_over_the_limit_is_refused_announced_or_not() {
    let stand = Stand::start(Plan::default()).await;
    let announced = stand.post("event", &"x".repeat(1025)).await;
    assert_eq!(announced.status(), 413);
    let chunks = futures::stream::iter((0..3).map(|_| Ok::<_, std::io::Error>(Bytes::from(vec![b'x'; 500]))));
    let request = stand.client.post(stand.url("/webhook/helpdesk")).body(reqwest::Body::wrap_stream(chunks));
    let answer = request.send().await.unwrap();
    assert_eq!(answer.status(), 413);
    assert_eq!(answer.json::<Value>().await.unwrap()["code"], "body_too_large");
    assert_eq!(stand.post("event", &"x".repeat(1024)).await.status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_does_not_end_is_cut_off() {
    let stand = Stand::start(Plan { body_timeout: Duration::from_millis(50), ..Plan::default() }).await;
    let endless = futures::stream::pending::<Result<Bytes, std::io::Error>>();
    let request = stand.client.post(stand.url("/webhook/helpdesk")).body(reqwest::Body::wrap_stream(endless));
    assert_eq!(request.send().await.unwrap().status(), 408);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_needs_a_bot_that_is_configured() {
    let one = Stand::start(Plan::default()).await;
    assert_eq!(one.post_to("/webhook/stranger", "event", "e1").await.status(), 404);
    assert_eq!(one.post_to("/webhook", "event", "e1").await.status(), 200);
    let two = Stand::start(Plan { bots: vec![("helpdesk", true), ("it", true)], ..Plan::default() }).await;
    assert_eq!(two.post_to("/webhook", "event", "e1").await.status(), 404);
    assert_eq!(two.post_to("/webhook/it", "event", "e1").await.status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_store_an_event_is_to_be_sent_again() {
    let away = Stand::start(Plan { with_store: false, ..Plan::default() }).await;
    let answer = away.post("event", "e1").await;
    assert_eq!(answer.status(), 503);
    assert!(answer.headers().contains_key("retry-after"));
    assert_eq!(answer.json::<Value>().await.unwrap()["code"], "store_unavailable");
    assert_eq!(away.post("challenge", "").await.status(), 200);

    let lost = Stand::start(Plan::default()).await;
    lost.database.close().await;
    assert_eq!(lost.post("event", "e1").await.status(), 503);
}

#[tokio::test(flavor = "multi_thread")]
async fn events_of_a_disabled_bot_are_kept_as_done() {
    let stand = Stand::start(Plan { bots: vec![("asleep", false)], ..Plan::default() }).await;
    assert_eq!(stand.post_to("/webhook/asleep", "event", "e1").await.status(), 200);
    assert_eq!(stand.database.inbox().depth().await.unwrap().received, 0);
    let counted = "magpie_events_total{bot=\"asleep\",kind=\"lifecycle\",outcome=\"ignored\"} 1";
    assert!(stand.metrics().await.contains(counted));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_platform_sees_raw_bytes_and_readable_headers_only() {
    let stand = Stand::start(Plan::default()).await;
    let body = b"{ \"a\" : 1,\r\n \xff }".to_vec();
    let request = stand
        .client
        .post(stand.url("/webhook/helpdesk?signature=a%2Bb&nonce=%E9%B9%8A&signature=c"))
        .header("x-good", "visible")
        .header("x-bad", HeaderValue::from_bytes(b"caf\xe9").unwrap())
        .body(body.clone());
    assert_eq!(request.send().await.unwrap().status(), 200);
    let seen = stand.platforms["helpdesk"].seen.lock().unwrap().remove(0);
    assert_eq!(seen.body, body);
    assert_eq!((seen.header("X-Good"), seen.header("x-bad")), (Some("visible"), None));
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(seen.query, [pair("signature", "a+b"), pair("nonce", "鹊"), pair("signature", "c")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_trace_of_the_request_travels_with_the_event() {
    let stand = Stand::start(Plan::default()).await;
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let request = stand.client.post(stand.url("/webhook/helpdesk")).body("e1");
    request.header("traceparent", format!("00-{trace}-00f067aa0ba902b7-01")).send().await.unwrap();
    let (worker, inbox) = (WorkerId::from("test"), stand.database.inbox());
    let claims = inbox.claim(&worker, Lane::Control, 1, Duration::from_secs(60)).await.unwrap();
    assert!(claims[0].trace.as_deref().is_some_and(|stored| stored.starts_with(&format!("00-{trace}-"))));
}
