//! The app's tenant token: one for all calls, fetched by one task at a time.
//!
//! Source: "Get custom app's tenant_access_token" (at most 2 h of life; a new one is given once less than 30 min are
//! left, and both work until their ends), checked May 2026.

use std::sync::Arc;
use std::time::Duration;

use magpie_core::clock::{Clock, UnixMillis};
use tokio::sync::Mutex;

use crate::errors::ApiError;

/// Fetched again this long before its end; under the 30 min from which the platform gives a new one.
const EARLY: Duration = Duration::from_mins(10);

/// A token as the platform gave it.
#[derive(Debug, Clone)]
pub(crate) struct Fetched {
    pub(crate) text: String,
    pub(crate) lives: Duration,
}

struct Kept {
    text: String,
    fresh_until: UnixMillis,
    good_until: UnixMillis,
}

/// The cache.
pub(crate) struct Tokens {
    clock: Arc<dyn Clock>,
    kept: Mutex<Option<Kept>>,
}

impl Tokens {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, kept: Mutex::new(None) }
    }

    /// The token in force; `fetch` runs if there is none or it ends soon, while everybody else waits for its result.
    pub(crate) async fn get<F>(&self, fetch: impl FnOnce() -> F) -> Result<String, ApiError>
    where
        F: Future<Output = Result<Fetched, ApiError>>,
    {
        let mut kept = self.kept.lock().await;
        let now = self.clock.now();
        if let Some(token) = kept.as_ref().filter(|token| now < token.fresh_until) {
            return Ok(token.text.clone());
        }
        match fetch().await {
            Ok(fetched) => {
                let good_until = now + fetched.lives;
                let fresh_until = (good_until - EARLY).max(now + fetched.lives / 2);
                *kept = Some(Kept { text: fetched.text.clone(), fresh_until, good_until });
                Ok(fetched.text)
            }
            // An early refresh that fails costs nothing while the old token still works.
            Err(error) => match kept.as_ref().filter(|token| now < token.good_until) {
                Some(token) => Ok(token.text.clone()),
                None => Err(error),
            },
        }
    }

    /// Forgets a token that the platform refused, unless another task has already replaced it.
    pub(crate) async fn forget(&self, refused: &str) {
        let mut kept = self.kept.lock().await;
        if kept.as_ref().is_some_and(|token| token.text == refused) {
            *kept = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};

    use super::*;

    #[derive(Default)]
    struct Hand(AtomicI64);

    impl Clock for Hand {
        fn now(&self) -> UnixMillis {
            UnixMillis(self.0.load(Ordering::Relaxed))
        }
    }

    struct Source(AtomicU32);

    impl Source {
        async fn fetch(&self) -> Result<Fetched, ApiError> {
            tokio::task::yield_now().await;
            let number = self.0.fetch_add(1, Ordering::Relaxed) + 1;
            Ok(Fetched { text: format!("t-{number}"), lives: Duration::from_secs(7_200) })
        }
    }

    fn failing() -> std::future::Ready<Result<Fetched, ApiError>> {
        std::future::ready(Err(ApiError::Gateway { call: "token", status: 502 }))
    }

    #[tokio::test]
    async fn many_callers_at_once_fetch_one_token() {
        let (tokens, source) = (Tokens::new(Arc::new(Hand::default())), Source(AtomicU32::new(0)));
        let got = futures::future::join_all((0..20).map(|_| tokens.get(|| source.fetch()))).await;
        assert!(got.into_iter().all(|token| token.expect("a token") == "t-1"));
    }

    #[tokio::test]
    async fn token_is_renewed_before_its_end_and_kept_if_that_fails() {
        let (clock, source) = (Arc::new(Hand::default()), Source(AtomicU32::new(0)));
        let tokens = Tokens::new(Arc::clone(&clock) as Arc<dyn Clock>);
        assert_eq!(tokens.get(|| source.fetch()).await.expect("a token"), "t-1");
        clock.0.store(6_601_000, Ordering::Relaxed);
        assert_eq!(tokens.get(failing).await.expect("the old token still works"), "t-1");
        assert_eq!(tokens.get(|| source.fetch()).await.expect("a token"), "t-2");
        clock.0.store(14_000_000, Ordering::Relaxed);
        assert!(tokens.get(failing).await.is_err());
    }

    #[tokio::test]
    async fn forgetting_a_stale_token_leaves_a_newer_one_alone() {
        let (tokens, source) = (Tokens::new(Arc::new(Hand::default())), Source(AtomicU32::new(0)));
        tokens.get(|| source.fetch()).await.expect("a token");
        tokens.forget("t-0").await;
        assert_eq!(tokens.get(|| source.fetch()).await.expect("a token"), "t-1");
        tokens.forget("t-1").await;
        assert_eq!(tokens.get(|| source.fetch()).await.expect("a token"), "t-2");
    }
}
