//! Whether the database is there and up to date. Looks only; safe beside a running service.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use magpie_core::causes::with_causes;
use magpie_core::clock::SystemClock;
use tokio::time::timeout;

use super::report::Report;
use crate::app::storage;
use crate::config;

const TIMEOUT: Duration = Duration::from_secs(8);

pub async fn check(store: &config::Store, report: &mut Report) {
    let url = store.url.reveal();
    if let Some(path) = url.strip_prefix("sqlite://")
        && !Path::new(path.split('?').next().unwrap_or(path)).exists()
    {
        return report
            .warn("database", format!("{path} does not exist yet; `magpie serve` or `magpie migrate` makes it"));
    }
    let database = match storage::look_at(store, Arc::new(SystemClock)).await {
        Ok(database) => database,
        Err(error) => return report.fail("database", with_causes(&error)),
    };
    match timeout(TIMEOUT, database.store().ping()).await {
        Ok(Ok(())) => report.ok("database", database.kind()),
        Ok(Err(error)) => {
            return report
                .fail("database", format!("{}; check store.url and that the server runs", with_causes(&error)));
        }
        Err(_) => return report.fail("database", "no answer in time; check store.url, the server and the network"),
    }
    match timeout(TIMEOUT, database.pending_migrations()).await {
        Ok(Ok(pending)) if pending.is_empty() => report.ok("migrations", "up to date"),
        Ok(Ok(pending)) => report.warn(
            "migrations",
            format!("{} to apply ({}); `magpie serve` or `magpie migrate` does it", pending.len(), pending.join(", ")),
        ),
        Ok(Err(error)) => report.fail("migrations", with_causes(&error)),
        Err(_) => report.fail("migrations", "no answer in time; check the database server"),
    }
}
