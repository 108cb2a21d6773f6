//! Removes what has been kept long enough, a few rows at a time, so that nobody waits long behind it.

use std::time::Duration;

use magpie_core::clock::UnixMillis;

use crate::column::args;
use crate::errors::Failure;
use crate::session::{Excluding, Pools, Session};

/// Rows of one statement, which is one transaction.
const BATCH: i64 = 500;

pub(super) struct Kept {
    pub now: UnixMillis,
    pub dedupe: Duration,
    /// Zero: for ever.
    pub history: Duration,
}

const OLD_KEYS: &str = "DELETE FROM event_keys WHERE (bot, key) IN (
    SELECT bot, key FROM event_keys WHERE created_at < $1 ORDER BY created_at LIMIT $2)";

/// All of an allowance is back within a minute, and who was told to wait is told again after one.
const ALLOWANCES: Duration = Duration::from_secs(3600);

const OLD_ALLOWANCES: &str = "DELETE FROM allowances WHERE (bot, user_id) IN (
    SELECT bot, user_id FROM allowances WHERE updated_at < $1 ORDER BY updated_at LIMIT $2)";

/// Children come before their parents, so that no statement removes more than a batch by cascade. Open events and
/// conversations that live stay, however old. The few versions of an answer go with their event, a summary with its
/// conversation; what people have chosen stays.
const OLD_HISTORY: [&str; 4] = [
    "DELETE FROM messages WHERE id IN (
        SELECT id FROM messages WHERE created_at < $1 ORDER BY created_at LIMIT $2)",
    "DELETE FROM conversations WHERE id IN (
        SELECT id FROM conversations WHERE updated_at < $1 ORDER BY updated_at LIMIT $2)",
    "DELETE FROM events WHERE id IN (
        SELECT id FROM events WHERE received_at < $1 AND done_at IS NOT NULL ORDER BY received_at LIMIT $2)",
    "DELETE FROM bot_error_logs WHERE id IN (
        SELECT id FROM bot_error_logs WHERE timestamp < $1 ORDER BY timestamp LIMIT $2)",
];

pub(super) async fn tidy(pools: &Pools, kept: Kept) -> Result<(), Failure> {
    remove(pools, OLD_KEYS, kept.now - kept.dedupe).await?;
    remove(pools, OLD_ALLOWANCES, kept.now - ALLOWANCES).await?;
    if kept.history.is_zero() {
        return Ok(());
    }
    for statement in OLD_HISTORY {
        remove(pools, statement, kept.now - kept.history).await?;
    }
    Ok(())
}

async fn remove(pools: &Pools, statement: &'static str, before: UnixMillis) -> Result<(), Failure> {
    loop {
        let mut session = pools.write(Excluding::Nothing).await?;
        if !is_ours(&mut session).await? {
            return Ok(());
        }
        let removed = session.execute(statement, args![before, BATCH]).await?;
        session.commit().await?;
        if removed < BATCH.unsigned_abs() {
            return Ok(());
        }
        tokio::task::yield_now().await;
    }
}

/// In Postgres one instance tidies at a time; the others leave it to that one.
async fn is_ours(session: &mut Session) -> Result<bool, Failure> {
    let Session::PostgresTransaction(_) = session else { return Ok(true) };
    let row: Option<(bool,)> = session.optional("SELECT pg_try_advisory_xact_lock(7235, 3)", vec![]).await?;
    Ok(row.is_some_and(|(taken,)| taken))
}
