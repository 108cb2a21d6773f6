//! Stores a batch of events with their dedupe keys in one transaction.

use std::collections::{BTreeMap, HashMap, HashSet};

use magpie_core::clock::UnixMillis;
use magpie_core::event::{Body, Event};
use magpie_core::ids::{BotId, MessageId, ThreadId};
use magpie_core::inbox::{Acceptance, CancelCause, Entry};
use serde::Serialize;
use sqlx::FromRow;
use uuid::Uuid;

use crate::column::{Arg, args, json};
use crate::errors::Failure;
use crate::session::{Excluding, Pools, Session, Sql};

/// How often a batch is begun anew when other instances store the same events at the same time.
const ATTEMPTS: u32 = 5;
/// Longest id kept as it is; an index entry can't hold much more.
const LONGEST_ID_BYTES: usize = 512;

const KNOWN_KEYS: Sql = Sql {
    postgres: "SELECT k.bot, k.key, k.cause
               FROM jsonb_to_recordset($1) AS w(bot text, key text)
               JOIN event_keys k ON k.bot = w.bot AND k.key = w.key",
    // CROSS JOIN keeps SQLite from scanning the large table and searching the small one.
    sqlite: "SELECT k.bot, k.key, k.cause
             FROM json_each($1) w
             CROSS JOIN event_keys k
             WHERE k.bot = json_extract(w.value, '$.bot') AND k.key = json_extract(w.value, '$.key')",
};

const INSERT_KEYS: Sql = Sql {
    postgres: "INSERT INTO event_keys (bot, key, event_id, created_at)
               SELECT w.bot, w.key, w.event_id, $2
               FROM jsonb_to_recordset($1) AS w(bot text, key text, event_id uuid)
               ON CONFLICT DO NOTHING",
    sqlite: "INSERT INTO event_keys (bot, key, event_id, created_at)
             SELECT json_extract(value, '$.bot'), json_extract(value, '$.key'), json_extract(value, '$.event_id'), $2
             FROM json_each($1) WHERE true
             ON CONFLICT DO NOTHING",
};

/// In Postgres the wake-up for other instances rides along.
const INSERT_EVENTS: Sql = Sql {
    postgres: "WITH stored AS (
                   INSERT INTO events (id, bot, platform, kind, lane, scope, platform_event_id, platform_message_id,
                                       chat_id, thread_id, state, reason, trace, body, occurred_at, received_at, done_at)
                   SELECT w.id, w.bot, w.platform, w.kind, w.lane, w.scope, w.platform_event_id, w.platform_message_id,
                          w.chat_id, w.thread_id, w.state, w.reason, w.trace, w.body::jsonb, to_timestamp(w.occurred_ms / 1000.0),
                          to_timestamp(w.received_ms / 1000.0), to_timestamp(w.done_ms / 1000.0)
                   FROM jsonb_to_recordset($1) AS w(
                       id uuid, bot text, platform text, kind text, lane text, scope text, platform_event_id text,
                       platform_message_id text, chat_id text, thread_id text, state text, reason text, trace text, body text,
                       occurred_ms bigint, received_ms bigint, done_ms bigint)
                   ORDER BY w.id
               )
               SELECT pg_notify('magpie_inbox', '')",
    sqlite: "INSERT INTO events (id, bot, platform, kind, lane, scope, platform_event_id, platform_message_id,
                                 chat_id, thread_id, state, reason, trace, body, occurred_at, received_at, done_at)
             SELECT json_extract(value, '$.id'), json_extract(value, '$.bot'), json_extract(value, '$.platform'),
                    json_extract(value, '$.kind'), json_extract(value, '$.lane'), json_extract(value, '$.scope'),
                    json_extract(value, '$.platform_event_id'), json_extract(value, '$.platform_message_id'),
                    json_extract(value, '$.chat_id'), json_extract(value, '$.thread_id'),
                    json_extract(value, '$.state'), json_extract(value, '$.reason'), json_extract(value, '$.trace'),
                    json_extract(value, '$.body'), json_extract(value, '$.occurred_ms'),
                    json_extract(value, '$.received_ms'), json_extract(value, '$.done_ms')
             FROM json_each($1)",
};

/// Stores what is new of `entries`, and tells of each whether it was. All or nothing.
pub(crate) async fn store(pools: &Pools, entries: &[Entry], now: UnixMillis) -> Result<Vec<Acceptance>, Failure> {
    for _ in 1..ATTEMPTS {
        match store_once(pools, entries, now).await {
            Ok(Some(accepted)) => return Ok(accepted),
            Ok(None) => {}
            Err(failure) if failure.is_conflict() => {}
            Err(failure) => return Err(failure),
        }
    }
    store_once(pools, entries, now).await?.ok_or(Failure::Refused("other instances store the same events"))
}

/// `None`: another instance stored one of the events meanwhile, and nothing was stored here.
async fn store_once(pools: &Pools, entries: &[Entry], now: UnixMillis) -> Result<Option<Vec<Acceptance>>, Failure> {
    let mut session = pools.write(Excluding::CancellationsByMessage).await?;
    let known = known_keys(&mut session, entries).await?;
    let decided = decide(entries, known, now)?;
    if decided.rows.is_empty() {
        session.rollback().await?;
        return Ok(Some(decided.accepted));
    }
    let inserted = session.execute(INSERT_KEYS, vec![Arg::Json(Some(json(&decided.keys)?)), now.into()]).await?;
    if inserted != decided.keys.len() as u64 {
        session.rollback().await?;
        return Ok(None);
    }
    session.execute(INSERT_EVENTS, vec![Arg::Json(Some(json(&decided.rows)?))]).await?;
    session.commit().await?;
    Ok(Some(decided.accepted))
}

