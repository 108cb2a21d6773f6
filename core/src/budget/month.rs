//! Calendar months and days of UTC, as platforms bill by.

use std::fmt;

use crate::clock::UnixMillis;

const DAY_SECONDS: i64 = 86_400;

/// A calendar month of UTC; shown as `2026-01`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Month {
    year: i64,
    /// 1 to 12.
    month: i64,
}

impl Month {
    /// The month that `now` lies in.
    #[must_use]
    pub fn of(now: UnixMillis) -> Self {
        Day::of(now).month
    }
}

impl fmt::Display for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}", self.year, self.month)
    }
}

/// A day of UTC; shown as `2026-01-31`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Day {
    pub month: Month,
    /// 1 to 31.
    day: i64,
}

impl Day {
    /// The day that `now` lies in.
    ///
    /// Years are counted from March on, so that the leap day is their last; then days of the year and months follow
    /// from each other by a line of 153 days in five months. Source: Howard Hinnant, "chrono-Compatible Low-Level Date
    /// Algorithms", `civil_from_days`.
    #[must_use]
    pub fn of(now: UnixMillis) -> Self {
        let days = now.seconds().div_euclid(DAY_SECONDS) + 719_468;
        let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
        let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let from_march = (5 * of_year + 2) / 153;
        let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
        let year = year_of_era + era * 400 + i64::from(month <= 2);
        Self { month: Month { year, month }, day: of_year - (153 * from_march + 2) / 5 + 1 }
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{:02}", self.month, self.day)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(seconds: i64) -> String {
        Day::of(UnixMillis(seconds * 1_000)).to_string()
    }

    #[test]
    fn days_end_at_midnight_utc() {
        assert_eq!((day(0), day(-1)), ("1970-01-01".to_owned(), "1969-12-31".to_owned()));
        assert_eq!((day(1_767_225_599), day(1_767_225_600)), ("2025-12-31".to_owned(), "2026-01-01".to_owned()));
    }

    #[test]
    fn leap_days_are_there_when_they_should_be() {
        assert_eq!(day(1_709_164_800), "2024-02-29");
        assert_eq!(day(951_782_400), "2000-02-29");
        assert_eq!(day(4_107_542_400), "2100-03-01", "the day after the 28th");
    }

    #[test]
    fn months_are_named_by_year_and_number() {
        assert_eq!(Month::of(UnixMillis(1_767_225_600_000)).to_string(), "2026-01");
    }
}
