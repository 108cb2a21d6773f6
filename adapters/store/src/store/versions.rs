//! Several answers to one question.

use magpie_core::card::Card;
use magpie_core::clock::UnixMillis;
use magpie_core::engine::{Choice, Completion};
use magpie_core::ids::EventId;
use magpie_core::inbox::Fence;
use magpie_core::store::{Answer, Delivery, DeliveryState, StoredVersion, Versions};
use sqlx::FromRow;
use sqlx::types::Json;

use super::conversations::touch;
use super::deliveries::{self, put};
use super::{Reply, SqlStore, answers};
use crate::column::{Arg, args, json};
use crate::errors::Failure;
use crate::inbox::bounded;
use crate::session::{Excluding, Pools, Session, Sql};

impl Versions for SqlStore {
    fn versions(&self, event: EventId) -> Reply<'_, Vec<StoredVersion>> {
        Box::pin(bounded("reading the versions of an answer", list(self.pools(), event)))
    }

    fn record_version<'a>(&'a self, fence: Fence, answer: &'a Answer) -> Reply<'a, u32> {
        Box::pin(bounded("storing a version of an answer", record(self.pools(), fence, answer)))
    }

    fn choose_version<'a>(
        &'a self,
        fence: Fence,
        event: EventId,
        number: u32,
        card: &'a Card,
    ) -> Reply<'a, Option<Delivery>> {
        let wanted = Wanted { event, number, card, now: self.database.clock().now() };
        Box::pin(bounded("choosing a version of an answer", choose(self.pools(), fence, wanted)))
    }
}

#[derive(FromRow)]
struct Row {
    number: i64,
    card: Json<Card>,
    chosen: bool,
}

async fn list(pools: &Pools, event: EventId) -> Result<Vec<StoredVersion>, Failure> {
    let statement = "SELECT number, card, chosen FROM answer_versions WHERE event_id = $1 ORDER BY number";
    let rows: Vec<Row> = pools.read().await?.all(statement, args![event]).await?;
    if rows.len() < 2 {
        return Ok(Vec::new());
    }
    let read = |row: Row| StoredVersion { number: as_number(row.number), card: row.card.0, chosen: row.chosen };
    Ok(rows.into_iter().map(read).collect())
}

fn as_number(stored: i64) -> u32 {
    u32::try_from(stored).unwrap_or(u32::MAX)
}

async fn record(pools: &Pools, fence: Fence, answer: &Answer) -> Result<u32, Failure> {
    let event = answer.delivery.event;
    let mut session = pools.write(Excluding::Nothing).await?;
    session.guard(fence).await?;
    lock_versions(&mut session, event).await?;
    if let Some(number) = made_by(&mut session, fence.event).await? {
        return Ok(number);
    }
    let mut last = last(&mut session, event).await?;
    if last == 0 && keep_first(&mut session, answer).await? {
        last = 1;
    }
    let number = if let Some(by) = &answer.by {
        insert(&mut session, fence, answer, (last + 1, by)).await?;
        answers::add_message(&mut session, event, answer, by).await?;
        stand(&mut session, event, last + 1).await?;
        answers::add_usage(&mut session, answer, by).await?;
        touch(&mut session, answer.conversation, answer.now).await?;
        last + 1
    } else {
        standing(&mut session, event).await?
    };
    put(&mut session, &answer.delivery, answer.delivery.state).await?;
    session.commit().await?;
    Ok(number)
}

/// Two events that work on the versions of one question come one after the other.
async fn lock_versions(session: &mut Session, event: EventId) -> Result<(), Failure> {
    const LOCK: Sql =
        Sql { postgres: "SELECT 1 FROM events WHERE id = $1 FOR UPDATE", sqlite: "SELECT 1 FROM events WHERE id = $1" };
    session.execute(LOCK, args![event]).await?;
    Ok(())
}

async fn made_by(session: &mut Session, event: EventId) -> Result<Option<u32>, Failure> {
    let statement = "SELECT number FROM answer_versions WHERE made_by = $1";
    let row: Option<(i64,)> = session.optional(statement, args![event]).await?;
    Ok(row.map(|(number,)| as_number(number)))
}

async fn last(session: &mut Session, event: EventId) -> Result<u32, Failure> {
    let statement = "SELECT coalesce(max(number), 0) FROM answer_versions WHERE event_id = $1";
    let row: Option<(i64,)> = session.optional(statement, args![event]).await?;
    Ok(row.map_or(0, |(number,)| as_number(number)))
}

