//! When the service is asked to end.

use std::io;
use std::time::Duration;

use magpie_core::cancel::CancelToken;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::Instant;

/// A Ctrl-C sooner than this after the first signal is the same request, passed on by a parent or the terminal.
const ANOTHER_AFTER: Duration = Duration::from_millis(500);

/// Cancels `stop` at the first SIGTERM or SIGINT. A later Ctrl-C ends the process: whoever presses it twice does not
/// want to wait for the grace time, and a kill at any moment loses nothing anyway.
///
/// # Errors
/// The signals can't be listened to.
pub fn on_signal(stop: CancelToken) -> io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::spawn(async move {
        let name = tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        };
        tracing::info!(signal = name, "stopping; Ctrl-C ends at once");
        stop.cancel();
        let first = Instant::now();
        while first.elapsed() < ANOTHER_AFTER {
            interrupt.recv().await;
        }
        tracing::warn!("ended without waiting");
        std::process::exit(1);
    });
    Ok(())
}
