//! Several answers to one question.

use magpie_core::card::Card;
use magpie_core::ids::EventId;
use magpie_core::inbox::Fence;
use magpie_core::store::{Answer, Delivery, StoreError, StoredVersion, Versions};

use super::{Reply, SqlStore};

fn missing<'a, T: Send + 'a>() -> Reply<'a, T> {
    Box::pin(async { Err(StoreError::Bug { doing: "versions", source: "missing".into() }) })
}

impl Versions for SqlStore {
    fn versions(&self, _: EventId) -> Reply<'_, Vec<StoredVersion>> {
        missing()
    }

    fn record_version<'a>(&'a self, _: Fence, _: &'a Answer) -> Reply<'a, u32> {
        missing()
    }

    fn choose_version<'a>(&'a self, _: Fence, _: EventId, _: u32, _: &'a Card) -> Reply<'a, Option<Delivery>> {
        missing()
    }
}
