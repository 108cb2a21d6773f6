//! What a permit belongs to: an answer, whose calls are counted, and a frame, which can wait.
//!
//! Both are known to the core, which asks a platform to do something, and not to the adapter, which makes calls for
//! it. They travel with the task instead of through every function of every adapter.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

tokio::task_local! {
    static ANSWER: AtomicU32;
    static FRAME: Frame;
}

/// Runs `work` with a count of its own; [`calls`] gives it.
pub async fn counted<T>(work: impl Future<Output = T>) -> T {
    ANSWER.scope(AtomicU32::new(0), work).await
}

/// Calls that have left within the surrounding [`counted`].
#[must_use]
pub fn calls() -> u32 {
    ANSWER.try_with(|calls| calls.load(Ordering::Relaxed)).unwrap_or(0)
}

/// One update of a running card. It stands behind everything else: the next one shows all that it would have shown.
#[derive(Debug, Clone, Default)]
pub struct Frame {
    state: Arc<State>,
}

#[derive(Debug, Default)]
struct State {
    waits: AtomicBool,
    has_called: AtomicBool,
}

impl Frame {
    /// Runs an update as this frame.
    pub async fn run<T>(&self, update: impl Future<Output = T>) -> T {
        FRAME.scope(self.clone(), update).await
    }

    /// Whether it stands in line for its first call: nothing was sent, so it can be dropped without a trace.
    #[must_use]
    pub fn is_unsent(&self) -> bool {
        self.state.waits.load(Ordering::Acquire) && !self.state.has_called.load(Ordering::Acquire)
    }
}

/// Whether the task works on a frame.
pub(super) fn is_frame() -> bool {
    FRAME.try_with(|_| ()).is_ok()
}

/// The task begins or ends to stand in line.
pub(super) fn waits(waits: bool) {
    let _no_frame = FRAME.try_with(|frame| frame.state.waits.store(waits, Ordering::Release));
}

/// A call leaves.
pub(super) fn call_leaves() {
    let _not_counted = ANSWER.try_with(|calls| calls.fetch_add(1, Ordering::Relaxed));
    let _no_frame = FRAME.try_with(|frame| frame.state.has_called.store(true, Ordering::Release));
}
