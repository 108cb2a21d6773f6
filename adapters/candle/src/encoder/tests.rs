//! Against vectors computed by an independent program (`tests/vectors/embedding/make.py`), and the port's contract.

use std::path::Path;
use std::sync::Arc;

use futures::FutureExt as _;
use magpie_core::embedding::{EmbeddingInput, Purpose};
use magpie_core::testkit::embedding_contract;
use serde::Deserialize;

use super::*;

const MODELS: [&str; 2] = ["tiny-bert", "tiny-xlm-roberta"];

fn config(model: &str) -> EncoderConfig {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/embedding").join(model);
    EncoderConfig { device: DeviceChoice::Cpu, ..EncoderConfig::new(folder) }
}

async fn embedder(config: EncoderConfig) -> CandleEmbedder {
    let embedder = CandleEmbedder::load(config);
    embedder.loaded().await;
    assert_eq!(embedder.health(), Health::Ok);
    embedder
}

fn request(inputs: Vec<EmbeddingInput>, purpose: Purpose) -> EmbeddingRequest {
    EmbeddingRequest { inputs, purpose }
}

fn texts(texts: &[&str]) -> Vec<EmbeddingInput> {
    texts.iter().map(|text| EmbeddingInput::Text((*text).to_owned())).collect()
}

/// What the other program made of a text.
#[derive(Deserialize)]
struct Expected {
    purpose: String,
    text: String,
    ids: Vec<u32>,
    vector: Vec<f32>,
}

fn expected(model: &str) -> Vec<Expected> {
    let text = std::fs::read(config(model).path.join("expected.json")).unwrap();
    serde_json::from_slice(&text).unwrap()
}

fn assert_near(vector: &[f32], expected: &[f32], what: &str) {
    assert_eq!(vector.len(), expected.len(), "{what}");
    for (place, (value, wanted)) in vector.iter().zip(expected).enumerate() {
        assert!((value - wanted).abs() < 2e-5, "{what}: {value} at {place} and not {wanted}");
    }
}

#[tokio::test]
async fn vectors_equal_those_of_an_independent_program() {
    for model in MODELS {
        let embedder = embedder(config(model)).await;
        for (name, purpose) in [("plain", Purpose::Plain), ("query", Purpose::Query), ("passage", Purpose::Passage)] {
            let expected: Vec<Expected> = expected(model).into_iter().filter(|one| one.purpose == name).collect();
            let inputs = expected.iter().map(|one| EmbeddingInput::Text(one.text.clone())).collect();
            let answer = embedder.embed(request(inputs, purpose)).await.unwrap();
            for (one, vector) in expected.iter().zip(&answer.vectors) {
                assert_near(vector, &one.vector, &format!("{model} {name} {:?}", one.text));
            }
            assert_eq!(answer.tokens, expected.iter().map(|one| one.ids.len() as u64).sum::<u64>(), "{model}");
        }
    }
}

#[tokio::test]
async fn every_model_keeps_the_contract_of_the_port() {
    for model in MODELS {
        embedding_contract::check(Arc::new(embedder(config(model)).await)).await;
    }
}

#[tokio::test]
async fn batches_of_any_size_give_the_same_vectors() {
    let inputs = texts(&["a", "a rather long text, with many words", "hello", "good", "good morning"]);
    let mut all = Vec::new();
    for batch_size in [1, 2, 3, 32] {
        let embedder = embedder(EncoderConfig { batch_size, ..config("tiny-bert") }).await;
        all.push(embedder.embed(request(inputs.clone(), Purpose::Plain)).await.unwrap());
    }
    for other in &all[1..] {
        assert_eq!(other.tokens, all[0].tokens);
        for (vector, first) in other.vectors.iter().zip(&all[0].vectors) {
            assert_near(vector, first, "another batch size");
        }
    }
}

#[tokio::test]
async fn tokens_are_embedded_like_the_text_they_came_from() {
    let embedder = embedder(config("tiny-bert")).await;
    for one in expected("tiny-bert").iter().filter(|one| one.purpose == "plain") {
        let inner = one.ids[1..one.ids.len() - 1].to_vec();
        // No prompt is put before tokens.
        let answer = embedder.embed(request(vec![EmbeddingInput::Tokens(inner)], Purpose::Query)).await.unwrap();
        assert_near(&answer.vectors[0], &one.vector, &one.text);
    }
}

