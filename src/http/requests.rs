//! Requests under way, counted so that shutdown waits for them and for nothing else: the web server itself would wait
//! for idle connections too.

use std::pin::Pin;
use std::task::{Context, Poll};

use actix_web::Error;
use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::error::ErrorInternalServerError;
use bytes::Bytes;
use tokio::sync::watch;

/// Counts requests from their heads to the last bytes of their responses.
#[derive(Debug, Clone)]
pub struct Requests {
    running: watch::Sender<usize>,
}

/// A request under way; it ends when this is dropped.
#[derive(Debug)]
pub struct Running {
    running: watch::Sender<usize>,
}

impl Default for Requests {
    fn default() -> Self {
        Self { running: watch::Sender::new(0) }
    }
}

impl Requests {
    #[must_use]
    pub fn begin(&self) -> Running {
        self.running.send_modify(|count| *count += 1);
        Running { running: self.running.clone() }
    }

    /// Returns once no request is under way.
    pub async fn ended(&self) {
        // The sender lives in `self`, so waiting can't fail.
        let _ = self.running.subscribe().wait_for(|count| *count == 0).await;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.running.send_modify(|count| *count -= 1);
    }
}

/// A response's body that keeps its request under way until it is sent.
pub(super) struct Tracked {
    body: BoxBody,
    _running: Running,
}

impl Tracked {
    pub fn new(body: BoxBody, running: Running) -> Self {
        Self { body, _running: running }
    }
}

impl MessageBody for Tracked {
    type Error = Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Error>>> {
        Pin::new(&mut self.body).poll_next(context).map_err(ErrorInternalServerError)
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    #[test]
    fn the_end_comes_with_the_last_request() {
        let requests = Requests::default();
        assert!(requests.ended().now_or_never().is_some());
        let (first, second) = (requests.begin(), requests.begin());
        drop(first);
        assert!(requests.ended().now_or_never().is_none());
        drop(second);
        assert!(requests.ended().now_or_never().is_some());
    }
}
