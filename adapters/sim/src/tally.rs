//! Counting the service's calls as the platforms' rate limits count them: by app and class of API.

use std::collections::{BTreeMap, VecDeque};

use serde::Serialize;

const SECOND_MS: i64 = 1_000;

/// Calls so far; the difference of two tallies is what an answer cost.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// By the platform's class of API: calls that share an allowance are one class. Token calls are a class of their
    /// own.
    pub classes: BTreeMap<String, ClassTally>,
}

/// Calls of one class.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct ClassTally {
    /// All that came, refused ones included.
    pub calls: u64,
    /// Answered with an error, or not at all.
    pub refused: u64,
    /// Refused because of a frequency limit or a used-up quota.
    pub rate_limited: u64,
    /// Whether the monthly quota counts this class.
    pub counted: bool,
    /// Most calls within any second so far.
    pub busiest_second: u64,
}

impl Tally {
    /// Calls that a monthly quota counts.
    #[must_use]
    pub fn counted(&self) -> u64 {
        self.classes.values().filter(|class| class.counted).map(|class| class.calls).sum()
    }

    /// Refused calls of all classes.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.classes.values().map(|class| class.refused).sum()
    }

    /// Calls of all classes that a limit refused.
    #[must_use]
    pub fn rate_limited(&self) -> u64 {
        self.classes.values().map(|class| class.rate_limited).sum()
    }

    /// One class; all zero if it was never called.
    #[must_use]
    pub fn class(&self, name: &str) -> ClassTally {
        self.classes.get(name).copied().unwrap_or_default()
    }

    /// What came after `earlier` was taken. The busiest second stays that of the whole time.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let later = |(name, now): (&String, &ClassTally)| {
            let then = earlier.class(name);
            let class = ClassTally {
                calls: now.calls - then.calls,
                refused: now.refused - then.refused,
                rate_limited: now.rate_limited - then.rate_limited,
                ..*now
            };
            (name.clone(), class)
        };
        Self { classes: self.classes.iter().map(later).collect() }
    }
}

/// How a call ended, for the count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    Served,
    Refused,
    RateLimited,
}

/// Counts while calls come.
#[derive(Debug, Default)]
pub(crate) struct Counter {
    tally: Tally,
    recent: BTreeMap<String, VecDeque<i64>>,
}

impl Counter {
    /// A call of this class came.
    pub(crate) fn arrived(&mut self, class: &str, counted: bool, now_ms: i64) {
        let recent = self.recent.entry(class.to_owned()).or_default();
        while recent.front().is_some_and(|at_ms| now_ms - at_ms >= SECOND_MS) {
            recent.pop_front();
        }
        recent.push_back(now_ms);
        let tally = self.tally.classes.entry(class.to_owned()).or_default();
        tally.calls += 1;
        tally.counted = counted;
        tally.busiest_second = tally.busiest_second.max(recent.len() as u64);
    }

    /// It was answered so.
    pub(crate) fn ended(&mut self, class: &str, ending: Ending) {
        let tally = self.tally.classes.entry(class.to_owned()).or_default();
        tally.refused += u64::from(ending != Ending::Served);
        tally.rate_limited += u64::from(ending == Ending::RateLimited);
    }

    pub(crate) fn tally(&self) -> Tally {
        self.tally.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_difference_of_two_tallies_is_what_came_in_between() {
        let mut counter = Counter::default();
        counter.arrived("Token", false, 0);
        counter.ended("Token", Ending::Served);
        let before = counter.tally();
        for (at_ms, ending) in [(0, Ending::Served), (500, Ending::Refused), (999, Ending::RateLimited)] {
            counter.arrived("Send", true, at_ms);
            counter.ended("Send", ending);
        }
        counter.arrived("Send", true, 1_000);
        let cost = counter.tally().since(&before);
        assert_eq!((cost.counted(), cost.refused(), cost.rate_limited()), (4, 2, 1));
        assert_eq!((cost.class("Token").calls, cost.class("Send").busiest_second), (0, 3));
    }
}
