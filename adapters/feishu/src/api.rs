//! The one way to the platform's OpenAPI: budget, token, JSON, error codes, retries, measurement.
//!
//! A call is tried at most three times, and only for rates, server faults and lost connections; what is sent carries
//! its own idempotency key, so a repeat after an unknown outcome does nothing twice.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use magpie_core::budget::{Budget, CallClass};
use magpie_core::clock::Clock;
use reqwest::{Method, Response, header};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::config::FeishuConfig;
use crate::errors::{ApiError, Class, classify};
use crate::field;
use crate::token::{Fetched, Tokens};
use magpie_core::secret::Secret;

const TRIES: u32 = 3;
/// Longer waits are the caller's: a claim must not be held for them.
const LONGEST_WAIT: Duration = Duration::from_secs(2);
const TIMEOUT: Duration = Duration::from_secs(15);
/// A file may have 100 MB; reading it to its end counts.
const FILE_TIMEOUT: Duration = Duration::from_mins(5);

/// What a call gives when all is well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Json,
    /// Bytes, to be read from the answer.
    File,
}

/// What a call gave.
enum Answer {
    Json(Value),
    File(Response),
}

/// One call.
pub(crate) struct Call {
    /// Short name for logs and metrics.
    pub(crate) name: &'static str,
    pub(crate) method: Method,
    /// Path and query below `/open-apis/`.
    pub(crate) path: String,
    pub(crate) body: Option<Value>,
    wanted: Wanted,
}

impl Call {
    pub(crate) fn new(name: &'static str, method: Method, path: impl Into<String>, body: Value) -> Self {
        Self { name, method, path: path.into(), body: Some(body), wanted: Wanted::Json }
    }

    pub(crate) fn get(name: &'static str, path: impl Into<String>) -> Self {
        Self { name, method: Method::GET, path: path.into(), body: None, wanted: Wanted::Json }
    }

    pub(crate) fn delete(name: &'static str, path: impl Into<String>) -> Self {
        Self { method: Method::DELETE, ..Self::get(name, path) }
    }

    /// What it is counted as. Tokens and other rare calls have no rate to keep, and are part of the month.
    fn class(&self) -> CallClass {
        if self.path.starts_with("cardkit/") {
            return if self.path.ends_with("/content") { CallClass::Streaming } else { CallClass::Cards };
        }
        if self.path.starts_with("im/") { CallClass::Messages } else { CallClass::Other }
    }
}

/// The OpenAPI as one app sees it.
pub(crate) struct Api {
    http: reqwest::Client,
    origin: String,
    app_id: String,
    app_secret: Secret,
    /// `feishu` or `lark`, for metrics.
    platform: &'static str,
    tokens: Tokens,
    budget: Arc<Budget>,
    retry_delay: Duration,
    /// Why the last call failed, if it did.
    trouble: Mutex<Option<String>>,
}

impl Api {
    pub(crate) fn new(config: &FeishuConfig, http: reqwest::Client, clock: Arc<dyn Clock>) -> Self {
        Self {
            http,
            origin: config.origin(),
            app_id: config.app_id.clone(),
            app_secret: config.app_secret.clone(),
            platform: config.kind.as_str(),
            tokens: Tokens::new(clock),
            budget: Arc::clone(&config.budget),
            retry_delay: config.retry_delay,
            trouble: Mutex::new(None),
        }
    }

    /// The app that the calls are made for.
    pub(crate) fn app_id(&self) -> &str {
        &self.app_id
    }

    /// Why the last call that says something about the platform as a whole failed.
    pub(crate) fn trouble(&self) -> Option<String> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Makes a call and gives the whole JSON answer.
    pub(crate) async fn call(&self, call: &Call) -> Result<Value, ApiError> {
        match self.tried(call).await? {
            Answer::Json(answer) => Ok(answer),
            Answer::File(_) => Err(ApiError::Gateway { call: call.name, status: 200 }),
        }
    }

    /// Asks for a file; the answer's body is still to be read.
    pub(crate) async fn download(&self, name: &'static str, path: String) -> Result<Response, ApiError> {
        let call = Call { wanted: Wanted::File, ..Call::get(name, path) };
        match self.tried(&call).await? {
            Answer::File(response) => Ok(response),
            Answer::Json(_) => Err(ApiError::Gateway { call: name, status: 200 }),
        }
    }

    async fn tried(&self, call: &Call) -> Result<Answer, ApiError> {
        let mut unknown = false;
        for attempt in 1.. {
            let error = match self.authorised(call).await {
                Ok(answer) => {
                    self.note(None);
                    return Ok(answer);
                }
                // Our own try before had taken effect after all.
                Err(error) if unknown && error.class() == Class::Sequence => return Ok(Answer::Json(Value::Null)),
                Err(error) => error,
            };
            unknown |= error.outcome_unknown();
            let pause = error.wait().unwrap_or_else(|| self.backoff(attempt));
            if error.class() != Class::Busy || attempt >= TRIES || pause > LONGEST_WAIT {
                self.note(Some(&error));
                return Err(error);
            }
            tokio::time::sleep(pause).await;
        }
        unreachable!("the loop returns")
    }

    /// The first wait, doubled with every try, up to half of it more or less.
    fn backoff(&self, attempt: u32) -> Duration {
        let base = self.retry_delay.saturating_mul(1 << (attempt - 1).min(8));
        // Every `RandomState` is keyed anew, which is chance enough to spread retries.
        let chance = RandomState::new().hash_one(attempt) % 1_000;
        base / 2 + base.mul_f64(f64::from(u32::try_from(chance).unwrap_or(0)) / 1_000.0)
    }

