//! What people find when they query the tables, and that both trees of migrations make the same ones.

#[expect(dead_code, reason = "shared by several test binaries")]
mod support;

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use magpie_core::clock::Clock;
use magpie_core::event::PlatformKind;
use magpie_core::ids::{ConversationId, EventId};
use magpie_core::inbox::Lane;
use magpie_core::store::{Opening, Store, Vote};
use magpie_core::testkit::samples::{BOT, answer, message_entry};
use magpie_core::testkit::stores::LEASE;
use magpie_store::Database;
use sqlx::{Connection, SqliteConnection};
use support::{PostgresDatabase, SqliteFile};

const SQLITE_COLUMNS: &str = "SELECT t.name || '.' || c.name FROM sqlite_master t JOIN pragma_table_info(t.name) c
    WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite_%' AND t.name <> '_sqlx_migrations'";
const POSTGRES_COLUMNS: &str = "SELECT table_name || '.' || column_name FROM information_schema.columns
    WHERE table_schema = 'public' AND table_name <> '_sqlx_migrations'";

async fn look(file: &SqliteFile) -> SqliteConnection {
    let url = format!("sqlite://{}/data/magpie.db", file.folder.path().display());
    SqliteConnection::connect(&url).await.expect("outside readers can always read")
}

async fn sqlite_columns() -> BTreeSet<String> {
    let file = SqliteFile::new();
    let _database = file.open().await;
    let names = sqlx::query_scalar(SQLITE_COLUMNS).fetch_all(&mut look(&file).await).await;
    names.expect("the catalogue is readable").into_iter().collect()
}

#[tokio::test]
async fn both_trees_make_the_same_tables_and_columns() {
    let Some(server) = PostgresDatabase::create("both_trees_make_the_same_tables_and_columns").await else { return };
    server.open().await;
    let names: Vec<String> = sqlx::query_scalar(POSTGRES_COLUMNS)
        .fetch_all(&mut server.look().await)
        .await
        .expect("the catalogue is readable");
    assert_eq!(names.into_iter().collect::<BTreeSet<_>>(), sqlite_columns().await);
}

#[test]
fn both_trees_have_the_same_numbers_and_names() {
    let names = |tree: &str| -> BTreeSet<String> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../migrations").join(tree);
        let files = std::fs::read_dir(folder).expect("the folder is there");
        files.map(|file| file.expect("a file").file_name().to_string_lossy().into_owned()).collect()
    };
    assert_eq!(names("postgres"), names("sqlite"));
}

#[tokio::test]
async fn published_tables_and_columns_are_there() {
    let columns = sqlite_columns().await;
    let published = [
        (
            "events",
            "id bot kind platform_event_id platform_message_id conversation_id state reason attempts lease_until received_at done_at",
        ),
        ("conversations", "id bot platform chat_id user_id thread_id created_at updated_at"),
        ("messages", "id conversation_id role text engine model created_at"),
        ("deliveries", "id event_id bot kind platform_message_id card_id sequence state created_at updated_at"),
        ("feedback", "id message_id bot user_id value reason comment created_at"),
        ("answer_versions", "event_id number text engine model chosen created_at"),
        ("summaries", "conversation_id text updated_at"),
        ("choices", "bot subject name value updated_at"),
        ("allowances", "bot user_id"),
        ("bot_error_logs", "id timestamp error_code bot request_id message detail"),
        ("api_keys", "id"),
        ("api_key_versions", "id"),
        ("audit_log", "id"),
        ("usage_daily", "day"),
        ("api_calls", "app class month calls"),
    ];
    for (table, names) in published {
        for name in names.split(' ') {
            assert!(columns.contains(&format!("{table}.{name}")), "{table}.{name} is missing");
        }
    }
}

/// One answered question, recorded and voted on more than once.
async fn answered(database: &Database, clock: &dyn Clock) -> (EventId, ConversationId) {
    let (inbox, store) = (database.inbox(), database.store());
    inbox.accept(message_entry("a", "s", clock.now())).await.expect("it is stored");
    let claims = inbox.claim(&"worker".into(), Lane::Messages, 1, LEASE).await.expect("it claims");
    let fence = claims[0].fence;
    let conversation = store.open_conversation(fence, opening(clock)).await.expect("it opens").id;
    let answer = answer(conversation, fence.event, "answer", clock.now());
    for _ in 0..2 {
        store.record_answer(fence, &answer).await.expect("it is recorded");
    }
    for up in [true, false] {
        vote(&*store, fence.event, up, clock).await;
    }
    store.complete(fence, &answer.delivery, None).await.expect("it completes");
    (fence.event, conversation)
}

fn opening(clock: &dyn Clock) -> Opening {
    Opening {
        bot: BOT.into(),
        platform: PlatformKind::Feishu,
        scope: "s".into(),
        chat: "oc_team".into(),
        user: None,
        thread: None,
        idle: Duration::ZERO,
        now: clock.now(),
    }
}

async fn vote(store: &dyn Store, event: EventId, up: bool, clock: &dyn Clock) {
    let vote = Vote {
        bot: BOT.into(),
        event,
        user: "ou_ada".into(),
        up,
        reason: Some("outdated".to_owned()),
        comment: None,
        now: clock.now(),
    };
    assert!(store.vote(&vote).await.expect("it is stored"));
}

