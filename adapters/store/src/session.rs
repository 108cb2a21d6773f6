//! One connection or transaction, whichever database it goes to.

use magpie_core::ids::EventId;
use magpie_core::inbox::Fence;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgArguments, PgConnection, PgPool, PgRow};
use sqlx::sqlite::{SqliteArguments, SqliteConnection, SqlitePool, SqliteRow};
use sqlx::{FromRow, Postgres, Sqlite, Transaction};

use crate::column::{Arg, Id, args};
use crate::errors::Failure;

/// A statement. Placeholders are `$1`, `$2`, … in both dialects.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sql {
    pub postgres: &'static str,
    pub sqlite: &'static str,
}

/// One text that both databases understand.
impl From<&'static str> for Sql {
    fn from(both: &'static str) -> Self {
        Self { postgres: both, sqlite: both }
    }
}

/// A row struct that both databases can fill.
pub(crate) trait StoredRow: for<'r> FromRow<'r, PgRow> + for<'r> FromRow<'r, SqliteRow> + Send + Unpin {}

impl<T> StoredRow for T where T: for<'r> FromRow<'r, PgRow> + for<'r> FromRow<'r, SqliteRow> + Send + Unpin {}

/// What a transaction excludes while it lasts. SQLite has one writer, so there it changes nothing.
///
/// In Postgres these are advisory locks of this program's class, 7235.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Excluding {
    Nothing,
    /// Claims of all instances come one after the other, so that each sees what the others claimed.
    Claims,
    /// Shared by everybody who stores events: a cancellation by message id waits until none is half stored.
    CancellationsByMessage,
    /// The other side of it.
    Accepts,
}

impl Excluding {
    fn begin(self) -> &'static str {
        match self {
            Self::Nothing => "BEGIN",
            Self::Claims => "BEGIN; SELECT pg_advisory_xact_lock(7235, 1)",
            Self::CancellationsByMessage => "BEGIN; SELECT pg_advisory_xact_lock_shared(7235, 2)",
            Self::Accepts => "BEGIN; SELECT pg_advisory_xact_lock(7235, 2)",
        }
    }
}

/// The connections of one database.
#[derive(Debug, Clone)]
pub(crate) enum Pools {
    Postgres(PgPool),
    /// SQLite has one writer at a time anyway; a pool of one makes writers wait in line instead of failing as busy.
    Sqlite {
        writer: SqlitePool,
        readers: SqlitePool,
    },
}

impl Pools {
    /// A connection to read with.
    pub(crate) async fn read(&self) -> Result<Session, sqlx::Error> {
        Ok(match self {
            Self::Postgres(pool) => Session::Postgres(pool.acquire().await?),
            Self::Sqlite { readers, .. } => Session::Sqlite(readers.acquire().await?),
        })
    }

    /// A transaction that may write; rolled back unless committed.
    pub(crate) async fn write(&self, excluding: Excluding) -> Result<Session, sqlx::Error> {
        Ok(match self {
            Self::Postgres(pool) => Session::PostgresTransaction(pool.begin_with(excluding.begin()).await?),
            Self::Sqlite { writer, .. } => Session::SqliteTransaction(writer.begin_with("BEGIN IMMEDIATE").await?),
        })
    }

    pub(crate) async fn close(&self) {
        match self {
            Self::Postgres(pool) => pool.close().await,
            Self::Sqlite { writer, readers } => {
                readers.close().await;
                writer.close().await;
            }
        }
    }
}

