//! Errors by what the caller can do, and how the driver's errors are sorted into them.

use std::path::PathBuf;
use std::sync::Arc;

use magpie_core::ids::EventId;
use magpie_core::store::StoreError;

/// Why a database could not be opened. An unreachable Postgres is no such reason: it is opened lazily and heals.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// `store.url` can't be used as it stands.
    #[error(
        "store.url can't be used: {what}; write sqlite://path/to/file.db or postgres://user:password@host/database"
    )]
    Url {
        what: &'static str,
        #[source]
        source: Option<sqlx::Error>,
    },
    /// Another process serves from this file.
    #[error("{path} is in use by another process; stop it first, or use Postgres to run several")]
    InUse { path: PathBuf },
    /// The folder or the lock file can't be made.
    #[error("{path} can't be written; check the path and its permissions")]
    Folder {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    /// The file is there and can't be opened as a database.
    #[error("the database file {path} can't be opened")]
    File {
        path: PathBuf,
        #[source]
        source: sqlx::Error,
    },
}

/// Why migrations could not be applied or listed.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// Not reachable; try again later.
    #[error("the database is not reachable, so migrations wait")]
    Unavailable(#[source] sqlx::Error),
    /// The database is ahead of this program, or a migration was edited after it had been applied.
    #[error(
        "the database does not fit this version of the program; install the version that migrated it, or a newer one"
    )]
    Unfit(#[source] sqlx::migrate::MigrateError),
    /// A migration failed; the database is as it was before that migration.
    #[error("a migration failed and was rolled back")]
    Failed(#[source] sqlx::migrate::MigrateError),
}

impl From<sqlx::migrate::MigrateError> for MigrateError {
    fn from(error: sqlx::migrate::MigrateError) -> Self {
        use sqlx::migrate::MigrateError as Cause;
        match error {
            Cause::Execute(source) if is_unavailable(&source) => Self::Unavailable(source),
            Cause::ExecuteMigration(source, _) if is_unavailable(&source) => Self::Unavailable(source),
            Cause::VersionMissing(_) | Cause::VersionMismatch(_) | Cause::VersionTooOld(..) => Self::Unfit(error),
            other => Self::Failed(other),
        }
    }
}

impl From<sqlx::Error> for MigrateError {
    fn from(error: sqlx::Error) -> Self {
        sqlx::migrate::MigrateError::Execute(error).into()
    }
}

/// What went wrong inside this crate, before it is known on whose behalf.
#[derive(Debug)]
pub(crate) enum Failure {
    Sql(sqlx::Error),
    Fenced(EventId),
    /// A stored value that can't be understood.
    Corrupt(Box<dyn std::error::Error + Send + Sync>),
    /// More callers wait than the queue holds, or the store is shutting down.
    Refused(&'static str),
    TimedOut,
    /// The transaction shared with other callers failed.
    Shared(Arc<StoreError>),
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        Self::Sql(error)
    }
}

#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Refusal(&'static str);

impl Failure {
    /// The port's error; `doing` completes "… while".
    pub(crate) fn during(self, doing: &'static str) -> StoreError {
        match self {
            Self::Fenced(event) => StoreError::Fenced(event),
            Self::Corrupt(source) => StoreError::Corrupt { doing, source },
            Self::Refused(why) => StoreError::Unavailable { doing, source: Box::new(Refusal(why)) },
            Self::TimedOut => StoreError::Unavailable { doing, source: Box::new(Refusal("the database is too slow")) },
            Self::Shared(error) if matches!(*error, StoreError::Unavailable { .. }) => {
                StoreError::Unavailable { doing, source: Box::new(error) }
            }
            Self::Shared(error) => StoreError::Bug { doing, source: Box::new(error) },
            Self::Sql(error) if is_unavailable(&error) => StoreError::Unavailable { doing, source: Box::new(error) },
            Self::Sql(error @ (sqlx::Error::Decode(_) | sqlx::Error::ColumnDecode { .. })) => {
                StoreError::Corrupt { doing, source: Box::new(error) }
            }
            Self::Sql(error) => StoreError::Bug { doing, source: Box::new(error) },
        }
    }

    /// Another transaction was in the way; the same work may succeed if it is begun again.
    pub(crate) fn is_conflict(&self) -> bool {
        let Self::Sql(sqlx::Error::Database(error)) = self else { return false };
        // serialization_failure, deadlock_detected
        matches!(error.code().as_deref(), Some("40001" | "40P01"))
    }

    /// Another transaction made the same key meanwhile.
    pub(crate) fn is_taken(&self) -> bool {
        matches!(self, Self::Sql(sqlx::Error::Database(error)) if error.is_unique_violation())
    }
}

/// Whether waiting may help: no connection, no room, no answer, or no schema yet.
pub(crate) fn is_unavailable(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed
        | sqlx::Error::BeginFailed => true,
        sqlx::Error::Database(database) => {
            let code = database.code().unwrap_or_default();
            if database.try_downcast_ref::<sqlx::sqlite::SqliteError>().is_some() {
                code.parse().is_ok_and(is_transient_sqlite)
            } else {
                is_transient_postgres(&code)
            }
        }
        _ => false,
    }
}

/// Primary result codes of <https://www.sqlite.org/rescode.html>: BUSY, LOCKED, NOMEM, READONLY, IOERR, FULL, CANTOPEN
/// and PROTOCOL. The upper bytes refine them.
fn is_transient_sqlite(code: i32) -> bool {
    matches!(code & 0xff, 5 | 6 | 7 | 8 | 10 | 13 | 14 | 15)
}

/// SQLSTATE classes of <https://www.postgresql.org/docs/current/errcodes-appendix.html>: connection, authorisation (an
/// operator can heal it), rollback, resources, operator intervention, system; and lock timeout, read-only (a replica
/// before it is promoted), missing database and missing table (not migrated yet).
fn is_transient_postgres(code: &str) -> bool {
    ["08", "28", "40", "53", "57", "58"].iter().any(|class| code.starts_with(class))
        || matches!(code, "55P03" | "25006" | "3D000" | "42P01")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_a_reason_to_try_later() {
        assert!(is_transient_sqlite(13));
        assert!(is_transient_sqlite(5 | (2 << 8)), "BUSY_SNAPSHOT is a kind of BUSY");
        assert!(!is_transient_sqlite(1), "a wrong statement is a defect");
    }

    #[test]
    fn a_restarting_postgres_is_a_reason_to_try_later() {
        assert!(is_transient_postgres("57P01"));
        assert!(is_transient_postgres("42P01"));
        assert!(!is_transient_postgres("42601"), "a syntax error is a defect");
        assert!(!is_transient_postgres("23505"));
    }

    #[test]
    fn a_lost_claim_keeps_its_event() {
        let event = EventId::new();
        assert!(matches!(Failure::Fenced(event).during("testing"), StoreError::Fenced(id) if id == event));
    }
}
