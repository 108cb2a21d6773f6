//! What a person can send, and the robot message callback that the platform makes of it.

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::ids;
use super::shared::Shared;
use super::world::{Body, Entry, Person, StoredFile, World};

/// A message a person sends, with everything the client offers.
#[derive(Debug, Clone)]
pub struct Said {
    /// Chat id.
    pub chat: String,
    /// Id of the person.
    pub user: String,
    pub content: Content,
    /// In a group: whether the robot is @mentioned. Without it the platform pushes nothing.
    pub mention_bot: bool,
    /// Ids of other people @mentioned.
    pub mentions: Vec<String>,
    pub quote: Option<Quote>,
}

impl Said {
    /// A plain text.
    #[must_use]
    pub fn text(chat: &str, user: &str, text: &str) -> Self {
        Self {
            chat: chat.to_owned(),
            user: user.to_owned(),
            content: Content::Text(text.to_owned()),
            mention_bot: true,
            mentions: Vec::new(),
            quote: None,
        }
    }
}

/// Kinds of messages.
#[derive(Debug, Clone)]
pub enum Content {
    Text(String),
    RichText(Vec<RichPart>),
    /// A picture's bytes (PNG).
    Picture(Bytes),
    /// A voice message with the platform's transcript, which may be empty.
    Audio {
        recognition: String,
        bytes: Bytes,
    },
    Video(Bytes),
    File {
        name: String,
        bytes: Bytes,
    },
    /// A sticker, a location: what the platform doesn't hand on.
    Unknown,
}

/// A piece of a rich text.
#[derive(Debug, Clone)]
pub enum RichPart {
    Text(String),
    Picture(Bytes),
}

/// Which message is quoted, and how much the platform says about it.
#[derive(Debug, Clone)]
pub enum Quote {
    /// With `repliedMsg`, as far as the platform gives it for that kind of message.
    Full(String),
    /// Only `isReplyMsg` and `originalMsgId`.
    IdOnly(String),
}

impl Quote {
    fn message(&self) -> &str {
        match self {
            Self::Full(id) | Self::IdOnly(id) => id,
        }
    }
}

impl Content {
    /// Groups hand on only these kinds.
    fn reaches_robots_in_groups(&self) -> bool {
        matches!(self, Self::Text(_) | Self::RichText(_) | Self::Picture(_))
    }

    /// What the chat shows.
    fn shown(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::RichText(parts) => parts
                .iter()
                .map(|part| match part {
                    RichPart::Text(text) => text.as_str(),
                    RichPart::Picture(_) => "[图片]",
                })
                .collect(),
            Self::Picture(_) => "[图片]".to_owned(),
            Self::Audio { recognition, .. } => format!("[语音] {recognition}"),
            Self::Video(_) => "[视频]".to_owned(),
            Self::File { name, .. } => format!("[文件] {name}"),
            Self::Unknown => "[其他]".to_owned(),
        }
    }
}

/// A message that became visible: its id, and the callback's body if the platform tells the robot.
pub(super) struct Posted {
    pub msg_id: String,
    pub callback: Option<String>,
}

/// Makes a message visible and composes its callback. `None` if there is no such person in such a chat.
pub(super) fn post(shared: &Shared, said: &Said) -> Option<Posted> {
    let now_ms = shared.clock.now_ms();
    let mut world = shared.world();
    let person = world.person(&said.user)?.clone();
    let chat = world.chat(&said.chat)?;
    if !chat.members.contains(&person.id) {
        return None;
    }
    let direct = chat.direct;
    let msg_id = ids::id("msg");
    let is_told = direct || (chat.bot_inside && said.mention_bot && said.content.reaches_robots_in_groups());
    let (msgtype, field, content) = content(&mut world, said);
    let sent_as = Some((msgtype, content.clone()));
    let callback = is_told.then(|| {
        let sent = Sent { person: &person, msg_id: &msg_id, now_ms, msgtype, field };
        callback(shared, &mut world, said, &sent, content)
    });
    let mention = if !direct && said.mention_bot { format!("@{} ", shared.config.bot_name) } else { String::new() };
    let chat = world.chat_mut(&said.chat)?;
    chat.viewer = Some(person.id.clone());
    chat.entries.push(Entry {
        id: msg_id.clone(),
        sender: person.nick,
        sender_id: person.id,
        from_bot: false,
        reply_to: said.quote.as_ref().map(|quote| quote.message().to_owned()),
        body: Body::Text(format!("{mention}{}", said.content.shown())),
        sent_as,
        query_key: None,
        sent_ms: now_ms,
        recalled: false,
        emotions: Vec::new(),
    });
    let callback = callback.map(|body| body.to_string());
    if let Some(body) = &callback {
        world.pushed.insert(msg_id.clone(), body.clone());
    }
    drop(world);
    shared.changed();
    Some(Posted { msg_id, callback })
}

