//! When the service is asked to end.

use std::io;

use magpie_core::cancel::CancelToken;
use tokio::signal::unix::{SignalKind, signal};

/// Cancels `stop` at the first SIGTERM or SIGINT and ends the process at the second: whoever asks twice does not want
/// to wait for the grace time, and a kill at any moment loses nothing anyway.
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
        tracing::info!(signal = name, "stopping; once more ends at once");
        stop.cancel();
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::warn!("ended without waiting");
        std::process::exit(1);
    });
    Ok(())
}
