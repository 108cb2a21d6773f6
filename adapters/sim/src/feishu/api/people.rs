//! Bot info, users and chats.

use serde_json::json;

use super::Request;
use crate::feishu::answer::{Answer, Outcome, Refusal};
use crate::feishu::world::World;

/// `bot/v3/info`: the bot stands under `bot`, there is no `data`.
pub(super) fn bot(world: &World) -> Answer {
    Answer::Json(json!({
        "code": 0,
        "msg": "ok",
        "bot": {
            "activate_status": 2,
            "app_name": world.config.bot_name,
            "avatar_url": "",
            "ip_white_list": [],
            "open_id": world.config.bot_open_id,
        },
    }))
}

pub(super) fn user(world: &World, id: &str, request: &Request) -> Outcome {
    let id_type = request.query("user_id_type").unwrap_or("open_id");
    let person = world.people.iter().find(|person| match id_type {
        "union_id" => person.union_id == id,
        "user_id" => person.user_id == id,
        _ => person.open_id == id,
    });
    let Some(person) = person else {
        return Err(Refusal::new(41_050, "no user authority error"));
    };
    Ok(Answer::data(json!({"user": {
        "name": person.name,
        "en_name": "",
        "nickname": "",
        "open_id": person.open_id,
        "union_id": person.union_id,
        "user_id": person.user_id,
        "avatar": {},
    }})))
}

pub(super) fn chat(world: &World, id: &str) -> Outcome {
    let Some(chat) = world.chat(id) else { return Err(Refusal::new(230_034, "The receive_id is invalid.")) };
    if !chat.bot_inside {
        return Err(Refusal::new(230_002, "Bot/User can NOT be out of the chat."));
    }
    let mode = if chat.direct { "p2p" } else { "group" };
    let mut data = json!({"name": chat.title, "chat_mode": mode, "tenant_key": world.config.tenant_key});
    if !chat.direct {
        data["group_message_type"] = json!("chat");
    }
    Ok(Answer::data(data))
}
