//! Several answers to one question.

use futures::future::BoxFuture;

use super::{Answer, Delivery, StoreError};
use crate::card::Card;
use crate::ids::EventId;
use crate::inbox::Fence;

/// The versions of an answer. A question that was answered once has one, which is not stored a second time until
/// there is another.
pub trait Versions {
    /// All versions of the answer to the question that `event` carried, in order; empty while there are fewer than
    /// two.
    fn versions(&self, event: EventId) -> BoxFuture<'_, Result<Vec<StoredVersion>, StoreError>>;

    /// Writes a further answer down as the newest version, which from now on stands in the conversation, with its
    /// usage and the final card in the delivery, in one transaction; once per event of the fence. `answer.delivery` is
    /// the question's delivery. Keeps the answer before as a version, if it was not one yet. Gives the new number.
    fn record_version<'a>(&'a self, fence: Fence, answer: &'a Answer) -> BoxFuture<'a, Result<u32, StoreError>>;

    /// Lets a version stand in the conversation, and `card` as the final card in the delivery. Gives the delivery;
    /// `None`, and nothing is changed, if there is no such version, or if the delivery is not final now.
    fn choose_version<'a>(
        &'a self,
        fence: Fence,
        event: EventId,
        number: u32,
        card: &'a Card,
    ) -> BoxFuture<'a, Result<Option<Delivery>, StoreError>>;
}

/// One of several answers.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredVersion {
    /// From 1.
    pub number: u32,
    /// The card that it ended with, as it was then: its place among the versions may have changed since.
    pub card: Card,
    /// It stands in the conversation now.
    pub chosen: bool,
}
