//! `POST /v1/embeddings`: who may ask, what is answered, and every refusal in the shape of OpenAI's API.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use magpie_core::embedding::{
    Embedder, EmbedderInfo, EmbeddingError, EmbeddingInput, EmbeddingRequest, Embeddings, Purpose,
};
use magpie_core::platform::Health;
use serde_json::{Value, json};

use crate::stand::{Plan, Stand};

const TOKEN: &str = "a token of more than 16 bytes";

/// Embeds a text as its length, its purpose and a third; some texts fail.
struct Ruler;

impl Embedder for Ruler {
    fn info(&self) -> EmbedderInfo {
        EmbedderInfo { model: "ruler".to_owned(), dimensions: Some(3), max_tokens: Some(8) }
    }

    fn embed(&self, request: EmbeddingRequest) -> BoxFuture<'static, Result<Embeddings, EmbeddingError>> {
        let purpose = match request.purpose {
            Purpose::Plain => 0.0,
            Purpose::Query => 1.0,
            Purpose::Passage => 2.0,
        };
        let vector = |(index, input): (usize, &EmbeddingInput)| match input {
            EmbeddingInput::Text(text) if text == "busy" => {
                Err(EmbeddingError::Overloaded { model: "ruler".to_owned() })
            }
            EmbeddingInput::Text(text) if text == "broken" => {
                let (model, what) = ("ruler".to_owned(), "a private cause".to_owned());
                Err(EmbeddingError::Unavailable { model, what, source: None })
            }
            EmbeddingInput::Text(text) => Ok(vec![text.len() as f32, purpose, 1.0 / 3.0]),
            EmbeddingInput::Tokens(tokens) if tokens.contains(&999) => {
                Err(EmbeddingError::Rejected { index, what: "the model has no token 999".to_owned() })
            }
            EmbeddingInput::Tokens(tokens) => Ok(vec![tokens.len() as f32, purpose, 1.0 / 3.0]),
        };
        let vectors: Result<Vec<Vec<f32>>, _> = request.inputs.iter().enumerate().map(vector).collect();
        let answer = vectors.map(|vectors| {
            let tokens = vectors.iter().map(|vector| vector[0] as u64).sum();
            Embeddings { truncated: vectors.iter().filter(|vector| vector[0] > 8.0).count(), vectors, tokens }
        });
        async move { answer }.boxed()
    }

    fn health(&self) -> Health {
        Health::Degraded { detail: "it is made of wood".to_owned() }
    }
}

async fn stand() -> Stand {
    let embedder: Arc<dyn Embedder> = Arc::new(Ruler);
    let plan = Plan { embedder: Some(embedder), admin_token: TOKEN, max_body_bytes: 1 << 20, ..Plan::default() };
    Stand::start(plan).await
}

