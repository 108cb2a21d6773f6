//! Files that people attached to their messages.
//!
//! Source: "Get resource files in a message" (at most 100 MB; not for stickers, folders and forwarded messages),
//! checked May 2026.

use futures::{StreamExt, TryStreamExt};
use magpie_core::event::{ContentKind, Message, Resource};
use magpie_core::platform::{Download, SendError};
use reqwest::header;

use crate::api::Api;
use crate::errors::ApiError;

const CALL: &str = "download";

/// Begins a download.
pub(crate) async fn fetch(api: &Api, message: &Message, resource: &Resource) -> Result<Download, SendError> {
    let kind = match resource.kind {
        ContentKind::Image => "image",
        ContentKind::File | ContentKind::Audio | ContentKind::Video => "file",
        _ => return Err(SendError::Content { call: CALL, code: "not_downloadable".to_owned() }),
    };
    let (id, key) = (message.id.as_str(), resource.key.as_str());
    if !is_plain(id) || !is_plain(key) {
        return Err(SendError::Content { call: CALL, code: "odd_key".to_owned() });
    }
    let response = api.download(CALL, format!("im/v1/messages/{id}/resources/{key}?type={kind}")).await?;
    let media_type = response.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let media_type = media_type.and_then(|told| told.split(';').next()).unwrap_or_default().trim().to_owned();
    let bytes = response.content_length();
    let broken = |source: reqwest::Error| ApiError::NoAnswer { call: CALL, source: source.without_url() }.into();
    Ok(Download { media_type, bytes, stream: response.bytes_stream().map_err(broken).boxed() })
}

/// Keys are the platform's, but they come in with a message: they must not lead to another path.
fn is_plain(key: &str) -> bool {
    !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_lead_elsewhere_are_not_plain() {
        let keys = ["file_v3_0a-B", "img_v2_1", "", "../x", "a?type=file", "a/b", "a%2e"];
        assert_eq!(keys.map(is_plain), [true, true, false, false, false, false, false]);
    }
}
