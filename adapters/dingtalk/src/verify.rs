//! Who may speak: signature checks, and the type that proves they were made.

use std::borrow::Cow;
use std::time::Duration;

use magpie_core::clock::UnixMillis;
use magpie_core::platform::{RawRequest, WebhookError};
use serde_json::{Map, Value};

use crate::sign::{card_sign, robot_sign, same};

/// Bytes whose sender proved to be the platform, and when it says it sent them. Only this module makes them, and only
/// they can be parsed into events.
pub(crate) struct Verified<'a> {
    bytes: Cow<'a, [u8]>,
    pub sent_at: UnixMillis,
}

impl Verified<'_> {
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The JSON object that the bytes are.
    pub fn object(&self) -> Result<Map<String, Value>, WebhookError> {
        match serde_json::from_slice(&self.bytes) {
            Ok(Value::Object(map)) => Ok(map),
            Ok(_) => Err(WebhookError::Malformed("not a JSON object")),
            Err(_) => Err(WebhookError::Malformed("not JSON")),
        }
    }
}

/// Checks a robot message: headers `timestamp` (milliseconds) and `sign`.
pub(crate) fn robot<'a>(raw: &'a RawRequest, app_secret: &str, window: &Window) -> Result<Verified<'a>, WebhookError> {
    let timestamp = raw.header("timestamp").ok_or(WebhookError::Signature("header timestamp is missing"))?;
    let sign = raw.header("sign").ok_or(WebhookError::Signature("header sign is missing"))?;
    if !same(sign, &robot_sign(app_secret, timestamp)) {
        return Err(WebhookError::Signature("robot sign does not match"));
    }
    Ok(Verified { bytes: Cow::Borrowed(&raw.body), sent_at: window.admit(timestamp)? })
}

/// Checks a card callback: headers `x-ddpaas-signature-timestamp` and `x-ddpaas-signature`.
pub(crate) fn card<'a>(raw: &'a RawRequest, api_secret: &str, window: &Window) -> Result<Verified<'a>, WebhookError> {
    let timestamp = raw
        .header("x-ddpaas-signature-timestamp")
        .ok_or(WebhookError::Signature("header x-ddpaas-signature-timestamp is missing"))?;
    let signature =
        raw.header("x-ddpaas-signature").ok_or(WebhookError::Signature("header x-ddpaas-signature is missing"))?;
    if !same(signature, &card_sign(api_secret, timestamp)) {
        return Err(WebhookError::Signature("card signature does not match"));
    }
    Ok(Verified { bytes: Cow::Borrowed(&raw.body), sent_at: window.admit(timestamp)? })
}

/// Plaintext of an event whose signature, time and owner were checked by [`crate::callback`].
pub(crate) fn decrypted(text: Vec<u8>, sent_at: UnixMillis) -> Verified<'static> {
    Verified { bytes: Cow::Owned(text), sent_at }
}

/// The times that are believed.
pub(crate) struct Window {
    pub now: UnixMillis,
    pub width: Duration,
}

impl Window {
    /// Reads a time in milliseconds and refuses what lies the whole width or more away. To be called after the
    /// signature was found right, so that only the platform's own times count as clock trouble.
    pub fn admit(&self, timestamp_ms: &str) -> Result<UnixMillis, WebhookError> {
        let sent_at = timestamp_ms
            .parse::<i64>()
            .map(UnixMillis)
            .map_err(|_| WebhookError::Signature("timestamp is not a number of milliseconds"))?;
        let off = self.now.since(sent_at).max(sent_at.since(self.now));
        if off >= self.width {
            return Err(WebhookError::Timestamp { skew_seconds: sent_at.seconds().saturating_sub(self.now.seconds()) });
        }
        Ok(sent_at)
    }
}

#[cfg(test)]
pub(crate) fn trusted(bytes: &[u8]) -> Verified<'_> {
    Verified { bytes: Cow::Borrowed(bytes), sent_at: UnixMillis(0) }
}

#[cfg(test)]
mod tests;
