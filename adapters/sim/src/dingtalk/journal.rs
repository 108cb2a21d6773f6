//! Entries of the wire log, with secrets shortened.

use std::time::Duration;

use serde_json::Value;

use super::api::{Reply, Request};
use super::shared::Shared;
use crate::wire::{Direction, Exchange};

/// Values of these keys never stand in the log in full.
const SECRET_KEYS: [&str; 8] = [
    "appSecret",
    "client_secret",
    "accessToken",
    "access_token",
    "apiSecret",
    "sessionWebhook",
    "downloadUrl",
    "downloadCode",
];
const SECRET_PARAMETERS: [&str; 4] = ["session=", "access_token=", "appsecret=", "sign="];
/// Characters of a secret that stay readable, so that two of them can be told apart.
const SHOWN_CHARS: usize = 6;

/// Logs a call of the service that was answered, or hung up on (`None`).
pub(super) fn call_served(shared: &Shared, request: &Request, reply: Option<&Reply>, took: Duration) {
    let mut headers = Vec::new();
    if let Some(content_type) = &request.content_type {
        headers.push(("content-type".to_owned(), content_type.clone()));
    }
    if let Some(token) = &request.token {
        headers.push(("x-acs-dingtalk-access-token".to_owned(), shortened(token)));
    }
    let query = if request.query.is_empty() { String::new() } else { format!("?{}", request.query) };
    shared.config.wire.push(Exchange {
        number: 0,
        platform: "dingtalk",
        direction: Direction::ToPlatform,
        method: request.method.to_string(),
        path: without_secrets_in_query(&format!("{}{query}", request.path)),
        headers,
        request_body: readable(&request.body),
        status: reply.map_or(0, |reply| reply.status),
        response_body: reply.map_or_else(String::new, |reply| readable(&reply.body)),
        took_ms: millis(took),
    });
}

/// One push to the service, as it went.
pub(super) struct PushRecord<'a> {
    pub path: &'a str,
    pub headers: &'a [(String, String)],
    pub body: &'a str,
    pub status: u16,
    pub answer: &'a str,
    pub took: Duration,
}

/// Logs a push to the service; status 0 when nothing answered.
pub(super) fn pushed(shared: &Shared, record: &PushRecord<'_>) {
    shared.config.wire.push(Exchange {
        number: 0,
        platform: "dingtalk",
        direction: Direction::ToService,
        method: "POST".to_owned(),
        path: record.path.to_owned(),
        headers: record.headers.to_vec(),
        request_body: readable(record.body.as_bytes()),
        status: record.status,
        response_body: record.answer.to_owned(),
        took_ms: millis(record.took),
    });
}

fn millis(took: Duration) -> u64 {
    u64::try_from(took.as_millis()).unwrap_or(u64::MAX)
}

fn readable(body: &[u8]) -> String {
    let Ok(text) = std::str::from_utf8(body) else { return format!("<{} bytes>", body.len()) };
    if !SECRET_KEYS.iter().any(|key| text.contains(key)) {
        return text.to_owned();
    }
    match serde_json::from_str::<Value>(text) {
        Ok(mut value) => {
            shorten_secrets(&mut value);
            value.to_string()
        }
        Err(_) => format!("<{} bytes>", body.len()),
    }
}

fn shorten_secrets(value: &mut Value) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                match value {
                    Value::String(secret) if SECRET_KEYS.contains(&key.as_str()) => *secret = shortened_url(secret),
                    other => shorten_secrets(other),
                }
            }
        }
        Value::Array(list) => list.iter_mut().for_each(shorten_secrets),
        _ => {}
    }
}

/// Of an address only its query or last segment is secret.
fn shortened_url(secret: &str) -> String {
    match secret.rfind(['=', '/']) {
        Some(at) if secret.starts_with("http") => format!("{}{}", &secret[..=at], shortened(&secret[at + 1..])),
        _ => shortened(secret),
    }
}

fn without_secrets_in_query(path: &str) -> String {
    let Some((path, query)) = path.split_once('?') else { return path.to_owned() };
    let parameters: Vec<String> = query
        .split('&')
        .map(|parameter| match SECRET_PARAMETERS.iter().find(|name| parameter.starts_with(**name)) {
            Some(name) => format!("{name}{}", shortened(&parameter[name.len()..])),
            None => parameter.to_owned(),
        })
        .collect();
    format!("{path}?{}", parameters.join("&"))
}

fn shortened(secret: &str) -> String {
    let shown: String = secret.chars().take(SHOWN_CHARS).collect();
    format!("{shown}…")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_shortened_in_bodies_and_paths() {
        let body = readable(br#"{"appKey":"dingkey","appSecret":"0123456789"}"#);
        assert_eq!(body, r#"{"appKey":"dingkey","appSecret":"012345…"}"#);
        let body = readable(br#"{"sessionWebhook":"http://h/robot/sendBySession?session=abcdefghij"}"#);
        assert_eq!(body, r#"{"sessionWebhook":"http://h/robot/sendBySession?session=abcdef…"}"#);
        let path = without_secrets_in_query("/robot/sendBySession?session=abcdefghij&x=1");
        assert_eq!(path, "/robot/sendBySession?session=abcdef…&x=1");
    }
}
