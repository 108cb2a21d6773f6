//! How much one person may ask.
//!
//! It is the generic cell rate algorithm in its form of virtual scheduling: each question admitted moves the time at
//! which all of the allowance is back on by one interval, and a question is refused that would move it further ahead
//! than the allowance reaches. <https://en.wikipedia.org/wiki/Generic_cell_rate_algorithm>

use std::time::Duration;

use magpie_core::clock::UnixMillis;
use magpie_core::inbox::Fence;
use magpie_core::store::{Admission, Allowance};

use crate::column::{Stamp, args};
use crate::errors::Failure;
use crate::session::{Excluding, Pools, Session, Sql};

const MINUTE: Duration = Duration::from_secs(60);

/// The event keeps what was decided; who repeats it has been told, or is told by whoever decided.
pub(super) async fn admit(pools: &Pools, fence: Fence, allowance: &Allowance) -> Result<Admission, Failure> {
    let mut session = pools.write(Excluding::Nothing).await?;
    session.guard(fence).await?;
    let decided: Option<(Option<i64>,)> =
        session.optional("SELECT wait_ms FROM events WHERE id = $1", args![fence.event]).await?;
    if let Some(wait_ms) = decided.and_then(|(wait_ms,)| wait_ms) {
        let wait = Duration::from_millis(u64::try_from(wait_ms).unwrap_or(0));
        let admission = if wait.is_zero() { Admission::Allowed } else { Admission::Refused { wait, tell: false } };
        return Ok(admission);
    }
    let used = lock(&mut session, allowance).await?;
    let (admission, used) = decide(used, allowance);
    put(&mut session, allowance, used).await?;
    let wait = if let Admission::Refused { wait, .. } = admission { wait } else { Duration::ZERO };
    let wait_ms = i64::try_from(wait.as_millis()).unwrap_or(i64::MAX);
    session.execute("UPDATE events SET wait_ms = $2 WHERE id = $1", args![fence.event, wait_ms]).await?;
    session.commit().await?;
    Ok(admission)
}

/// A row of the table.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Used {
    free_at: UnixMillis,
    told_at: Option<UnixMillis>,
}

fn decide(used: Used, allowance: &Allowance) -> (Admission, Used) {
    let now = allowance.now;
    let interval = MINUTE / allowance.messages_per_minute.max(1);
    let free_at = used.free_at.max(now) + interval;
    // So far ahead it may lie: all of the allowance at once.
    let wait = free_at.since(now + interval * allowance.messages_per_minute.max(1));
    if wait.is_zero() {
        return (Admission::Allowed, Used { free_at, ..used });
    }
    let tell = used.told_at.is_none_or(|told| now.since(told) >= MINUTE);
    let told_at = if tell { Some(now) } else { used.told_at };
    (Admission::Refused { wait, tell }, Used { told_at, ..used })
}

/// The person's row, made if there is none, and kept from others until the end of the transaction.
async fn lock(session: &mut Session, allowance: &Allowance) -> Result<Used, Failure> {
    const MAKE: &str = "INSERT INTO allowances (bot, user_id, free_at, updated_at) VALUES ($1, $2, $3, $3)
                        ON CONFLICT (bot, user_id) DO NOTHING";
    const LOCK: Sql = Sql {
        postgres: "SELECT free_at, told_at FROM allowances WHERE bot = $1 AND user_id = $2 FOR UPDATE",
        sqlite: "SELECT free_at, told_at FROM allowances WHERE bot = $1 AND user_id = $2",
    };
    session.execute(MAKE, args![&allowance.bot, &allowance.user, allowance.now]).await?;
    let row: Option<(Stamp, Option<Stamp>)> = session.optional(LOCK, args![&allowance.bot, &allowance.user]).await?;
    let (free_at, told_at) = row.ok_or(Failure::Refused("the allowance was removed meanwhile"))?;
    Ok(Used { free_at: free_at.0, told_at: told_at.map(|told| told.0) })
}

async fn put(session: &mut Session, allowance: &Allowance, used: Used) -> Result<(), Failure> {
    let statement = "UPDATE allowances SET free_at = $3, told_at = coalesce($4, told_at), updated_at = $5
                     WHERE bot = $1 AND user_id = $2";
    let told_at = crate::column::Arg::Stamp(used.told_at);
    session.execute(statement, args![&allowance.bot, &allowance.user, used.free_at, told_at, allowance.now]).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: i64, per_minute: u32) -> Allowance {
        Allowance { bot: "b".into(), user: "u".into(), messages_per_minute: per_minute, now: UnixMillis(ms) }
    }

    /// Times at which questions are admitted, of one asked every `step_ms` for `minutes`.
    fn admitted(per_minute: u32, step_ms: i64, minutes: i64) -> Vec<i64> {
        let mut used = Used { free_at: UnixMillis(0), told_at: None };
        let mut times = Vec::new();
        for now in (0..minutes * 60_000).step_by(usize::try_from(step_ms).unwrap()) {
            let (admission, after) = decide(used, &at(now, per_minute));
            used = after;
            if admission == Admission::Allowed {
                times.push(now);
            }
        }
        times
    }

    #[test]
    fn so_many_may_come_at_once_and_then_one_each_interval() {
        let times = admitted(6, 100, 2);
        assert_eq!(times[..7], [0, 100, 200, 300, 400, 500, 10_000]);
        assert_eq!(times.len(), 6 + 11, "none is lost over two minutes: {times:?}");
    }

    #[test]
    fn a_rate_that_does_not_divide_a_minute_still_lets_all_of_it_through() {
        for per_minute in [1, 7, 59, 1_000] {
            let first = Used { free_at: UnixMillis(0), told_at: None };
            let all = (0..per_minute).try_fold(first, |used, _| match decide(used, &at(5, per_minute)) {
                (Admission::Allowed, used) => Some(used),
                (Admission::Refused { .. }, _) => None,
            });
            let (next, _) = decide(all.expect("all at once"), &at(5, per_minute));
            assert!(matches!(next, Admission::Refused { .. }), "{per_minute}: {next:?}");
        }
    }

    #[test]
    fn a_refusal_says_when_to_come_back_and_that_is_kept() {
        let mut used = Used { free_at: UnixMillis(0), told_at: None };
        (_, used) = decide(used, &at(0, 1));
        let (Admission::Refused { wait, tell: true }, after) = decide(used, &at(20_000, 1)) else {
            panic!("it is refused, for the first time")
        };
        assert_eq!((wait, after.free_at), (Duration::from_secs(40), used.free_at), "a refusal costs nothing");
        assert_eq!(decide(after, &at(59_999, 1)).0, Admission::Refused { wait: Duration::from_millis(1), tell: false });
        assert_eq!(decide(after, &at(60_000, 1)).0, Admission::Allowed);
    }
}
