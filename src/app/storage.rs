//! The database: opened at start, migrated as soon as it is there, tidied from time to time.

use std::sync::Arc;
use std::time::Duration;

use magpie_core::cancel::CancelToken;
use magpie_core::clock::Clock;
use magpie_core::store::Store;
use magpie_store::{Database, MigrateError, OpenError, StoreConfig};
use tokio::time::sleep;
use tracing::{info, warn};

use super::backoff::Backoff;
use crate::config;

/// Dedupe keys and old messages are removed this often.
const TIDY_EVERY: Duration = Duration::from_secs(15 * 60);

/// Opens the database for serving or migrating; see [`Database::connect`].
///
/// # Errors
/// `store.url` can't be used, or another process uses the file.
pub async fn open(store: &config::Store, clock: Arc<dyn Clock>) -> Result<Database, OpenError> {
    Database::connect(&store_config(store, clock)).await
}

/// Opens the database beside a running service, to look at it; see [`Database::open_read_only`].
///
/// # Errors
/// `store.url` can't be used, or there is no such file.
pub async fn look_at(store: &config::Store, clock: Arc<dyn Clock>) -> Result<Database, OpenError> {
    Database::open_read_only(&store_config(store, clock)).await
}

fn store_config(store: &config::Store, clock: Arc<dyn Clock>) -> StoreConfig {
    StoreConfig { url: store.url.reveal().to_owned(), max_connections: store.max_connections, clock }
}

/// Applies migrations, waiting for the database if it is away.
///
/// # Errors
/// The database is there and does not fit: only an operator can help.
pub async fn migrate(database: &Database) -> Result<(), MigrateError> {
    let mut backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(10));
    loop {
        match database.migrate().await {
            Ok(applied) => {
                for name in applied {
                    info!(migration = name, "migration applied");
                }
                return Ok(());
            }
            Err(error @ MigrateError::Unavailable(_)) => {
                warn!(error = &error as &dyn std::error::Error, "the database is away; trying again");
                sleep(backoff.next_delay()).await;
            }
            Err(error) => return Err(error),
        }
    }
}

/// Removes what is no longer needed, until `stop`.
pub async fn tidy(store: Arc<dyn Store>, settings: config::Store, stop: CancelToken) {
    while !stop.is_cancelled() {
        if let Err(error) = store.tidy(settings.dedupe(), settings.history()).await {
            warn!(error = &error as &dyn std::error::Error, "the store was not tidied; trying again later");
        }
        tokio::select! {
            () = sleep(TIDY_EVERY) => {}
            () = stop.cancelled() => {}
        }
    }
}
