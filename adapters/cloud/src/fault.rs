//! What an endpoint's refusals and breakdowns mean to the router.

use std::time::Duration;

use magpie_core::engine::EngineError;
use reqwest::StatusCode;
use serde_json::Value;

use crate::wire;

/// A failed attempt, and whether another attempt at the same endpoint makes sense.
#[derive(Debug)]
pub(crate) struct Fault {
    pub error: EngineError,
    pub repeatable: bool,
    /// What the endpoint asks for.
    pub retry_after: Option<Duration>,
}

/// Codes that name a model the endpoint does not have, whatever the status.
const UNKNOWN_MODEL: [&str; 3] = ["model_not_found", "invalid_model", "ModelNotFound"];
/// Codes of an account without money, sent with the status of a rate limit: waiting does not help.
const NO_CREDIT: [&str; 2] = ["insufficient_quota", "Arrearage"];

impl Fault {
    /// A response whose status is not 200, with its body if that was JSON.
    pub(crate) fn from_status(
        engine: &str,
        status: StatusCode,
        retry_after: Option<Duration>,
        body: Option<&Value>,
    ) -> Self {
        let code = body.and_then(|body| wire::error_code(body.get("error").unwrap_or(body)));
        let what = match &code {
            Some(code) => format!("status {} ({code})", status.as_u16()),
            None => format!("status {}", status.as_u16()),
        };
        let is_one_of = |known: &[&str]| code.as_deref().is_some_and(|code| known.contains(&code));
        let engine = engine.to_owned();
        let (error, repeatable) = match status.as_u16() {
            _ if is_one_of(&UNKNOWN_MODEL) => (misconfigured(engine, what, "the endpoint has no such model"), false),
            429 if is_one_of(&NO_CREDIT) => (misconfigured(engine, what, "the account has no credit"), false),
            429 | 503 | 529 => (EngineError::Overloaded { engine, retry_after }, true),
            408 | 500..=599 => (EngineError::Unavailable { engine, what, source: None }, true),
            401 | 403 => (misconfigured(engine, what, "the API key was refused"), false),
            402 => (misconfigured(engine, what, "the account has no credit"), false),
            404 => (misconfigured(engine, what, "the endpoint has no such address or model"), false),
            400 | 413 | 422 => (EngineError::Rejected { engine, what }, false),
            _ => (misconfigured(engine, what, "is base_url right?"), false),
        };
        Self { error, repeatable, retry_after }
    }

    /// The request could not be sent, or no answer came back.
    pub(crate) fn from_transport(engine: &str, source: reqwest::Error) -> Self {
        let repeatable = !source.is_builder();
        let engine = engine.to_owned();
        let error = if repeatable {
            let what = if source.is_connect() { "no connection" } else { "the request failed" };
            // The address may carry credentials, and says nothing that the engine's name does not.
            EngineError::Unavailable { engine, what: what.into(), source: Some(Box::new(source.without_url())) }
        } else {
            misconfigured(engine, "the request can't be built".into(), "is base_url right?")
        };
        Self { error, repeatable, retry_after: None }
    }
}

fn misconfigured(engine: String, what: String, fix: &str) -> EngineError {
    EngineError::Misconfigured { engine, what: format!("{what}: {fix}") }
}

/// An error object inside a stream that had begun with status 200.
pub(crate) fn in_stream(engine: &str, error: &Value) -> EngineError {
    let code = wire::error_code(error);
    let engine = engine.to_owned();
    match code.as_deref() {
        Some("429" | "rate_limit_exceeded" | "rate_limit_error" | "overloaded_error" | "503") => {
            EngineError::Overloaded { engine, retry_after: None }
        }
        Some(code) => EngineError::Interrupted { engine, what: format!("error {code}"), source: None },
        None => EngineError::Interrupted { engine, what: "an error without a code".into(), source: None },
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn reason(status: u16, body: &Value) -> (&'static str, bool) {
        let fault = Fault::from_status("primary", StatusCode::from_u16(status).unwrap(), None, Some(body));
        (fault.error.reason(), fault.repeatable)
    }

    #[test]
    fn each_status_has_its_meaning() {
        let none = json!({});
        for (status, expected) in [
            (400, ("rejected", false)),
            (401, ("misconfigured", false)),
            (403, ("misconfigured", false)),
            (404, ("misconfigured", false)),
            (408, ("unavailable", true)),
            (422, ("rejected", false)),
            (429, ("overloaded", true)),
            (500, ("unavailable", true)),
            (503, ("overloaded", true)),
            (301, ("misconfigured", false)),
        ] {
            assert_eq!(reason(status, &none), expected, "{status}");
        }
    }

    #[test]
    fn codes_that_only_an_operator_can_help_are_not_repeated() {
        assert_eq!(reason(429, &json!({"error": {"code": "insufficient_quota"}})), ("misconfigured", false));
        assert_eq!(reason(400, &json!({"error": {"code": "model_not_found"}})), ("misconfigured", false));
    }

    #[test]
    fn error_messages_of_the_endpoint_are_not_quoted() {
        let body = json!({"error": {"message": "bad key sk-123", "code": "invalid_api_key"}});
        let fault = Fault::from_status("primary", StatusCode::UNAUTHORIZED, None, Some(&body));
        let text = fault.error.to_string();
        assert!(text.contains("invalid_api_key") && !text.contains("sk-123"), "{text}");
    }
}
