//! How the databases go about the statements that must stay quick in a large table.

use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, Row, SqliteConnection};

use crate::inbox::{CLAIM_MESSAGES, CLAIM_WAITING};
use crate::store::{HISTORY, OVERHEARD};

#[path = "../tests/support/mod.rs"]
#[expect(dead_code, reason = "shared with the test binaries")]
mod support;

/// 1,000,000 ended events with a message each, a tenth of them overheard in 100 chats, and 500 open ones of 100 scopes;
/// all messages of 1,000 conversations.
const FILL_SQLITE: [&str; 4] = [
    "INSERT INTO events (id, bot, platform, kind, lane, scope, chat_id, platform_event_id, state, reason, body,
                         received_at, done_at)
     WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000500)
     SELECT printf('%08x-0000-7000-8000-000000000000', i), 'helpdesk', 'feishu', 'message', 'messages',
            's' || (i % 100), 'c' || (i % 100), 'e' || i, iif(i <= 1000000, 'done', 'received'),
            iif(i <= 1000000 AND i / 100 % 10 = 0, 'not_mentioned', NULL), '{}', i, iif(i <= 1000000, i, NULL) FROM n",
    "INSERT INTO conversations (id, bot, platform, scope, chat_id, created_at, updated_at, ended_at)
     WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 999)
     SELECT 'c' || i, 'helpdesk', 'feishu', 's', 'chat', i, i, i FROM n",
    "INSERT INTO messages (id, conversation_id, event_id, role, text, created_at)
     WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000000)
     SELECT 'm' || i, 'c' || (i % 1000), printf('%08x-0000-7000-8000-000000000000', i), 'user', 't', i FROM n",
    "ANALYZE",
];

const FILL_POSTGRES: [&str; 4] = [
    "INSERT INTO events (id, bot, platform, kind, lane, scope, chat_id, platform_event_id, state, reason, body,
                         received_at, done_at)
     SELECT lpad(to_hex(i), 32, '0')::uuid, 'helpdesk', 'feishu', 'message', 'messages', 's' || (i % 100),
            'c' || (i % 100), 'e' || i, CASE WHEN i <= 1000000 THEN 'done' ELSE 'received' END,
            CASE WHEN i <= 1000000 AND i / 100 % 10 = 0 THEN 'not_mentioned' END, '{}', to_timestamp(i),
            CASE WHEN i <= 1000000 THEN to_timestamp(i) END FROM generate_series(1, 1000500) i",
    "INSERT INTO conversations (id, bot, platform, scope, chat_id, created_at, updated_at, ended_at)
     SELECT lpad(to_hex(i), 32, '0')::uuid, 'helpdesk', 'feishu', 's', 'chat', to_timestamp(i), to_timestamp(i),
            to_timestamp(i) FROM generate_series(0, 999) i",
    "INSERT INTO messages (id, conversation_id, event_id, role, text, created_at)
     SELECT gen_random_uuid(), lpad(to_hex(i % 1000), 32, '0')::uuid, lpad(to_hex(i), 32, '0')::uuid, 'user', 't',
            to_timestamp(i) FROM generate_series(1, 1000000) i",
    "ANALYZE",
];

#[tokio::test]
async fn sqlite_looks_claims_and_past_talk_up_in_indexes() {
    let file = support::SqliteFile::new();
    let database = file.open().await;
    let url = format!("sqlite://{}/data/magpie.db", file.folder.path().display());
    let mut connection = SqliteConnection::connect(&url).await.expect("the file opens");
    for statement in FILL_SQLITE {
        connection.execute(statement).await.expect("rows are made");
    }
    // The messages that are open, and the few that were overheard lately, are put in order apart.
    for (statement, sorts) in [(CLAIM_MESSAGES, 0), (HISTORY, 0), (CLAIM_WAITING, 2), (OVERHEARD, 1)] {
        let plan = sqlite_plan(&mut connection, statement).await;
        let results = ["SCAN (subquery", "SCAN queue", "SCAN waiting", "SCAN latest"];
        let looks = plan.iter().filter(|step| step.starts_with("SCAN") || step.starts_with("SEARCH"));
        for step in looks.filter(|step| !results.iter().any(|result| step.starts_with(result))) {
            assert!(step.contains("USING"), "no index for {step}, in {plan:#?}");
        }
        let sorted = plan.iter().filter(|step| step.contains("TEMP B-TREE")).count();
        assert!(sorted <= sorts, "sorts: {plan:#?}");
    }
    drop(database);
}

async fn sqlite_plan(connection: &mut SqliteConnection, statement: &str) -> Vec<String> {
    let explain = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {statement}"));
    let rows = sqlx::query(explain).fetch_all(connection).await.expect("it explains");
    rows.iter().map(|row| row.get("detail")).collect()
}

#[tokio::test]
async fn postgres_looks_claims_and_past_talk_up_in_indexes() {
    let case = "postgres_looks_claims_and_past_talk_up_in_indexes";
    let Some(server) = support::PostgresDatabase::create(case).await else { return };
    let _database = server.open().await;
    let mut connection = server.look().await;
    for statement in FILL_POSTGRES {
        connection.execute(statement).await.expect("rows are made");
    }
    let now = "timestamptz '2026-01-01'";
    let id = "'00000000-0000-0000-0000-000000000fff'::uuid";
    let claim = postgres_plan(&mut connection, CLAIM_MESSAGES, &["'w'", now, now, "16::bigint"]).await;
    assert!(claim.contains("events_open"), "{claim}");
    let conversation = "'00000000-0000-0000-0000-000000000001'::uuid";
    let history = postgres_plan(&mut connection, HISTORY, &[conversation, id, "20::bigint"]).await;
    assert!(history.contains("messages_history"), "{history}");
    let waiting = postgres_plan(&mut connection, CLAIM_WAITING, &["'w'", now, now, "16::bigint"]).await;
    assert!(waiting.contains("events_open"), "{waiting}");
    let heard = ["'helpdesk'", "'c7'", "''", id, now, "20::bigint"];
    let heard = postgres_plan(&mut connection, OVERHEARD, &heard).await;
    assert!(heard.contains("events_overheard"), "{heard}");
    for plan in [claim, history, waiting, heard] {
        assert!(!plan.contains("Seq Scan"), "{plan}");
    }
}

/// Without `EXPLAIN (GENERIC_PLAN)`, which came with Postgres 16, placeholders have to be filled in.
async fn postgres_plan(connection: &mut PgConnection, statement: &str, values: &[&str]) -> String {
    let filled = (1..).zip(values).fold(statement.to_owned(), |text, (n, value)| text.replace(&format!("${n}"), value));
    let explain = AssertSqlSafe(format!("EXPLAIN {filled}"));
    let rows = sqlx::query(explain).fetch_all(connection).await.expect("it explains");
    rows.iter().map(|row| row.get::<String, _>(0)).collect::<Vec<_>>().join("\n")
}
