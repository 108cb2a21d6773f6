//! Transcription against a scripted endpoint on loopback.

use std::time::Duration;

use crate::endpoint::{Act, Endpoint, refusal};
use magpie_cloud::{CloudTranscriber, Secret, TranscriptionConfig};
use magpie_core::attachment::{File, Transcriber, TranscriptionError};
use magpie_core::platform::Health;

fn transcriber(endpoint: &Endpoint, timeout: Duration) -> CloudTranscriber {
    rustls::crypto::ring::default_provider().install_default().ok();
    let http = reqwest::Client::builder().no_proxy().build().expect("a plain client can be built");
    let config = TranscriptionConfig {
        base_url: format!("{}/", endpoint.base_url),
        api_key: Secret::new("sk-test"),
        model: "whisper-1".into(),
        language: Some("zh".into()),
        timeout,
    };
    CloudTranscriber::new(config, http)
}

fn patient(endpoint: &Endpoint) -> CloudTranscriber {
    transcriber(endpoint, Duration::from_secs(10))
}

fn recording() -> File {
    File { name: "voice.opus".into(), media_type: String::new(), bytes: "OggS-sound".into() }
}

fn document(body: &str) -> Vec<Act> {
    refusal("200 OK", &["content-type: application/json"], body)
}

fn transcript(text: &str) -> Vec<Act> {
    document(&serde_json::json!({"text": text}).to_string())
}

#[tokio::test]
async fn a_recording_is_sent_as_a_form_and_its_text_comes_back() {
    let mut endpoint = Endpoint::start(vec![transcript(" 明天九点开会 ")]).await;
    let text = patient(&endpoint).transcribe(recording()).await.expect("it is transcribed");
    assert_eq!(text, "明天九点开会");
    let seen = endpoint.requests.recv().await.unwrap();
    assert!(seen.head.starts_with("post /v1/audio/transcriptions "), "{}", seen.head);
    assert!(seen.head.contains("authorization: bearer sk-test"));
    let form = seen.body.as_str().expect("a form is no JSON");
    for part in ["filename=\"recording.ogg\"", "audio/ogg", "OggS-sound", "\r\n\r\nwhisper-1\r\n", "\r\n\r\nzh\r\n"] {
        assert!(form.contains(part), "{part} in {form}");
    }
}

#[tokio::test]
async fn what_passes_is_repeated_and_sends_the_recording_again() {
    let mut endpoint = Endpoint::start(vec![
        refusal("503 Busy", &["retry-after: 0"], "{}"),
        refusal("500 Oops", &["retry-after: 0"], "{}"),
        transcript("ok"),
    ])
    .await;
    assert_eq!(patient(&endpoint).transcribe(recording()).await.expect("the third try works"), "ok");
    for _ in 0..3 {
        let seen = endpoint.requests.try_recv().expect("three requests were made");
        assert!(seen.body.as_str().expect("a form").contains("OggS-sound"));
    }
}

#[tokio::test]
async fn refusals_are_told_by_what_somebody_can_do() {
    for (script, reason) in [
        (refusal("401 No", &[], "{}"), "misconfigured"),
        (refusal("400 No", &[], "{}"), "rejected"),
        (refusal("413 No", &[], "{}"), "rejected"),
        (refusal("429 No", &["retry-after: 60"], "{}"), "unavailable"),
        (transcript(" \n"), "no_speech"),
        (document("[]"), "misconfigured"),
        (document(&"x".repeat((1 << 20) + 1)), "misconfigured"),
    ] {
        let endpoint = Endpoint::start(vec![script]).await;
        let error = patient(&endpoint).transcribe(recording()).await.expect_err("no text");
        assert_eq!(error.reason(), reason, "{error}");
    }
}

#[tokio::test]
async fn a_silent_endpoint_is_given_up_and_its_connection_closed() {
    let mut endpoint = Endpoint::start(vec![vec![Act::Hold]]).await;
    let error = transcriber(&endpoint, Duration::from_millis(80)).transcribe(recording()).await;
    assert!(matches!(error, Err(TranscriptionError::Unavailable { .. })));
    endpoint.closed.recv().await.expect("the connection is closed");
}

#[tokio::test]
async fn an_endpoint_that_keeps_failing_is_left_alone() {
    let mut endpoint = Endpoint::start(vec![refusal("401 No", &[], "{}")]).await;
    let transcriber = patient(&endpoint);
    for _ in 0..3 {
        transcriber.transcribe(recording()).await.expect_err("the key is refused");
        endpoint.requests.recv().await.expect("the request arrives");
    }
    assert!(matches!(transcriber.health(), Health::Degraded { .. }));
    transcriber.transcribe(recording()).await.expect_err("it is left alone");
    assert!(endpoint.requests.try_recv().is_err(), "nothing is sent while it is left alone");
}
