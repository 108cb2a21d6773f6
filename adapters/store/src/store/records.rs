//! Votes, errors, settings, and events as they came.

use magpie_core::clock::UnixMillis;
use magpie_core::event::Event;
use magpie_core::ids::{ConversationId, EventId, ScopeKey};
use magpie_core::store::{ErrorRow, StoredEvent, Vote};
use sqlx::FromRow;
use sqlx::types::Json;
use uuid::Uuid;

use crate::column::{Arg, Id, args, json};
use crate::errors::Failure;
use crate::session::{Excluding, Pools};

pub(super) async fn vote(pools: &Pools, vote: &Vote) -> Result<bool, Failure> {
    const ANSWER: &str = "SELECT m.id FROM messages m JOIN conversations c ON c.id = m.conversation_id
                          WHERE m.event_id = $1 AND m.role = 'assistant' AND c.bot = $2";
    const VOTE: &str = "INSERT INTO feedback (id, message_id, bot, user_id, value, reason, comment, created_at)
                        VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
                        ON CONFLICT (message_id, user_id) DO UPDATE SET
                            value = excluded.value, reason = excluded.reason, comment = excluded.comment,
                            created_at = excluded.created_at";
    let mut session = pools.write(Excluding::Nothing).await?;
    let answer: Option<(Id,)> = session.optional(ANSWER, args![vote.event, &vote.bot]).await?;
    let Some((message,)) = answer else { return Ok(false) };
    let value = if vote.up { "up" } else { "down" };
    let args = args![Uuid::now_v7(), message.0, &vote.bot, &vote.user, value, &vote.reason, &vote.comment, vote.now];
    session.execute(VOTE, args).await?;
    session.commit().await?;
    Ok(true)
}

pub(super) async fn log_error(pools: &Pools, row: &ErrorRow) -> Result<(), Failure> {
    let statement = "INSERT INTO bot_error_logs (id, timestamp, error_code, bot, request_id, message, detail)
                     VALUES ($1, $2, $3, $4, $5, $6, $7)";
    let args = args![
        Uuid::now_v7(),
        row.now,
        &row.error_code,
        &row.bot,
        &row.request_id,
        &row.message,
        Arg::Json(Some(json(&row.detail)?))
    ];
    let mut session = pools.write(Excluding::Nothing).await?;
    session.execute(statement, args).await?;
    session.commit().await?;
    Ok(())
}

#[derive(FromRow)]
struct EventRow {
    scope: String,
    conversation_id: Option<Id>,
    body: Json<Event>,
}

pub(super) async fn event(pools: &Pools, event: EventId) -> Result<Option<StoredEvent>, Failure> {
    let statement = "SELECT scope, conversation_id, body FROM events WHERE id = $1";
    let row: Option<EventRow> = pools.read().await?.optional(statement, args![event]).await?;
    Ok(row.map(|row| StoredEvent {
        event: row.body.0,
        scope: ScopeKey(row.scope),
        conversation: row.conversation_id.map(|id| ConversationId(id.0)),
    }))
}

pub(super) async fn setting(pools: &Pools, name: &str) -> Result<Option<String>, Failure> {
    let statement = "SELECT value FROM settings WHERE name = $1";
    let row: Option<(String,)> = pools.read().await?.optional(statement, args![name]).await?;
    Ok(row.map(|(value,)| value))
}

pub(super) async fn set_setting_once(
    pools: &Pools,
    name: &str,
    value: &str,
    now: UnixMillis,
) -> Result<String, Failure> {
    let statement = "INSERT INTO settings (name, value, updated_at) VALUES ($1, $2, $3) ON CONFLICT (name) DO NOTHING";
    let mut session = pools.write(Excluding::Nothing).await?;
    session.execute(statement, args![name, value, now]).await?;
    // A statement of its own: it sees what another instance set while this one waited for it.
    let row: Option<(String,)> = session.optional("SELECT value FROM settings WHERE name = $1", args![name]).await?;
    session.commit().await?;
    row.map(|(value,)| value).ok_or(Failure::Refused("the setting was removed meanwhile"))
}

pub(super) async fn ping(pools: &Pools) -> Result<(), Failure> {
    pools.read().await?.execute("SELECT 1", vec![]).await?;
    Ok(())
}
