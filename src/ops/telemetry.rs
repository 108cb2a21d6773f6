//! Logs on standard error, for people or for machines.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::{SubscriberInitExt as _, TryInitError};

use crate::config::{Log, LogFormat};

/// The web server's own start is no news; `log.level` can ask for it.
const QUIET: &str = "actix_server=warn";

/// Begins logging as `[log]` says. Standard output stays free for the results of commands.
///
/// # Errors
/// Somebody began logging before.
pub fn start(log: &Log) -> Result<(), TryInitError> {
    // The configuration was checked, so every directive parses; `info` is the floor should a new syntax slip through.
    let directives = format!("{QUIET},{}", log.level);
    let filter = EnvFilter::try_new(directives).unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match log.format {
        LogFormat::Text => builder.with_ansi(std::io::stderr().is_terminal()).finish().try_init(),
        LogFormat::Json => builder.json().flatten_event(true).with_current_span(true).finish().try_init(),
    }
}
