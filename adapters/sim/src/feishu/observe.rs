//! What tests ask a running platform: single messages, replies, reports, counters, and waiting without sleeping.

use std::time::Duration;

use serde_json::Value;

use super::FeishuSim;
use super::faults::Call;
use super::press::Toast;
use super::push::DeliveryReport;
use super::render;
use super::world::card::CardReport;
use crate::view::{MessageView, SimulatedPlatform};

impl FeishuSim {
    /// What the service did to the card of a message.
    #[must_use]
    pub fn card_report(&self, message_id: &str) -> Option<CardReport> {
        let world = self.shared.world();
        world.card_of(message_id).map(|card| card.report(world.now_ms()))
    }

    /// The JSON of a message's card as it stands.
    #[must_use]
    pub fn card_json(&self, message_id: &str) -> Option<Value> {
        self.shared.world().card_of(message_id).map(|card| card.json.clone())
    }

    /// Emoji types of the bot's reactions on a message.
    #[must_use]
    pub fn reactions(&self, message_id: &str) -> Vec<String> {
        let world = self.shared.world();
        let reactions = world.message(message_id).map(|message| message.reactions.clone()).unwrap_or_default();
        reactions.into_iter().map(|(_, emoji)| emoji).collect()
    }

    /// The last note shown over a chat.
    #[must_use]
    pub fn last_toast(&self) -> Option<Toast> {
        self.shared.toasts().last().cloned()
    }

    /// How the delivery of a person's message stands.
    #[must_use]
    pub fn delivery(&self, message_id: &str) -> Option<DeliveryReport> {
        let event = self.shared.world().message(message_id)?.event.clone()?;
        self.shared.deliveries().get(event["header"]["event_id"].as_str()?).copied()
    }

    /// How often the service made this call, refused and failed ones included.
    #[must_use]
    pub fn calls(&self, call: Call) -> u64 {
        self.shared.calls().get(&call).copied().unwrap_or_default()
    }

    /// One message as its readers see it.
    #[must_use]
    pub fn message(&self, message_id: &str) -> Option<MessageView> {
        let world = self.shared.world();
        world.message(message_id).map(|message| render::message_view(&world, message))
    }

    /// What the bot answered to a message, oldest first.
    #[must_use]
    pub fn replies(&self, message_id: &str) -> Vec<MessageView> {
        let world = self.shared.world();
        let Some(chat) = world.message(message_id).and_then(|message| world.chat(&message.chat_id)) else {
            return Vec::new();
        };
        let answers =
            world.messages_in(chat).filter(|it| it.is_by_bot() && it.parent_id.as_deref() == Some(message_id));
        answers.map(|message| render::message_view(&world, message)).collect()
    }

    /// Looks at every visible change until `check` gives something; `None` when it did not within the time.
    pub async fn wait_for<T>(&self, within: Duration, mut check: impl FnMut(&Self) -> Option<T>) -> Option<T> {
        let mut changes = self.changes();
        let found = async {
            loop {
                if let Some(found) = check(self) {
                    return Some(found);
                }
                changes.changed().await.ok()?;
            }
        };
        tokio::time::timeout(within, found).await.ok().flatten()
    }
}
