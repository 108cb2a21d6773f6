//! When to repeat a request, and when not before.

use std::time::Duration;

use magpie_core::engine::EngineError;
use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};
use tokio::time::{Instant, sleep};

use crate::fault::Fault;

/// The first pause where the endpoint names none; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// Sends until it works, as often as allowed and as long as `deadline` leaves room for the wait. `engine` is the name
/// for logs. The caller ends the whole thing at `deadline`.
pub(crate) async fn repeated<T, F: Future<Output = Result<T, Fault>>>(
    engine: &str,
    max_retries: u32,
    deadline: Instant,
    mut send: impl FnMut() -> F,
) -> Result<T, EngineError> {
    let mut attempt = 0;
    loop {
        let fault = match send().await {
            Ok(done) => return Ok(done),
            Err(fault) => fault,
        };
        let wait = fault.retry_after.unwrap_or_else(|| pause(attempt));
        let in_time = Instant::now().checked_add(wait).is_some_and(|at| at < deadline);
        if !fault.repeatable || attempt >= max_retries || !in_time {
            return Err(fault.error);
        }
        attempt += 1;
        let wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        tracing::debug!(engine.name = engine, attempt, wait_ms, error = %fault.error, "cloud request is repeated");
        sleep(wait).await;
    }
}

/// How long to wait before attempt `attempt + 1` (attempts count from 0), with half of it left to chance so that
/// clients do not come back all at once.
pub(crate) fn pause(attempt: u32) -> Duration {
    let full = FIRST_PAUSE.saturating_mul(2_u32.saturating_pow(attempt)).min(LONGEST_PAUSE);
    full.mul_f64(rand::random_range(0.5..=1.0))
}

/// The wait that `Retry-After` asks for: seconds, or a date. A date is compared with the response's own `Date`, so
/// this machine's clock does not matter; without that header it says nothing.
/// Source: RFC 9110 §10.2.3.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let at = httpdate::parse_http_date(text).ok()?;
    let sent = httpdate::parse_http_date(headers.get(DATE)?.to_str().ok()?).ok()?;
    Some(at.duration_since(sent).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn seconds_and_dates_are_understood() {
        assert_eq!(retry_after(&headers(&[("retry-after", "7")])), Some(Duration::from_secs(7)));
        let dated =
            headers(&[("retry-after", "Sun, 06 Nov 1994 08:49:47 GMT"), ("date", "Sun, 06 Nov 1994 08:49:37 GMT")]);
        assert_eq!(retry_after(&dated), Some(Duration::from_secs(10)));
    }

    #[test]
    fn a_past_date_means_now_and_nonsense_means_nothing() {
        let past =
            headers(&[("retry-after", "Sun, 06 Nov 1994 08:49:37 GMT"), ("date", "Sun, 06 Nov 1994 08:49:47 GMT")]);
        assert_eq!(retry_after(&past), Some(Duration::ZERO));
        assert_eq!(retry_after(&headers(&[("retry-after", "soon")])), None);
        assert_eq!(retry_after(&headers(&[])), None);
    }

    #[test]
    fn pauses_grow_up_to_a_limit() {
        for attempt in 0..40 {
            let full = FIRST_PAUSE.saturating_mul(2_u32.saturating_pow(attempt)).min(LONGEST_PAUSE);
            let pause = pause(attempt);
            assert!(pause >= full / 2 && pause <= full, "attempt {attempt}: {pause:?}");
        }
    }
}