async fn ask(stand: &Stand, body: &Value) -> (u16, Value) {
    let request = stand.client.post(stand.url("/v1/embeddings")).bearer_auth(TOKEN).body(body.to_string());
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn texts_and_tokens_come_back_as_vectors_in_order() {
    let stand = stand().await;
    let (status, body) = ask(&stand, &json!({"model": "ruler", "input": ["four", "a very long text"]})).await;
    assert_eq!(status, 200);
    let expected = json!({
        "object": "list",
        "data": [
            {"object": "embedding", "index": 0, "embedding": [4.0, 0.0, 0.333_333_34]},
            {"object": "embedding", "index": 1, "embedding": [16.0, 0.0, 0.333_333_34]},
        ],
        "model": "ruler",
        "usage": {"prompt_tokens": 20, "total_tokens": 20, "truncated_inputs": 1},
    });
    assert_eq!(body, expected);
    for (input, lengths) in
        [(json!("four"), vec![4.0]), (json!([1, 2, 3]), vec![3.0]), (json!([[1], [1, 2]]), vec![1.0, 2.0])]
    {
        let (_, body) = ask(&stand, &json!({"model": "auto", "input": input, "dimensions": 3, "user": "u"})).await;
        let items = body["data"].as_array().unwrap();
        let found: Vec<f64> = items.iter().map(|item| item["embedding"][0].as_f64().unwrap()).collect();
        assert_eq!(found, lengths, "{input}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn base64_holds_little_endian_floats() {
    let (_, body) = ask(&stand().await, &json!({"model": "ruler", "input": "four", "encoding_format": "base64"})).await;
    let bytes = BASE64.decode(body["data"][0]["embedding"].as_str().unwrap()).unwrap();
    let floats: Vec<f32> = bytes.chunks(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap())).collect();
    assert_eq!(floats, [4.0, 0.0, 1.0 / 3.0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_can_say_what_its_texts_are_for() {
    let stand = stand().await;
    for (name, number) in [("query", 1.0), ("passage", 2.0), ("document", 2.0), ("plain", 0.0)] {
        let (_, body) = ask(&stand, &json!({"model": "ruler", "input": "four", "input_type": name})).await;
        assert_eq!(body["data"][0]["embedding"][1], number, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_refusal_has_the_shape_of_openai() {
    let stand = stand().await;
    let many = vec!["x"; 2049];
    let expected = [
        (json!({"model": "other", "input": "x"}), 404, "model_not_found"),
        (json!({"input": "x"}), 400, "invalid_request"),
        (json!({"model": "ruler"}), 400, "invalid_request"),
        (json!({"model": "ruler", "input": {"a": 1}}), 400, "invalid_request"),
        (json!({"model": "ruler", "input": []}), 400, "invalid_request"),
        (json!({"model": "ruler", "input": ""}), 400, "invalid_request"),
        (json!({"model": "ruler", "input": [[]]}), 400, "invalid_request"),
        (json!({"model": "ruler", "input": ["x", -1]}), 400, "invalid_request"),
        (json!({"model": "ruler", "input": many}), 400, "invalid_request"),
        (json!({"model": "ruler", "input": "x".repeat(65_537)}), 400, "invalid_request"),
        (json!({"model": "ruler", "input": "x", "dimensions": 2}), 400, "invalid_request"),
        (json!({"model": "ruler", "input": "x", "encoding_format": "hex"}), 400, "invalid_request"),
        (json!({"model": "ruler", "input": [[1], [999]]}), 400, "invalid_request"),
        (json!({"model": "ruler", "input": "busy"}), 503, "overloaded"),
        (json!({"model": "ruler", "input": "broken"}), 503, "model_unavailable"),
    ];
    for (body, status, code) in expected {
        let (found, answer) = ask(&stand, &body).await;
        let error = &answer["error"];
        assert_eq!((found, error["code"].as_str()), (status, Some(code)), "{body} {answer}");
        let kind = if status == 503 { "server_error" } else { "invalid_request_error" };
        assert_eq!(error["type"], kind);
        let message = error["message"].as_str().unwrap();
        assert!(!message.is_empty() && !message.contains("private"), "{message}");
    }
    let large = stand.client.post(stand.url("/v1/embeddings")).bearer_auth(TOKEN).body("x".repeat((1 << 20) + 1));
    let answer = large.send().await.unwrap();
    assert_eq!(answer.status(), 413);
    assert_eq!(answer.json::<Value>().await.unwrap()["error"]["code"], "body_too_large");
    let answer = stand.client.get(stand.url("/v1/embeddings")).send().await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.headers()["allow"].to_str().unwrap()), (405, "POST"));
    assert_eq!(answer.json::<Value>().await.unwrap()["error"]["code"], "method_not_allowed");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_let_in_without_the_token() {
    let body = json!({"model": "ruler", "input": "x"}).to_string();
    let stand = stand().await;
    for token in [None, Some("another token, quite long"), Some("")] {
        let request = stand.client.post(stand.url("/v1/embeddings")).body(body.clone());
        let request = token.into_iter().fold(request, reqwest::RequestBuilder::bearer_auth);
        let answer = request.send().await.unwrap();
        assert_eq!((answer.status().as_u16(), answer.headers()["www-authenticate"].to_str().unwrap()), (401, "Bearer"));
        let error: Value = answer.json().await.unwrap();
        assert_eq!(error["error"]["type"], "authentication_error");
    }
    let embedder: Arc<dyn Embedder> = Arc::new(Ruler);
    let closed = Stand::start(Plan { embedder: Some(embedder), ..Plan::default() }).await;
    let request = closed.client.post(closed.url("/v1/embeddings")).bearer_auth("").body(body);
    assert_eq!(request.send().await.unwrap().status(), 401);
    assert!(stand.metrics().await.contains("magpie_auth_failures_total{kind=\"bearer_missing\"}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_model_the_answer_says_how_to_get_one() {
    let stand = Stand::start(Plan { admin_token: TOKEN, ..Plan::default() }).await;
    let (status, body) = ask(&stand, &json!({"model": "auto", "input": "x"})).await;
    assert_eq!((status, body["error"]["code"].as_str()), (503, Some("no_embedding_model")));
    assert!(body["error"]["message"].as_str().unwrap().contains("model.embedding.path"));
}

#[tokio::test(flavor = "multi_thread")]
async fn health_tells_how_the_embedding_model_is() {
    let stand = stand().await;
    let body: Value = stand.client.get(stand.url("/health")).send().await.unwrap().json().await.unwrap();
    let part = &body["checks"]["model"]["parts"]["model.embedding"];
    assert_eq!((part["status"].as_str(), part["detail"].as_str()), (Some("degraded"), Some("it is made of wood")));
}
