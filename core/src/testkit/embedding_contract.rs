//! What every embedder promises, as checks that any embedder can be put through.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::join_all;
use tokio::time::timeout;

use crate::embedding::{Embedder, EmbeddingError, EmbeddingInput, EmbeddingRequest, Embeddings, Purpose};
use crate::platform::Health;

/// Longest time an answer may take before the embedder counts as hanging.
const PATIENCE: Duration = Duration::from_secs(60);

/// How far a vector may differ with what else is computed beside it: the rounding of sums in another order.
const TOLERANCE: f32 = 1e-4;

/// Runs all checks. The embedder must be ready.
///
/// # Panics
/// When the embedder breaks a promise.
pub async fn check(embedder: Arc<dyn Embedder>) {
    a_ready_embedder_knows_itself(&*embedder);
    nothing_gives_nothing(&*embedder).await;
    every_input_has_its_vector_in_order(&*embedder).await;
    a_vector_does_not_depend_on_its_neighbours(&*embedder).await;
    what_is_too_long_is_cut_and_said(&*embedder).await;
    unknown_tokens_are_rejected_by_their_place(&*embedder).await;
    dropping_a_request_is_harmless(&*embedder).await;
    concurrent_requests_are_all_answered(&*embedder).await;
}

/// Texts of very different lengths.
#[must_use]
pub fn texts() -> Vec<String> {
    let long = "a much longer text, with numbers 123 and more than one sentence. ".repeat(3);
    vec!["hello".to_owned(), long, "good morning to everybody".to_owned(), "你好".to_owned(), "hello".to_owned()]
}

fn request(texts: &[String]) -> EmbeddingRequest {
    let inputs = texts.iter().cloned().map(EmbeddingInput::Text).collect();
    EmbeddingRequest { inputs, purpose: Purpose::Plain }
}

fn a_ready_embedder_knows_itself(embedder: &dyn Embedder) {
    let info = embedder.info();
    assert_eq!(embedder.health(), Health::Ok);
    assert!(!info.model.is_empty(), "a model has a name");
    assert!(info.dimensions.is_some_and(|length| length > 0), "vectors have a length");
    assert!(info.max_tokens.is_some_and(|tokens| tokens > 0), "a model reads at least one token");
}

async fn nothing_gives_nothing(embedder: &dyn Embedder) {
    let nothing = ready(embedder.embed(request(&[]))).await;
    assert_eq!(nothing, Embeddings { vectors: Vec::new(), tokens: 0, truncated: 0 });
}

async fn every_input_has_its_vector_in_order(embedder: &dyn Embedder) {
    let (texts, length) = (texts(), embedder.info().dimensions.unwrap_or_default());
    let answer = ready(embedder.embed(request(&texts))).await;
    assert_eq!(answer.vectors.len(), texts.len());
    assert!(answer.vectors.iter().all(|vector| vector.len() == length && vector.iter().all(|x| x.is_finite())));
    assert!(answer.tokens >= texts.len() as u64, "every text has a token");
    assert!(near(&answer.vectors[0], &answer.vectors[4]), "the same text has the same vector");
    assert!(!near(&answer.vectors[0], &answer.vectors[2]), "other texts have other vectors");
}

async fn a_vector_does_not_depend_on_its_neighbours(embedder: &dyn Embedder) {
    let texts = texts();
    let together = ready(embedder.embed(request(&texts))).await;
    let mut tokens = 0;
    for (text, vector) in texts.iter().zip(&together.vectors) {
        let alone = ready(embedder.embed(request(std::slice::from_ref(text)))).await;
        assert!(near(&alone.vectors[0], vector), "{text:?} has another vector alone");
        tokens += alone.tokens;
    }
    assert_eq!(tokens, together.tokens, "padding is no token");
}

async fn what_is_too_long_is_cut_and_said(embedder: &dyn Embedder) {
    let longest = embedder.info().max_tokens.unwrap_or_default();
    let texts = ["hello ".repeat(longest * 4), "hello".to_owned()];
    let answer = ready(embedder.embed(request(&texts))).await;
    assert_eq!(answer.truncated, 1);
    assert!(answer.tokens > longest as u64 && answer.tokens <= 2 * longest as u64, "{} tokens", answer.tokens);
}

async fn unknown_tokens_are_rejected_by_their_place(embedder: &dyn Embedder) {
    let inputs = vec![EmbeddingInput::Text("hello".to_owned()), EmbeddingInput::Tokens(vec![u32::MAX])];
    let answer = bounded(embedder.embed(EmbeddingRequest { inputs, purpose: Purpose::Plain })).await;
    assert!(matches!(answer, Err(EmbeddingError::Rejected { index: 1, .. })), "{answer:?}");
}

async fn dropping_a_request_is_harmless(embedder: &dyn Embedder) {
    drop(embedder.embed(request(&texts())));
    let mut begun = embedder.embed(request(&texts()));
    // Polled once, so that it is under way.
    let _ = (&mut begun).now_or_never();
    drop(begun);
    every_input_has_its_vector_in_order(embedder).await;
}

async fn concurrent_requests_are_all_answered(embedder: &dyn Embedder) {
    let texts = texts();
    let alone = ready(embedder.embed(request(&texts))).await;
    for answer in join_all((0..4).map(|_| ready(embedder.embed(request(&texts))))).await {
        assert!(answer.vectors.iter().zip(&alone.vectors).all(|(vector, expected)| near(vector, expected)));
    }
}

fn near(one: &[f32], other: &[f32]) -> bool {
    one.len() == other.len() && one.iter().zip(other).all(|(a, b)| (a - b).abs() <= TOLERANCE)
}

async fn ready(answer: impl Future<Output = Result<Embeddings, EmbeddingError>>) -> Embeddings {
    bounded(answer).await.expect("a ready embedder embeds texts")
}

async fn bounded<T>(answer: impl Future<Output = T>) -> T {
    timeout(PATIENCE, answer).await.expect("an embedder never hangs")
}
