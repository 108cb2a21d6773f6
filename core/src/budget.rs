//! How often an app may call its platform, by the second and by the month.
//!
//! Platforms count calls per app, over all processes that use it. So the counting is done in the store, behind the port
//! [`Meter`], and every instance draws on the same account. The way of one call:
//!
//! 1. An adapter asks its [`Budget`] for a permit, naming the [`CallClass`]. Whoever can't leave at once stands in the
//!    line of that class: frames of running cards behind everything else (see [`scope`]), each in order of arrival.
//! 2. While somebody stands there, one task serves the line. It takes places for all who wait, but for no more than a
//!    quarter of a second's worth, in one transaction; meanwhile others line up. So the store sees one transaction at a
//!    time per app and class, a crowd shares them, and instances take turns in small portions.
//! 3. When a place comes up, whoever stands first *then* has it. So a last update that arrives late still overtakes the
//!    frames before it, and nobody takes a place with him who has given up waiting.
//!
//! Without a store, or while it is away, each instance keeps to the rate by itself and counts later: answering goes on.
//! A month's budget never holds a call back either. Near its end cards are shown without frames
//! ([`Budget::is_short`]); a budget that is used up is told to operators, while people still get their answers for as
//! long as the platform takes them.

mod lane;
mod ledger;
pub mod meter;
mod month;
mod rate;
pub mod scope;

use std::sync::Arc;

use crate::clock::Clock;
use crate::ids::BotId;
use crate::store::StoreError;
use lane::Lane;
use ledger::Ledger;
pub use meter::{Meter, Take, Taken};
pub use month::{Day, Month};
use rate::Rate;

/// Calls that a platform counts together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CallClass {
    /// Sends, answers, changes or takes back a message.
    Messages,
    /// Makes or changes a card.
    Cards,
    /// Adds text to a card that is being written.
    Streaming,
    /// Rare calls, such as for a token: part of the month, without a rate of their own.
    Other,
}

impl CallClass {
    pub(crate) const ALL: [Self; 4] = [Self::Messages, Self::Cards, Self::Streaming, Self::Other];

    /// As in the table.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Messages => "messages",
            Self::Cards => "cards",
            Self::Streaming => "streaming",
            Self::Other => "other",
        }
    }
}

/// Whose budget it is, and how large.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BudgetSettings {
    /// The label in metrics.
    pub bot: BotId,
    /// The app as its platform knows it, made unique over platforms: what calls are counted under.
    pub app: String,
    /// For each class of calls; zero is unlimited.
    pub calls_per_second: u32,
    /// All classes together, in a calendar month of UTC; zero is unlimited.
    pub calls_per_month: u64,
}

/// What an app has used of its month.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spent {
    /// Calls in this month of all instances, as far as this one has heard.
    pub calls: u64,
    /// Zero is unlimited.
    pub limit: u64,
}

impl Spent {
    /// At nine tenths and more, what is left is kept for the answers themselves.
    #[must_use]
    pub fn is_short(self) -> bool {
        self.limit > 0 && self.calls.saturating_mul(10) >= self.limit.saturating_mul(9)
    }

    /// Nothing is left.
    #[must_use]
    pub fn is_used_up(self) -> bool {
        self.limit > 0 && self.calls >= self.limit
    }
}

/// The budget of one app. Its adapter and its turns share it.
pub struct Budget {
    ledger: Arc<Ledger>,
    lanes: [Arc<Lane>; 4],
}

impl Budget {
    /// A budget that is counted in this process, until [`Self::connect`].
    #[must_use]
    pub fn new(settings: BudgetSettings, clock: Arc<dyn Clock>) -> Arc<Self> {
        let rate = Rate::new(settings.calls_per_second);
        let ledger = Arc::new(Ledger::new(settings, clock));
        let lanes = CallClass::ALL.map(|class| {
            let rate = rate.filter(|_| class != CallClass::Other);
            Arc::new(Lane::new(class, rate, Arc::clone(&ledger)))
        });
        Arc::new(Self { ledger, lanes })
    }

    /// No rate and no month, for bots that call nobody who counts.
    #[must_use]
    pub fn unlimited() -> Arc<Self> {
        let nobody = BudgetSettings { bot: "".into(), app: String::new(), calls_per_second: 0, calls_per_month: 0 };
        Self::new(nobody, Arc::new(crate::clock::SystemClock))
    }

    /// From now on calls are counted in `meter`, those before included.
    pub fn connect(&self, meter: Arc<dyn Meter>) {
        self.ledger.connect(meter);
    }

    /// Returns when one call of this class may leave, and counts it. Dropped before, it takes nothing. Call it inside a
    /// tokio runtime.
    pub async fn permit(&self, class: CallClass) {
        self.lanes[class as usize].enter().await;
        scope::call_leaves();
    }

    /// Whether the month's budget is nearly or wholly used: then a card is shown at its start and at its end only.
    #[must_use]
    pub fn is_short(&self) -> bool {
        self.spent().is_short()
    }

    /// What is used of this month.
    #[must_use]
    pub fn spent(&self) -> Spent {
        self.ledger.spent()
    }

    /// Hands over what is not counted yet, and learns what other instances have used.
    pub async fn refresh(&self) {
        for class in CallClass::ALL {
            if class == CallClass::Other || self.ledger.has_uncounted(class) {
                // While the store is away this waits for the next time.
                let _ = self.ledger.take(class, 0, std::time::Duration::ZERO).await;
            }
        }
    }

    /// Whether this is the first to ask today, over all instances: a budget that is used up is reported once a day.
    ///
    /// # Errors
    /// [`StoreError`]; ask again later.
    pub async fn is_first_to_tell(&self) -> Result<bool, StoreError> {
        self.ledger.is_first_to_tell().await
    }
}

impl std::fmt::Debug for Budget {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Budget").field("settings", self.ledger.settings()).finish_non_exhaustive()
    }
}

#[cfg(test)]
pub(crate) mod tests;
