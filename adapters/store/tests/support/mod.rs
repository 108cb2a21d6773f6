//! Databases for tests: an empty, migrated one for each.

use std::sync::Arc;

use magpie_core::testkit::ManualClock;
use magpie_core::testkit::stores::Fixture;
use magpie_store::{Database, StoreConfig};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use tempfile::TempDir;

pub fn config(url: String, clock: &Arc<ManualClock>) -> StoreConfig {
    StoreConfig { url, max_connections: 4, clock: Arc::clone(clock) as _ }
}

/// A SQLite file in a folder of its own.
pub struct SqliteFile {
    pub folder: TempDir,
    pub clock: Arc<ManualClock>,
}

impl SqliteFile {
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a temporary folder"), clock: Arc::default() }
    }

    pub fn config(&self) -> StoreConfig {
        config(format!("sqlite://{}/data/magpie.db", self.folder.path().display()), &self.clock)
    }

    pub async fn open(&self) -> Database {
        let database = Database::connect(&self.config()).await.expect("the file opens");
        database.migrate().await.expect("the migrations apply");
        database
    }
}

/// A database on the server of `TEST_DATABASE_URL`, removed in the end.
pub struct PostgresDatabase {
    server: String,
    name: String,
    pub url: String,
    pub clock: Arc<ManualClock>,
}

impl PostgresDatabase {
    /// `None`, aloud, where no server is given; in CI there must be one.
    pub async fn create(case: &str) -> Option<Self> {
        let Ok(server) = std::env::var("TEST_DATABASE_URL") else {
            assert!(std::env::var_os("CI").is_none(), "TEST_DATABASE_URL must be set in CI");
            eprintln!("SKIPPED {case}: TEST_DATABASE_URL is not set");
            return None;
        };
        let name = format!("magpie_test_{}", uuid::Uuid::new_v4().simple());
        let (base, _) = server.rsplit_once('/').expect("TEST_DATABASE_URL names a database");
        let database = Self { url: format!("{base}/{name}"), server, name, clock: Arc::default() };
        database.make().await;
        Some(database)
    }

    /// Makes it on the server, empty.
    pub async fn make(&self) {
        on_server(&self.server, format!("CREATE DATABASE {}", self.name)).await;
    }

    /// Removes it from the server, whoever is connected.
    pub async fn remove(&self) {
        on_server(&self.server, format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name)).await;
    }

    pub fn config(&self) -> StoreConfig {
        config(self.url.clone(), &self.clock)
    }

    pub async fn open(&self) -> Database {
        let database = Database::connect(&self.config()).await.expect("the address is fine");
        database.migrate().await.expect("the migrations apply");
        database
    }

    /// A bare connection, to look at what is stored.
    pub async fn look(&self) -> PgConnection {
        PgConnection::connect(&self.url).await.expect("the database is there")
    }
}

/// On a thread of its own, since a test's runtime can't be waited for from inside.
impl Drop for PostgresDatabase {
    fn drop(&mut self) {
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                runtime.expect("a runtime").block_on(self.remove());
            });
        });
    }
}

async fn on_server(server: &str, statement: String) {
    let mut connection = PgConnection::connect(server).await.expect("TEST_DATABASE_URL is reachable");
    connection.execute(AssertSqlSafe(statement)).await.expect("may create and remove databases");
    connection.close().await.ok();
}

pub async fn sqlite_fixture(_case: &str) -> Option<Fixture> {
    let file = SqliteFile::new();
    let database = file.open().await;
    Some(Fixture {
        inbox: database.inbox(),
        other_inbox: database.inbox(),
        store: database.store(),
        other_store: database.store(),
        meter: database.meter(),
        other_meter: database.meter(),
        clock: Arc::clone(&file.clock),
        keep: Box::new(file),
    })
}

pub async fn postgres_fixture(case: &str) -> Option<Fixture> {
    let server = PostgresDatabase::create(case).await?;
    let (one, other) = (server.open().await, server.open().await);
    Some(Fixture {
        inbox: one.inbox(),
        other_inbox: other.inbox(),
        store: one.store(),
        other_store: other.store(),
        meter: one.meter(),
        other_meter: other.meter(),
        clock: Arc::clone(&server.clock),
        keep: Box::new(server),
    })
}
