//! What was chosen for a scope, a chat or a person.

use magpie_core::clock::UnixMillis;
use magpie_core::ids::BotId;

use crate::column::args;
use crate::errors::Failure;
use crate::session::{Excluding, Pools, Session, Sql};

/// How often a choice is begun anew while others set and take away the same one.
const ATTEMPTS: u32 = 5;

/// What a choice is found by.
#[derive(Clone, Copy)]
pub(super) struct Key<'a> {
    pub bot: &'a BotId,
    pub subject: &'a str,
    pub name: &'a str,
}

pub(super) async fn find(pools: &Pools, key: Key<'_>) -> Result<Option<String>, Failure> {
    let statement = "SELECT value FROM choices WHERE bot = $1 AND subject = $2 AND name = $3";
    let row: Option<(String,)> = pools.read().await?.optional(statement, args![key.bot, key.subject, key.name]).await?;
    Ok(row.map(|(value,)| value))
}

/// Gives what was there before.
pub(super) async fn choose(
    pools: &Pools,
    key: Key<'_>,
    value: Option<&str>,
    now: UnixMillis,
) -> Result<Option<String>, Failure> {
    let mut session = pools.write(Excluding::Nothing).await?;
    for _ in 0..ATTEMPTS {
        let former = lock(&mut session, key).await?;
        if replace(&mut session, key, former.as_deref(), (value, now)).await? {
            session.commit().await?;
            return Ok(former);
        }
    }
    Err(Failure::Refused("others make the same choice"))
}

async fn lock(session: &mut Session, key: Key<'_>) -> Result<Option<String>, Failure> {
    const LOCK: Sql = Sql {
        postgres: "SELECT value FROM choices WHERE bot = $1 AND subject = $2 AND name = $3 FOR UPDATE",
        sqlite: "SELECT value FROM choices WHERE bot = $1 AND subject = $2 AND name = $3",
    };
    let row: Option<(String,)> = session.optional(LOCK, args![key.bot, key.subject, key.name]).await?;
    Ok(row.map(|(value,)| value))
}

/// False: there was no row to lock, and another instance has made one meanwhile.
async fn replace(
    session: &mut Session,
    key: Key<'_>,
    former: Option<&str>,
    (value, now): (Option<&str>, UnixMillis),
) -> Result<bool, Failure> {
    const INSERT: &str = "INSERT INTO choices (bot, subject, name, value, updated_at) VALUES ($1, $2, $3, $4, $5)
                          ON CONFLICT (bot, subject, name) DO NOTHING";
    const UPDATE: &str = "UPDATE choices SET value = $4, updated_at = $5
                          WHERE bot = $1 AND subject = $2 AND name = $3";
    const DELETE: &str = "DELETE FROM choices WHERE bot = $1 AND subject = $2 AND name = $3";
    let Key { bot, subject, name } = key;
    let changed = match (former, value) {
        (None, None) => return Ok(true),
        (None, Some(value)) => session.execute(INSERT, args![bot, subject, name, value, now]).await?,
        (Some(_), Some(value)) => session.execute(UPDATE, args![bot, subject, name, value, now]).await?,
        (Some(_), None) => session.execute(DELETE, args![bot, subject, name]).await?,
    };
    Ok(changed == 1)
}
