//! Answers: recorded once, then delivered.

use magpie_core::clock::UnixMillis;
use magpie_core::engine::{Choice, Completion, Finish};
use magpie_core::ids::EventId;
use magpie_core::inbox::{Fence, Outcome};
use magpie_core::store::{Answer, Delivery, DeliveryState};
use uuid::Uuid;

use super::conversations::touch;
use super::deliveries::put;
use crate::column::{Arg, args};
use crate::errors::Failure;
use crate::inbox::end;
use crate::session::{Excluding, Pools, Session, Sql};

/// Only the first record of an event counts: usage is not added twice, and the text people will see is the one kept.
pub(super) async fn record(pools: &Pools, fence: Fence, answer: &Answer) -> Result<(), Failure> {
    let mut session = pools.write(Excluding::Nothing).await?;
    session.guard(fence).await?;
    if let Some(by) = &answer.by {
        if !add_message(&mut session, fence.event, answer, by).await? {
            session.commit().await?;
            return Ok(());
        }
        add_usage(&mut session, answer, by).await?;
        touch(&mut session, answer.conversation, answer.now).await?;
    }
    put(&mut session, &answer.delivery, answer.delivery.state).await?;
    session.commit().await?;
    Ok(())
}

/// False if the event has its answer already.
pub(super) async fn add_message(
    session: &mut Session,
    event: EventId,
    answer: &Answer,
    by: &(Choice, Completion),
) -> Result<bool, Failure> {
    let statement = "INSERT INTO messages
            (id, conversation_id, event_id, role, created_at, text, reasoning, engine, model, fallback_from,
             fallback_reason, finish, prompt_tokens, completion_tokens)
        VALUES ($1, $2, $3, 'assistant', $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
        ON CONFLICT (event_id, role) DO NOTHING";
    let mut args = args![Uuid::now_v7(), answer.conversation, event, answer.now];
    args.extend(columns(answer, by));
    Ok(session.execute(statement, args).await? == 1)
}

/// From `text` to `completion_tokens`, in the order of the tables that keep answers.
pub(super) fn columns(answer: &Answer, (choice, completion): &(Choice, Completion)) -> Vec<Arg> {
    let reasoning = (!answer.reasoning.is_empty()).then_some(answer.reasoning.as_str());
    let fallback = choice.fallback.as_ref();
    args![
        &answer.text,
        reasoning,
        &choice.engine.name,
        &choice.engine.model,
        fallback.map(|fallback| fallback.from.as_str()),
        fallback.map(|fallback| fallback.reason.as_str()),
        finish_name(completion.finish),
        completion.prompt_tokens,
        completion.completion_tokens
    ]
}

fn finish_name(finish: Finish) -> &'static str {
    match finish {
        Finish::Stop => "stop",
        Finish::Length => "length",
        Finish::Cancelled => "cancelled",
    }
}

/// Days are days of UTC.
pub(super) async fn add_usage(
    session: &mut Session,
    answer: &Answer,
    (choice, completion): &(Choice, Completion),
) -> Result<(), Failure> {
    const ADD: Sql = Sql {
        postgres: "INSERT INTO usage_daily
                (day, bot, user_id, engine, model, answers, prompt_tokens, completion_tokens)
            VALUES (($1 AT TIME ZONE 'UTC')::date, $2, $3, $4, $5, 1, $6, $7)
            ON CONFLICT (day, bot, user_id, engine, model) DO UPDATE SET
                answers = usage_daily.answers + 1,
                prompt_tokens = usage_daily.prompt_tokens + excluded.prompt_tokens,
                completion_tokens = usage_daily.completion_tokens + excluded.completion_tokens",
        sqlite: "INSERT INTO usage_daily
                (day, bot, user_id, engine, model, answers, prompt_tokens, completion_tokens)
            VALUES (date($1 / 1000, 'unixepoch'), $2, $3, $4, $5, 1, $6, $7)
            ON CONFLICT (day, bot, user_id, engine, model) DO UPDATE SET
                answers = usage_daily.answers + 1,
                prompt_tokens = usage_daily.prompt_tokens + excluded.prompt_tokens,
                completion_tokens = usage_daily.completion_tokens + excluded.completion_tokens",
    };
    let args = args![
        answer.now,
        &answer.bot,
        &answer.user,
        &choice.engine.name,
        &choice.engine.model,
        completion.prompt_tokens,
        completion.completion_tokens
    ];
    session.execute(ADD, args).await?;
    Ok(())
}

/// How a delivered answer ends.
pub(super) struct Ending<'a> {
    pub delivery: &'a Delivery,
    pub reason: Option<&'a str>,
    pub now: UnixMillis,
}

/// The delivery is final (or stays dropped) and the event done, together.
pub(super) async fn complete(pools: &Pools, fence: Fence, ending: Ending<'_>) -> Result<(), Failure> {
    let Ending { delivery, reason, now } = ending;
    let state = if delivery.state == DeliveryState::Dropped { DeliveryState::Dropped } else { DeliveryState::Final };
    let mut session = pools.write(Excluding::Nothing).await?;
    session.guard(fence).await?;
    put(&mut session, delivery, state).await?;
    end(&mut session, fence, &Outcome::Done(reason.map(str::to_owned)), now).await?;
    session.commit().await?;
    Ok(())
}