#[derive(FromRow)]
struct KnownKey {
    bot: String,
    key: String,
    cause: Option<String>,
}

type Key = (String, String);

async fn known_keys(session: &mut Session, entries: &[Entry]) -> Result<HashMap<Key, Option<String>>, Failure> {
    let asked: HashSet<Key> = entries
        .iter()
        .flat_map(|entry| {
            let cancelled = entry.event.message_id().map(|message| cancellation_key(&entry.event.bot, message));
            identity_keys(&entry.event).into_iter().chain(cancelled)
        })
        .collect();
    let asked: Vec<_> = asked.iter().map(|(bot, key)| serde_json::json!({ "bot": bot, "key": key })).collect();
    let rows: Vec<KnownKey> = session.all(KNOWN_KEYS, vec![Arg::Json(Some(json(&asked)?))]).await?;
    Ok(rows.into_iter().map(|row| ((row.bot, row.key), row.cause)).collect())
}

struct Decided<'a> {
    accepted: Vec<Acceptance>,
    keys: Vec<KeyRow>,
    rows: Vec<EventRow<'a>>,
}

#[derive(Serialize)]
struct KeyRow {
    bot: String,
    key: String,
    event_id: Uuid,
}

#[derive(Serialize)]
struct EventRow<'a> {
    id: Uuid,
    bot: &'a str,
    platform: &'static str,
    kind: &'static str,
    lane: &'static str,
    scope: &'a str,
    platform_event_id: &'a str,
    platform_message_id: Option<&'a str>,
    chat_id: Option<&'a str>,
    thread_id: Option<&'a str>,
    state: &'static str,
    reason: Option<String>,
    trace: Option<&'a str>,
    body: String,
    occurred_ms: Option<i64>,
    received_ms: i64,
    done_ms: Option<i64>,
}

/// Walks the batch in order: an event is new if none of its ids is known, from the database or from earlier in the
/// batch. Keys come out sorted, so that two instances wait for each other's keys in the same order.
fn decide(entries: &[Entry], mut known: HashMap<Key, Option<String>>, now: UnixMillis) -> Result<Decided<'_>, Failure> {
    let mut keys = BTreeMap::new();
    let mut rows = Vec::new();
    let mut accepted = Vec::with_capacity(entries.len());
    for entry in entries {
        let identity = identity_keys(&entry.event);
        if identity.iter().any(|key| known.contains_key(key)) {
            accepted.push(Acceptance::Duplicate);
            continue;
        }
        let cancelled = entry
            .event
            .message_id()
            .and_then(|message| known.get(&cancellation_key(&entry.event.bot, message)))
            .map(|cause| cause.clone().unwrap_or_else(|| CancelCause::Recalled.reason().to_owned()));
        rows.push(event_row(entry, cancelled, now)?);
        for key in identity {
            known.insert(key.clone(), None);
            keys.insert(key, entry.id.0);
        }
        accepted.push(Acceptance::New);
    }
    let keys = keys.into_iter().map(|((bot, key), event_id)| KeyRow { bot, key, event_id }).collect();
    Ok(Decided { accepted, keys, rows })
}

fn event_row(entry: &Entry, cancelled: Option<String>, now: UnixMillis) -> Result<EventRow<'_>, Failure> {
    let event = &entry.event;
    let reason = cancelled.or_else(|| entry.done.clone());
    let message = if let Body::Message(message) = &event.body { Some(message) } else { None };
    Ok(EventRow {
        id: entry.id.0,
        bot: event.bot.as_str(),
        platform: event.platform.as_str(),
        kind: event.kind(),
        lane: entry.lane.as_str(),
        scope: entry.scope.as_str(),
        platform_event_id: &event.platform_event_id,
        platform_message_id: event.message_id().map(MessageId::as_str),
        chat_id: message.map(|message| message.chat.id.as_str()),
        thread_id: message.and_then(|message| message.thread.as_ref()).map(ThreadId::as_str),
        state: if reason.is_some() { "done" } else { "received" },
        done_ms: reason.is_some().then_some(now.0),
        reason,
        trace: entry.trace.as_deref(),
        body: json(event)?,
        occurred_ms: event.occurred_at.map(|at| at.0),
        received_ms: entry.received_at.0,
    })
}

/// What makes an event a duplicate: its event id and, for messages, its message id.
fn identity_keys(event: &Event) -> Vec<Key> {
    let mut keys = vec![(event.bot.0.clone(), key("e", &event.platform_event_id))];
    keys.extend(event.message_id().map(|message| message_key(&event.bot, message)));
    keys
}

/// Under this key the event of a message is found.
pub(super) fn message_key(bot: &BotId, message: &MessageId) -> Key {
    (bot.0.clone(), key("m", message.as_str()))
}

/// Under this key a cancellation waits for its message.
pub(super) fn cancellation_key(bot: &BotId, message: &MessageId) -> Key {
    (bot.0.clone(), key("r", message.as_str()))
}

fn key(kind: &str, id: &str) -> String {
    if id.len() <= LONGEST_ID_BYTES {
        return format!("{kind}:{}", id.replace('\0', "\u{fffd}"));
    }
    format!("{kind}:#{}", Uuid::new_v5(&Uuid::NAMESPACE_OID, id.as_bytes()))
}

/// Remembers a cancellation for a message that is not here yet.
pub(super) async fn remember_cancellation(
    session: &mut Session,
    (bot, key): Key,
    cause: CancelCause,
    now: UnixMillis,
) -> Result<(), Failure> {
    let statement = "INSERT INTO event_keys (bot, key, cause, created_at) VALUES ($1, $2, $3, $4)
                     ON CONFLICT (bot, key) DO NOTHING";
    session.execute(statement, args![&bot, &key, cause.reason(), now]).await?;
    Ok(())
}
