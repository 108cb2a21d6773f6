//! The first computations of a network, for nobody.
//!
//! The first touch of the weights is slow, and a file that can't be computed at all is better found now. What follows is
//! as fast as the network is, so that the first people who wait can be told for how long.

use std::time::Duration;

use magpie_core::clock::Clock;

use super::rates::TELLING_ROWS;
use crate::network::{Batch, Chunk, Network, NetworkError, PAGE_TOKENS, Wanted};

/// How long it took, by a clock of milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct FirstSteps {
    /// Rows of the prompt.
    pub prompt_rows: usize,
    /// All of them, in one step.
    pub prompt: Duration,
    /// The next token.
    pub decode: Duration,
}

/// Computes a few rows.
///
/// # Errors
/// The network can't.
pub(crate) fn warm_up(network: &mut dyn Network, clock: &dyn Clock) -> Result<FirstSteps, NetworkError> {
    let limits = network.limits();
    if limits.pages == 0 {
        return Ok(FirstSteps::default());
    }
    // All in one page, which every network has.
    let prompt_rows = TELLING_ROWS.min(PAGE_TOKENS).min(limits.context_tokens);
    let mut logits = Vec::new();
    let mut took = |position, rows| {
        let began = clock.now();
        let chunk = Chunk { pages: &[0], position, rows, logits: Wanted::Last };
        network.step(&Batch { tokens: vec![0; rows], chunks: vec![chunk] }, &mut logits)?;
        Ok(clock.now().since(began))
    };
    took(0, 1)?;
    Ok(FirstSteps { prompt_rows, prompt: took(0, prompt_rows)?, decode: took(prompt_rows - 1, 1)? })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use magpie_core::testkit::ManualClock;

    use super::super::fake::{FakeNetwork, Mishap};
    use super::*;
    use crate::network::{NetworkLimits, PageId};

    /// Takes ten milliseconds for a step and five for each row; the first one is a second slower.
    struct Slow {
        inner: FakeNetwork,
        clock: Arc<ManualClock>,
        is_cold: bool,
    }

    impl Network for Slow {
        fn limits(&self) -> NetworkLimits {
            self.inner.limits()
        }

        fn step(&mut self, batch: &Batch<'_>, logits: &mut Vec<f32>) -> Result<(), NetworkError> {
            let cold = if std::mem::take(&mut self.is_cold) { 1000 } else { 0 };
            self.clock.advance(Duration::from_millis(cold + 10 + 5 * batch.tokens.len() as u64));
            self.inner.step(batch, logits)
        }

        fn copy_page(&mut self, from: PageId, to: PageId) {
            self.inner.copy_page(from, to);
        }
    }

    #[test]
    fn what_is_measured_is_not_the_first_touch() {
        let clock = Arc::new(ManualClock::default());
        let mut slow = Slow { inner: FakeNetwork::new(300, 4096, 4).0, clock: Arc::clone(&clock), is_cold: true };
        let first = warm_up(&mut slow, &*clock).unwrap();
        let (prompt, decode) = (Duration::from_millis(90), Duration::from_millis(15));
        assert_eq!(first, FirstSteps { prompt_rows: 16, prompt, decode });
    }

    #[test]
    fn a_short_context_is_enough_and_a_failure_is_told() {
        let clock = ManualClock::default();
        let (mut network, diary) = FakeNetwork::new(300, 5, 1);
        assert_eq!(warm_up(&mut network, &clock).unwrap().prompt_rows, 5);
        diary.plan(diary.steps().len() + 1, Mishap::Fail);
        assert!(warm_up(&mut network, &clock).is_err());
        assert_eq!(warm_up(&mut FakeNetwork::new(300, 5, 0).0, &clock).unwrap(), FirstSteps::default());
    }
}