    /// One try, with a second one under a new token if the platform does not like the first.
    async fn authorised(&self, call: &Call) -> Result<Answer, ApiError> {
        let token = self.token().await?;
        match self.once(call, Some(&token)).await {
            Err(error) if error.class() == Class::Token => {
                self.tokens.forget(&token).await;
                let token = self.token().await?;
                self.once(call, Some(&token)).await
            }
            other => other,
        }
    }

    async fn token(&self) -> Result<String, ApiError> {
        self.tokens.get(|| self.fetch_token()).await
    }

    async fn fetch_token(&self) -> Result<Fetched, ApiError> {
        let body = json!({"app_id": self.app_id, "app_secret": self.app_secret.reveal()});
        let call = Call::new("token", Method::POST, "auth/v3/tenant_access_token/internal", body);
        let Answer::Json(answer) = self.once(&call, None).await? else {
            return Err(ApiError::Gateway { call: call.name, status: 200 });
        };
        let (Some(text), Some(seconds)) =
            (field::text(&answer, "tenant_access_token"), field::number(&answer, "expire"))
        else {
            return Err(ApiError::Gateway { call: call.name, status: 200 });
        };
        Ok(Fetched { text: text.to_owned(), lives: Duration::from_secs(seconds) })
    }

    async fn once(&self, call: &Call, token: Option<&str>) -> Result<Answer, ApiError> {
        self.budget.permit(call.class()).await;
        let started = Instant::now();
        let result = self.exchange(call, token).await;
        let outcome = result.as_ref().map_or_else(ApiError::label, |_| "ok");
        metrics::histogram!(
            "magpie_platform_call_seconds",
            "platform" => self.platform, "call" => call.name, "outcome" => outcome
        )
        .record(started.elapsed().as_secs_f64());
        result
    }

    async fn exchange(&self, call: &Call, token: Option<&str>) -> Result<Answer, ApiError> {
        let url = format!("{}/open-apis/{}", self.origin, call.path);
        let timeout = if call.wanted == Wanted::File { FILE_TIMEOUT } else { TIMEOUT };
        let mut request = self.http.request(call.method.clone(), url).timeout(timeout);
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = &call.body {
            request = request.json(body);
        }
        let no_answer = |source: reqwest::Error| {
            let source = source.without_url();
            tracing::warn!(platform = self.platform, call = call.name, error = %source, "no answer from the platform");
            ApiError::NoAnswer { call: call.name, source }
        };
        let response = request.send().await.map_err(no_answer)?;
        let status = response.status().as_u16();
        if call.wanted == Wanted::File && is_file(&response) {
            return Ok(Answer::File(response));
        }
        let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let (log_id, reset) = (header("x-tt-logid"), header("x-ogw-ratelimit-reset"));
        let bytes = response.bytes().await.map_err(no_answer)?;
        let answer: Option<Value> = serde_json::from_slice(&bytes).ok();
        match answer.as_ref().and_then(|answer| answer.get("code")).and_then(Value::as_i64) {
            Some(0) => Ok(Answer::Json(answer.unwrap_or_default())),
            Some(code) => {
                tracing::warn!(platform = self.platform, call = call.name, status, code, log_id, "call was refused");
                Err(refused(call.name, code, &answer.unwrap_or_default(), reset.as_deref()))
            }
            None => {
                tracing::warn!(
                    platform = self.platform,
                    call = call.name,
                    status,
                    log_id,
                    "answer is not the platform's"
                );
                Err(ApiError::Gateway { call: call.name, status })
            }
        }
    }

    /// The app's budget.
    pub(crate) fn budget(&self) -> &Budget {
        &self.budget
    }

    /// Remembers what a person who looks at the service's health should know.
    fn note(&self, error: Option<&ApiError>) {
        let trouble = match error {
            None => None,
            Some(error) => match (error.fix(), error.class()) {
                (Some(fix), _) => Some(format!("{error}: {fix}")),
                (None, Class::Busy | Class::Token) => Some(error.to_string()),
                // What concerns one message only says nothing about the platform.
                _ => return,
            },
        };
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
    }
}

/// Whether an answer holds a file: refusals come as JSON, which a file may be as well, but then it has a name.
fn is_file(response: &Response) -> bool {
    let headers = response.headers();
    let media_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let named = headers.contains_key(header::CONTENT_DISPOSITION);
    response.status().is_success() && (named || !media_type.starts_with("application/json"))
}

fn refused(call: &'static str, code: i64, answer: &Value, reset: Option<&str>) -> ApiError {
    let violations = answer.get("error").map_or(&[][..], |error| field::list(error, "permission_violations"));
    ApiError::Refused {
        call,
        code,
        class: classify(code, field::text(answer, "msg").unwrap_or_default()),
        wait: reset.and_then(|seconds| seconds.trim().parse().ok()).map(Duration::from_secs),
        scope: violations.first().and_then(|of| field::text(of, "subject")).map(str::to_owned),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_counted_as_the_platform_counts_them() {
        let class = |path: &str| Call::get("it", path).class();
        assert_eq!(class("cardkit/v1/cards/7/elements/answer/content"), CallClass::Streaming);
        assert_eq!(class("cardkit/v1/cards/7/settings"), CallClass::Cards);
        assert_eq!(class("im/v1/messages?receive_id_type=chat_id"), CallClass::Messages);
        assert_eq!(class("auth/v3/tenant_access_token/internal"), CallClass::Other);
    }
}
