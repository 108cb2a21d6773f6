//! Topics, summaries, choices, allowances and what was overheard.

use magpie_core::clock::UnixMillis;
use magpie_core::ids::{BotId, ConversationId, EventId, ScopeKey};
use magpie_core::inbox::Fence;
use magpie_core::store::{Admission, Allowance, Listening, Overheard, Summary, Topic, Topics};
use sqlx::FromRow;

use super::{Reply, SqlStore, allowances, choices, overheard};
use crate::column::{Id, Stamp, args};
use crate::errors::Failure;
use crate::inbox::bounded;
use crate::session::{Excluding, Pools, Session, Sql};

impl Topics for SqlStore {
    fn topics<'a>(&'a self, bot: &'a BotId, scope: &'a ScopeKey, limit: u32) -> Reply<'a, Vec<Topic>> {
        Box::pin(bounded("listing topics", list(self.pools(), bot, scope, limit)))
    }

    fn resume<'a>(&'a self, bot: &'a BotId, scope: &'a ScopeKey, conversation: ConversationId) -> Reply<'a, bool> {
        let wanted = Wanted { bot, scope, conversation, now: self.database.clock().now() };
        Box::pin(bounded("resuming a topic", resume(self.pools(), wanted)))
    }

    fn summary(&self, conversation: ConversationId) -> Reply<'_, Option<Summary>> {
        Box::pin(bounded("reading a summary", summary(self.pools(), conversation)))
    }

    fn save_summary<'a>(&'a self, fence: Fence, conversation: ConversationId, summary: &'a Summary) -> Reply<'a, ()> {
        let now = self.database.clock().now();
        Box::pin(bounded("storing a summary", async move {
            let mut session = self.pools().write(Excluding::Nothing).await?;
            session.guard(fence).await?;
            put_summary(&mut session, conversation, summary, now).await?;
            session.commit().await?;
            Ok(())
        }))
    }

    fn overheard<'a>(&'a self, listening: &'a Listening) -> Reply<'a, Vec<Overheard>> {
        Box::pin(bounded("reading a group's talk", overheard::latest(self.pools(), listening)))
    }

    fn choice<'a>(&'a self, bot: &'a BotId, subject: &'a str, name: &'a str) -> Reply<'a, Option<String>> {
        let key = choices::Key { bot, subject, name };
        Box::pin(bounded("reading a choice", choices::find(self.pools(), key)))
    }

    fn choose<'a>(
        &'a self,
        bot: &'a BotId,
        subject: &'a str,
        name: &'a str,
        value: Option<&'a str>,
    ) -> Reply<'a, Option<String>> {
        let key = choices::Key { bot, subject, name };
        let now = self.database.clock().now();
        Box::pin(bounded("storing a choice", choices::choose(self.pools(), key, value, now)))
    }

    fn admit<'a>(&'a self, fence: Fence, allowance: &'a Allowance) -> Reply<'a, Admission> {
        Box::pin(bounded("looking at an allowance", allowances::admit(self.pools(), fence, allowance)))
    }
}

#[derive(FromRow)]
struct TopicRow {
    id: Id,
    updated_at: Stamp,
    is_current: bool,
    summary: Option<String>,
    question: String,
    questions: i64,
}

impl From<TopicRow> for Topic {
    fn from(row: TopicRow) -> Self {
        Self {
            conversation: ConversationId(row.id.0),
            question: row.question,
            updated_at: row.updated_at.0,
            questions: u32::try_from(row.questions).unwrap_or(u32::MAX),
            current: row.is_current,
            summary: row.summary,
        }
    }
}

/// A conversation in which nothing was asked yet is no topic.
async fn list(pools: &Pools, bot: &BotId, scope: &ScopeKey, limit: u32) -> Result<Vec<Topic>, Failure> {
    let statement = "SELECT c.id, c.updated_at, c.ended_at IS NULL AS is_current, s.text AS summary,
               (SELECT m.text FROM messages m WHERE m.conversation_id = c.id AND m.role = 'user'
                ORDER BY m.event_id LIMIT 1) AS question,
               (SELECT count(*) FROM messages m WHERE m.conversation_id = c.id AND m.role = 'user') AS questions
        FROM conversations c LEFT JOIN summaries s ON s.conversation_id = c.id
        WHERE c.bot = $1 AND c.scope = $2
          AND EXISTS (SELECT 1 FROM messages m WHERE m.conversation_id = c.id AND m.role = 'user')
        ORDER BY c.updated_at DESC, c.id DESC LIMIT $3";
    let rows: Vec<TopicRow> = pools.read().await?.all(statement, args![bot, scope, limit]).await?;
    Ok(rows.into_iter().map(Topic::from).collect())
}

/// How often it is begun anew when somebody begins or resumes another conversation of the scope at the same time.
const ATTEMPTS: u32 = 5;

#[derive(Clone, Copy)]
struct Wanted<'a> {
    bot: &'a BotId,
    scope: &'a ScopeKey,
    conversation: ConversationId,
    now: UnixMillis,
}

async fn resume(pools: &Pools, wanted: Wanted<'_>) -> Result<bool, Failure> {
    for _ in 1..ATTEMPTS {
        match resume_once(pools, wanted).await {
            Err(failure) if failure.is_conflict() || failure.is_taken() => {}
            outcome => return outcome,
        }
    }
    resume_once(pools, wanted).await
}

async fn resume_once(pools: &Pools, wanted: Wanted<'_>) -> Result<bool, Failure> {
    const FIND: Sql = Sql {
        postgres: "SELECT id FROM conversations WHERE id = $1 AND bot = $2 AND scope = $3 FOR UPDATE",
        sqlite: "SELECT id FROM conversations WHERE id = $1 AND bot = $2 AND scope = $3",
    };
    const END_OTHERS: &str = "UPDATE conversations SET ended_at = $4
                              WHERE bot = $2 AND scope = $3 AND ended_at IS NULL AND id <> $1";
    // Used now: else a long silence before this would end it again.
    const GO_ON: &str = "UPDATE conversations SET ended_at = NULL, updated_at = $2 WHERE id = $1";
    let Wanted { bot, scope, conversation, now } = wanted;
    let mut session = pools.write(Excluding::Nothing).await?;
    let found: Option<(Id,)> = session.optional(FIND, args![conversation, bot, scope]).await?;
    if found.is_none() {
        return Ok(false);
    }
    session.execute(END_OTHERS, args![conversation, bot, scope, now]).await?;
    session.execute(GO_ON, args![conversation, now]).await?;
    session.commit().await?;
    Ok(true)
}

async fn summary(pools: &Pools, conversation: ConversationId) -> Result<Option<Summary>, Failure> {
    let statement = "SELECT text, upto FROM summaries WHERE conversation_id = $1";
    let row: Option<(String, Id)> = pools.read().await?.optional(statement, args![conversation]).await?;
    Ok(row.map(|(text, upto)| Summary { text, upto: EventId(upto.0) }))
}

/// Nothing if the conversation was removed meanwhile.
async fn put_summary(
    session: &mut Session,
    conversation: ConversationId,
    summary: &Summary,
    now: UnixMillis,
) -> Result<(), Failure> {
    let statement = "INSERT INTO summaries (conversation_id, text, upto, updated_at)
                     SELECT id, $2, $3, $4 FROM conversations WHERE id = $1
                     ON CONFLICT (conversation_id) DO UPDATE SET
                         text = excluded.text, upto = excluded.upto, updated_at = excluded.updated_at
                     WHERE summaries.upto <= excluded.upto";
    session.execute(statement, args![conversation, &summary.text, summary.upto, now]).await?;
    Ok(())
}
