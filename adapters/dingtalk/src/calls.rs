//! Bodies of the calls that send. Sources: open.dingtalk.com "创建并投放卡片", "更新卡片", "AI 卡片流式更新",
//! "机器人发送群聊消息", "批量发送人与机器人会话中机器人消息", "注册卡片回调地址", "下载机器人接收消息的文件内容", August 2026.

use magpie_core::card::Language;
use magpie_core::event::{ChatKind, ReplyTo};
use serde_json::{Value, json};

use crate::card::Variables;
use crate::route::WayBack;

/// Variable of the card that streams.
pub(crate) const STREAM_KEY: &str = "msgContent";

/// Whom a card or an API message can be sent to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target {
    /// By conversation id.
    Group(String),
    /// By member id; a direct chat's conversation id can't be sent to.
    Person(String),
}

impl Target {
    /// `None` for a direct chat with somebody who has no member id.
    pub fn of(to: &ReplyTo, way: &WayBack) -> Option<Self> {
        match to.chat_kind {
            ChatKind::Group => Some(Self::Group(to.chat.0.clone())),
            ChatKind::Direct => way.staff_id.clone().map(Self::Person),
        }
    }
}

/// A card about to be created and delivered.
pub(crate) struct NewCard<'a> {
    pub template_id: &'a str,
    pub out_track_id: &'a str,
    pub target: &'a Target,
    pub robot_code: &'a str,
    /// Key that the callback address is registered under.
    pub callback_route: Option<&'a str>,
    pub variables: &'a Variables,
    /// What the chat list shows.
    pub summary: &'a str,
    pub language: Language,
}

impl NewCard<'_> {
    pub fn body(&self) -> Value {
        let locale = match self.language {
            Language::Zh => "ZH_CN",
            Language::En => "EN_US",
        };
        let space_model = json!({
            "supportForward": true,
            "lastMessageI18n": {locale: self.summary},
            "notification": {"alertContent": self.summary, "notificationOff": false},
        });
        let mut body = json!({
            "cardTemplateId": self.template_id,
            "outTrackId": self.out_track_id,
            "cardData": {"cardParamMap": self.variables},
            "userIdType": 1,
        });
        if let Some(route) = self.callback_route {
            body["callbackType"] = json!("HTTP");
            body["callbackRouteKey"] = json!(route);
        }
        match self.target {
            Target::Group(chat) => {
                body["openSpaceId"] = json!(format!("dtv1.card//IM_GROUP.{chat}"));
                body["imGroupOpenSpaceModel"] = space_model;
                body["imGroupOpenDeliverModel"] = json!({"robotCode": self.robot_code});
            }
            Target::Person(staff_id) => {
                body["openSpaceId"] = json!(format!("dtv1.card//IM_ROBOT.{staff_id}"));
                body["imRobotOpenSpaceModel"] = space_model;
                body["imRobotOpenDeliverModel"] = json!({
                    "spaceType": "IM_ROBOT",
                    "robotCode": self.robot_code,
                    "extension": {"dynamicSummary": "true"},
                });
            }
        }
        body
    }
}

/// Replaces the named variables and leaves the others; without these options an update wipes what it does not name.
pub(crate) fn update_card(out_track_id: &str, variables: &Variables) -> Value {
    json!({
        "outTrackId": out_track_id,
        "cardData": {"cardParamMap": variables},
        "cardUpdateOptions": {"updateCardDataByKey": true, "updatePrivateDataByKey": true},
        "userIdType": 1,
    })
}

/// Whether more text may follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Last {
    No,
    Yes,
}

/// A frame with the full text so far. `guid` must be new for every attempt.
pub(crate) fn frame(out_track_id: &str, guid: &str, content: &str, last: Last) -> Value {
    json!({
        "outTrackId": out_track_id,
        "guid": guid,
        "key": STREAM_KEY,
        "content": content,
        "isFull": true,
        "isFinalize": last == Last::Yes,
        "isError": false,
    })
}

/// A Markdown message for a session webhook.
pub(crate) fn webhook_markdown(title: &str, text: &str) -> Value {
    json!({"msgtype": "markdown", "markdown": {"title": title, "text": text}})
}

/// A Markdown message for the robot API; its parameters are JSON inside a text.
pub(crate) fn robot_markdown(robot_code: &str, target: &Target, title: &str, text: &str) -> Value {
    let param = json!({"title": title, "text": text}).to_string();
    let mut body = json!({"robotCode": robot_code, "msgKey": "sampleMarkdown", "msgParam": param});
    match target {
        Target::Group(chat) => body["openConversationId"] = json!(chat),
        Target::Person(staff_id) => body["userIds"] = json!([staff_id]),
    }
    body
}

/// Registers the address of card callbacks, over an earlier one.
pub(crate) fn register_callback(route: &str, address: &str, secret: &str) -> Value {
    json!({"callbackRouteKey": route, "callbackUrl": address, "apiSecret": secret, "forceUpdate": true})
}

/// Exchanges the code of a received file for an address.
pub(crate) fn download_file(robot_code: &str, download_code: &str) -> Value {
    json!({"downloadCode": download_code, "robotCode": robot_code})
}