/// One connection, or one transaction on it.
pub(crate) enum Session {
    Postgres(PoolConnection<Postgres>),
    PostgresTransaction(Transaction<'static, Postgres>),
    Sqlite(PoolConnection<Sqlite>),
    SqliteTransaction(Transaction<'static, Sqlite>),
}

enum Wire<'a> {
    Postgres(&'a mut PgConnection),
    Sqlite(&'a mut SqliteConnection),
}

impl Session {
    fn wire(&mut self) -> Wire<'_> {
        match self {
            Self::Postgres(connection) => Wire::Postgres(connection),
            Self::PostgresTransaction(transaction) => Wire::Postgres(transaction),
            Self::Sqlite(connection) => Wire::Sqlite(connection),
            Self::SqliteTransaction(transaction) => Wire::Sqlite(transaction),
        }
    }

    /// Runs a statement and gives the number of rows it changed.
    pub(crate) async fn execute(&mut self, sql: impl Into<Sql>, args: Vec<Arg>) -> Result<u64, sqlx::Error> {
        let sql = sql.into();
        match self.wire() {
            Wire::Postgres(connection) => {
                let query = sqlx::query_with::<Postgres, _>(sql.postgres, for_postgres(args)?);
                Ok(query.execute(connection).await?.rows_affected())
            }
            Wire::Sqlite(connection) => {
                let query = sqlx::query_with::<Sqlite, _>(sql.sqlite, for_sqlite(args)?);
                Ok(query.execute(connection).await?.rows_affected())
            }
        }
    }

    /// All rows of a statement.
    pub(crate) async fn all<T: StoredRow>(
        &mut self,
        sql: impl Into<Sql>,
        args: Vec<Arg>,
    ) -> Result<Vec<T>, sqlx::Error> {
        let sql = sql.into();
        match self.wire() {
            Wire::Postgres(connection) => {
                sqlx::query_as_with::<Postgres, T, _>(sql.postgres, for_postgres(args)?).fetch_all(connection).await
            }
            Wire::Sqlite(connection) => {
                sqlx::query_as_with::<Sqlite, T, _>(sql.sqlite, for_sqlite(args)?).fetch_all(connection).await
            }
        }
    }

    /// The first row of a statement, if there is one. All rows are read, so that a writing statement runs to its end.
    pub(crate) async fn optional<T: StoredRow>(
        &mut self,
        sql: impl Into<Sql>,
        args: Vec<Arg>,
    ) -> Result<Option<T>, sqlx::Error> {
        Ok(self.all(sql, args).await?.into_iter().next())
    }

    /// Locks an event's row for this transaction if the claim still holds, and gives the event's conversation.
    pub(crate) async fn guard(&mut self, fence: Fence) -> Result<Option<Id>, Failure> {
        const GUARD: Sql = Sql {
            postgres: "SELECT conversation_id FROM events
                       WHERE id = $1 AND claim = $2 AND state = 'running' FOR UPDATE",
            sqlite: "SELECT conversation_id FROM events WHERE id = $1 AND claim = $2 AND state = 'running'",
        };
        let row: Option<(Option<Id>,)> = self.optional(GUARD, args![fence.event, fence.attempt]).await?;
        row.map(|(conversation,)| conversation).ok_or(Failure::Fenced(fence.event))
    }

    /// Tells every instance that something may be claimable; sent with the commit.
    pub(crate) async fn notify_inbox(&mut self) -> Result<(), sqlx::Error> {
        self.notify("SELECT pg_notify('magpie_inbox', $1)", "").await
    }

    /// Tells every instance that an event's work is to end; sent with the commit.
    pub(crate) async fn notify_cancel(&mut self, event: EventId) -> Result<(), sqlx::Error> {
        self.notify("SELECT pg_notify('magpie_cancel', $1)", &event.to_string()).await
    }

    async fn notify(&mut self, statement: &'static str, payload: &str) -> Result<(), sqlx::Error> {
        if matches!(self.wire(), Wire::Postgres(_)) {
            self.execute(statement, args![payload]).await?;
        }
        Ok(())
    }

    pub(crate) async fn commit(self) -> Result<(), sqlx::Error> {
        match self {
            Self::PostgresTransaction(transaction) => transaction.commit().await,
            Self::SqliteTransaction(transaction) => transaction.commit().await,
            Self::Postgres(_) | Self::Sqlite(_) => Ok(()),
        }
    }

    pub(crate) async fn rollback(self) -> Result<(), sqlx::Error> {
        match self {
            Self::PostgresTransaction(transaction) => transaction.rollback().await,
            Self::SqliteTransaction(transaction) => transaction.rollback().await,
            Self::Postgres(_) | Self::Sqlite(_) => Ok(()),
        }
    }
}

fn for_postgres(args: Vec<Arg>) -> Result<PgArguments, sqlx::Error> {
    let mut arguments = PgArguments::default();
    for arg in args {
        arg.add_to_postgres(&mut arguments).map_err(sqlx::Error::Encode)?;
    }
    Ok(arguments)
}

fn for_sqlite(args: Vec<Arg>) -> Result<SqliteArguments, sqlx::Error> {
    let mut arguments = SqliteArguments::default();
    for arg in args {
        arg.add_to_sqlite(&mut arguments).map_err(sqlx::Error::Encode)?;
    }
    Ok(arguments)
}
