//! Deliveries: what was sent to a platform because of an event.

use magpie_core::card::Card;
use magpie_core::ids::{BotId, CardId, DeliveryId, EventId, MessageId};
use magpie_core::inbox::Fence;
use magpie_core::platform::CardRef;
use magpie_core::store::{Delivery, DeliveryState};
use sqlx::FromRow;
use sqlx::types::Json;

use crate::column::{Arg, Id, Stamp, args, json};
use crate::errors::Failure;
use crate::session::{Excluding, Pools, Session};

/// `kind` is the delivery's part. The whole reference to the card is kept as JSON; its ids and number stand beside it
/// to be looked for.
#[derive(FromRow)]
struct Row {
    id: Id,
    event_id: Id,
    bot: String,
    kind: String,
    state: String,
    card: Json<CardRef>,
    final_card: Option<Json<Card>>,
    updated_at: Stamp,
}

impl Row {
    fn read(self) -> Result<Delivery, Failure> {
        Ok(Delivery {
            id: DeliveryId(self.id.0),
            event: EventId(self.event_id.0),
            bot: BotId(self.bot),
            part: self.kind,
            state: parse_state(&self.state)?,
            card: self.card.0,
            final_card: self.final_card.map(|card| card.0),
            updated_at: self.updated_at.0,
        })
    }
}

fn parse_state(name: &str) -> Result<DeliveryState, Failure> {
    use DeliveryState::{Dropped, Final, Finishing, Open, Prepared};
    [Prepared, Open, Finishing, Final, Dropped]
        .into_iter()
        .find(|state| state.as_str() == name)
        .ok_or_else(|| Failure::Corrupt(format!("unknown state of a delivery: {name}").into()))
}

pub(super) async fn find(pools: &Pools, event: EventId, part: &str) -> Result<Option<Delivery>, Failure> {
    let statement = "SELECT id, event_id, bot, kind, state, card, final_card, updated_at FROM deliveries
                     WHERE event_id = $1 AND kind = $2";
    let row: Option<Row> = pools.read().await?.optional(statement, args![event, part]).await?;
    row.map(Row::read).transpose()
}

/// By the message first: a card id may be unknown to the platform's callback, or the other way round.
pub(super) async fn find_by_card(
    pools: &Pools,
    bot: &BotId,
    message: Option<&MessageId>,
    card: Option<&CardId>,
) -> Result<Option<Delivery>, Failure> {
    const BY_MESSAGE: &str = "SELECT id, event_id, bot, kind, state, card, final_card, updated_at FROM deliveries
                              WHERE bot = $1 AND platform_message_id = $2 ORDER BY created_at DESC LIMIT 1";
    const BY_CARD: &str = "SELECT id, event_id, bot, kind, state, card, final_card, updated_at FROM deliveries
                           WHERE bot = $1 AND card_id = $2 ORDER BY created_at DESC LIMIT 1";
    let mut session = pools.read().await?;
    let mut row: Option<Row> = None;
    if let Some(message) = message {
        row = session.optional(BY_MESSAGE, args![bot, message]).await?;
    }
    if let (None, Some(card)) = (&row, card) {
        row = session.optional(BY_CARD, args![bot, card]).await?;
    }
    row.map(Row::read).transpose()
}

pub(super) async fn save(pools: &Pools, fence: Fence, delivery: &Delivery) -> Result<(), Failure> {
    let mut session = pools.write(Excluding::Nothing).await?;
    session.guard(fence).await?;
    put(&mut session, delivery, delivery.state).await?;
    session.commit().await?;
    Ok(())
}

/// A change of a delivery that was final with this number when it was read.
#[derive(Clone, Copy)]
pub(super) struct Revision<'a> {
    pub delivery: &'a Delivery,
    pub sequence: u64,
}

pub(super) async fn revise(pools: &Pools, fence: Fence, revision: Revision<'_>) -> Result<bool, Failure> {
    let mut session = pools.write(Excluding::Nothing).await?;
    session.guard(fence).await?;
    let revised = revise_within(&mut session, revision).await?;
    session.commit().await?;
    Ok(revised)
}

/// Within a guarded transaction. False if the delivery has changed since.
pub(super) async fn revise_within(session: &mut Session, revision: Revision<'_>) -> Result<bool, Failure> {
    let statement = "UPDATE deliveries
        SET platform_message_id = $3, card_id = $4, sequence = $5, card = $6, final_card = coalesce($7, final_card),
            updated_at = $8
        WHERE id = $1 AND sequence = $2 AND state = 'final'";
    let Revision { delivery, sequence } = revision;
    let card = &delivery.card;
    let number = |sequence: u64| i64::try_from(sequence).unwrap_or(i64::MAX);
    let args = args![
        delivery.id,
        number(sequence),
        card.message.as_ref(),
        card.card.as_ref(),
        number(card.sequence),
        Arg::Json(Some(json(card)?)),
        Arg::Json(delivery.final_card.as_ref().map(json).transpose()?),
        delivery.updated_at
    ];
    Ok(session.execute(statement, args).await? == 1)
}

/// Inserts or replaces a delivery within a guarded transaction. A final card, once recorded, is never taken away.
pub(super) async fn put(session: &mut Session, delivery: &Delivery, state: DeliveryState) -> Result<(), Failure> {
    let statement = "INSERT INTO deliveries
            (id, event_id, bot, kind, platform_message_id, card_id, sequence, state, card, final_card,
             created_at, updated_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $11)
        ON CONFLICT (event_id, kind) DO UPDATE SET
            platform_message_id = excluded.platform_message_id,
            card_id = excluded.card_id,
            sequence = excluded.sequence,
            state = excluded.state,
            card = excluded.card,
            final_card = coalesce(excluded.final_card, deliveries.final_card),
            updated_at = excluded.updated_at";
    let card = &delivery.card;
    let final_card = delivery.final_card.as_ref().map(json).transpose()?;
    let args = args![
        delivery.id,
        delivery.event,
        &delivery.bot,
        delivery.part.as_str(),
        card.message.as_ref(),
        card.card.as_ref(),
        i64::try_from(card.sequence).unwrap_or(i64::MAX),
        state.as_str(),
        Arg::Json(Some(json(card)?)),
        Arg::Json(final_card),
        delivery.updated_at
    ];
    session.execute(statement, args).await?;
    Ok(())
}
