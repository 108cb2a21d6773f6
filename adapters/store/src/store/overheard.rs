//! What was said in a group while the bot was not addressed.

use magpie_core::event::{Body, Event};
use magpie_core::store::{Listening, Overheard};
use sqlx::FromRow;
use sqlx::types::Json;

use crate::column::{Stamp, args};
use crate::errors::Failure;
use crate::session::Pools;

/// Events are in the order of their ids, which is nearly that of their receipt: so the latest are looked up first and
/// the old ones left out afterwards, and a look-up never walks through a group's past.
pub(crate) const OVERHEARD: &str = "\
    SELECT body, received_at FROM (
        SELECT id, body, received_at FROM events
        WHERE bot = $1 AND chat_id = $2 AND coalesce(thread_id, '') = $3 AND id < $4 AND reason = 'not_mentioned'
        ORDER BY id DESC LIMIT $6) AS latest
    WHERE received_at >= $5 ORDER BY id";

#[derive(FromRow)]
struct Row {
    body: Json<Event>,
    received_at: Stamp,
}

pub(super) async fn latest(pools: &Pools, listening: &Listening) -> Result<Vec<Overheard>, Failure> {
    let thread = listening.thread.as_ref().map_or("", |thread| thread.as_str());
    let args = args![&listening.bot, &listening.chat, thread, listening.before, listening.since, listening.limit];
    let rows: Vec<Row> = pools.read().await?.all(OVERHEARD, args).await?;
    Ok(rows.into_iter().filter_map(read).collect())
}

fn read(row: Row) -> Option<Overheard> {
    let Body::Message(message) = row.body.0.body else { return None };
    let sender = message.sender;
    Some(Overheard { user: sender.id, name: sender.name, text: message.text, received_at: row.received_at.0 })
}
