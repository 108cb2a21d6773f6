//! Opens a SQLite file.

use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};

use crate::errors::OpenError;
use crate::lock::InstanceLock;
use crate::session::Pools;

/// How long a writer waits for its turn before the caller is told to come back later.
const TURN: Duration = Duration::from_secs(5);
/// Readers beyond this would only compete for the same file.
const MOST_READERS: u32 = 8;

/// Opens for writing, making folder and file if needed; refused while another process has it open for writing.
pub(crate) async fn open(url: &str, max_connections: u32) -> Result<(Pools, InstanceLock), OpenError> {
    let options = parse(url)?;
    let path = options.get_filename().to_owned();
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).map_err(|source| OpenError::Folder { path: folder.to_owned(), source })?;
    }
    let lock = InstanceLock::take(&path)?;

    // The acknowledgement of an event promises that it survives a power cut, hence FULL: in WAL mode NORMAL would
    // not sync at commit.
    let writing = options
        .clone()
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .pragma("cache_size", "-16000");
    let writer = SqlitePoolOptions::new()
        .max_connections(1)
        .acquire_timeout(TURN)
        .idle_timeout(None)
        .max_lifetime(None)
        .connect_with(writing)
        .await
        .map_err(|source| OpenError::File { path: path.clone(), source })?;
    Ok((Pools::Sqlite { writer, readers: readers(options, max_connections) }, lock))
}

/// Opens beside a running service. Writing fails.
pub(crate) fn open_read_only(url: &str, max_connections: u32) -> Result<Pools, OpenError> {
    let options = parse(url)?;
    let path: &Path = options.get_filename();
    if !path.exists() {
        return Err(OpenError::File {
            path: path.to_owned(),
            source: sqlx::Error::Io(std::io::ErrorKind::NotFound.into()),
        });
    }
    let readers = readers(options, max_connections);
    Ok(Pools::Sqlite { writer: readers.clone(), readers })
}

fn readers(options: SqliteConnectOptions, max_connections: u32) -> sqlx::SqlitePool {
    SqlitePoolOptions::new()
        .max_connections(max_connections.clamp(1, MOST_READERS))
        .acquire_timeout(TURN)
        .connect_lazy_with(options.read_only(true))
}

fn parse(url: &str) -> Result<SqliteConnectOptions, OpenError> {
    if url.contains(":memory:") || url.contains("mode=memory") {
        return Err(OpenError::Url { what: "a database in memory would lose acknowledged events", source: None });
    }
    let options = SqliteConnectOptions::from_str(url)
        .map_err(|source| OpenError::Url { what: "not a SQLite address", source: Some(source) })?;
    if options.get_filename().as_os_str().is_empty() {
        return Err(OpenError::Url { what: "it names no file", source: None });
    }
    Ok(options.busy_timeout(TURN).foreign_keys(true))
}
