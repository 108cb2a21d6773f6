//! Writes exchanges into the wire log, with tokens and secrets shortened.

use std::time::Instant;

use actix_web::HttpRequest;
use serde_json::Value;

use super::api::Request;
use super::faults::Call as ApiCall;
use super::shared::Shared;
use crate::wire::{Direction, Exchange};

const PLATFORM: &str = "feishu";
const SECRETS: [&str; 3] = ["app_secret", "tenant_access_token", "app_access_token"];
/// Beyond this a body is cut in the log.
const MAX_SHOWN_BYTES: usize = 64 * 1024;

/// A call of the service that was answered.
pub(super) struct Call<'a> {
    pub(super) http: &'a HttpRequest,
    pub(super) request: &'a Request,
    pub(super) call: Option<ApiCall>,
    pub(super) status: u16,
    pub(super) response_body: String,
    pub(super) started: Instant,
}

/// A push to the service that was answered, or not.
pub(super) struct Push<'a> {
    pub(super) url: &'a str,
    pub(super) headers: &'a [(String, String)],
    pub(super) request_body: &'a [u8],
    pub(super) status: u16,
    pub(super) response_body: &'a str,
    pub(super) started: Instant,
}

pub(super) fn incoming(shared: &Shared, call: &Call<'_>) {
    let secret = matches!(call.call, Some(ApiCall::TenantToken | ApiCall::AppToken));
    let (request_body, response_body) = match secret {
        true => (redacted(&call.request.body), redacted(call.response_body.as_bytes())),
        false => (shown(&call.request.body), shown(call.response_body.as_bytes())),
    };
    let mut headers = Vec::new();
    if let Some(token) = &call.request.bearer {
        headers.push(("Authorization".to_owned(), format!("Bearer {}", shortened(token))));
    }
    if !call.request.content_type.is_empty() {
        headers.push(("Content-Type".to_owned(), call.request.content_type.clone()));
    }
    shared.config.wire.push(Exchange {
        number: 0,
        platform: PLATFORM,
        direction: Direction::ToPlatform,
        method: call.request.method.clone(),
        path: call.http.uri().to_string(),
        headers,
        request_body,
        status: call.status,
        response_body,
        took_ms: took_ms(call.started),
    });
}

pub(super) fn outgoing(shared: &Shared, push: &Push<'_>) {
    let path = url::Url::parse(push.url)
        .map_or_else(|_| push.url.to_owned(), |url| url[url::Position::BeforePath..].to_owned());
    shared.config.wire.push(Exchange {
        number: 0,
        platform: PLATFORM,
        direction: Direction::ToService,
        method: "POST".into(),
        path,
        headers: push.headers.to_vec(),
        request_body: shown(push.request_body),
        status: push.status,
        response_body: shown(push.response_body.as_bytes()),
        took_ms: took_ms(push.started),
    });
}

fn took_ms(started: Instant) -> u64 {
    u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX)
}

fn shown(body: &[u8]) -> String {
    match std::str::from_utf8(body) {
        Ok(text) if body.len() <= MAX_SHOWN_BYTES => text.to_owned(),
        _ => format!("<{} bytes>", body.len()),
    }
}

fn redacted(body: &[u8]) -> String {
    let Ok(mut json) = serde_json::from_slice::<Value>(body) else { return format!("<{} bytes>", body.len()) };
    for key in SECRETS {
        if let Some(secret) = json.get_mut(key) {
            *secret = shortened(secret.as_str().unwrap_or_default()).into();
        }
    }
    json.to_string()
}

fn shortened(secret: &str) -> String {
    secret.chars().take(6).chain(std::iter::once('…')).collect()
}
