//! Speech to text by one endpoint.
//!
//! Source: OpenAI API reference, "Create transcription" (read 11/2026): a multipart form with `file`, `model` and
//! optionally `language`; the answer is `{"text": …}`. Endpoints tell the format by the file's name, and know `.ogg`
//! where they do not know `.opus`, so the name is ours, made from the recording's first bytes.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use magpie_core::attachment::{File, Transcriber, TranscriptionError};
use magpie_core::engine::EngineError;
use magpie_core::platform::Health;
use magpie_core::secret::Secret;
use reqwest::multipart::{Form, Part};
use reqwest::{Response, StatusCode};
use serde::Deserialize;
use tokio::time::{Instant, timeout_at};

use crate::cooldown::Cooldown;
use crate::fault::Fault;
use crate::open::refusal;
use crate::retry;

/// The name in logs and errors.
const NAME: &str = "transcription";
/// How often a recording may be sent again.
const MAX_RETRIES: u32 = 2;
/// How long the endpoint is left alone after repeated failures.
const COOLDOWN: Duration = Duration::from_secs(30);
/// Longest answer: an hour of speech is some 60 kB.
const MAX_ANSWER_BYTES: usize = 1 << 20;

/// `[model.transcription]`.
#[derive(Debug, Clone)]
pub struct TranscriptionConfig {
    /// Origin and path up to, not including, `/audio/transcriptions`; a slash at the end does no harm.
    pub base_url: String,
    /// Sent as a bearer token; empty means that no `Authorization` header is sent.
    pub api_key: Secret,
    /// Model name as the endpoint knows it.
    pub model: String,
    /// What people speak, as ISO 639-1; `None` leaves it to the model to find out.
    pub language: Option<String>,
    /// For one recording, all retries included.
    pub timeout: Duration,
}

/// One OpenAI-compatible endpoint that transcribes.
pub struct CloudTranscriber {
    shared: Arc<Shared>,
}

struct Shared {
    config: TranscriptionConfig,
    http: reqwest::Client,
    cooldown: Cooldown,
}

#[derive(Deserialize)]
struct Answer {
    text: String,
}

impl CloudTranscriber {
    /// `http` decides about proxy, redirects and certificates; it must not carry a total timeout.
    #[must_use]
    pub fn new(config: TranscriptionConfig, http: reqwest::Client) -> Self {
        Self { shared: Arc::new(Shared { config, http, cooldown: Cooldown::new(COOLDOWN) }) }
    }
}

impl Transcriber for CloudTranscriber {
    fn transcribe(&self, recording: File) -> BoxFuture<'static, Result<String, TranscriptionError>> {
        let shared = Arc::clone(&self.shared);
        async move { shared.transcribe(&recording).await }.boxed()
    }

    fn health(&self) -> Health {
        self.shared.cooldown.health(Instant::now())
    }
}

impl Shared {
    async fn transcribe(&self, recording: &File) -> Result<String, TranscriptionError> {
        if let Some(left) = self.cooldown.remaining(Instant::now()) {
            let what = format!("left alone for {} s more after repeated failures", left.as_secs() + 1);
            return Err(TranscriptionError::Unavailable { what, source: None });
        }
        let waited = self.config.timeout;
        let deadline = Instant::now() + waited;
        let sending = retry::repeated(NAME, MAX_RETRIES, deadline, || self.send(recording));
        let outcome = timeout_at(deadline, sending)
            .await
            .unwrap_or_else(|_| Err(EngineError::Timeout { engine: NAME.to_owned(), awaited: "transcript", waited }));
        match outcome {
            Ok(text) => {
                self.cooldown.succeeded();
                let text = text.trim();
                if text.is_empty() { Err(TranscriptionError::NoSpeech) } else { Ok(text.to_owned()) }
            }
            Err(error) => {
                self.cooldown.failed(&error, Instant::now());
                Err(meaning(error))
            }
        }
    }

    async fn send(&self, recording: &File) -> Result<String, Fault> {
        let Self { config, http, .. } = self;
        let url = format!("{}/audio/transcriptions", config.base_url.trim_end_matches('/'));
        let mut request = http.post(url).multipart(form(config, recording)?);
        if !config.api_key.is_empty() {
            request = request.bearer_auth(config.api_key.reveal());
        }
        let response = request.send().await.map_err(|source| Fault::from_transport(NAME, source))?;
        if response.status() != StatusCode::OK {
            return Err(refusal(NAME, response).await);
        }
        let body = bounded(response).await?;
        // serde's message may quote the text, so it is not kept.
        serde_json::from_slice(&body).map(|Answer { text }| text).map_err(|_| no_transcript())
    }
}

fn form(config: &TranscriptionConfig, recording: &File) -> Result<Form, Fault> {
    let (name, media_type) = format_of(&recording.bytes);
    let length = u64::try_from(recording.bytes.len()).unwrap_or(u64::MAX);
    let file = Part::stream_with_length(recording.bytes.clone(), length)
        .file_name(name)
        .mime_str(media_type)
        .map_err(|source| Fault::from_transport(NAME, source))?;
    let form = Form::new().part("file", file).text("model", config.model.clone()).text("response_format", "json");
    Ok(match &config.language {
        Some(language) => form.text("language", language.clone()),
        None => form,
    })
}

/// File name and media type by the first bytes. What is not known goes out as what Feishu records: the endpoint will
/// say so if it can't read it.
fn format_of(bytes: &[u8]) -> (&'static str, &'static str) {
    match bytes {
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'A', b'V', b'E', ..] => ("recording.wav", "audio/wav"),
        [b'I', b'D', b'3', ..] | [0xff, 0xe0..=0xff, ..] => ("recording.mp3", "audio/mpeg"),
        [_, _, _, _, b'f', b't', b'y', b'p', ..] => ("recording.m4a", "audio/mp4"),
        [b'f', b'L', b'a', b'C', ..] => ("recording.flac", "audio/flac"),
        [0x1a, 0x45, 0xdf, 0xa3, ..] => ("recording.webm", "audio/webm"),
        [b'#', b'!', b'A', b'M', b'R', ..] => ("recording.amr", "audio/amr"),
        _ => ("recording.ogg", "audio/ogg"),
    }
}

async fn bounded(mut response: Response) -> Result<Vec<u8>, Fault> {
    let mut body = Vec::new();
    while let Some(bytes) = response.chunk().await.map_err(|source| Fault::from_transport(NAME, source))? {
        if body.len() + bytes.len() > MAX_ANSWER_BYTES {
            return Err(no_transcript());
        }
        body.extend_from_slice(&bytes);
    }
    Ok(body)
}

fn no_transcript() -> Fault {
    let what = "its answer is no transcript; is base_url an OpenAI-compatible endpoint?".to_owned();
    let error = EngineError::Misconfigured { engine: NAME.to_owned(), what };
    Fault { error, repeatable: false, retry_after: None }
}

/// The same fault in the words of the port.
fn meaning(error: EngineError) -> TranscriptionError {
    match error {
        EngineError::Rejected { what, .. } => TranscriptionError::Rejected { what },
        EngineError::Misconfigured { what, .. } => TranscriptionError::Misconfigured { what },
        EngineError::Unavailable { what, source, .. } | EngineError::Interrupted { what, source, .. } => {
            TranscriptionError::Unavailable { what, source }
        }
        EngineError::Overloaded { .. } => {
            TranscriptionError::Unavailable { what: "it is overloaded".to_owned(), source: None }
        }
        EngineError::Timeout { waited, .. } => {
            TranscriptionError::Unavailable { what: format!("no transcript within {waited:?}"), source: None }
        }
    }
}
