//! Errors as `application/problem+json` (RFC 9457).

use std::fmt;

use actix_web::http::StatusCode;
use actix_web::http::header::{ALLOW, RETRY_AFTER, WWW_AUTHENTICATE};
use actix_web::{HttpResponse, HttpResponseBuilder, ResponseError};
use serde_json::json;

pub(super) const CONTENT_TYPE: &str = "application/problem+json";

/// An error as a client sees it. `code` is what programs go by; it never changes its meaning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    pub status: StatusCode,
    /// Stable snake_case.
    pub code: &'static str,
    /// One sentence on what to do; empty where the sender is to learn nothing.
    pub detail: String,
    /// Seconds after which it is worth trying again.
    pub retry_after: Option<u32>,
    /// The methods there are, for 405.
    pub allow: Option<&'static str>,
}

impl Problem {
    #[must_use]
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self { status, code, detail: detail.into(), retry_after: None, allow: None }
    }

    /// 404.
    #[must_use]
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", detail)
    }

    /// 405; `allow` lists the methods there are.
    #[must_use]
    pub fn method_not_allowed(allow: &'static str) -> Self {
        let problem = Self::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", format!("Use {allow}."));
        Self { allow: Some(allow), ..problem }
    }

    /// 400 for a request of a client's that makes no sense.
    #[must_use]
    pub fn invalid_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_request", detail)
    }

    /// 413.
    #[must_use]
    pub fn too_large() -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", "")
    }

    /// 503 while the database is away.
    #[must_use]
    pub fn store_unavailable() -> Self {
        let problem = Self::new(StatusCode::SERVICE_UNAVAILABLE, "store_unavailable", "Send it again later.");
        Self { retry_after: Some(5), ..problem }
    }

    /// What can be said of a status that the framework chose.
    #[must_use]
    pub fn of_status(status: StatusCode) -> Self {
        let code = match status {
            StatusCode::BAD_REQUEST => "invalid_request",
            StatusCode::NOT_FOUND => "not_found",
            StatusCode::METHOD_NOT_ALLOWED => "method_not_allowed",
            StatusCode::REQUEST_TIMEOUT => "request_timeout",
            StatusCode::PAYLOAD_TOO_LARGE => "body_too_large",
            status if status.is_server_error() => "internal",
            _ => "refused",
        };
        Self::new(status, code, "")
    }

    /// The response, with the id under which the request is found in the logs.
    #[must_use]
    pub fn response(&self, request_id: &str) -> HttpResponse {
        let body = json!({
            "type": "about:blank",
            "title": self.title(),
            "status": self.status.as_u16(),
            "detail": self.detail,
            "code": self.code,
            "request_id": request_id,
        });
        self.builder().content_type(CONTENT_TYPE).body(body.to_string())
    }

    /// The response in the shape that clients of OpenAI's API expect.
    ///
    /// Source: "Error codes" of OpenAI's API reference, and what its Python client reads of an error (11/2026).
    #[must_use]
    pub fn openai(&self) -> HttpResponse {
        let kind = match self.status {
            StatusCode::UNAUTHORIZED => "authentication_error",
            StatusCode::FORBIDDEN => "permission_error",
            StatusCode::TOO_MANY_REQUESTS => "rate_limit_error",
            status if status.is_server_error() => "server_error",
            _ => "invalid_request_error",
        };
        let message = if self.detail.is_empty() { self.title() } else { &self.detail };
        let mut builder = self.builder();
        if self.status == StatusCode::UNAUTHORIZED {
            builder.insert_header((WWW_AUTHENTICATE, "Bearer"));
        }
        builder.json(json!({"error": {"message": message, "type": kind, "code": self.code}}))
    }

    fn title(&self) -> &'static str {
        self.status.canonical_reason().unwrap_or("Error")
    }

    fn builder(&self) -> HttpResponseBuilder {
        let mut builder = HttpResponseBuilder::new(self.status);
        if let Some(seconds) = self.retry_after {
            builder.insert_header((RETRY_AFTER, seconds.to_string()));
        }
        if let Some(methods) = self.allow {
            builder.insert_header((ALLOW, methods));
        }
        builder
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.status.as_u16(), self.code)
    }
}

/// Handlers return problems as errors; the middleware around them adds the request's id.
impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        self.status
    }

    fn error_response(&self) -> HttpResponse {
        self.response("")
    }
}
