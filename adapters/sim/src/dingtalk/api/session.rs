//! Messages through webhooks: the session webhook that comes with every robot message, and custom robots.

use serde_json::{Value, json};

use super::fields::{text, texts};
use super::{Answer, Call, Refusal};
use crate::dingtalk::crypto::robot_sign;
use crate::dingtalk::faults::Fault;
use crate::dingtalk::world::{Body, BotPost, World};

const MAX_BODY_BYTES: usize = 20_000;
const MAX_MENTIONS: usize = 50;
const SIGN_WINDOW_MS: i64 = 3_600_000;

/// `POST /robot/sendBySession?session=…`.
pub(super) fn send(call: &Call<'_>) -> Answer {
    if call.request.body.len() > MAX_BODY_BYTES {
        return Err(Refusal::old(460_101, "message too long, exceed 20000 bytes"));
    }
    let chat = {
        let world = call.shared.world();
        let session = call.request.parameter("session").and_then(|session| world.sessions.get(&session));
        let living = session.filter(|session| session.expires_ms > call.now_ms);
        living.map(|session| session.chat.clone())
    };
    match chat {
        Some(chat) if !call.faults.contains(&Fault::SessionExpired) => post(call, &chat),
        _ => Err(Refusal::old(300_001, "session 不存在")),
    }
}

/// `POST /robot/send?access_token=…&timestamp=…&sign=…`; posts into the first group.
pub(super) fn send_custom(call: &Call<'_>) -> Answer {
    let Some((token, secret)) = &call.shared.config.custom_robot else {
        return Err(Refusal::old(300_005, "token is not exist"));
    };
    if call.request.parameter("access_token").as_ref() != Some(token) {
        return Err(Refusal::old(300_005, "token is not exist"));
    }
    let timestamp = call.request.parameter("timestamp").unwrap_or_default();
    let is_fresh = timestamp.parse::<i64>().is_ok_and(|at_ms| (call.now_ms - at_ms).abs() < SIGN_WINDOW_MS);
    if !is_fresh {
        return Err(Refusal::old(310_000, "invalid timestamp"));
    }
    if call.request.parameter("sign") != Some(robot_sign(secret, &timestamp)) {
        return Err(Refusal::old(310_000, "sign not match"));
    }
    if call.request.body.len() > MAX_BODY_BYTES {
        return Err(Refusal::old(460_101, "message too long, exceed 20000 bytes"));
    }
    let group = call.shared.world().chats.iter().find(|chat| !chat.direct).map(|chat| chat.id.clone());
    match group {
        Some(group) => post(call, &group),
        None => Err(Refusal::old(400_013, "group dissolved")),
    }
}

fn post(call: &Call<'_>, chat: &str) -> Answer {
    let mentions = mentions(&call.body)?;
    let body = {
        let world = call.shared.world();
        with_names(message(&call.body)?, &mentions, &world)
    };
    let sender = &call.shared.config.bot_name;
    call.shared.world().post_from_bot(BotPost { chat, sender, body, id: None, query_key: None, now_ms: call.now_ms });
    call.shared.changed();
    Ok(json!({"errcode": 0, "errmsg": "ok"}))
}

fn message(body: &Value) -> Result<Body, Refusal> {
    let incomplete = || Refusal::old(40_035, "a field of the message is missing or empty");
    let kind = text(body, "msgtype").ok_or_else(incomplete)?;
    let inner = body.get(kind).ok_or_else(incomplete)?;
    let field = |name: &str| text(inner, name).map(str::to_owned).ok_or_else(incomplete);
    match kind {
        "text" => Ok(Body::Text(field("content")?)),
        "markdown" => Ok(Body::Markdown { title: field("title")?, text: field("text")? }),
        "link" => {
            let links = vec![("打开".to_owned(), field("messageUrl")?)];
            Ok(Body::Links { title: field("title")?, text: field("text")?, links })
        }
        "actionCard" => Ok(Body::Links { title: field("title")?, text: field("text")?, links: card_links(inner)? }),
        "feedCard" => {
            let entries = inner.get("links").and_then(Value::as_array).ok_or_else(incomplete)?;
            let links = entries.iter().map(|entry| pair(entry, "title", "messageURL")).collect::<Result<_, _>>()?;
            Ok(Body::Links { title: String::new(), text: String::new(), links })
        }
        _ => Err(Refusal::old(400_105, "unsupported msgtype")),
    }
}

fn card_links(card: &Value) -> Result<Vec<(String, String)>, Refusal> {
    match card.get("btns").and_then(Value::as_array) {
        Some(buttons) => buttons.iter().map(|button| pair(button, "title", "actionURL")).collect(),
        None => Ok(vec![pair(card, "singleTitle", "singleURL")?]),
    }
}

fn pair(value: &Value, title: &str, url: &str) -> Result<(String, String), Refusal> {
    match (text(value, title), text(value, url)) {
        (Some(title), Some(url)) => Ok((title.to_owned(), url.to_owned())),
        _ => Err(Refusal::old(40_035, "a button lacks its title or its address")),
    }
}

/// The ids in `at`. An empty id is a slip of the sender.
fn mentions(body: &Value) -> Result<Vec<String>, Refusal> {
    let Some(at) = body.get("at").filter(|at| !at.is_null()) else { return Ok(Vec::new()) };
    let mut ids = Vec::new();
    for name in ["atUserIds", "atMobiles", "atDingtalkIds"] {
        ids.extend(texts(at, name).unwrap_or_default().into_iter().map(str::to_owned));
    }
    if ids.len() > MAX_MENTIONS || ids.iter().any(String::is_empty) {
        return Err(Refusal::old(40_035, "at most 50 mentions, none of them empty"));
    }
    Ok(ids)
}

/// Shows `@id` as `@name` where `at` names that person, as the client does.
fn with_names(body: Body, mentions: &[String], world: &World) -> Body {
    let named = |mut text: String| {
        for id in mentions {
            let person = world.people.iter().find(|person| person.id == *id || person.sender_id == *id);
            if let Some(person) = person {
                text = text.replace(&format!("@{id}"), &format!("@{}", person.nick));
            }
        }
        text
    };
    match body {
        Body::Text(text) => Body::Text(named(text)),
        Body::Markdown { title, text } => Body::Markdown { title, text: named(text) },
        other => other,
    }
}
