//! The wire log: what really went over HTTP between a simulated platform and the service.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;
use tokio::sync::broadcast;

/// Who began an exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// The simulated platform pushed something to the service.
    ToService,
    /// The service called the simulated platform's API.
    ToPlatform,
}

/// One HTTP exchange, as the playground shows it and as tests count it.
#[derive(Debug, Clone, Serialize)]
pub struct Exchange {
    /// Position in the log, from 1, never reused.
    pub number: u64,
    /// `feishu` or `dingtalk`.
    pub platform: &'static str,
    pub direction: Direction,
    pub method: String,
    /// Path with query; session tokens in it are shortened.
    pub path: String,
    /// Request headers worth seeing (signature, timestamp, …), secrets shortened.
    pub headers: Vec<(String, String)>,
    pub request_body: String,
    /// HTTP status; 0 when no answer came.
    pub status: u16,
    pub response_body: String,
    /// From request to answer, in milliseconds.
    pub took_ms: u64,
}

/// A bounded log that can be read at any time and followed live. Clones share one log.
#[derive(Debug, Clone)]
pub struct WireLog {
    inner: Arc<Mutex<Kept>>,
    live: broadcast::Sender<Exchange>,
}

#[derive(Debug, Default)]
struct Kept {
    next: u64,
    exchanges: VecDeque<Exchange>,
}

const KEEP: usize = 2_000;

impl Default for WireLog {
    fn default() -> Self {
        Self { inner: Arc::default(), live: broadcast::channel(256).0 }
    }
}

impl WireLog {
    /// Adds an exchange; its `number` is given here.
    pub fn push(&self, mut exchange: Exchange) {
        {
            let mut kept = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
            kept.next += 1;
            exchange.number = kept.next;
            kept.exchanges.push_back(exchange.clone());
            if kept.exchanges.len() > KEEP {
                kept.exchanges.pop_front();
            }
        }
        // Nobody following is the usual case in tests.
        let _ = self.live.send(exchange);
    }

    /// Everything still kept, oldest first.
    #[must_use]
    pub fn all(&self) -> Vec<Exchange> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).exchanges.iter().cloned().collect()
    }

    /// Exchanges from now on.
    #[must_use]
    pub fn follow(&self) -> broadcast::Receiver<Exchange> {
        self.live.subscribe()
    }
}
