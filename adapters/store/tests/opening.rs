//! Opening, locking and migrating.

#[expect(dead_code, reason = "shared by several test binaries")]
mod support;

use std::time::Duration;

use magpie_core::inbox::{CancelCause, Lane};
use magpie_core::store::StoreError;
use magpie_core::testkit::samples::message_entry;
use magpie_core::testkit::stores::LEASE;
use magpie_store::{Database, MigrateError, OpenError};
use sqlx::{Connection, Executor, SqliteConnection};
use support::{PostgresDatabase, SqliteFile, config};

#[tokio::test]
async fn a_second_process_on_one_file_is_refused() {
    let file = SqliteFile::new();
    let first = file.open().await;
    let second = Database::connect(&file.config()).await;
    assert!(matches!(second, Err(OpenError::InUse { path }) if path.ends_with("data/magpie.db")));
    drop(first);
    assert!(Database::connect(&file.config()).await.is_ok());
}

#[tokio::test]
async fn a_reader_works_beside_a_running_service_and_writes_nothing() {
    let file = SqliteFile::new();
    let service = file.open().await;
    let reader = Database::open_read_only(&file.config()).await.expect("readers are welcome");
    reader.store().ping().await.expect("it reads");
    assert_eq!(reader.pending_migrations().await.expect("it lists"), Vec::<String>::new());
    let refused = reader.inbox().accept(message_entry("a", "s", magpie_core::clock::UnixMillis(0))).await;
    assert!(matches!(refused, Err(StoreError::Unavailable { .. })), "{refused:?}");
    assert_eq!(service.inbox().depth().await.expect("it counts").received, 0);
}

#[tokio::test]
async fn a_reader_makes_no_file() {
    let file = SqliteFile::new();
    assert!(matches!(Database::open_read_only(&file.config()).await, Err(OpenError::File { .. })));
    assert!(!file.folder.path().join("data").exists());
}

#[tokio::test]
async fn migrations_are_listed_and_applied_once() {
    let file = SqliteFile::new();
    let database = Database::connect(&file.config()).await.expect("the file opens");
    let pending = database.pending_migrations().await.expect("it lists");
    assert_eq!(pending, ["0001 initial", "0002 conversations and cards", "0003 api calls"]);
    assert_eq!(database.migrate().await.expect("they apply"), pending);
    assert!(database.migrate().await.expect("nothing to do").is_empty());
    assert!(database.pending_migrations().await.expect("it lists").is_empty());
}

#[tokio::test]
async fn instances_that_start_together_migrate_once() {
    let Some(server) = PostgresDatabase::create("instances_that_start_together_migrate_once").await else { return };
    let one = Database::connect(&server.config()).await.expect("the address is fine");
    let other = Database::connect(&server.config()).await.expect("the address is fine");
    assert_eq!(one.pending_migrations().await.expect("it lists").len(), 3);
    let unready = one.inbox().depth().await;
    assert!(matches!(unready, Err(StoreError::Unavailable { .. })), "not migrated yet: {unready:?}");
    let (first, second) = tokio::join!(one.migrate(), other.migrate());
    first.expect("they apply");
    second.expect("they were applied meanwhile");
    assert!(other.pending_migrations().await.expect("it lists").is_empty());
}

#[tokio::test]
async fn a_database_of_a_newer_version_is_left_alone() {
    let file = SqliteFile::new();
    file.open().await.close().await;
    let path = format!("sqlite://{}/data/magpie.db", file.folder.path().display());
    let mut bare = SqliteConnection::connect(&path).await.expect("the file opens");
    bare.execute(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
         VALUES (9999, 'future', true, x'00', 0)",
    )
    .await
    .expect("a row is added");
    bare.close().await.expect("it closes");
    let database = Database::connect(&file.config()).await.expect("the file opens");
    assert!(matches!(database.migrate().await, Err(MigrateError::Unfit(_))));
}

#[tokio::test]
async fn an_address_that_can_not_work_is_refused() {
    let file = SqliteFile::new();
    for url in ["mysql://host/db", "data/magpie.db", "sqlite::memory:", "sqlite://", "postgres://host:port/db", ""] {
        let outcome = Database::connect(&config(url.to_owned(), &file.clock)).await;
        assert!(matches!(outcome, Err(OpenError::Url { .. })), "{url} was accepted");
    }
}

/// Nothing listens on the discard port; time is paused, so that nobody waits for the connection to time out.
#[tokio::test(start_paused = true)]
async fn an_absent_postgres_is_unavailable_and_no_reason_to_stop() {
    let file = SqliteFile::new();
    let away = config("postgres://nobody@127.0.0.1:9/none".to_owned(), &file.clock);
    let database = Database::connect(&away).await.expect("it is opened lazily");
    assert!(matches!(database.store().ping().await, Err(StoreError::Unavailable { .. })));
    let entry = message_entry("a", "s", magpie_core::clock::UnixMillis(0));
    assert!(matches!(database.inbox().accept(entry).await, Err(StoreError::Unavailable { .. })));
    assert!(matches!(database.migrate().await, Err(MigrateError::Unavailable(_))));
}

#[tokio::test]
async fn a_closed_store_is_unavailable() {
    let file = SqliteFile::new();
    let database = file.open().await;
    database.close().await;
    assert!(matches!(database.store().ping().await, Err(StoreError::Unavailable { .. })));
}

#[tokio::test]
async fn a_store_heals_when_its_database_comes_back() {
    let Some(server) = PostgresDatabase::create("a_store_heals_when_its_database_comes_back").await else { return };
    server.remove().await;
    let database = Database::connect(&server.config()).await.expect("it is opened lazily");
    assert!(matches!(database.migrate().await, Err(MigrateError::Unavailable(_))));
    server.make().await;
    assert_eq!(database.migrate().await.expect("they apply").len(), 3);
    database.store().ping().await.expect("it is there");
}

#[tokio::test]
async fn lost_connections_are_replaced() {
    let Some(server) = PostgresDatabase::create("lost_connections_are_replaced").await else { return };
    let (one, other) = (server.open().await, server.open().await);
    let entry = message_entry("a", "s", magpie_core::clock::UnixMillis(0));
    one.inbox().accept(entry.clone()).await.expect("it is stored");
    let claims = other.inbox().claim(&"worker".into(), Lane::Messages, 1, LEASE).await.expect("it claims");
    let mut heard = other.inbox().cancellations();

    let cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
               WHERE datname = current_database() AND pid <> pg_backend_pid()";
    server.look().await.execute(cut).await.expect("they are cut");

    other.inbox().renew(claims[0].fence, LEASE).await.expect("a new connection is made");
    let listening = async {
        // Listening begins again in its own time, so the other instance is told until it hears.
        loop {
            one.inbox().cancel(entry.id, CancelCause::Stopped).await.expect("a new connection is made");
            if let Ok(event) = tokio::time::timeout(Duration::from_millis(200), heard.recv()).await {
                return event.expect("it still listens");
            }
        }
    };
    let event = tokio::time::timeout(Duration::from_secs(30), listening).await.expect("it listens again");
    assert_eq!(event, entry.id);
}
