//! Leases events to a worker.

use magpie_core::clock::UnixMillis;
use magpie_core::event::Event;
use magpie_core::ids::{EventId, ScopeKey, WorkerId};
use magpie_core::inbox::{Claim, Fence, Lane};
use sqlx::FromRow;
use sqlx::types::Json;

use crate::column::{Id, Stamp, args};
use crate::errors::Failure;
use crate::session::{Excluding, Pools, Session};

pub(super) struct Wanted<'a> {
    pub worker: &'a WorkerId,
    pub lane: Lane,
    pub limit: u32,
    pub now: UnixMillis,
    pub lease_until: UnixMillis,
}

/// Of each scope only the oldest open event, and only while none of the scope is being worked on. Both conditions are
/// look-ups in small partial indexes: the table may hold millions of events that have ended.
///
/// The outer conditions repeat the lease: in Postgres a row that changed meanwhile (a lease just renewed) is checked
/// against them again, and not against the inner query.
pub(crate) const CLAIM_MESSAGES: &str = "\
    UPDATE events
    SET state = 'running', attempts = attempts + 1, worker = $1, lease_until = $2, retry_at = NULL
    WHERE id IN (
        SELECT e.id FROM events e
        WHERE e.lane = 'messages' AND e.done_at IS NULL
          AND (e.state = 'received'
               OR (e.state = 'failed' AND e.retry_at <= $3)
               OR (e.state = 'running' AND e.lease_until <= $3))
          AND NOT EXISTS (
              SELECT 1 FROM events older
              WHERE older.bot = e.bot AND older.scope = e.scope AND older.lane = 'messages'
                AND older.done_at IS NULL AND older.id < e.id)
          AND NOT EXISTS (
              SELECT 1 FROM events busy
              WHERE busy.bot = e.bot AND busy.scope = e.scope AND busy.state = 'running'
                AND busy.lane = 'messages' AND busy.lease_until > $3)
        ORDER BY e.id LIMIT $4)
      AND done_at IS NULL AND (state <> 'running' OR lease_until <= $3)
    RETURNING id, attempts, body, scope, trace, received_at";

const CLAIM_CONTROL: &str = "\
    UPDATE events
    SET state = 'running', attempts = attempts + 1, worker = $1, lease_until = $2, retry_at = NULL
    WHERE id IN (
        SELECT e.id FROM events e
        WHERE e.lane = 'control' AND e.done_at IS NULL
          AND (e.state = 'received'
               OR (e.state = 'failed' AND e.retry_at <= $3)
               OR (e.state = 'running' AND e.lease_until <= $3))
        ORDER BY e.id LIMIT $4)
      AND done_at IS NULL AND (state <> 'running' OR lease_until <= $3)
    RETURNING id, attempts, body, scope, trace, received_at";

#[derive(FromRow)]
struct ClaimedRow {
    id: Id,
    attempts: i64,
    body: Json<serde_json::Value>,
    scope: String,
    trace: Option<String>,
    received_at: Stamp,
}

pub(super) async fn claim(pools: &Pools, wanted: Wanted<'_>) -> Result<Vec<Claim>, Failure> {
    let statement = match wanted.lane {
        Lane::Messages => CLAIM_MESSAGES,
        Lane::Control => CLAIM_CONTROL,
        Lane::Waiting => return Ok(Vec::new()),
    };
    let mut session = pools.write(Excluding::Claims).await?;
    let args = args![wanted.worker, wanted.lease_until, wanted.now, wanted.limit];
    let mut rows: Vec<ClaimedRow> = session.all(statement, args).await?;
    if rows.is_empty() {
        session.rollback().await?;
        return Ok(Vec::new());
    }
    rows.sort_unstable_by_key(|row| row.id.0);
    let mut claims = Vec::with_capacity(rows.len());
    for row in rows {
        let (id, attempts) = (EventId(row.id.0), row.attempts);
        match read(row) {
            Ok(claim) => claims.push(claim),
            Err(error) => {
                tracing::error!(event.id = %id, attempt = attempts, error = &error as &dyn std::error::Error,
                    "a stored event can't be read and is given up");
                give_up(&mut session, id, wanted.now).await?;
            }
        }
    }
    session.commit().await?;
    Ok(claims)
}

fn read(row: ClaimedRow) -> Result<Claim, serde_json::Error> {
    let event: Event = serde_json::from_value(row.body.0)?;
    let attempt = u32::try_from(row.attempts).unwrap_or(u32::MAX);
    Ok(Claim {
        fence: Fence { event: EventId(row.id.0), attempt },
        event,
        scope: ScopeKey(row.scope),
        trace: row.trace,
        received_at: row.received_at.0,
        ahead: 0,
    })
}

/// An event that no version of this program can read must not hold up its scope for ever.
async fn give_up(session: &mut Session, event: EventId, now: UnixMillis) -> Result<(), Failure> {
    let statement = "UPDATE events SET state = 'dead', reason = 'unreadable', done_at = $2, lease_until = NULL
                     WHERE id = $1";
    session.execute(statement, args![event, now]).await?;
    Ok(())
}
