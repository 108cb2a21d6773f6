//! Sliding windows for the platform's frequency limits. Refused calls do not count.

use std::collections::{HashMap, VecDeque};

use crate::feishu::faults::Call;

/// What is counted together.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(in crate::feishu) enum RateKey {
    AppSecond(Call),
    AppMinute(Call),
    Chat(String),
    Message(String),
    Card(String),
}

impl RateKey {
    fn window_ms(&self) -> i64 {
        match self {
            Self::AppMinute(_) => 60_000,
            _ => 1_000,
        }
    }
}

/// Sending, replying and changing share one allowance; every other call has its own.
pub(in crate::feishu) fn class(call: Call) -> Call {
    match call {
        Call::ReplyMessage | Call::PatchMessage | Call::EditMessage => Call::SendMessage,
        other => other,
    }
}

#[derive(Debug, Default)]
pub(in crate::feishu) struct Rates {
    windows: HashMap<RateKey, VecDeque<i64>>,
}

impl Rates {
    /// Counts a call, or says in how many milliseconds the next one is allowed.
    pub(in crate::feishu) fn admit(&mut self, key: RateKey, limit: Option<u32>, now_ms: i64) -> Result<(), i64> {
        self.admit_all([(key, limit)], now_ms)
    }

    /// The same for a call with several limits: it counts in all windows or in none.
    pub(in crate::feishu) fn admit_all<const N: usize>(
        &mut self,
        limits: [(RateKey, Option<u32>); N],
        now_ms: i64,
    ) -> Result<(), i64> {
        let limits = limits.into_iter().filter_map(|(key, limit)| Some((key, limit? as usize)));
        let limits: Vec<(RateKey, usize)> = limits.collect();
        for (key, limit) in &limits {
            let window_ms = key.window_ms();
            let times = self.windows.entry(key.clone()).or_default();
            while times.front().is_some_and(|at_ms| now_ms - at_ms >= window_ms) {
                times.pop_front();
            }
            if let Some(oldest) = times.front().filter(|_| times.len() >= *limit) {
                return Err(window_ms - (now_ms - oldest));
            }
        }
        for (key, _) in limits {
            self.windows.entry(key).or_default().push_back(now_ms);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sixth_message_within_a_second_has_to_wait() {
        let mut rates = Rates::default();
        let chat = || RateKey::Chat("oc_1".into());
        for at in 0..5 {
            assert_eq!(rates.admit(chat(), Some(5), at * 100), Ok(()));
        }
        assert_eq!(rates.admit(chat(), Some(5), 900), Err(100));
        assert_eq!(rates.admit(chat(), Some(5), 1_000), Ok(()));
        assert_eq!(rates.admit(chat(), None, 1_000), Ok(()));
    }
}
