//! The meter port: calls by app, class and month, and the line that they leave in.

use std::time::Duration;

use futures::future::BoxFuture;
use magpie_core::budget::meter::LONGEST_BACKLOG;
use magpie_core::budget::{Day, Meter, Month, Take, Taken};
use magpie_core::store::StoreError;

use crate::column::args;
use crate::database::Database;
use crate::errors::Failure;
use crate::inbox::bounded;
use crate::session::{Excluding, Pools, Session, Sql};

/// [`Meter`] over either database.
pub(crate) struct SqlMeter {
    database: Database,
}

impl SqlMeter {
    pub(crate) fn new(database: Database) -> Self {
        Self { database }
    }
}

impl Meter for SqlMeter {
    fn take(&self, take: Take) -> BoxFuture<'_, Result<Taken, StoreError>> {
        Box::pin(bounded("counting calls", async move { taken(self.database.pools(), &take).await }))
    }

    fn is_first_to_tell<'a>(&'a self, app: &'a str, month: Month, day: Day) -> BoxFuture<'a, Result<bool, StoreError>> {
        Box::pin(bounded("noting a report", is_first_to_tell(self.database.pools(), app, month, day)))
    }
}

async fn taken(pools: &Pools, take: &Take) -> Result<Taken, Failure> {
    let counted = i64::from(take.calls).saturating_add(i64::try_from(take.uncounted).unwrap_or(i64::MAX));
    if counted == 0 {
        let month_calls = month_calls(&mut pools.read().await?, take).await?;
        return Ok(Taken { backlog: Duration::ZERO, month_calls });
    }
    let mut session = pools.write(Excluding::Nothing).await?;
    let mut backlog = Duration::ZERO;
    // The line first: its row keeps the other instances out of the rest of this transaction, all in the same order.
    if take.calls > 0 && !take.gap.is_zero() {
        backlog = stand_in_line(&mut session, take).await?;
    }
    let statement = "INSERT INTO api_calls (app, class, month, calls) VALUES ($1, $2, $3, $4)
                     ON CONFLICT (app, month, class) DO UPDATE SET calls = api_calls.calls + excluded.calls";
    let month = Month::of(take.now).to_string();
    session.execute(statement, args![&take.app, take.class.as_str(), &month, counted]).await?;
    let month_calls = month_calls(&mut session, take).await?;
    session.commit().await?;
    Ok(Taken { backlog, month_calls })
}

/// Moves the line on, and gives how far it reached before.
///
/// It goes by the database's own clock, in Postgres read once the row is ours: instances' clocks differ, and a rate is a
/// matter of milliseconds.
async fn stand_in_line(session: &mut Session, take: &Take) -> Result<Duration, Failure> {
    const ADVANCE: Sql = Sql {
        postgres: "INSERT INTO api_lines AS line (app, class, reaches_us)
                   VALUES ($1, $2, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint + $3)
                   ON CONFLICT (app, class) DO UPDATE SET reaches_us = $3 + LEAST(
                       GREATEST(line.reaches_us, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint),
                       (extract(epoch FROM clock_timestamp()) * 1000000)::bigint + $4)
                   RETURNING reaches_us - $3 - (extract(epoch FROM clock_timestamp()) * 1000000)::bigint",
        sqlite: "INSERT INTO api_lines AS line (app, class, reaches_us)
                 VALUES ($1, $2, CAST(unixepoch('subsec') * 1000000 AS INTEGER) + $3)
                 ON CONFLICT (app, class) DO UPDATE SET reaches_us = $3 + MIN(
                     MAX(line.reaches_us, CAST(unixepoch('subsec') * 1000000 AS INTEGER)),
                     CAST(unixepoch('subsec') * 1000000 AS INTEGER) + $4)
                 RETURNING reaches_us - $3 - CAST(unixepoch('subsec') * 1000000 AS INTEGER)",
    };
    let micros = |duration: Duration| i64::try_from(duration.as_micros()).unwrap_or(i64::MAX / 4);
    let advance = micros(take.gap).saturating_mul(take.calls.into());
    let args = args![&take.app, take.class.as_str(), advance, micros(LONGEST_BACKLOG)];
    let row: Option<(i64,)> = session.optional(ADVANCE, args).await?;
    let (backlog_us,) = row.ok_or(Failure::Refused("the line was removed meanwhile"))?;
    // Below zero by what the clock went on between two readings of it.
    Ok(Duration::from_micros(u64::try_from(backlog_us).unwrap_or(0)))
}

async fn month_calls(session: &mut Session, take: &Take) -> Result<u64, Failure> {
    let statement = "SELECT CAST(COALESCE(sum(calls), 0) AS bigint) FROM api_calls WHERE app = $1 AND month = $2";
    let month = Month::of(take.now).to_string();
    let row: Option<(i64,)> = session.optional(statement, args![&take.app, &month]).await?;
    Ok(row.and_then(|(calls,)| u64::try_from(calls).ok()).unwrap_or(0))
}

async fn is_first_to_tell(pools: &Pools, app: &str, month: Month, day: Day) -> Result<bool, Failure> {
    // One row of the month speaks for all: instances that ask at the same time wait for it and then find it told. The
    // others are looked at because another row may have been the first when it was told.
    let statement = "UPDATE api_calls SET told_on = $3
                     WHERE app = $1 AND month = $2 AND (told_on IS NULL OR told_on < $3)
                       AND class = (SELECT min(class) FROM api_calls WHERE app = $1 AND month = $2)
                       AND NOT EXISTS (SELECT 1 FROM api_calls WHERE app = $1 AND month = $2 AND told_on >= $3)";
    let mut session = pools.write(Excluding::Nothing).await?;
    let told = session.execute(statement, args![app, &month.to_string(), &day.to_string()]).await?;
    session.commit().await?;
    Ok(told > 0)
}
