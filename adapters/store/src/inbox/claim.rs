//! Leases events to a worker.

use magpie_core::clock::UnixMillis;
use magpie_core::event::Event;
use magpie_core::ids::{EventId, ScopeKey, WorkerId};
use magpie_core::inbox::{Claim, Fence, Lane};
use sqlx::FromRow;
use sqlx::types::Json;

use super::settle::parse_cause;
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

/// How the statements write it.
const _: () = assert!(Fence::WAITING == 2_147_483_648);

/// Of each scope only the oldest open event, and only while none of the scope is being worked on; showing the place of
/// one is no such work. Both conditions are look-ups in small partial indexes: the table may hold millions of events
/// that have ended.
///
/// The outer conditions repeat the lease: in Postgres a row that changed meanwhile (a lease just renewed) is checked
/// against them again, and not against the inner query.
pub(crate) const CLAIM_MESSAGES: &str = "\
    UPDATE events
    SET state = 'running', attempts = attempts + 1, claim = attempts + 1, worker = $1, lease_until = $2, retry_at = NULL
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
                AND busy.lane = 'messages' AND busy.lease_until > $3 AND busy.claim < 2147483648)
        ORDER BY e.id LIMIT $4)
      AND done_at IS NULL AND (state <> 'running' OR lease_until <= $3)
    RETURNING id, claim, ahead, cancel, body, scope, trace, received_at";

const CLAIM_CONTROL: &str = "\
    UPDATE events
    SET state = 'running', attempts = attempts + 1, claim = attempts + 1, worker = $1, lease_until = $2, retry_at = NULL
    WHERE id IN (
        SELECT e.id FROM events e
        WHERE e.lane = 'control' AND e.done_at IS NULL
          AND (e.state = 'received'
               OR (e.state = 'failed' AND e.retry_at <= $3)
               OR (e.state = 'running' AND e.lease_until <= $3))
        ORDER BY e.id LIMIT $4)
      AND done_at IS NULL AND (state <> 'running' OR lease_until <= $3)
    RETURNING id, claim, ahead, cancel, body, scope, trace, received_at";

/// Messages behind others of their scope. The places of all open messages are counted in one walk along their index:
/// a look-up for each would take the longer, the longer the queue is.
///
/// Whoever shows a place holds the message like any other claim, so a lease that ran out is claimable here too. The
/// number is noted at once; settling notes the number that was really shown.
pub(crate) const CLAIM_WAITING: &str = "\
    UPDATE events
    SET state = 'running', shown = shown + 1, claim = 2147483648 + shown, worker = $1, lease_until = $2,
        ahead = waiting.place
    FROM (
        SELECT queue.event, queue.place FROM (
            SELECT e.id AS event, e.state, e.claim, e.lease_until, e.ahead,
                   row_number() OVER (PARTITION BY e.bot, e.scope ORDER BY e.id) - 1 AS place
            FROM events e WHERE e.lane = 'messages' AND e.done_at IS NULL) AS queue
        WHERE queue.place > 0
          AND ((queue.state = 'received' AND queue.ahead IS DISTINCT FROM queue.place)
               OR (queue.state = 'running' AND queue.claim >= 2147483648 AND queue.lease_until <= $3))
        ORDER BY queue.event LIMIT $4) AS waiting
    WHERE id = waiting.event
      AND (state = 'received' OR (state = 'running' AND claim >= 2147483648 AND lease_until <= $3))
    RETURNING id, claim, ahead, cancel, body, scope, trace, received_at";

#[derive(FromRow)]
struct ClaimedRow {
    id: Id,
    claim: i64,
    ahead: Option<i64>,
    cancel: Option<String>,
    body: Json<serde_json::Value>,
    scope: String,
    trace: Option<String>,
    received_at: Stamp,
}

pub(super) async fn claim(pools: &Pools, wanted: Wanted<'_>) -> Result<Vec<Claim>, Failure> {
    let statement = match wanted.lane {
        Lane::Messages => CLAIM_MESSAGES,
        Lane::Control => CLAIM_CONTROL,
        Lane::Waiting => CLAIM_WAITING,
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
        let (id, attempt) = (EventId(row.id.0), row.claim);
        match read(row, wanted.lane) {
            Ok(claim) => claims.push(claim),
            Err(failure) => {
                let error = failure.during("claiming events");
                tracing::error!(event.id = %id, attempt, error = &error as &dyn std::error::Error,
                    "a stored event can't be read and is given up");
                give_up(&mut session, id, wanted.now).await?;
            }
        }
    }
    session.commit().await?;
    Ok(claims)
}

fn read(row: ClaimedRow, lane: Lane) -> Result<Claim, Failure> {
    let event: Event = serde_json::from_value(row.body.0).map_err(|error| Failure::Corrupt(error.into()))?;
    let attempt = u32::try_from(row.claim).unwrap_or(u32::MAX);
    let ahead = row.ahead.filter(|_| lane == Lane::Waiting).and_then(|ahead| u32::try_from(ahead).ok());
    Ok(Claim {
        fence: Fence { event: EventId(row.id.0), attempt },
        event,
        scope: ScopeKey(row.scope),
        trace: row.trace,
        received_at: row.received_at.0,
        ahead: ahead.unwrap_or(0),
        cancel: row.cancel.as_deref().map(parse_cause).transpose()?,
    })
}

/// An event that no version of this program can read must not hold up its scope for ever.
async fn give_up(session: &mut Session, event: EventId, now: UnixMillis) -> Result<(), Failure> {
    let statement = "UPDATE events SET state = 'dead', reason = 'unreadable', done_at = $2, lease_until = NULL
                     WHERE id = $1";
    session.execute(statement, args![event, now]).await?;
    Ok(())
}
