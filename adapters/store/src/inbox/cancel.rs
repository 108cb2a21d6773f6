//! Asks for work to be ended.

use magpie_core::clock::UnixMillis;
use magpie_core::ids::{BotId, EventId, MessageId};
use magpie_core::inbox::{CancelCause, Cancelled};
use sqlx::FromRow;

use super::accept::{cancellation_key, message_key, remember_cancellation};
use crate::column::{Id, args};
use crate::errors::Failure;
use crate::session::{Excluding, Pools, Session, Sql};

const LOCK_EVENT: Sql = Sql {
    postgres: "SELECT state FROM events WHERE id = $1 FOR UPDATE",
    sqlite: "SELECT state FROM events WHERE id = $1",
};

#[derive(FromRow)]
struct StateRow {
    state: String,
}

/// A message by its platform's name.
pub(super) struct Named<'a> {
    pub bot: &'a BotId,
    pub message: &'a MessageId,
}

pub(super) async fn cancel(
    pools: &Pools,
    event: EventId,
    cause: CancelCause,
    now: UnixMillis,
) -> Result<Cancelled, Failure> {
    let mut session = pools.write(Excluding::Nothing).await?;
    let met = cancel_within(&mut session, event, cause, now).await?;
    session.commit().await?;
    Ok(met)
}

/// Looks for the message and, if it is not here, leaves word, with no accept in between.
pub(super) async fn cancel_message(
    pools: &Pools,
    named: Named<'_>,
    cause: CancelCause,
    now: UnixMillis,
) -> Result<(Option<EventId>, Cancelled), Failure> {
    let mut session = pools.write(Excluding::Accepts).await?;
    let (bot, key) = message_key(named.bot, named.message);
    let found: Option<(Option<Id>,)> =
        session.optional("SELECT event_id FROM event_keys WHERE bot = $1 AND key = $2", args![&bot, &key]).await?;
    let event = found.and_then(|(id,)| id).map(|id| EventId(id.0));
    let event = match event {
        Some(event) => Some(whole(&mut session, event).await?),
        None => None,
    };
    let met = if let Some(event) = event {
        cancel_within(&mut session, event, cause, now).await?
    } else {
        remember_cancellation(&mut session, cancellation_key(named.bot, named.message), cause, now).await?;
        Cancelled::Unknown
    };
    session.commit().await?;
    Ok((event, met))
}

/// The event that a message became part of; itself, if it became part of none.
async fn whole(session: &mut Session, event: EventId) -> Result<EventId, Failure> {
    let statement = "SELECT merged_into FROM events WHERE id = $1 AND merged_into IS NOT NULL";
    let row: Option<(Id,)> = session.optional(statement, args![event]).await?;
    Ok(row.map_or(event, |(into,)| EventId(into.0)))
}

async fn cancel_within(
    session: &mut Session,
    event: EventId,
    cause: CancelCause,
    now: UnixMillis,
) -> Result<Cancelled, Failure> {
    let Some(row) = session.optional::<StateRow>(LOCK_EVENT, args![event]).await? else {
        return Ok(Cancelled::Unknown);
    };
    match row.state.as_str() {
        "done" | "dead" => {
            forget(session, event, cause).await?;
            Ok(Cancelled::TooLate)
        }
        "running" => ask(session, event, cause, now).await,
        // Between two attempts a card may be on show already: somebody has to bring it to its end.
        _ if shows_something(session, event).await? => ask(session, event, cause, now).await,
        _ => end(session, event, cause, now).await,
    }
}

/// What was only overheard and is taken back is not passed on to anybody from now on.
async fn forget(session: &mut Session, event: EventId, cause: CancelCause) -> Result<(), Failure> {
    let statement = "UPDATE events SET reason = $2 WHERE id = $1 AND reason = 'not_mentioned'";
    if cause == CancelCause::Recalled {
        session.execute(statement, args![event, cause.reason()]).await?;
    }
    Ok(())
}

async fn shows_something(session: &mut Session, event: EventId) -> Result<bool, Failure> {
    let statement = "SELECT count(*) FROM deliveries WHERE event_id = $1 AND state NOT IN ('final', 'dropped')";
    let row: Option<(i64,)> = session.optional(statement, args![event]).await?;
    Ok(row.is_some_and(|(unfinished,)| unfinished > 0))
}

/// Leaves the wish with the event. The first cause stands; an event that waits for its next attempt gets it now, and one
/// that waits for its turn is claimable as if its place had changed.
async fn ask(session: &mut Session, event: EventId, cause: CancelCause, now: UnixMillis) -> Result<Cancelled, Failure> {
    let statement = "UPDATE events
                     SET cancel = coalesce(cancel, $2), ahead = NULL,
                         retry_at = CASE WHEN state = 'failed' THEN $3 ELSE retry_at END
                     WHERE id = $1";
    session.execute(statement, args![event, cause.reason(), now]).await?;
    session.notify_cancel(event).await?;
    session.notify_inbox().await?;
    Ok(Cancelled::Asked)
}

async fn end(session: &mut Session, event: EventId, cause: CancelCause, now: UnixMillis) -> Result<Cancelled, Failure> {
    let statement = "UPDATE events
                     SET state = 'done', reason = $2, cancel = $2, done_at = $3, retry_at = NULL
                     WHERE id = $1";
    session.execute(statement, args![event, cause.reason(), now]).await?;
    session.notify_inbox().await?;
    Ok(Cancelled::Ended)
}
