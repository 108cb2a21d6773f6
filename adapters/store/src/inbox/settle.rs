//! Keeps, ends and hands back claims.

use magpie_core::clock::UnixMillis;
use magpie_core::ids::WorkerId;
use magpie_core::inbox::{CancelCause, Depth, Fence, Outcome};
use sqlx::FromRow;

use crate::column::{Stamp, args};
use crate::errors::Failure;
use crate::session::{Excluding, Pools, Session};

pub(super) async fn renew(pools: &Pools, fence: Fence, until: UnixMillis) -> Result<Option<CancelCause>, Failure> {
    let statement = "UPDATE events SET lease_until = $3 WHERE id = $1 AND claim = $2 AND state = 'running'
                     RETURNING cancel";
    let mut session = pools.write(Excluding::Nothing).await?;
    let row: Option<(Option<String>,)> = session.optional(statement, args![fence.event, fence.attempt, until]).await?;
    let (cancel,) = row.ok_or(Failure::Fenced(fence.event))?;
    session.commit().await?;
    cancel.map(|reason| parse_cause(&reason)).transpose()
}

pub(super) fn parse_cause(reason: &str) -> Result<CancelCause, Failure> {
    [CancelCause::Stopped, CancelCause::Recalled, CancelCause::Interrupted]
        .into_iter()
        .find(|cause| cause.reason() == reason)
        .ok_or_else(|| Failure::Corrupt(format!("unknown cause of a cancellation: {reason}").into()))
}

pub(super) async fn settle(pools: &Pools, fence: Fence, outcome: &Outcome, now: UnixMillis) -> Result<(), Failure> {
    let mut session = pools.write(Excluding::Nothing).await?;
    end(&mut session, fence, outcome, now).await?;
    session.commit().await?;
    Ok(())
}

/// Ends a claim within a transaction.
pub(crate) async fn end(
    session: &mut Session,
    fence: Fence,
    outcome: &Outcome,
    now: UnixMillis,
) -> Result<(), Failure> {
    const CLOSE: &str = "UPDATE events
        SET state = $3, reason = $4, done_at = $5, lease_until = NULL, worker = NULL
        WHERE id = $1 AND claim = $2 AND state = 'running'";
    // A cancellation that came during the claim took the number away: it is to be seen before the number is noted.
    const WAIT: &str = "UPDATE events
        SET state = 'received', lease_until = NULL, worker = NULL,
            ahead = CASE WHEN cancel IS NULL OR ahead IS NOT NULL THEN $3 END
        WHERE id = $1 AND claim = $2 AND state = 'running'";
    // What failed was showing its place; the work itself was not tried. The number stays noted, as from the claim on.
    const WAIT_UNSHOWN: &str = "UPDATE events
        SET state = 'received', reason = $3, lease_until = NULL, worker = NULL
        WHERE id = $1 AND claim = $2 AND state = 'running'";
    const POSTPONE: &str = "UPDATE events
        SET state = 'failed', reason = $3, retry_at = $4, lease_until = NULL, worker = NULL
        WHERE id = $1 AND claim = $2 AND state = 'running'";
    let (event, attempt) = (fence.event, fence.attempt);
    let changed = match outcome {
        Outcome::Done(reason) => session.execute(CLOSE, args![event, attempt, "done", reason, now]).await?,
        Outcome::Dead { reason } => session.execute(CLOSE, args![event, attempt, "dead", reason, now]).await?,
        Outcome::Waits { ahead } => session.execute(WAIT, args![event, attempt, *ahead]).await?,
        Outcome::Retry { reason, .. } if attempt >= Fence::WAITING => {
            session.execute(WAIT_UNSHOWN, args![event, attempt, reason]).await?
        }
        Outcome::Retry { at, reason } => session.execute(POSTPONE, args![event, attempt, reason, *at]).await?,
    };
    if changed == 0 {
        return Err(Failure::Fenced(event));
    }
    session.notify_inbox().await?;
    Ok(())
}

/// Back to `received`, so that a late write of the former claim is refused.
pub(super) async fn release(pools: &Pools, worker: &WorkerId) -> Result<u64, Failure> {
    let statement = "UPDATE events SET state = 'received', lease_until = NULL, worker = NULL, ahead = NULL
                     WHERE worker = $1 AND state = 'running'";
    let mut session = pools.write(Excluding::Nothing).await?;
    let released = session.execute(statement, args![worker]).await?;
    if released > 0 {
        session.notify_inbox().await?;
    }
    session.commit().await?;
    Ok(released)
}

#[derive(FromRow)]
struct StateRow {
    state: String,
    events: i64,
    oldest: Stamp,
}

pub(super) async fn depth(pools: &Pools, now: UnixMillis) -> Result<Depth, Failure> {
    let statement = "SELECT state, count(*) AS events, min(received_at) AS oldest FROM events
                     WHERE state <> 'done' GROUP BY state";
    let rows: Vec<StateRow> = pools.read().await?.all(statement, vec![]).await?;
    let mut depth = Depth::default();
    for row in rows {
        let events = u64::try_from(row.events).unwrap_or(0);
        match row.state.as_str() {
            "received" => depth.received = events,
            "running" => depth.running = events,
            "failed" => depth.failed = events,
            _ => {
                depth.dead = events;
                continue;
            }
        }
        depth.oldest_open_seconds = depth.oldest_open_seconds.max(now.since(row.oldest.0).as_secs());
    }
    Ok(depth)
}
