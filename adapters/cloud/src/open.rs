//! Sending a request until the endpoint begins to answer.

use magpie_core::engine::{EngineError, Prompt};
use reqwest::header::{ACCEPT, CONTENT_TYPE};
use reqwest::{Response, StatusCode};
use serde_json::Value;
use tokio::time::Instant;

use crate::config::CloudConfig;
use crate::fault::Fault;
use crate::retry;
use crate::wire::Request;

/// Longest error body that is looked into for a code.
const MAX_ERROR_BYTES: usize = 64 * 1024;

/// Sends the prompt and repeats it as [`retry::repeated`] says.
pub(crate) async fn open(
    http: &reqwest::Client,
    config: &CloudConfig,
    prompt: &Prompt,
    deadline: Instant,
) -> Result<Response, EngineError> {
    retry::repeated(&config.name, config.max_retries, deadline, || send(http, config, prompt)).await
}

async fn send(http: &reqwest::Client, config: &CloudConfig, prompt: &Prompt) -> Result<Response, Fault> {
    let mut request =
        http.post(config.completions_url()).header(ACCEPT, "text/event-stream").json(&Request::new(config, prompt));
    if !config.api_key.reveal().is_empty() {
        request = request.bearer_auth(config.api_key.reveal());
    }
    let response = request.send().await.map_err(|source| Fault::from_transport(&config.name, source))?;
    if response.status() != StatusCode::OK {
        return Err(refusal(&config.name, response).await);
    }
    if is_document(&response) {
        let what = "it answered without streaming; is base_url an OpenAI-compatible endpoint?".into();
        let error = EngineError::Misconfigured { engine: config.name.clone(), what };
        return Err(Fault { error, repeatable: false, retry_after: None });
    }
    Ok(response)
}

/// What a response that is not 200 means.
pub(crate) async fn refusal(engine: &str, mut response: Response) -> Fault {
    let status = response.status();
    let retry_after = retry::retry_after(response.headers());
    let mut body = Vec::new();
    while let Ok(Some(bytes)) = response.chunk().await {
        body.extend_from_slice(&bytes);
        if body.len() > MAX_ERROR_BYTES {
            break;
        }
    }
    let body: Option<Value> = serde_json::from_slice(&body).ok();
    Fault::from_status(engine, status, retry_after, body.as_ref())
}

/// Whether the body says that it is a whole document. A missing or odd content type is given the benefit of the doubt:
/// the parser will find out.
fn is_document(response: &Response) -> bool {
    let kind = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    ["application/json", "text/html"].iter().any(|document| kind.starts_with(document))
}
