//! What waits in one scope, and messages that become part of another one.

use magpie_core::clock::UnixMillis;
use magpie_core::event::Event;
use magpie_core::ids::{BotId, EventId, ScopeKey};
use magpie_core::inbox::{Fence, OpenEvent};
use sqlx::FromRow;
use sqlx::types::Json;

use crate::column::{Arg, Id, Stamp, args, json};
use crate::errors::Failure;
use crate::session::{Excluding, Pools, Session, Sql};

#[derive(FromRow)]
struct OpenRow {
    id: Id,
    body: Json<Event>,
    state: String,
    claim: i64,
    received_at: Stamp,
}

impl From<OpenRow> for OpenEvent {
    fn from(row: OpenRow) -> Self {
        Self {
            id: EventId(row.id.0),
            event: row.body.0,
            running: row.state == "running" && row.claim < i64::from(Fence::WAITING),
            received_at: row.received_at.0,
        }
    }
}

pub(super) async fn open(pools: &Pools, bot: &BotId, scope: &ScopeKey) -> Result<Vec<OpenEvent>, Failure> {
    let statement = "SELECT id, body, state, claim, received_at FROM events
                     WHERE bot = $1 AND scope = $2 AND lane = 'messages' AND done_at IS NULL ORDER BY id";
    let rows: Vec<OpenRow> = pools.read().await?.all(statement, args![bot, scope]).await?;
    Ok(rows.into_iter().map(OpenEvent::from).collect())
}

/// The ids come as one JSON array. What is claimed meanwhile, or is of another scope, is left alone.
const MERGE: Sql = Sql {
    postgres: "UPDATE events
        SET state = 'done', reason = 'merged', done_at = $2, merged_into = target.id,
            conversation_id = target.conversation_id
        FROM events target
        WHERE events.id IN (SELECT w.value::uuid FROM jsonb_array_elements_text($3) w)
          AND target.id = $1 AND target.bot = events.bot AND target.scope = events.scope
          AND events.id > target.id AND events.lane = 'messages' AND events.state = 'received'",
    sqlite: "UPDATE events
        SET state = 'done', reason = 'merged', done_at = $2, merged_into = target.id,
            conversation_id = target.conversation_id
        FROM events target
        WHERE events.id IN (SELECT w.value FROM json_each($3) w)
          AND target.id = $1 AND target.bot = events.bot AND target.scope = events.scope
          AND events.id > target.id AND events.lane = 'messages' AND events.state = 'received'",
};

/// Claims are kept out meanwhile: they lock the same rows, in an order of their own.
pub(super) async fn absorb(
    pools: &Pools,
    fence: Fence,
    events: &[EventId],
    now: UnixMillis,
) -> Result<Vec<Event>, Failure> {
    if events.is_empty() {
        return merged(&mut pools.read().await?, fence.event).await;
    }
    let mut session = pools.write(Excluding::Claims).await?;
    session.guard(fence).await?;
    session.execute(MERGE, args![fence.event, now, Arg::Json(Some(json(&events)?))]).await?;
    let merged = merged(&mut session, fence.event).await?;
    // Whoever waits behind them has moved up.
    session.notify_inbox().await?;
    session.commit().await?;
    Ok(merged)
}

async fn merged(session: &mut Session, into: EventId) -> Result<Vec<Event>, Failure> {
    let statement = "SELECT body FROM events WHERE merged_into = $1 ORDER BY id";
    let rows: Vec<(Json<Event>,)> = session.all(statement, args![into]).await?;
    Ok(rows.into_iter().map(|(body,)| body.0).collect())
}
