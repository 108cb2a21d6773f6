//! Emoji reactions of the bot.

use serde_json::json;

use super::Request;
use crate::feishu::answer::{Answer, Outcome, Refusal};
use crate::feishu::ids;
use crate::feishu::world::World;

/// Emoji types this platform knows; case matters.
const KNOWN: &[&str] = &[
    "Typing",
    "OnIt",
    "OneSecond",
    "DONE",
    "CheckMark",
    "CrossMark",
    "THUMBSUP",
    "ThumbsDown",
    "SMILE",
    "OK",
    "HEART",
    "APPLAUSE",
    "THANKS",
];

pub(super) fn add(world: &mut World, message_id: &str, request: &Request) -> Outcome {
    let body = request.json()?;
    let emoji = body["reaction_type"]["emoji_type"].as_str().unwrap_or_default();
    if !KNOWN.contains(&emoji) {
        return Err(Refusal::new(231_001, "The reaction type is invalid."));
    }
    let Some(message) = world.message_mut(message_id).filter(|message| !message.recalled) else {
        return Err(Refusal::new(231_003, "The message is not found or recalled."));
    };
    let id = ids::fresh("ZC");
    message.reactions.push((id.clone(), emoji.to_owned()));
    Ok(Answer::data(json!({
        "reaction_id": id,
        "operator": {"operator_id": world.config.app_id, "operator_type": "app"},
        "action_time": world.now_ms().to_string(),
        "reaction_type": {"emoji_type": emoji},
    })))
}

pub(super) fn remove(world: &mut World, message_id: &str, reaction_id: &str) -> Outcome {
    let Some(message) = world.message_mut(message_id) else {
        return Err(Refusal::new(231_003, "The message is not found or recalled."));
    };
    let before = message.reactions.len();
    message.reactions.retain(|(id, _)| id != reaction_id);
    match message.reactions.len() < before {
        true => Ok(Answer::empty()),
        false => Err(Refusal::new(231_007, "The reaction is not the operator's.")),
    }
}
