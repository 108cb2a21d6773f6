//! What happens around the robot: it comes into a group and leaves it, messages are taken back, groups change.

use serde_json::{Value, json};

use super::{DingTalkSim, EventPushed};
use crate::view::Pushed;

impl DingTalkSim {
    /// Somebody installs the app with its robot in a group (`im_cool_app_install`), the nearest thing to "robot added".
    pub async fn install_in(&self, group: &str, operator: &str) -> Pushed {
        self.set_bot_inside(group, Membership::Inside);
        self.push_group_event("im_cool_app_install", group, operator).await
    }

    /// Somebody takes the app out of a group: sending there fails from now on.
    pub async fn uninstall_from(&self, group: &str, operator: &str) -> Pushed {
        self.set_bot_inside(group, Membership::Outside);
        self.push_group_event("im_cool_app_uninstall", group, operator).await
    }

    /// Somebody adds the robot by hand in the group's settings: no event tells of it.
    pub fn add_robot_quietly(&self, group: &str) {
        self.set_bot_inside(group, Membership::Inside);
    }

    /// Somebody takes back a message. The platform tells the robot only of its own messages (`robot_msg_recall`).
    pub async fn recall(&self, message_id: &str, operator: &str) -> Pushed {
        let event = {
            let mut world = self.shared.world();
            let union_id = world.person(operator).map(|person| person.union_id.clone()).unwrap_or_default();
            let entries = world.chats.iter_mut().flat_map(|chat| {
                let id = chat.id.clone();
                chat.entries.iter_mut().map(move |entry| (id.clone(), entry))
            });
            let mut found = entries.filter(|(_, entry)| entry.id == message_id);
            let Some((chat, entry)) = found.next() else { return Pushed::nothing(message_id) };
            entry.recalled = true;
            // Over HTTP the names begin with capitals.
            entry.from_bot.then(|| {
                json!({
                    "EventType": "robot_msg_recall",
                    "ProcessQueryKey": entry.query_key,
                    "OpenConversationId": chat,
                    "UserId": operator,
                    "UnionId": union_id,
                    "RobotCode": self.shared.config.robot_code,
                    "OperatTime": self.shared.clock.now_ms(),
                })
            })
        };
        self.shared.changed();
        match event {
            Some(event) => Pushed { id: message_id.to_owned(), ..self.push_event(&self.dated(event)).await.pushed },
            None => Pushed::nothing(message_id),
        }
    }

    /// Somebody gives a group another name (`chat_update_title`).
    pub async fn rename(&self, group: &str, title: &str, operator: &str) -> EventPushed {
        if let Some(chat) = self.shared.world().chat_mut(group) {
            title.clone_into(&mut chat.title);
        }
        self.shared.changed();
        let event = json!({
            "EventType": "chat_update_title",
            "title": title,
            "openConversationId": group,
            "operator": operator,
        });
        self.push_event(&self.dated(event)).await
    }

    async fn push_group_event(&self, event_type: &str, group: &str, operator: &str) -> Pushed {
        let event = json!({
            "EventType": event_type,
            "robotCode": self.shared.config.robot_code,
            "openConversationId": group,
            "openConversationCorpId": self.shared.config.corp_id,
            "operator": operator,
            "operateTime": self.shared.clock.now_ms().to_string(),
            "coolAppCode": "COOLAPP-1-SIM",
        });
        self.push_event(&self.dated(event)).await.pushed
    }

    /// With the fields that every event has.
    fn dated(&self, mut event: Value) -> Value {
        event["eventId"] = json!(super::ids::hex_id());
        event["EventTime"] = json!(self.shared.clock.now_ms());
        event["CorpId"] = json!(self.shared.config.corp_id);
        event
    }

    fn set_bot_inside(&self, group: &str, membership: Membership) {
        if let Some(chat) = self.shared.world().chat_mut(group).filter(|chat| !chat.direct) {
            chat.bot_inside = membership == Membership::Inside;
        }
        self.shared.changed();
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Membership {
    Inside,
    Outside,
}
