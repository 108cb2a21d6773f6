//! Uploads of the bot and downloads of what people sent.

use bytes::Bytes;
use serde_json::json;

use super::{Located, Request};
use crate::feishu::answer::{Answer, Outcome, Refusal};
use crate::feishu::ids;
use crate::feishu::multipart::{self, Part};
use crate::feishu::world::{Upload, World};

const MAX_IMAGE_BYTES: usize = 10 * 1024 * 1024;
const MAX_FILE_BYTES: usize = 30 * 1024 * 1024;
const MAX_DOWNLOAD_BYTES: usize = 100 * 1024 * 1024;

pub(super) fn upload_image(world: &mut World, request: &Request) -> Outcome {
    let parts = parts(request)?;
    if text(&parts, "image_type") != Some("message") {
        return Err(Refusal::field("image_type", "must be message"));
    }
    let image = file(&parts, "image", MAX_IMAGE_BYTES)?;
    let key = ids::fresh("img_v3_");
    world
        .uploads
        .insert(key.clone(), Upload { name: "image".into(), kind: "image".into(), bytes: image, message_id: None });
    Ok(Answer::data(json!({"image_key": key})))
}

pub(super) fn upload_file(world: &mut World, request: &Request) -> Outcome {
    let parts = parts(request)?;
    let kind = text(&parts, "file_type").unwrap_or_default().to_owned();
    if !matches!(kind.as_str(), "opus" | "mp4" | "pdf" | "doc" | "xls" | "ppt" | "stream") {
        return Err(Refusal::field("file_type", "must be opus, mp4, pdf, doc, xls, ppt or stream"));
    }
    let Some(name) = text(&parts, "file_name").filter(|name| !name.is_empty()).map(str::to_owned) else {
        return Err(Refusal::field("file_name", "is required"));
    };
    let bytes = file(&parts, "file", MAX_FILE_BYTES)?;
    let key = ids::fresh("file_v3_");
    world.uploads.insert(key.clone(), Upload { name, kind, bytes, message_id: None });
    Ok(Answer::data(json!({"file_key": key})))
}

/// The resource must belong to the message, and its type must fit.
pub(super) fn download(world: &World, at: &Located, request: &Request) -> Outcome {
    let message = world.message(&at.id);
    let chat = message.and_then(|message| world.chat(&message.chat_id));
    let (Some(message), Some(chat)) = (message, chat) else { return Err(Refusal::new(234_003, "File not in msg.")) };
    if !chat.bot_inside {
        return Err(Refusal::new(234_004, "The app is not in the chat."));
    }
    let kept_apart = matches!(message.msg_type.as_str(), "sticker" | "interactive" | "merge_forward" | "folder");
    if kept_apart || message.upper_id.is_some() {
        return Err(Refusal::new(234_043, "The resource of this message can't be downloaded."));
    }
    let upload = world.uploads.get(&at.part).filter(|upload| upload.message_id.as_deref() == Some(&at.id));
    let Some(upload) = upload else { return Err(Refusal::new(234_003, "File not in msg.")) };
    if upload.bytes.len() > MAX_DOWNLOAD_BYTES {
        return Err(Refusal::new(234_037, "The file is larger than 100 MB."));
    }
    let is_image = upload.kind == "image";
    match (request.query("type"), is_image) {
        (Some("image"), true) | (Some("file"), false) => {}
        _ => return Err(Refusal::new(234_001, "Invalid request param: type.")),
    }
    let mime = if is_image { "image/png" } else { "application/octet-stream" };
    Ok(Answer::File { name: upload.name.clone(), mime: mime.into(), bytes: upload.bytes.clone() })
}

fn parts(request: &Request) -> Result<Vec<Part>, Refusal> {
    multipart::parse(&request.content_type, &request.body)
        .ok_or_else(|| Refusal::new(234_001, "Invalid request param: not multipart/form-data."))
}

fn text<'a>(parts: &'a [Part], name: &str) -> Option<&'a str> {
    let part = parts.iter().find(|part| part.name == name)?;
    std::str::from_utf8(&part.bytes).ok()
}

fn file(parts: &[Part], name: &str, limit_bytes: usize) -> Result<Bytes, Refusal> {
    match parts.iter().find(|part| part.name == name) {
        None => Err(Refusal::field(name, "is required")),
        Some(part) if part.bytes.is_empty() => Err(Refusal::new(234_010, "File's size can't be 0.")),
        Some(part) if part.bytes.len() > limit_bytes => {
            Err(Refusal::new(234_006, "The file size exceed the max value."))
        }
        Some(part) => Ok(part.bytes.clone()),
    }
}