async fn standing(session: &mut Session, event: EventId) -> Result<u32, Failure> {
    let statement = "SELECT number FROM answer_versions WHERE event_id = $1 AND chosen";
    let row: Option<(i64,)> = session.optional(statement, args![event]).await?;
    Ok(row.map_or(0, |(number,)| as_number(number)))
}

/// Makes the only answer so far version 1. False if there is none.
async fn keep_first(session: &mut Session, answer: &Answer) -> Result<bool, Failure> {
    const FIRST: &str = "SELECT m.text, d.final_card FROM messages m
        LEFT JOIN deliveries d ON d.event_id = m.event_id AND d.kind = $2
        WHERE m.event_id = $1 AND m.role = 'assistant'";
    const KEEP: &str = "INSERT INTO answer_versions
            (event_id, number, text, reasoning, engine, model, fallback_from, fallback_reason, finish, prompt_tokens,
             completion_tokens, card, chosen, created_at)
        SELECT event_id, 1, text, reasoning, engine, model, fallback_from, fallback_reason, finish, prompt_tokens,
               completion_tokens, $2, true, created_at
        FROM messages WHERE event_id = $1 AND role = 'assistant'";
    let event = answer.delivery.event;
    let first: Option<(String, Option<Json<Card>>)> =
        session.optional(FIRST, args![event, answer.delivery.part.as_str()]).await?;
    let Some((text, card)) = first else { return Ok(false) };
    // Without a card nobody saw it end; what it said is still known.
    let card = card.map_or_else(|| Card { text, ..Card::default() }, |card| card.0);
    session.execute(KEEP, args![event, Arg::Json(Some(json(&card)?))]).await?;
    Ok(true)
}

async fn insert(
    session: &mut Session,
    fence: Fence,
    answer: &Answer,
    (number, by): (u32, &(Choice, Completion)),
) -> Result<(), Failure> {
    let statement = "INSERT INTO answer_versions
            (event_id, number, made_by, card, chosen, created_at, text, reasoning, engine, model, fallback_from,
             fallback_reason, finish, prompt_tokens, completion_tokens)
        VALUES ($1, $2, $3, $4, false, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)";
    let card = match &answer.delivery.final_card {
        Some(card) => json(card)?,
        None => json(&Card { text: answer.text.clone(), ..Card::default() })?,
    };
    let mut args = args![answer.delivery.event, number, fence.event, Arg::Json(Some(card)), answer.now];
    args.extend(answers::columns(answer, by));
    session.execute(statement, args).await?;
    Ok(())
}

/// From now on this version is the one in the conversation.
async fn stand(session: &mut Session, event: EventId, number: u32) -> Result<(), Failure> {
    // Apart, since no two may be chosen even for a moment.
    const NONE: &str = "UPDATE answer_versions SET chosen = false WHERE event_id = $1 AND chosen";
    const THIS: &str = "UPDATE answer_versions SET chosen = true WHERE event_id = $1 AND number = $2";
    const SAY: &str = "UPDATE messages
        SET text = v.text, reasoning = v.reasoning, engine = v.engine, model = v.model,
            fallback_from = v.fallback_from, fallback_reason = v.fallback_reason, finish = v.finish,
            prompt_tokens = v.prompt_tokens, completion_tokens = v.completion_tokens
        FROM answer_versions v
        WHERE v.event_id = $1 AND v.number = $2 AND messages.event_id = v.event_id AND messages.role = 'assistant'";
    session.execute(NONE, args![event]).await?;
    session.execute(THIS, args![event, number]).await?;
    session.execute(SAY, args![event, number]).await?;
    Ok(())
}

/// Which version is to stand.
struct Wanted<'a> {
    event: EventId,
    number: u32,
    card: &'a Card,
    now: UnixMillis,
}

async fn choose(pools: &Pools, fence: Fence, wanted: Wanted<'_>) -> Result<Option<Delivery>, Failure> {
    const THERE: &str = "SELECT number FROM answer_versions WHERE event_id = $1 AND number = $2";
    let Wanted { event, number, card, now } = wanted;
    let mut session = pools.write(Excluding::Nothing).await?;
    session.guard(fence).await?;
    lock_versions(&mut session, event).await?;
    let there: Option<(i64,)> = session.optional(THERE, args![event, number]).await?;
    let delivery = deliveries::find_to_change(&mut session, event, "answer").await?;
    let (Some(_), Some(delivery)) = (there, delivery) else { return Ok(None) };
    if delivery.state != DeliveryState::Final {
        return Ok(None);
    }
    stand(&mut session, event, number).await?;
    let delivery = Delivery { final_card: Some(card.clone()), updated_at: now, ..delivery };
    put(&mut session, &delivery, delivery.state).await?;
    session.commit().await?;
    Ok(Some(delivery))
}
