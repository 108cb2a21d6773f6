//! The port to what counts calls for all instances.

use std::time::Duration;

use futures::future::BoxFuture;

use super::{CallClass, Day, Month};
use crate::clock::UnixMillis;
use crate::store::StoreError;

/// The longest line that is believed. Instances take places for a fraction of a second at a time; a longer line comes
/// from a clock that was set back, and must not keep everybody waiting for as long.
pub const LONGEST_BACKLOG: Duration = Duration::from_secs(60);

/// Counts the calls of apps. Object-safe.
///
/// Each app and class has a line, which is a point in time: when the calls that were given a place so far will have
/// left at an even distance. Taking `n` places moves it on by `n` distances, from now if it lies in the past.
pub trait Meter: Send + Sync {
    /// Takes places in the line and counts calls of the month, both or neither.
    fn take(&self, take: Take) -> BoxFuture<'_, Result<Taken, StoreError>>;

    /// True for the first caller of a day, false for the others; and false for an app without calls in that month.
    fn is_first_to_tell<'a>(&'a self, app: &'a str, month: Month, day: Day) -> BoxFuture<'a, Result<bool, StoreError>>;
}

/// What one instance takes for one app and class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Take {
    pub app: String,
    pub class: CallClass,
    /// Calls that are about to leave: places in the line, and calls of the month.
    pub calls: u32,
    /// Calls that have left without being counted.
    pub uncounted: u64,
    /// Distance of two calls in the line; zero: there is no line.
    pub gap: Duration,
    /// Decides the month. The line goes by the store's own clock, as those of instances differ.
    pub now: UnixMillis,
}

/// What was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Taken {
    /// How far ahead the line reached before, at most [`LONGEST_BACKLOG`].
    pub backlog: Duration,
    /// Calls of the app in this month, over all classes and instances, these included.
    pub month_calls: u64,
}
