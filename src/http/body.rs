//! Reading a body: untouched, up to a limit, and not for ever.

use std::time::Duration;

use actix_web::error::PayloadError;
use actix_web::http::StatusCode;
use actix_web::http::header::CONTENT_LENGTH;
use actix_web::{HttpRequest, web};
use bytes::{Bytes, BytesMut};
use futures::StreamExt as _;

use super::problem::Problem;

/// How much is read, and for how long.
#[derive(Debug, Clone, Copy)]
pub struct BodyLimits {
    pub max_bytes: usize,
    pub timeout: Duration,
}

/// The whole body as it came.
///
/// # Errors
/// 413 over the limit, 408 when it does not end in time, 400 when the connection breaks it off.
pub async fn read(request: &HttpRequest, payload: web::Payload, limits: BodyLimits) -> Result<Bytes, Problem> {
    let announced = request.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > limits.max_bytes as u64) {
        return Err(Problem::too_large());
    }
    match tokio::time::timeout(limits.timeout, collect(payload, limits.max_bytes)).await {
        Ok(body) => body,
        Err(_) => Err(Problem::of_status(StatusCode::REQUEST_TIMEOUT)),
    }
}

async fn collect(mut payload: web::Payload, max_bytes: usize) -> Result<Bytes, Problem> {
    let mut body = BytesMut::new();
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|error| match error {
            PayloadError::Overflow => Problem::too_large(),
            _ => Problem::new(StatusCode::BAD_REQUEST, "malformed", ""),
        })?;
        if body.len() + chunk.len() > max_bytes {
            return Err(Problem::too_large());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}