/// Who sent a message, under which id, when; its type and the field for its content.
struct Sent<'a> {
    person: &'a Person,
    msg_id: &'a str,
    now_ms: i64,
    msgtype: &'static str,
    field: &'static str,
}

/// The callback's body, with a session webhook of its own.
fn callback(shared: &Shared, world: &mut World, said: &Said, sent: &Sent<'_>, mut content: Value) -> Value {
    let Sent { person, msg_id, now_ms, msgtype, field } = *sent;
    let config = &shared.config;
    let (session, expires_ms) = world.open_session(&said.chat, now_ms);
    let mut body = conversation(world, said, &bot_id(&config.robot_code));
    body.insert("chatbotCorpId".to_owned(), json!(config.corp_id));
    body.insert("chatbotUserId".to_owned(), json!(bot_id(&config.robot_code)));
    body.insert("robotCode".to_owned(), json!(config.robot_code));
    body.insert("msgId".to_owned(), json!(msg_id));
    body.insert("msgtype".to_owned(), json!(msgtype));
    body.insert("senderPlatform".to_owned(), json!("Mac"));
    body.insert("senderId".to_owned(), json!(person.sender_id));
    if let Some(staff_id) = &person.staff_id {
        body.insert("senderStaffId".to_owned(), json!(staff_id));
    }
    body.insert("senderUnionId".to_owned(), json!(person.union_id));
    body.insert("senderNick".to_owned(), json!(person.nick));
    body.insert("senderCorpId".to_owned(), json!(person.corp_id));
    body.insert("isAdmin".to_owned(), json!(false));
    body.insert("createAt".to_owned(), json!(now_ms));
    let webhook = format!("{}/robot/sendBySession?session={session}", shared.base_url);
    body.insert("sessionWebhook".to_owned(), json!(webhook));
    body.insert("sessionWebhookExpiredTime".to_owned(), json!(expires_ms));
    if let Some(quote) = &said.quote {
        add_quote(world, quote, &mut body, &mut content, &bot_id(&config.robot_code));
    }
    if shared.faults.messages_exhausted() {
        body.insert("errorCode".to_owned(), json!("20001"));
        body.insert("errorMessage".to_owned(), json!("the message quota of this month is used up"));
    } else {
        body.insert(field.to_owned(), content);
    }
    Value::Object(body)
}

/// The robot's encrypted id.
fn bot_id(robot_code: &str) -> String {
    format!("$:LWCP_v1:${robot_code}==")
}

/// The chat, and in a group who is mentioned.
fn conversation(world: &World, said: &Said, bot_id: &str) -> Map<String, Value> {
    let mut body = Map::new();
    body.insert("conversationId".to_owned(), json!(said.chat));
    let group = world.chat(&said.chat).filter(|chat| !chat.direct);
    body.insert("conversationType".to_owned(), json!(if group.is_some() { "2" } else { "1" }));
    if let Some(group) = group {
        body.insert("conversationTitle".to_owned(), json!(group.title));
        let mut mentioned = vec![json!({"dingtalkId": bot_id})];
        for person in said.mentions.iter().filter_map(|id| world.person(id)) {
            mentioned.push(match &person.staff_id {
                Some(staff_id) => {
                    json!({"dingtalkId": person.sender_id, "staffId": staff_id, "unionId": person.union_id})
                }
                None => json!({"dingtalkId": person.sender_id}),
            });
        }
        body.insert("atUsers".to_owned(), json!(mentioned));
        body.insert("isInAtList".to_owned(), json!(true));
    }
    body
}

