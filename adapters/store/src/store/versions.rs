//! Several answers to one question.

use magpie_core::card::Card;
use magpie_core::engine::{Choice, Completion};
use magpie_core::ids::EventId;
use magpie_core::inbox::Fence;
use magpie_core::store::{Answer, Delivery, StoredVersion, VersionChoice, Versions};
use sqlx::FromRow;
use sqlx::types::Json;

use super::conversations::touch;
use super::deliveries::{Revision, put, revise_within};
use super::{Reply, SqlStore, answers};
use crate::column::{Arg, args, json};
use crate::errors::Failure;
use crate::inbox::bounded;
use crate::session::{Excluding, Pools, Session, Sql};

impl Versions for SqlStore {
    fn versions(&self, question: EventId) -> Reply<'_, Vec<StoredVersion>> {
        Box::pin(bounded("reading the versions of an answer", list(self.pools(), question)))
    }

    fn record_version<'a>(&'a self, fence: Fence, question: EventId, answer: &'a Answer) -> Reply<'a, u32> {
        Box::pin(bounded("storing a version of an answer", record(self.pools(), fence, question, answer)))
    }

    fn choose_version<'a>(
        &'a self,
        fence: Fence,
        choice: VersionChoice,
        delivery: &'a Delivery,
        sequence: u64,
    ) -> Reply<'a, bool> {
        let revision = Revision { delivery, sequence };
        Box::pin(bounded("choosing a version of an answer", choose(self.pools(), fence, choice, revision)))
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

async fn record(pools: &Pools, fence: Fence, event: EventId, answer: &Answer) -> Result<u32, Failure> {
    let mut session = pools.write(Excluding::Nothing).await?;
    session.guard(fence).await?;
    lock_versions(&mut session, event).await?;
    if let Some(number) = made_by(&mut session, fence.event).await? {
        return Ok(number);
    }
    let mut last = last(&mut session, event).await?;
    if last == 0 && keep_first(&mut session, event, &answer.delivery.part).await? {
        last = 1;
    }
    let number = if let Some(by) = &answer.by {
        insert(&mut session, fence, answer, (event, last + 1, by)).await?;
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
async fn keep_first(session: &mut Session, event: EventId, part: &str) -> Result<bool, Failure> {
    const FIRST: &str = "SELECT m.text, d.final_card FROM messages m
        LEFT JOIN deliveries d ON d.event_id = m.event_id AND d.kind = $2
        WHERE m.event_id = $1 AND m.role = 'assistant'";
    const KEEP: &str = "INSERT INTO answer_versions
            (event_id, number, text, reasoning, engine, model, fallback_from, fallback_reason, finish, prompt_tokens,
             completion_tokens, card, chosen, created_at)
        SELECT event_id, 1, text, reasoning, engine, model, fallback_from, fallback_reason, finish, prompt_tokens,
               completion_tokens, $2, true, created_at
        FROM messages WHERE event_id = $1 AND role = 'assistant'";
    let first: Option<(String, Option<Json<Card>>)> = session.optional(FIRST, args![event, part]).await?;
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
    (event, number, by): (EventId, u32, &(Choice, Completion)),
) -> Result<(), Failure> {
    let statement = "INSERT INTO answer_versions
            (event_id, number, made_by, card, chosen, created_at, text, reasoning, engine, model, fallback_from,
             fallback_reason, finish, prompt_tokens, completion_tokens)
        VALUES ($1, $2, $3, $4, false, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)";
    let card = match &answer.delivery.final_card {
        Some(card) => json(card)?,
        None => json(&Card { text: answer.text.clone(), ..Card::default() })?,
    };
    let mut args = args![event, number, fence.event, Arg::Json(Some(card)), answer.now];
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

async fn choose(pools: &Pools, fence: Fence, choice: VersionChoice, revision: Revision<'_>) -> Result<bool, Failure> {
    const THERE: &str = "SELECT number FROM answer_versions WHERE event_id = $1 AND number = $2";
    let VersionChoice { question, number } = choice;
    let mut session = pools.write(Excluding::Nothing).await?;
    session.guard(fence).await?;
    lock_versions(&mut session, question).await?;
    let there: Option<(i64,)> = session.optional(THERE, args![question, number]).await?;
    if there.is_none() || !revise_within(&mut session, revision).await? {
        return Ok(false);
    }
    stand(&mut session, question, number).await?;
    session.commit().await?;
    Ok(true)
}
