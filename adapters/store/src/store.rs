//! The store port.

mod allowances;
mod answers;
mod choices;
mod conversations;
mod deliveries;
mod messages;
mod overheard;
mod records;
mod tidy;
mod topics;
mod versions;

use std::time::Duration;

use futures::future::BoxFuture;
use magpie_core::ids::{BotId, CardId, ConversationId, EventId, MessageId, ScopeKey};
use magpie_core::inbox::Fence;
use magpie_core::store::{
    Answer, Conversation, Delivery, ErrorRow, Opening, Question, Store, StoreError, StoredEvent, StoredMessage, Vote,
};

use crate::database::Database;
use crate::inbox::bounded;
use crate::session::Pools;

#[cfg(test)]
pub(crate) use messages::HISTORY;
#[cfg(test)]
pub(crate) use overheard::OVERHEARD;

/// [`Store`] over either database.
pub(crate) struct SqlStore {
    database: Database,
}

impl SqlStore {
    pub(crate) fn new(database: Database) -> Self {
        Self { database }
    }

    fn pools(&self) -> &Pools {
        self.database.pools()
    }
}

type Reply<'a, T> = BoxFuture<'a, Result<T, StoreError>>;

impl Store for SqlStore {
    fn open_conversation(&self, fence: Fence, opening: Opening) -> Reply<'_, Conversation> {
        Box::pin(bounded(
            "opening a conversation",
            async move { conversations::open(self.pools(), fence, &opening).await },
        ))
    }

    fn end_conversation<'a>(&'a self, bot: &'a BotId, scope: &'a ScopeKey) -> Reply<'a, bool> {
        let now = self.database.clock().now();
        Box::pin(bounded("ending a conversation", conversations::end(self.pools(), bot, scope, now)))
    }

    fn history(&self, conversation: ConversationId, before: EventId, limit: u32) -> Reply<'_, Vec<StoredMessage>> {
        Box::pin(bounded("reading a conversation", messages::history(self.pools(), conversation, before, limit)))
    }

    fn add_question(&self, fence: Fence, question: Question) -> Reply<'_, ()> {
        Box::pin(bounded(
            "storing a question",
            async move { messages::add_question(self.pools(), fence, &question).await },
        ))
    }

    fn delivery<'a>(&'a self, event: EventId, part: &'a str) -> Reply<'a, Option<Delivery>> {
        Box::pin(bounded("looking for a delivery", deliveries::find(self.pools(), event, part)))
    }

    fn delivery_of_card<'a>(
        &'a self,
        bot: &'a BotId,
        message: Option<&'a MessageId>,
        card: Option<&'a CardId>,
    ) -> Reply<'a, Option<Delivery>> {
        Box::pin(bounded("looking for a card's delivery", deliveries::find_by_card(self.pools(), bot, message, card)))
    }

    fn save_delivery<'a>(&'a self, fence: Fence, delivery: &'a Delivery) -> Reply<'a, ()> {
        Box::pin(bounded("storing a delivery", deliveries::save(self.pools(), fence, delivery)))
    }

    fn revise_delivery<'a>(&'a self, fence: Fence, delivery: &'a Delivery, sequence: u64) -> Reply<'a, bool> {
        let revision = deliveries::Revision { delivery, sequence };
        Box::pin(bounded("changing a delivery", deliveries::revise(self.pools(), fence, revision)))
    }

    fn record_answer<'a>(&'a self, fence: Fence, answer: &'a Answer) -> Reply<'a, ()> {
        Box::pin(bounded("storing an answer", answers::record(self.pools(), fence, answer)))
    }

    fn complete<'a>(&'a self, fence: Fence, delivery: &'a Delivery, reason: Option<&'a str>) -> Reply<'a, ()> {
        Box::pin(bounded("completing an event", async move {
            let now = self.database.clock().now();
            answers::complete(self.pools(), fence, answers::Ending { delivery, reason, now }).await?;
            self.database.waker().wake();
            Ok(())
        }))
    }

    fn vote<'a>(&'a self, vote: &'a Vote) -> Reply<'a, bool> {
        Box::pin(bounded("storing a vote", records::vote(self.pools(), vote)))
    }

    fn log_error<'a>(&'a self, row: &'a ErrorRow) -> Reply<'a, ()> {
        Box::pin(bounded("storing an error", records::log_error(self.pools(), row)))
    }

    fn event(&self, event: EventId) -> Reply<'_, Option<StoredEvent>> {
        Box::pin(bounded("reading an event", records::event(self.pools(), event)))
    }

    fn setting<'a>(&'a self, name: &'a str) -> Reply<'a, Option<String>> {
        Box::pin(bounded("reading a setting", records::setting(self.pools(), name)))
    }

    fn set_setting_once<'a>(&'a self, name: &'a str, value: &'a str) -> Reply<'a, String> {
        let now = self.database.clock().now();
        Box::pin(bounded("storing a setting", records::set_setting_once(self.pools(), name, value, now)))
    }

    fn ping(&self) -> Reply<'_, ()> {
        Box::pin(bounded("looking whether it is there", records::ping(self.pools())))
    }

    /// Runs as long as there is something to remove; each of its statements is bounded, the whole is not.
    fn tidy(&self, dedupe: Duration, history: Duration) -> Reply<'_, ()> {
        let now = self.database.clock().now();
        Box::pin(async move {
            tidy::tidy(self.pools(), tidy::Kept { now, dedupe, history })
                .await
                .map_err(|failure| failure.during("tidying up"))
        })
    }
}
