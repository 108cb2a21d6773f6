//! Embeddings from the outside: real weights in a folder, the real program, an OpenAI client's requests.

use std::path::Path;

use serde_json::{Value, json};

use crate::harness::service::client;
use crate::harness::{Service, eventually};

const TOKEN: &str = "the admin's own token";

/// A service with the tiny encoder and whatever else `auth` says.
async fn service(folder: &Path, auth: &str) -> Service {
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("adapters/candle/tests/vectors/embedding/tiny-bert");
    let mut service = Service::new(folder, "magpie", |port, admin_port| {
        format!(
            "server.listen = \"127.0.0.1:{port}\"\nserver.admin_listen = \"127.0.0.1:{admin_port}\"\n{auth}\n\
             [model.embedding]\npath = {:?}\n[model.local]\ndevice = \"cpu\"\n",
            model.display().to_string()
        )
    });
    service.start().await;
    service
}

async fn ask(service: &Service, body: &Value) -> (u16, Value) {
    let request = client().post(service.url("/v1/embeddings")).bearer_auth(TOKEN).body(body.to_string());
    let answer = request.send().await.expect("the service answers");
    (answer.status().as_u16(), answer.json().await.expect("with JSON"))
}

#[tokio::test]
async fn a_client_gets_the_vectors_that_an_independent_program_computed() {
    let folder = tempfile::tempdir().expect("a folder");
    let service = service(folder.path(), &format!("auth.admin_token = \"{TOKEN}\"")).await;
    eventually("the model to be loaded", async || {
        let (_, health) = service.get("/health").await.ok_or("no answer")?;
        let state = health["checks"]["model"]["parts"]["model.embedding"]["status"].clone();
        if state == "ok" { Ok(()) } else { Err(state.to_string()) }
    })
    .await;
    let expected = include_str!("../../adapters/candle/tests/vectors/embedding/tiny-bert/expected.json");
    let expected: Vec<Value> = serde_json::from_str(expected).expect("the vectors are JSON");
    for one in expected {
        let body = json!({"model": "tiny-bert", "input": one["text"], "input_type": one["purpose"]});
        let (status, answer) = ask(&service, &body).await;
        assert_eq!(status, 200, "{answer}");
        assert_eq!(answer["usage"]["prompt_tokens"], one["ids"].as_array().expect("a list").len(), "{answer}");
        let floats = |list: &Value| -> Vec<f64> {
            list.as_array().expect("a list").iter().map(|value| value.as_f64().expect("a number")).collect()
        };
        let (found, wanted) = (floats(&answer["data"][0]["embedding"]), floats(&one["vector"]));
        assert_eq!(found.len(), wanted.len());
        assert!(found.iter().zip(&wanted).all(|(a, b)| (a - b).abs() < 2e-5), "{one}: {found:?}");
    }
    assert!(service.metric("magpie_embedding_tokens_total", &[]).await > 0.0);
    assert!(service.metric("magpie_embedding_seconds_count", &["outcome=\"ok\""]).await > 0.0);
}

#[tokio::test]
async fn without_a_configured_token_the_door_stays_shut_and_the_log_says_why() {
    let folder = tempfile::tempdir().expect("a folder");
    let service = service(folder.path(), "").await;
    let (status, answer) = ask(&service, &json!({"model": "auto", "input": "hello"})).await;
    assert_eq!((status, answer["error"]["code"].as_str()), (401, Some("unauthorized")));
    assert!(service.log().contains("auth.admin_token"), "{}", service.log());
}
