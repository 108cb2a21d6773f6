//! What surrounds every request.

use reqwest::Method;
use serde_json::Value;

use crate::stand::{Plan, Stand};

#[tokio::test(flavor = "multi_thread")]
async fn a_proper_request_id_is_taken_over_and_any_other_replaced() {
    let stand = Stand::start(Plan::default()).await;
    let longest = "a".repeat(64);
    for proper in ["abc-1.2_Z", longest.as_str()] {
        let request = stand.client.get(stand.url("/health/live")).header("x-request-id", proper);
        assert_eq!(request.send().await.unwrap().headers()["x-request-id"], proper);
    }
    let too_long = "a".repeat(65);
    for improper in [too_long.as_str(), "a b", "a/b", ""] {
        let request = stand.client.get(stand.url("/health/live")).header("x-request-id", improper);
        let answer = request.send().await.unwrap();
        let id = answer.headers()["x-request-id"].to_str().unwrap();
        assert!(id != improper && id.len() == 32, "{improper:?} became {id:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_of_the_router_are_problems_with_the_request_id() {
    let stand = Stand::start(Plan::default()).await;
    let expected = [
        (Method::GET, "/nowhere", 404, "not_found"),
        (Method::GET, "/webhook/helpdesk", 405, "method_not_allowed"),
        (Method::DELETE, "/health", 405, "method_not_allowed"),
        (Method::POST, "/page", 404, "not_found"),
    ];
    for (method, path, status, code) in expected {
        {
            let url = stand.url(path);
            let answer = stand.client.request(method.clone(), url).send().await.unwrap();
            assert_eq!(answer.status(), status, "{method} {path}");
            assert_eq!(answer.headers()["content-type"], "application/problem+json");
            let id = answer.headers()["x-request-id"].to_str().unwrap().to_owned();
            assert_eq!(answer.headers().contains_key("allow"), status == 405);
            let problem: Value = answer.json().await.unwrap();
            assert_eq!((problem["code"].as_str(), problem["request_id"].as_str()), (Some(code), Some(id.as_str())));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_can_not_be_framed_and_load_nothing_from_elsewhere() {
    let stand = Stand::start(Plan::default()).await;
    let answer = stand.client.get(stand.url("/page")).send().await.unwrap();
    let policy = answer.headers()["content-security-policy"].to_str().unwrap();
    assert!(policy.contains("default-src 'self'") && policy.contains("frame-ancestors 'none'"), "{policy}");
    assert_eq!(answer.headers()["x-content-type-options"], "nosniff");
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_are_on_the_admin_listener_only() {
    let stand = Stand::start(Plan::default()).await;
    assert_eq!(stand.client.get(stand.url("/metrics")).send().await.unwrap().status(), 404);
    assert_eq!(stand.client.get(stand.admin_url("/metrics")).send().await.unwrap().status(), 200);
    assert_eq!(stand.client.post(stand.admin_url("/metrics")).send().await.unwrap().status(), 405);
    assert_eq!(stand.client.get(stand.admin_url("/health/live")).send().await.unwrap().status(), 200);
}
