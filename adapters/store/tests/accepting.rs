//! Durability and shared commits, which a port alone does not show.

#[expect(dead_code, reason = "shared by several test binaries")]
mod support;

use futures::future::join_all;
use magpie_core::clock::Clock;
use magpie_core::inbox::{Acceptance, CancelCause, Cancelled, Entry, Lane};
use magpie_core::store::StoreError;
use magpie_core::testkit::samples::{BOT, message_entry};
use magpie_core::testkit::stores::LEASE;
use magpie_store::Database;
use support::{PostgresDatabase, SqliteFile, config};

async fn five_hundred_at_once(database: &Database, clock: &dyn Clock) {
    let inbox = database.inbox();
    let entries = (0..500).map(|n| message_entry(&n.to_string(), &format!("s{n}"), clock.now()));
    let accepted = join_all(entries.map(|entry| inbox.accept(entry))).await;
    assert!(accepted.into_iter().all(|outcome| outcome.expect("it is stored") == Acceptance::New));
    assert_eq!(inbox.depth().await.expect("it counts").received, 500);
    let transactions = database.accept_transactions();
    assert!(transactions <= 50, "{transactions} transactions for 500 concurrent events");
}

#[tokio::test]
async fn concurrent_events_share_transactions_in_sqlite() {
    let file = SqliteFile::new();
    five_hundred_at_once(&file.open().await, &*file.clock).await;
}

#[tokio::test]
async fn concurrent_events_share_transactions_in_postgres() {
    let Some(server) = PostgresDatabase::create("concurrent_events_share_transactions").await else { return };
    five_hundred_at_once(&server.open().await, &*server.clock).await;
}

/// An id of ours that is taken is a defect; the events that share its transaction must not pay for it.
#[tokio::test]
async fn one_event_that_is_refused_does_not_take_the_others_with_it() {
    let file = SqliteFile::new();
    let database = file.open().await;
    let inbox = database.inbox();
    let first = message_entry("first", "s", file.clock.now());
    inbox.accept(first.clone()).await.expect("it is stored");
    let entries = (0..20).map(|n| {
        let entry = message_entry(&n.to_string(), "s", file.clock.now());
        if n == 10 { Entry { id: first.id, ..entry } } else { entry }
    });
    let outcomes = join_all(entries.map(|entry| inbox.accept(entry))).await;
    for (n, outcome) in outcomes.into_iter().enumerate() {
        assert_eq!(n == 10, matches!(outcome, Err(StoreError::Bug { .. })), "{n}: {outcome:?}");
    }
    assert_eq!(inbox.depth().await.expect("it counts").received, 20);
}

/// A copy of the files at the moment of the acknowledgement is what a killed process leaves behind.
#[tokio::test]
async fn an_acknowledged_event_survives_a_crash() {
    let file = SqliteFile::new();
    let database = file.open().await;
    let entry = message_entry("a", "s", file.clock.now());
    database.inbox().accept(entry.clone()).await.expect("it is stored");

    let wreck = tempfile::tempdir().expect("a temporary folder");
    for left in std::fs::read_dir(file.folder.path().join("data")).expect("the folder is there") {
        let left = left.expect("a file").path();
        let name = left.file_name().expect("files have names");
        std::fs::copy(&left, wreck.path().join(name)).expect("the file can be copied");
    }
    let url = format!("sqlite://{}/magpie.db", wreck.path().display());
    let revived = Database::connect(&config(url, &file.clock)).await.expect("the copy opens");
    let claims = revived.inbox().claim(&"worker".into(), Lane::Messages, 10, LEASE).await.expect("it claims");
    assert_eq!(claims.iter().map(|claim| claim.fence.event).collect::<Vec<_>>(), [entry.id]);
}

/// Whichever comes first, the question is not answered: either the recall finds the message, or the message the recall.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_recall_never_slips_past_its_message() {
    let Some(server) = PostgresDatabase::create("a_recall_never_slips_past_its_message").await else { return };
    let (one, other) = (server.open().await, server.open().await);
    let bot = BOT.into();
    for round in 0..50 {
        let name = format!("round_{round}");
        let entry = message_entry(&name, &name, server.clock.now());
        let message = format!("om_{name}").into();
        let (accepting, recalling) = (one.inbox(), other.inbox());
        let (accepted, met) =
            tokio::join!(accepting.accept(entry), recalling.cancel_message(&bot, &message, CancelCause::Recalled));
        assert_eq!(accepted.expect("it is stored"), Acceptance::New);
        assert!(matches!(met.expect("it is looked for"), Cancelled::Ended | Cancelled::Unknown));
    }
    let claims = one.inbox().claim(&"worker".into(), Lane::Messages, 100, LEASE).await.expect("it claims");
    assert!(claims.is_empty(), "{} recalled messages are left", claims.len());
}

/// What the batching task holds must not keep a file open after everybody has let go of it.
#[tokio::test]
async fn a_dropped_database_lets_go_of_its_file() {
    let file = SqliteFile::new();
    let database = file.open().await;
    let (inbox, store) = (database.inbox(), database.store());
    drop(database);
    assert!(Database::connect(&file.config()).await.is_err(), "the ports keep it open");
    drop((inbox, store));
    assert!(Database::connect(&file.config()).await.is_ok());
}
