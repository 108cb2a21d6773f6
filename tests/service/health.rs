//! What monitors and orchestrators see.

use magpie_core::budget::CallClass;
use serde_json::{Value, json};

use crate::stand::{Plan, Stand};

async fn get(stand: &Stand, path: &str) -> (u16, Value) {
    let answer = stand.client.get(stand.url(path)).send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn health_tells_each_check_and_the_worst_of_them() {
    let stand = Stand::start(Plan::default()).await;
    let (status, body) = get(&stand, "/health").await;
    assert_eq!((status, body["status"].as_str()), (200, Some("degraded")));
    assert_eq!(body["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(body["checks"]["database"], json!({"status": "ok"}));
    assert_eq!(body["checks"]["model"]["status"], "degraded");
    assert_eq!(body["checks"]["platforms"]["parts"]["helpdesk"]["status"], "ok");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bot_whose_month_is_used_up_is_degraded() {
    let stand = Stand::start(Plan::default()).await;
    stand.shared.bots["helpdesk"].budget.permit(CallClass::Messages).await;
    let (_, body) = get(&stand, "/health").await;
    let bot = &body["checks"]["platforms"]["parts"]["helpdesk"];
    assert_eq!(bot["status"], "degraded");
    assert!(bot["detail"].as_str().unwrap().contains("budget.calls_per_month"), "{bot}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_check_can_be_asked_for() {
    let stand = Stand::start(Plan::default()).await;
    let ask = |body: &'static str| stand.client.post(stand.url("/health")).body(body).send();
    let body: Value = ask(r#"{"check":"database"}"#).await.unwrap().json().await.unwrap();
    assert_eq!((&body["status"], &body["checks"]), (&json!("ok"), &json!({"database": {"status": "ok"}})));
    assert_eq!(ask("").await.unwrap().status(), 200);
    let refused = ask(r#"{"check":"weather"}"#).await.unwrap();
    assert_eq!(refused.status(), 400);
    assert_eq!(refused.json::<Value>().await.unwrap()["code"], "invalid_request");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_store_the_service_is_alive_and_not_ready() {
    let stand = Stand::start(Plan { with_store: false, ..Plan::default() }).await;
    assert_eq!(get(&stand, "/health/live").await.0, 200);
    let (status, body) = get(&stand, "/health/ready").await;
    assert_eq!((status, body["code"].as_str()), (503, Some("store_unavailable")));
    let (status, body) = get(&stand, "/health").await;
    assert_eq!((status, body["status"].as_str()), (503, Some("down")));
}

#[tokio::test(flavor = "multi_thread")]
async fn readiness_ends_when_shutdown_begins() {
    let stand = Stand::start(Plan::default()).await;
    assert_eq!(get(&stand, "/health/ready").await.0, 200);
    stand.shared.stopping.cancel();
    let (status, body) = get(&stand, "/health/ready").await;
    assert_eq!((status, body["code"].as_str()), (503, Some("stopping")));
    assert_eq!(get(&stand, "/health/live").await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_metric_has_its_help_from_the_start() {
    let stand = Stand::start(Plan::default()).await;
    let text = stand.metrics().await;
    let names = [
        "http_requests_total",
        "http_request_duration_seconds",
        "magpie_events_total",
        "magpie_event_ack_seconds",
        "magpie_inbox_depth",
        "magpie_inbox_oldest_seconds",
        "magpie_reply_first_token_seconds",
        "magpie_reply_seconds",
        "magpie_generated_tokens_total",
        "magpie_prompt_tokens_total",
        "magpie_prefix_cache_hit_tokens_total",
        "magpie_engine_state",
        "magpie_fallback_total",
        "magpie_platform_call_seconds",
        "magpie_platform_calls_per_answer",
        "magpie_api_budget_calls",
        "magpie_api_budget_share",
        "magpie_card_updates_total",
        "magpie_embedding_seconds",
        "magpie_embedding_tokens_total",
        "magpie_embedding_truncated_total",
        "magpie_auth_failures_total",
        "process_resident_memory_bytes",
    ];
    for name in names {
        assert_eq!(text.matches(&format!("# HELP {name} ")).count(), 1, "{name}");
        assert_eq!(text.matches(&format!("# TYPE {name} ")).count(), 1, "{name}");
    }
    assert!(text.contains("magpie_inbox_depth{state=\"received\"}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_are_counted_by_route_and_never_by_raw_path() {
    let stand = Stand::start(Plan::default()).await;
    stand.post("event", "e1").await;
    get(&stand, "/no/such/place").await;
    let text = stand.metrics().await;
    assert!(text.contains("http_requests_total{method=\"POST\",path=\"/webhook/{bot}\",status=\"200\"}"), "{text}");
    assert!(text.contains("path=\"unmatched\",status=\"404\"}") && !text.contains("/no/such/place"));
    assert!(
        text.contains("http_request_duration_seconds_bucket{") && text.contains("magpie_event_ack_seconds_bucket{")
    );
}
