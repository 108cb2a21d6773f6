//! Cancellation of a running generation.

use tokio::sync::watch;

/// Asks a running generation to end. Clones share one state; asking twice is harmless.
#[derive(Debug, Clone)]
pub struct CancelToken {
    state: watch::Sender<bool>,
}

impl Default for CancelToken {
    fn default() -> Self {
        Self { state: watch::Sender::new(false) }
    }
}

impl CancelToken {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    pub fn cancel(&self) {
        self.state.send_replace(true);
    }

    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        *self.state.borrow()
    }

    /// Returns once somebody has cancelled.
    pub async fn cancelled(&self) {
        let mut seen = self.state.subscribe();
        // The sender lives in `self`, so waiting cannot fail.
        let _ = seen.wait_for(|cancelled| *cancelled).await;
    }
}
