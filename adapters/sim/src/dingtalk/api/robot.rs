//! Messages through the robot's OpenAPI, and taking them back.

use serde_json::{Map, Value, json};

use super::fields::{required, text, texts};
use super::{Answer, Api, Call, Refusal};
use crate::dingtalk::faults::Fault;
use crate::dingtalk::ids;
use crate::dingtalk::world::{Body, BotPost};

const MAX_PEOPLE: usize = 20;
const MAX_KEYS: usize = 20;
const MAX_PARAM_BYTES: usize = 15_000;
const RECALL_WINDOW_MS: i64 = 24 * 3_600_000;

/// `POST /v1.0/robot/oToMessages/batchSend`.
pub(super) fn send_to_people(call: &Call<'_>) -> Answer {
    check_robot(call)?;
    let users = texts(&call.body, "userIds").filter(|users| !users.is_empty());
    let users = users.ok_or_else(|| Refusal::bad("invalidParameter.userIds.empty", "userIds is missing or empty"))?;
    if users.len() > MAX_PEOPLE {
        return Err(Refusal::bad("too.many.people", "at most 20 userIds a call"));
    }
    let body = message(&call.body)?;
    if call.faults.contains(&Fault::FlowControlled) {
        return Ok(
            json!({"processQueryKey": ids::id(""), "invalidStaffIdList": [], "flowControlledStaffIdList": users}),
        );
    }
    let key = ids::id("");
    let mut invalid = Vec::new();
    for user in &users {
        let chat = call.shared.world().direct_chat_of(user).map(|chat| chat.id.clone());
        match chat {
            Some(chat) => post(call, &chat, body.clone(), &key),
            None => invalid.push(*user),
        }
    }
    if invalid.len() == users.len() {
        return Err(Refusal::bad("staffId.notExisted", "none of the userIds is known"));
    }
    Ok(json!({"processQueryKey": key, "invalidStaffIdList": invalid, "flowControlledStaffIdList": []}))
}

/// `POST /v1.0/robot/groupMessages/send`.
pub(super) fn send_to_group(call: &Call<'_>) -> Answer {
    check_robot(call)?;
    let group = required(&call.body, "openConversationId", "invalidParameter.openConversationId.empty")?;
    let body = message(&call.body)?;
    let is_group = call.shared.world().group(group).is_some();
    if !is_group {
        return Err(Refusal::bad("invalidParameter.openConversationId.invalid", "not a group with this robot"));
    }
    let key = ids::id("");
    post(call, group, body, &key);
    Ok(json!({"processQueryKey": key}))
}

/// `POST /v1.0/robot/otoMessages/batchRecall` and `/groupMessages/recall`; cards go by their `carrierId`.
pub(super) fn recall(call: &Call<'_>) -> Answer {
    check_robot(call)?;
    let keys = texts(&call.body, "processQueryKeys").filter(|keys| !keys.is_empty() && keys.len() <= MAX_KEYS);
    let keys = keys.ok_or_else(|| Refusal::bad("invalidParameter.processQueryKeys", "1 to 20 keys"))?;
    let group = match call.api {
        Api::GroupRecall => {
            Some(required(&call.body, "openConversationId", "invalidParameter.openConversationId.empty")?)
        }
        _ => None,
    };
    let (mut done, mut failed) = (Vec::new(), Map::new());
    let mut world = call.shared.world();
    for key in keys {
        let chats = world.chats.iter_mut().filter(|chat| group.map_or(chat.direct, |group| chat.id == group));
        let entry = chats.flat_map(|chat| &mut chat.entries).find(|entry| entry.query_key.as_deref() == Some(key));
        match entry {
            Some(entry) if call.now_ms - entry.sent_ms < RECALL_WINDOW_MS => {
                entry.recalled = true;
                done.push(key.to_owned());
            }
            Some(_) => drop(failed.insert(key.to_owned(), Value::from("older than 24 hours"))),
            None => drop(failed.insert(key.to_owned(), Value::from("unknown message"))),
        }
    }
    drop(world);
    call.shared.changed();
    Ok(json!({"successResult": done, "failedResult": failed}))
}

