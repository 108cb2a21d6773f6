//! Topics, summaries, choices, allowances and what was overheard.

use magpie_core::ids::{BotId, ConversationId, ScopeKey};
use magpie_core::inbox::Fence;
use magpie_core::store::{Admission, Allowance, Listening, Overheard, StoreError, Summary, Topic, Topics};

use super::{Reply, SqlStore};

fn missing<'a, T: Send + 'a>() -> Reply<'a, T> {
    Box::pin(async { Err(StoreError::Bug { doing: "topics", source: "missing".into() }) })
}

impl Topics for SqlStore {
    fn topics<'a>(&'a self, _: &'a BotId, _: &'a ScopeKey, _: u32) -> Reply<'a, Vec<Topic>> {
        missing()
    }

    fn resume<'a>(&'a self, _: &'a BotId, _: &'a ScopeKey, _: ConversationId) -> Reply<'a, bool> {
        missing()
    }

    fn summary(&self, _: ConversationId) -> Reply<'_, Option<Summary>> {
        missing()
    }

    fn save_summary<'a>(&'a self, _: Fence, _: ConversationId, _: &'a Summary) -> Reply<'a, ()> {
        missing()
    }

    fn overheard<'a>(&'a self, _: &'a Listening) -> Reply<'a, Vec<Overheard>> {
        missing()
    }

    fn choice<'a>(&'a self, _: &'a BotId, _: &'a str, _: &'a str) -> Reply<'a, Option<String>> {
        missing()
    }

    fn choose<'a>(&'a self, _: &'a BotId, _: &'a str, _: &'a str, _: Option<&'a str>) -> Reply<'a, Option<String>> {
        missing()
    }

    fn admit<'a>(&'a self, _: Fence, _: &'a Allowance) -> Reply<'a, Admission> {
        missing()
    }
}
