//! A fresh database of either kind, and a look into its tables as an outside reader has it.

use std::path::Path;
use std::str::FromStr;
use std::sync::atomic::{AtomicU32, Ordering};

use sqlx::postgres::PgConnectOptions;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection, Row, SqliteConnection};

use super::wait::eventually;

/// Where a test keeps its data.
#[derive(Debug)]
pub enum Backing {
    /// A file in the test's folder.
    Sqlite,
    Postgres(OwnDatabase),
}

/// A database on the test server, dropped at the end.
#[derive(Debug)]
pub struct OwnDatabase {
    server: String,
    name: String,
}

impl Backing {
    /// A database of this test's own, or `None` (said aloud) without a server to make it on.
    ///
    /// # Panics
    /// In CI without `TEST_DATABASE_URL`, and when the server refuses.
    pub async fn postgres() -> Option<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let Ok(server) = std::env::var("TEST_DATABASE_URL") else {
            assert!(std::env::var_os("CI").is_none(), "TEST_DATABASE_URL is not set; CI has to test on Postgres too");
            eprintln!("SKIPPED on Postgres: TEST_DATABASE_URL is not set");
            return None;
        };
        let name = format!("magpie_it_{}_{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        for statement in [format!("DROP DATABASE IF EXISTS {name}"), format!("CREATE DATABASE {name}")] {
            administer(&server, statement).await.expect("the test server makes databases");
        }
        Some(Self::Postgres(OwnDatabase { server, name }))
    }

    /// `store.url` for a service in `folder`.
    pub fn url(&self, folder: &Path) -> String {
        match self {
            Self::Sqlite => format!("sqlite://{}", folder.join("magpie.db").display()),
            Self::Postgres(database) => database.url(),
        }
    }
}

impl OwnDatabase {
    fn url(&self) -> String {
        let mut url = reqwest::Url::parse(&self.server).expect("TEST_DATABASE_URL is a URL");
        url.set_path(&self.name);
        url.into()
    }
}

impl Drop for OwnDatabase {
    fn drop(&mut self) {
        let (server, statement) = (self.server.clone(), format!("DROP DATABASE {} WITH (FORCE)", self.name));
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.map(|runtime| runtime.block_on(administer(&server, statement)))
        });
        // A database that is left over does no harm on a test server.
        dropping.join().ok();
    }
}

async fn administer(server: &str, statement: String) -> sqlx::Result<()> {
    let mut connection = PgConnection::connect(server).await?;
    sqlx::query(AssertSqlSafe(statement)).execute(&mut connection).await?;
    connection.close().await
}

/// The tables, as anybody may read them beside the running service.
#[derive(Debug, Clone)]
pub struct Tables {
    url: String,
}

impl Tables {
    pub fn new(url: String) -> Self {
        Self { url }
    }

    /// The rows of a query whose columns are all text; NULL becomes `-`.
    pub async fn rows(&self, query: &str) -> sqlx::Result<Vec<Vec<String>>> {
        let sql = AssertSqlSafe(query.to_owned());
        let text = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
        if self.url.starts_with("sqlite") {
            let mut connection: SqliteConnection = SqliteConnectOptions::from_str(&self.url)?.connect().await?;
            let rows = sqlx::query(sql).fetch_all(&mut connection).await?;
            rows.iter().map(|row| (0..row.len()).map(|at| row.try_get(at).map(text)).collect()).collect()
        } else {
            let mut connection = PgConnectOptions::from_str(&self.url)?.connect().await?;
            let rows = sqlx::query(sql).fetch_all(&mut connection).await?;
            rows.iter().map(|row| (0..row.len()).map(|at| row.try_get(at).map(text)).collect()).collect()
        }
    }

    /// How many rows `what` (a table, perhaps with WHERE) has.
    pub async fn count(&self, what: &str) -> usize {
        let query = format!("SELECT CAST(count(*) AS TEXT) FROM {what}");
        let rows = self.rows(&query).await.expect("the table can be read");
        rows[0][0].parse().expect("a count is a number")
    }

    /// Waits until the query gives exactly these rows.
    pub async fn become_rows(&self, query: &str, expected: &[&[&str]]) {
        eventually(&format!("{query} to give {expected:?}"), async || match self.rows(query).await {
            Ok(rows) if rows == expected => Ok(()),
            other => Err(format!("{other:?}")),
        })
        .await;
    }

    /// Waits until no event is open any more.
    pub async fn settled(&self) {
        let open = "SELECT kind, state, reason, CAST(attempts AS TEXT) FROM events WHERE done_at IS NULL";
        self.become_rows(open, &[]).await;
    }
}