/// The robot must be named and be the app's own.
pub(super) fn check_robot(call: &Call<'_>) -> Result<(), Refusal> {
    let robot = required(&call.body, "robotCode", "invalidParameter.robotCode.empty")?;
    if robot != call.shared.config.robot_code {
        return Err(Refusal::bad("invalidParameter.robotCode.auth", "the robot belongs to another app"));
    }
    Ok(())
}

fn post(call: &Call<'_>, chat: &str, body: Body, key: &str) {
    let sender = &call.shared.config.bot_name;
    let query_key = Some(key.to_owned());
    call.shared.world().post_from_bot(BotPost {
        chat,
        sender,
        body,
        id: query_key.clone(),
        query_key,
        now_ms: call.now_ms,
    });
    call.shared.changed();
}

/// Reads `msgKey` and `msgParam`, which is JSON inside a text.
fn message(body: &Value) -> Result<Body, Refusal> {
    let key = required(body, "msgKey", "invalidParameter.msgKey.empty")?;
    let raw = required(body, "msgParam", "invalidParameter.msgParam.empty")?;
    if raw.len() > MAX_PARAM_BYTES {
        return Err(Refusal::bad("invalidParameter.msgParam.tooLong", "msgParam exceeds 15000 bytes"));
    }
    let invalid = || Refusal::bad("invalidParameter.msgParam.invalid", "msgParam is not the JSON this msgKey wants");
    let param: Value = serde_json::from_str(raw).map_err(|_| invalid())?;
    let field = |name: &str| text(&param, name).map(str::to_owned).ok_or_else(invalid);
    let links = |pairs: &[(String, String)]| {
        pairs.iter().map(|(title, url)| Ok((field(title)?, field(url)?))).collect::<Result<Vec<_>, Refusal>>()
    };
    match key {
        "sampleText" => Ok(Body::Text(field("content")?)),
        "sampleMarkdown" => Ok(Body::Markdown { title: field("title")?, text: field("text")? }),
        "sampleImageMsg" => Ok(Body::Markdown { title: String::new(), text: format!("![]({})", field("photoURL")?) }),
        "sampleFile" => {
            field("mediaId").and(field("fileType"))?;
            Ok(Body::Text(format!("[文件] {}", field("fileName")?)))
        }
        "sampleAudio" => field("mediaId").and(field("duration")).map(|_| Body::Text("[语音]".to_owned())),
        "sampleVideo" => field("videoMediaId").and(field("picMediaId")).map(|_| Body::Text("[视频]".to_owned())),
        "sampleLink" => Ok(Body::Links {
            title: field("title")?,
            text: field("text")?,
            links: vec![("打开".to_owned(), field("messageUrl")?)],
        }),
        _ => {
            let pairs = button_fields(key);
            let pairs = pairs.ok_or_else(|| Refusal::bad("invalidParameter.msgKey.invalid", "unknown msgKey"))?;
            Ok(Body::Links { title: field("title")?, text: field("text")?, links: links(&pairs)? })
        }
    }
}

/// Names of the title and address fields of an action card's buttons.
fn button_fields(key: &str) -> Option<Vec<(String, String)>> {
    let numbered = |count: u32, title: &str, url: &str| {
        (1..=count).map(|number| (format!("{title}{number}"), format!("{url}{number}"))).collect()
    };
    match key {
        "sampleActionCard" => Some(vec![("singleTitle".to_owned(), "singleURL".to_owned())]),
        "sampleActionCard2" => Some(numbered(2, "actionTitle", "actionURL")),
        "sampleActionCard3" => Some(numbered(3, "actionTitle", "actionURL")),
        "sampleActionCard4" => Some(numbered(4, "actionTitle", "actionURL")),
        "sampleActionCard5" => Some(numbered(5, "actionTitle", "actionURL")),
        "sampleActionCard6" => Some(numbered(2, "buttonTitle", "buttonUrl")),
        _ => None,
    }
}
