//! Waiting longer after each failure.

use std::time::Duration;

/// Delays that double from a first one up to a limit.
#[derive(Debug, Clone)]
pub struct Backoff {
    next: Duration,
    limit: Duration,
}

impl Backoff {
    #[must_use]
    pub fn new(first: Duration, limit: Duration) -> Self {
        Self { next: first, limit }
    }

    /// How long to wait after this failure.
    pub fn next_delay(&mut self) -> Duration {
        let delay = self.next;
        self.next = (delay * 2).min(self.limit);
        delay
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_the_limit() {
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(5));
        let delays: Vec<u64> = (0..5).map(|_| backoff.next_delay().as_secs()).collect();
        assert_eq!(delays, [1, 2, 4, 5, 5]);
    }
}
