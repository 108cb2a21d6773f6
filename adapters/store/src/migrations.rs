//! Migrations, embedded: one tree per database with the same numbers and names.

use sqlx::migrate::Migrator;

use crate::errors::MigrateError;
use crate::session::Pools;

pub(crate) static POSTGRES: Migrator = sqlx::migrate!("../../migrations/postgres");
pub(crate) static SQLITE: Migrator = sqlx::migrate!("../../migrations/sqlite");

/// Names such as `0001 initial` of what the database does not have yet, in order. Changes nothing.
pub(crate) async fn pending(pools: &Pools) -> Result<Vec<String>, MigrateError> {
    let applied = applied(pools).await?;
    Ok(embedded(pools)
        .iter()
        .filter(|migration| !applied.contains(&migration.version))
        .map(|migration| format!("{:04} {}", migration.version, migration.description))
        .collect())
}

/// Applies what is pending, each in its own transaction; gives their names. Instances that start together wait for
/// each other.
pub(crate) async fn run(pools: &Pools) -> Result<Vec<String>, MigrateError> {
    let names = pending(pools).await?;
    match pools {
        Pools::Postgres(pool) => POSTGRES.run(pool).await?,
        Pools::Sqlite { writer, .. } => SQLITE.run(writer).await?,
    }
    Ok(names)
}

fn embedded(pools: &Pools) -> &'static Migrator {
    match pools {
        Pools::Postgres(_) => &POSTGRES,
        Pools::Sqlite { .. } => &SQLITE,
    }
}

async fn applied(pools: &Pools) -> Result<Vec<i64>, MigrateError> {
    let mut session = match pools {
        Pools::Postgres(_) => pools.read().await?,
        // A reader can't open a file that the writer has not yet filled.
        Pools::Sqlite { writer, .. } => crate::session::Session::Sqlite(writer.acquire().await?),
    };
    let rows =
        session.all::<(i64,)>("SELECT version FROM _sqlx_migrations WHERE success ORDER BY version", vec![]).await;
    match rows {
        Ok(rows) => Ok(rows.into_iter().map(|(version,)| version).collect()),
        Err(error) if is_missing_table(&error) => Ok(Vec::new()),
        Err(error) => Err(error.into()),
    }
}

fn is_missing_table(error: &sqlx::Error) -> bool {
    let sqlx::Error::Database(database) = error else { return false };
    // SQLite has no code of its own for it.
    database.code().as_deref() == Some("42P01") || database.message().contains("no such table")
}
