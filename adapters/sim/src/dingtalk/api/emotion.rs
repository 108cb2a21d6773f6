//! Emotions that the robot puts on people's messages.

use serde_json::json;

use super::fields::required;
use super::robot::check_robot;
use super::{Answer, Call, Refusal};
use crate::dingtalk::world::Entry;

/// `POST /v1.0/robot/emotion/reply`.
pub(super) fn put(call: &Call<'_>) -> Answer {
    change(call, |entry, name| entry.emotions.push(name.to_owned()))
}

/// `POST /v1.0/robot/emotion/recall`.
pub(super) fn take_back(call: &Call<'_>) -> Answer {
    change(call, |entry, name| entry.emotions.retain(|emotion| emotion != name))
}

fn change(call: &Call<'_>, apply: impl FnOnce(&mut Entry, &str)) -> Answer {
    check_robot(call)?;
    let message = required(&call.body, "openMsgId", "invalidParameter.openMsgId.empty")?;
    let chat = required(&call.body, "openConversationId", "invalidParameter.openConversationId.empty")?;
    let name = required(&call.body, "emotionName", "invalidParameter.emotionName.empty")?;
    let mut world = call.shared.world();
    let entries = world.chat_mut(chat).map(|chat| &mut chat.entries);
    let entry = entries.and_then(|entries| entries.iter_mut().find(|entry| entry.id == message && !entry.from_bot));
    // Unknown messages and the robot's own are the same error in life: a plain 500.
    let entry = entry.ok_or_else(|| Refusal::new(500, "system.error", "no such message of a person"))?;
    apply(entry, name);
    drop(world);
    call.shared.changed();
    Ok(json!({"success": true}))
}