#[tokio::test]
async fn an_operator_can_lower_the_limit_of_tokens_and_not_raise_it() {
    let lowered = embedder(EncoderConfig { max_tokens: 8, ..config("tiny-bert") }).await;
    assert_eq!(lowered.info().max_tokens, Some(8));
    let answer = lowered.embed(request(texts(&["one two three four five six"]), Purpose::Plain)).await.unwrap();
    assert_eq!((answer.tokens, answer.truncated), (8, 1));
    let raised = embedder(EncoderConfig { max_tokens: 9999, ..config("tiny-xlm-roberta") }).await;
    assert_eq!(raised.info().max_tokens, Some(32));
}

#[tokio::test]
async fn what_can_not_be_loaded_is_said_and_never_hangs() {
    let folder = tempfile::tempdir().unwrap();
    let embedder = CandleEmbedder::load(EncoderConfig::new(folder.path()));
    embedder.loaded().await;
    let Health::Degraded { detail } = embedder.health() else { panic!("an empty folder is no model") };
    assert!(detail.contains("config.json") && detail.contains("model.embedding.path"), "{detail}");
    let refused = embedder.embed(request(texts(&["hello"]), Purpose::Plain)).await;
    assert!(matches!(refused, Err(EmbeddingError::Unavailable { .. })), "{refused:?}");
    assert_eq!(embedder.info().dimensions, None);
}

#[test]
fn weights_that_do_not_fit_are_refused() {
    let folder = copy("tiny-bert", &["config.json", "tokenizer.json", "model.safetensors"]);
    assert!(inspect_encoder(&EncoderConfig::new(folder.path())).is_ok());
    let config = std::fs::read_to_string(folder.path().join("config.json")).unwrap();
    for (from, to, said) in [
        ("\"num_hidden_layers\": 2", "\"num_hidden_layers\": 3", "weights"),
        ("\"hidden_size\": 16", "\"hidden_size\": 32", "weights"),
        ("\"model_type\": \"bert\"", "\"model_type\": \"t5\"", "t5"),
        ("\"gelu\"", "\"unheard_of\"", "config.json"),
    ] {
        assert!(config.contains(from), "{from}");
        std::fs::write(folder.path().join("config.json"), config.replace(from, to)).unwrap();
        let refusal = inspect_encoder(&EncoderConfig::new(folder.path())).unwrap_err().to_string();
        assert!(refusal.contains(said), "{refusal}");
    }
    std::fs::write(folder.path().join("config.json"), config).unwrap();
    let weights = std::fs::read(folder.path().join("model.safetensors")).unwrap();
    std::fs::write(folder.path().join("model.safetensors"), &weights[..weights.len() / 2]).unwrap();
    assert!(inspect_encoder(&EncoderConfig::new(folder.path())).is_err());
}

#[tokio::test]
async fn a_full_queue_refuses_and_abandoned_requests_are_skipped() {
    let (jobs, mut queue) = mpsc::channel(1);
    let (_phase, phase) = watch::channel(Phase::Ready(EncoderSummary { dimensions: 16, max_tokens: 24 }));
    let embedder = CandleEmbedder { model: "stuck".to_owned(), phase, jobs };
    let mut waiting = embedder.embed(request(texts(&["hello"]), Purpose::Plain));
    assert!((&mut waiting).now_or_never().is_none());
    let refused = embedder.embed(request(texts(&["hello"]), Purpose::Plain)).await;
    assert!(matches!(refused, Err(EmbeddingError::Overloaded { .. })), "{refused:?}");
    drop(waiting);
    assert!(queue.try_recv().unwrap().reply.is_closed());
    drop(queue);
    assert!(matches!(embedder.health(), Health::Degraded { .. }));
    let refused = embedder.embed(request(texts(&["hello"]), Purpose::Plain)).await;
    assert!(matches!(refused, Err(EmbeddingError::Unavailable { .. })), "{refused:?}");
}

fn copy(model: &str, files: &[&str]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for file in files {
        std::fs::copy(config(model).path.join(file), folder.path().join(file)).unwrap();
    }
    folder
}
