//! Files: exchanging a download code, serving the file, and uploads.

use bytes::Bytes;
use serde_json::json;

use super::fields::required;
use super::robot::check_robot;
use super::{Answer, Call, FILE_PATH, Refusal, Reply, tokens};
use crate::dingtalk::ids;
use crate::dingtalk::world::StoredFile;
use crate::tally::Ending;

/// Download addresses are short-lived.
const DOWNLOAD_LIFE_MS: i64 = 600_000;
const MIB: usize = 1024 * 1024;

/// `POST /v1.0/robot/messageFiles/download`.
pub(super) fn download_url(call: &Call<'_>) -> Answer {
    check_robot(call)?;
    let code = required(&call.body, "downloadCode", "invalidParameter.downloadCode")?;
    let mut world = call.shared.world();
    if !world.received.contains_key(code) {
        return Err(Refusal::bad("invalidParameter.downloadCode", "unknown downloadCode"));
    }
    let secret = ids::hex_id();
    world.downloads.insert(secret.clone(), (code.to_owned(), call.now_ms + DOWNLOAD_LIFE_MS));
    Ok(json!({"downloadUrl": format!("{}{FILE_PATH}{secret}", call.shared.base_url)}))
}

/// The file itself. Like the real storage it refuses a request with a content type, which its signature leaves out.
pub(super) fn content(call: &Call<'_>) -> Result<Reply, Refusal> {
    if call.request.content_type.is_some() {
        return Err(Refusal::new(403, "SignatureDoesNotMatch", "the address was signed without a Content-Type"));
    }
    let secret = call.request.path.trim_start_matches(FILE_PATH);
    let world = call.shared.world();
    let known = world.downloads.get(secret).filter(|(_, expires_ms)| *expires_ms > call.now_ms);
    let file = known.and_then(|(code, _)| world.received.get(code));
    let file = file.ok_or_else(|| Refusal::new(403, "AccessDenied", "unknown or expired address"))?;
    let (content_type, body) = (file.content_type, file.bytes.clone());
    Ok(Reply { status: 200, content_type, body, ending: Ending::Served })
}

/// `POST /media/upload?access_token=…&type=…`, multipart with a part named `media`.
pub(super) fn upload(call: &Call<'_>) -> Answer {
    let token = call.request.parameter("access_token");
    tokens::check(call.shared, token.as_deref(), call.now_ms)
        .map_err(|_| Refusal::old(40_014, "invalid access_token"))?;
    let parts = call.request.content_type.as_deref().and_then(boundary).map(|mark| parts(&call.request.body, &mark));
    let parts = parts.ok_or_else(|| Refusal::old(43_004, "multipart/form-data with a boundary is wanted"))?;
    let media = parts.iter().find(|part| part.name == "media" && part.has_file_name);
    let media = media.ok_or_else(|| Refusal::old(40_035, "no part named media with a file name"))?;
    let form_type =
        parts.iter().find(|part| part.name == "type").map(|part| String::from_utf8_lossy(&part.bytes).into());
    let kind: String = call.request.parameter("type").or(form_type).unwrap_or_default();
    let limit_bytes = match kind.as_str() {
        "image" | "video" | "file" => 20 * MIB,
        "voice" => 2 * MIB,
        _ => return Err(Refusal::old(40_004, "unknown media type")),
    };
    if media.bytes.is_empty() || media.bytes.len() > limit_bytes {
        return Err(Refusal::old(40_006, "the file is empty or too large for its type"));
    }
    let media_id = format!("@lAD{}", ids::hex_id());
    let stored = StoredFile { content_type: "application/octet-stream", bytes: media.bytes.clone() };
    call.shared.world().uploads.insert(media_id.clone(), stored);
    Ok(json!({"errcode": 0, "errmsg": "ok", "type": kind, "media_id": media_id, "created_at": call.now_ms}))
}

struct Part {
    name: String,
    has_file_name: bool,
    bytes: Bytes,
}

fn boundary(content_type: &str) -> Option<String> {
    let rest = content_type.strip_prefix("multipart/form-data")?;
    let mark = rest.split("boundary=").nth(1)?.split(';').next()?.trim().trim_matches('"');
    (!mark.is_empty()).then(|| mark.to_owned())
}

fn parts(body: &Bytes, boundary: &str) -> Vec<Part> {
    let delimiter = format!("--{boundary}");
    let starts = positions(body, delimiter.as_bytes());
    let spans = starts.iter().zip(starts.iter().skip(1));
    spans.filter_map(|(start, end)| part(body.slice(start + delimiter.len()..*end))).collect()
}

/// One part between two delimiters: line break, headers, empty line, content, line break.
fn part(raw: Bytes) -> Option<Part> {
    let head_end = *positions(&raw, b"\r\n\r\n").first()?;
    let head = String::from_utf8_lossy(&raw[..head_end]).into_owned();
    let attribute = |key: &str| Some(head.split(&format!(" {key}=\"")).nth(1)?.split('"').next()?.to_owned());
    let end = raw.len().checked_sub(2).filter(|end| *end >= head_end + 4)?;
    Some(Part {
        name: attribute("name")?,
        has_file_name: attribute("filename").is_some_and(|name| !name.is_empty()),
        bytes: raw.slice(head_end + 4..end),
    })
}

fn positions(body: &[u8], pattern: &[u8]) -> Vec<usize> {
    body.windows(pattern.len()).enumerate().filter(|(_, window)| *window == pattern).map(|(at, _)| at).collect()
}