/// `msgtype`, the field that holds the content, and the content; files get their download codes here.
fn content(world: &mut World, said: &Said) -> (&'static str, &'static str, Value) {
    let direct = world.chat(&said.chat).is_some_and(|chat| chat.direct);
    let mut keep = |content_type: &'static str, bytes: &Bytes| {
        let code = ids::hex_id();
        world.received.insert(code.clone(), StoredFile { content_type, bytes: bytes.clone() });
        code
    };
    match &said.content {
        // In groups the robot's own mention is cut out and leaves its blank behind.
        Content::Text(text) if direct => ("text", "text", json!({"content": text})),
        Content::Text(text) => ("text", "text", json!({"content": format!(" {text}")})),
        Content::RichText(parts) => {
            let part = |part: &RichPart| match part {
                RichPart::Text(text) => json!({"text": text}),
                RichPart::Picture(bytes) => {
                    json!({"type": "picture", "downloadCode": keep("image/png", bytes), "pictureDownloadCode": ids::hex_id()})
                }
            };
            let parts: Vec<Value> = parts.iter().map(part).collect();
            ("richText", "content", json!({"richText": parts}))
        }
        Content::Picture(bytes) => {
            let code = keep("image/png", bytes);
            ("picture", "content", json!({"downloadCode": code, "pictureDownloadCode": ids::hex_id()}))
        }
        Content::Audio { recognition, bytes } => {
            let code = keep("audio/amr", bytes);
            ("audio", "content", json!({"duration": 4000, "downloadCode": code, "recognition": recognition}))
        }
        Content::Video(bytes) => {
            let code = keep("video/mp4", bytes);
            ("video", "content", json!({"duration": 4000, "videoType": "mp4", "downloadCode": code}))
        }
        Content::File { name, bytes } => {
            let code = keep("application/octet-stream", bytes);
            (
                "file",
                "content",
                json!({"fileName": name, "downloadCode": code, "fileId": "77104233", "spaceId": "9012"}),
            )
        }
        Content::Unknown => ("unknownMsgType", "content", json!({"unknownMsgType": "sticker"})),
    }
}

fn add_quote(world: &World, quote: &Quote, body: &mut Map<String, Value>, content: &mut Value, bot_id: &str) {
    content["isReplyMsg"] = json!(true);
    body.insert("originalMsgId".to_owned(), json!(quote.message()));
    let Some((_, entry)) = world.entry(quote.message()) else { return };
    if let Some(key) = entry.query_key.as_ref().filter(|_| entry.from_bot) {
        body.insert("originalProcessQueryKey".to_owned(), json!(key));
    }
    if matches!(quote, Quote::IdOnly(_)) {
        return;
    }
    let sender_id = world.person(&entry.sender_id).map_or(bot_id, |person| person.sender_id.as_str());
    let mut replied = json!({"msgType": "text", "msgId": entry.id, "senderId": sender_id, "createdAt": entry.sent_ms});
    match (&entry.body, &entry.sent_as) {
        (Body::Card(_), _) => replied["msgType"] = json!("interactiveCard"),
        (_, Some((msgtype, sent))) => {
            let direct = body.get("conversationType") == Some(&json!("1"));
            let (msgtype, quoted) = quoted(msgtype, sent, direct);
            replied["msgType"] = json!(msgtype);
            replied["content"] = quoted;
        }
        (other, None) => replied["content"] = json!({"text": other.text()}),
    }
    content["repliedMsg"] = replied;
}

/// What a quote repeats of a message. In groups the platform hands files on as unknown only.
fn quoted<'a>(msgtype: &'a str, sent: &Value, direct: bool) -> (&'a str, Value) {
    match msgtype {
        "text" => ("text", json!({"text": sent["content"].as_str().unwrap_or_default().trim()})),
        "richText" => {
            let parts = sent["richText"].as_array().into_iter().flatten().map(|part| match part.get("downloadCode") {
                Some(code) => json!({"msgType": "picture", "downloadCode": code}),
                None => json!({"msgType": "text", "content": part["text"]}),
            });
            ("richText", json!({"richText": parts.collect::<Vec<_>>()}))
        }
        "picture" => ("picture", json!({"downloadCode": sent["downloadCode"]})),
        "audio" | "file" | "video" if direct => (msgtype, sent.clone()),
        _ => ("unknownMsgType", json!({"unknownMsgType": msgtype})),
    }
}