/// Each finds one row, in either database.
const SUMMARY: [&str; 6] = [
    "SELECT count(*) FROM usage_daily WHERE answers = 1 AND prompt_tokens = 11 AND completion_tokens = 5
        AND engine = 'primary' AND CAST(day AS text) = '2026-01-01'",
    "SELECT count(*) FROM feedback WHERE value = 'down' AND reason = 'outdated'",
    "SELECT count(*) FROM feedback",
    "SELECT count(*) FROM messages m JOIN events e ON e.conversation_id = m.conversation_id
        WHERE m.role = 'assistant' AND m.fallback_from = 'local' AND e.state = 'done' AND e.attempts = 1",
    "SELECT count(*) FROM deliveries WHERE kind = 'answer' AND state = 'final' AND sequence = 7",
    "SELECT count(*) FROM events WHERE chat_id = 'oc_team' AND thread_id IS NULL",
];

#[tokio::test]
async fn sqlite_tables_tell_of_an_answer_once() {
    let file = SqliteFile::new();
    let database = file.open().await;
    answered(&database, &*file.clock).await;
    let mut connection = look(&file).await;
    for statement in SUMMARY {
        let rows: i64 = sqlx::query_scalar(statement).fetch_one(&mut connection).await.expect("it reads");
        assert_eq!(rows, 1, "{statement}");
    }
    let received: i64 =
        sqlx::query_scalar("SELECT received_at FROM events").fetch_one(&mut connection).await.expect("it reads");
    assert_eq!(received, file.clock.now().0);
}

#[tokio::test]
async fn postgres_tables_tell_of_an_answer_once() {
    let Some(server) = PostgresDatabase::create("postgres_tables_tell_of_an_answer_once").await else { return };
    answered(&server.open().await, &*server.clock).await;
    let mut connection = server.look().await;
    for statement in SUMMARY {
        let rows: i64 = sqlx::query_scalar(statement).fetch_one(&mut connection).await.expect("it reads");
        assert_eq!(rows, 1, "{statement}");
    }
    let native = "SELECT count(*) FROM events e JOIN conversations c ON c.id = e.conversation_id
                  WHERE e.received_at = timestamptz '2026-01-01 00:00:00Z' AND c.created_at = e.received_at
                    AND e.occurred_at = timestamptz '2025-12-31 23:59:59.123Z'
                    AND e.body ->> 'platform_event_id' = 'ev_a'";
    let rows: i64 = sqlx::query_scalar(native).fetch_one(&mut connection).await.expect("it reads");
    assert_eq!(rows, 1, "times and JSON are native");
}

/// A second answer by the same engine, recorded twice by an event of its own.
async fn answered_again(database: &Database, clock: &dyn Clock) {
    let (event, conversation) = answered(database, clock).await;
    let (inbox, store) = (database.inbox(), database.store());
    inbox.accept(message_entry("again", "t", clock.now())).await.expect("it is stored");
    let claims = inbox.claim(&"worker".into(), Lane::Messages, 1, LEASE).await.expect("it claims");
    let answer = answer(conversation, event, "another answer", clock.now());
    for _ in 0..2 {
        store.record_version(claims[0].fence, answer.delivery.event, &answer).await.expect("it is recorded");
    }
}

/// Each finds one row, in either database.
const VERSIONS: [&str; 4] = [
    "SELECT count(*) FROM usage_daily WHERE answers = 2 AND prompt_tokens = 22 AND completion_tokens = 10",
    "SELECT count(*) FROM answer_versions WHERE number = 1 AND text = 'answer' AND made_by IS NULL AND NOT chosen",
    "SELECT count(*) FROM answer_versions v JOIN events e ON e.id = v.made_by
        WHERE v.number = 2 AND v.text = 'another answer' AND v.engine = 'primary' AND v.fallback_from = 'local'
          AND v.completion_tokens = 5 AND v.chosen AND e.platform_event_id = 'ev_again'",
    "SELECT count(*) FROM messages m JOIN feedback f ON f.message_id = m.id WHERE m.text = 'another answer'",
];

#[tokio::test]
async fn sqlite_tables_tell_of_each_version_once() {
    let file = SqliteFile::new();
    answered_again(&file.open().await, &*file.clock).await;
    let mut connection = look(&file).await;
    for statement in VERSIONS {
        let rows: i64 = sqlx::query_scalar(statement).fetch_one(&mut connection).await.expect("it reads");
        assert_eq!(rows, 1, "{statement}");
    }
}

#[tokio::test]
async fn postgres_tables_tell_of_each_version_once() {
    let Some(server) = PostgresDatabase::create("postgres_tables_tell_of_each_version_once").await else { return };
    answered_again(&server.open().await, &*server.clock).await;
    let mut connection = server.look().await;
    for statement in VERSIONS {
        let rows: i64 = sqlx::query_scalar(statement).fetch_one(&mut connection).await.expect("it reads");
        assert_eq!(rows, 1, "{statement}");
    }
}

/// A row that no version can read must not hold its conversation up for ever.
#[tokio::test]
async fn an_unreadable_event_is_given_up() {
    let file = SqliteFile::new();
    let database = file.open().await;
    let inbox = database.inbox();
    for name in ["a", "b"] {
        inbox.accept(message_entry(name, "s", file.clock.now())).await.expect("it is stored");
    }
    let mut connection = look(&file).await;
    sqlx::query("UPDATE events SET body = '{}' WHERE platform_event_id = 'ev_a'")
        .execute(&mut connection)
        .await
        .expect("it is damaged");
    let worker = "worker".into();
    let claim = || inbox.claim(&worker, Lane::Messages, 10, LEASE);
    assert!(claim().await.expect("it claims").is_empty());
    assert_eq!(claim().await.expect("it claims").len(), 1, "the next one goes on");
    assert_eq!(inbox.depth().await.expect("it counts").dead, 1);
}
