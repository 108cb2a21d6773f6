//! Waiting for a condition, with a deadline that only a defect reaches.

use std::time::{Duration, Instant};

/// Nothing that works takes this long, even on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(40);

/// Between two looks at something that can't be subscribed to.
const PAUSE: Duration = Duration::from_millis(20);

/// Looks again and again until there is what was waited for; what `look` gives instead is shown when it never comes.
///
/// # Panics
/// When [`PATIENCE`] is over.
pub async fn eventually<T>(what: &str, look: impl AsyncFnMut() -> Result<T, String>) -> T {
    within(PATIENCE, what, look).await
}

/// The same with another deadline.
///
/// # Panics
/// When `limit` is over.
pub async fn within<T>(limit: Duration, what: &str, mut look: impl AsyncFnMut() -> Result<T, String>) -> T {
    let deadline = Instant::now() + limit;
    loop {
        let seen = match look().await {
            Ok(found) => return found,
            Err(seen) => seen,
        };
        assert!(Instant::now() < deadline, "waited {limit:?} for {what}; last seen: {seen}");
        tokio::time::sleep(PAUSE).await;
    }
}
