//! The app's access token: fetched by one task at a time, early, and once more when the platform refuses it.

use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::answer::Class;
use crate::failure::Failure;

/// A token is renewed this long before its end.
const EARLY: Duration = Duration::from_secs(5 * 60);
/// Wrong credentials are not tried again before this.
const REFUSED_PAUSE: Duration = Duration::from_secs(60);

/// What a token request gave.
pub(crate) struct Grant {
    pub token: String,
    pub life: Duration,
}

#[derive(Default)]
pub(crate) struct Tokens {
    /// Held while a token is fetched, so that all who wait get the same one.
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    held: Option<Held>,
    /// Code of the refusal, and when credentials may be tried again.
    refused: Option<(String, Instant)>,
}

struct Held {
    token: String,
    renew_at: Instant,
    ends_at: Instant,
}

impl Tokens {
    /// The token, fetched by `fetch` if there is none or it nears its end. A renewal that fails while the old token
    /// still lives is no failure.
    pub async fn get<F, Fut>(&self, fetch: F) -> Result<String, Failure>
    where
        F: FnOnce() -> Fut + Send,
        Fut: Future<Output = Result<Grant, Failure>> + Send,
    {
        let mut state = self.state.lock().await;
        let now = Instant::now();
        if let Some(held) = state.held.as_ref().filter(|held| now < held.renew_at) {
            return Ok(held.token.clone());
        }
        if let Some((code, until)) = state.refused.as_ref().filter(|(_, until)| now < *until) {
            return Err(Failure::new("token", Class::Credentials, code).after(*until - now));
        }
        match fetch().await {
            Ok(grant) => {
                let early = EARLY.min(grant.life / 2);
                let ends_at = now + grant.life;
                state.refused = None;
                state.held = Some(Held { token: grant.token.clone(), renew_at: ends_at - early, ends_at });
                Ok(grant.token)
            }
            Err(failure) => {
                if failure.class == Class::Credentials {
                    state.refused = Some((failure.code.clone(), now + REFUSED_PAUSE));
                }
                let living = state.held.as_ref().filter(|held| now < held.ends_at);
                living.map(|held| held.token.clone()).ok_or(failure)
            }
        }
    }

    /// Forgets `token` if it is still the one in use; somebody else may have replaced it already.
    pub async fn drop_if_current(&self, token: &str) {
        let mut state = self.state.lock().await;
        if state.held.as_ref().is_some_and(|held| held.token == token) {
            state.held = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    async fn get(tokens: &Tokens, fetched: &AtomicU32) -> String {
        let fetch = || async {
            tokio::time::sleep(Duration::from_millis(50)).await;
            let number = fetched.fetch_add(1, Ordering::Relaxed);
            Ok(Grant { token: format!("t{number}"), life: Duration::from_secs(7_200) })
        };
        tokens.get(fetch).await.unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn many_callers_fetch_one_token_and_renew_it_early() {
        let (tokens, fetched) = (Tokens::default(), AtomicU32::new(0));
        let both = tokio::join!(get(&tokens, &fetched), get(&tokens, &fetched));
        assert_eq!(both, ("t0".to_owned(), "t0".to_owned()));
        tokio::time::advance(Duration::from_secs(7_200 - 301)).await;
        assert_eq!(get(&tokens, &fetched).await, "t0");
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!(get(&tokens, &fetched).await, "t1");
    }

    #[tokio::test(start_paused = true)]
    async fn only_the_token_that_failed_is_dropped() {
        let (tokens, fetched) = (Tokens::default(), AtomicU32::new(0));
        assert_eq!(get(&tokens, &fetched).await, "t0");
        tokens.drop_if_current("older").await;
        assert_eq!(get(&tokens, &fetched).await, "t0");
        tokens.drop_if_current("t0").await;
        assert_eq!(get(&tokens, &fetched).await, "t1");
    }

    #[tokio::test(start_paused = true)]
    async fn wrong_credentials_are_not_hammered() {
        let (tokens, fetched) = (Tokens::default(), AtomicU32::new(0));
        let refuse = || async {
            fetched.fetch_add(1, Ordering::Relaxed);
            Err(Failure::new("token", Class::Credentials, "invalidClientIdOrSecret"))
        };
        assert!(tokens.get(refuse).await.is_err());
        assert!(tokens.get(refuse).await.is_err());
        assert_eq!(fetched.load(Ordering::Relaxed), 1);
        tokio::time::advance(REFUSED_PAUSE).await;
        assert!(tokens.get(refuse).await.is_err());
        assert_eq!(fetched.load(Ordering::Relaxed), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_failed_renewal_leaves_the_living_token_in_use() {
        let (tokens, fetched) = (Tokens::default(), AtomicU32::new(0));
        get(&tokens, &fetched).await;
        tokio::time::advance(Duration::from_secs(7_000)).await;
        let fail = || async { Err(Failure::new("token", Class::Temporary, "serviceBusy")) };
        assert_eq!(tokens.get(fail).await.unwrap(), "t0");
        tokio::time::advance(Duration::from_secs(201)).await;
        assert!(tokens.get(fail).await.is_err());
    }
}
