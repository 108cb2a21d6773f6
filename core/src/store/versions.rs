//! Several answers to one question.

use futures::future::BoxFuture;

use super::{Answer, Delivery, StoreError};
use crate::card::Card;
use crate::ids::EventId;
use crate::inbox::Fence;

/// The versions of an answer. A question that was answered once has one, which is not stored a second time until
/// there is another.
pub trait Versions {
    /// All versions of the answer to the question that an event carried, in order; empty while there are fewer than
    /// two.
    fn versions(&self, question: EventId) -> BoxFuture<'_, Result<Vec<StoredVersion>, StoreError>>;

    /// Writes a further answer to the question that `question` carried down as the newest version, which from now on
    /// stands in the conversation, with its usage, and `answer.delivery` (of whichever event) with its final card, in
    /// one transaction; once per event of the fence. The answer that stood there before is kept as a version, if it was
    /// not one yet. Gives the new number; 1 if there was no answer before.
    fn record_version<'a>(
        &'a self,
        fence: Fence,
        question: EventId,
        answer: &'a Answer,
    ) -> BoxFuture<'a, Result<u32, StoreError>>;

    /// Lets a version stand in the conversation and replaces a delivery under the conditions of
    /// [`super::Store::revise_delivery`], in one transaction. False, and nothing is changed, if there is no such
    /// version or the delivery has changed.
    fn choose_version<'a>(
        &'a self,
        fence: Fence,
        choice: VersionChoice,
        delivery: &'a Delivery,
        sequence: u64,
    ) -> BoxFuture<'a, Result<bool, StoreError>>;
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

/// Which version of the answer to which question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VersionChoice {
    pub question: EventId,
    pub number: u32,
}
