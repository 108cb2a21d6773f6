//! What a message may hold: the JSON string in `content`, by message type.

use serde_json::Value;

use super::{check_any_card, unbuildable};
use crate::feishu::answer::Refusal;
use crate::feishu::validate::{Directory, Flaw};
use crate::feishu::world::World;

/// Limit of a card or post as sent, in bytes ("30 KB").
pub const MAX_CARD_BYTES: usize = 30 * 1024;
const MAX_TEXT_BYTES: usize = 150 * 1024;

/// A checked content.
#[derive(Debug)]
pub(super) enum Prepared {
    Plain(String),
    /// A card sent inline.
    Inline(Value),
    /// A CardKit card that was not sent yet.
    Entity(String),
}

/// Parses and checks `content`, which must be a JSON string.
pub(super) fn prepare(world: &World, msg_type: &str, content: &Value) -> Result<Prepared, Refusal> {
    let Some(text) = content.as_str() else { return Err(Refusal::field("content", "must be a JSON string")) };
    let parsed: Value = serde_json::from_str(text).map_err(|_| bad("content is not JSON"))?;
    if !parsed.is_object() {
        return Err(bad("content is not a JSON object"));
    }
    let limit = if matches!(msg_type, "interactive" | "post") { MAX_CARD_BYTES } else { MAX_TEXT_BYTES };
    if text.len() > limit {
        return Err(too_long());
    }
    match msg_type {
        "interactive" => return interactive(world, parsed),
        "text" if parsed["text"].as_str().is_none_or(str::is_empty) => return Err(bad("text is empty")),
        "post" => check_post(world, &parsed)?,
        "image" => check_file(world, &parsed["image_key"], &["image"])?,
        "audio" => check_file(world, &parsed["file_key"], &["opus"])?,
        "media" => check_file(world, &parsed["file_key"], &["mp4"])?,
        "file" => check_file(world, &parsed["file_key"], &["pdf", "doc", "xls", "ppt", "stream"])?,
        "text" | "sticker" | "share_chat" | "share_user" | "system" => {}
        _ => return Err(bad("unknown msg_type")),
    }
    Ok(Prepared::Plain(text.to_owned()))
}

fn interactive(world: &World, card: Value) -> Result<Prepared, Refusal> {
    let flaw = |code, message: &str| unbuildable(&Flaw { code, path: "ROOT".into(), message: message.into() });
    match card["type"].as_str() {
        Some("card") => {
            let id = card["data"]["card_id"].as_str().unwrap_or_default();
            let Some(entity) = world.cards.get(id) else { return Err(flaw(200_740, "card id does not exist")) };
            match entity.message_id {
                None => Ok(Prepared::Entity(id.to_owned())),
                Some(_) => Err(flaw(11_310, "the card was sent before")),
            }
        }
        Some("template") => Err(flaw(200_380, "template does not exist or is not published")),
        _ if card.get("data").is_some_and(|data| data.get("card_id").is_some()) => {
            Err(flaw(200_621, "parse card json err"))
        }
        _ => check_any_card(world, &card).map(|()| Prepared::Inline(card)).map_err(|flaw| unbuildable(&flaw)),
    }
}

/// A card in JSON 1.0: unknown keys are ignored, but it has elements.
pub(super) fn check_old_card(card: &Value) -> Result<(), Flaw> {
    match card["elements"].is_array() || card["i18n_elements"].is_object() {
        true => Ok(()),
        false => Err(Flaw { code: 200_621, path: "ROOT".into(), message: "parse card json err: no elements".into() }),
    }
}

fn check_post(world: &World, post: &Value) -> Result<(), Refusal> {
    let locales = post.as_object().into_iter().flatten();
    for (locale, text) in locales {
        let Some(paragraphs) = text["content"].as_array() else {
            return Err(bad(&format!("post: {locale} has no content")));
        };
        let runs = paragraphs.iter().flat_map(|paragraph| paragraph.as_array().into_iter().flatten());
        for run in runs {
            match run["tag"].as_str() {
                Some("img") => check_file(world, &run["image_key"], &["image"])?,
                Some("at") => match run["user_id"].as_str() {
                    Some("all") => {}
                    Some(id) if world.has_person(id) => {}
                    _ => return Err(bad("post: unknown user in at")),
                },
                Some("text" | "a" | "md" | "code_block" | "hr" | "emotion" | "media") => {}
                _ => return Err(bad("post: unknown tag")),
            }
        }
    }
    Ok(())
}

fn check_file(world: &World, key: &Value, kinds: &[&str]) -> Result<(), Refusal> {
    let Some(upload) = key.as_str().and_then(|key| world.uploads.get(key)) else {
        return Err(bad("invalid file or image key"));
    };
    if upload.message_id.is_some() {
        return Err(Refusal::new(230_017, "The resource was not uploaded by this app."));
    }
    match kinds.contains(&upload.kind.as_str()) {
        true => Ok(()),
        false => Err(Refusal::new(230_055, "The file type does not match the message type.")),
    }
}

pub(super) fn too_long() -> Refusal {
    Refusal::new(230_025, "The length of the message content reaches its limit.")
}

fn bad(why: &str) -> Refusal {
    Refusal::new(230_001, format!("Your request contains an invalid request parameter, ext={why}"))
}
