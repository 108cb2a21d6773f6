//! Conversations: at most one current one per bot and scope.

use magpie_core::clock::UnixMillis;
use magpie_core::ids::{BotId, ConversationId, ScopeKey};
use magpie_core::inbox::Fence;
use magpie_core::store::{Conversation, Opening};
use sqlx::FromRow;

use crate::column::{Id, Stamp, args};
use crate::errors::Failure;
use crate::session::{Excluding, Pools, Session, Sql};

const CURRENT: Sql = Sql {
    postgres: "SELECT id, created_at, updated_at FROM conversations
               WHERE bot = $1 AND scope = $2 AND ended_at IS NULL FOR UPDATE",
    sqlite: "SELECT id, created_at, updated_at FROM conversations
             WHERE bot = $1 AND scope = $2 AND ended_at IS NULL",
};

#[derive(FromRow)]
struct Row {
    id: Id,
    created_at: Stamp,
    updated_at: Stamp,
}

impl From<Row> for Conversation {
    fn from(row: Row) -> Self {
        Self { id: ConversationId(row.id.0), created_at: row.created_at.0 }
    }
}

/// The event remembers its conversation, so that a retry after `/new` or a long pause stays where it was.
pub(super) async fn open(pools: &Pools, fence: Fence, opening: &Opening) -> Result<Conversation, Failure> {
    let mut session = pools.write(Excluding::Nothing).await?;
    if let Some(id) = session.guard(fence).await? {
        let remembered: Option<Row> = session
            .optional("SELECT id, created_at, updated_at FROM conversations WHERE id = $1", args![ConversationId(id.0)])
            .await?;
        if let Some(row) = remembered {
            session.commit().await?;
            return Ok(row.into());
        }
    }
    let conversation = current_or_new(&mut session, opening).await?;
    touch(&mut session, conversation.id, opening.now).await?;
    session
        .execute("UPDATE events SET conversation_id = $2 WHERE id = $1", args![fence.event, conversation.id])
        .await?;
    session.commit().await?;
    Ok(conversation)
}

async fn current_or_new(session: &mut Session, opening: &Opening) -> Result<Conversation, Failure> {
    let current: Option<Row> = session.optional(CURRENT, args![&opening.bot, &opening.scope]).await?;
    if let Some(row) = current {
        let silence = opening.now.since(row.updated_at.0);
        if opening.idle.is_zero() || silence <= opening.idle {
            return Ok(row.into());
        }
        session
            .execute(
                "UPDATE conversations SET ended_at = $2 WHERE id = $1",
                args![ConversationId(row.id.0), opening.now],
            )
            .await?;
    }
    insert(session, opening).await
}

async fn insert(session: &mut Session, opening: &Opening) -> Result<Conversation, Failure> {
    let statement = "INSERT INTO conversations
                         (id, bot, platform, scope, chat_id, user_id, thread_id, created_at, updated_at)
                     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8)
                     ON CONFLICT DO NOTHING";
    let id = ConversationId::new();
    let args = args![
        id,
        &opening.bot,
        opening.platform.as_str(),
        &opening.scope,
        &opening.chat,
        opening.user.as_ref(),
        opening.thread.as_ref(),
        opening.now
    ];
    if session.execute(statement, args).await? == 1 {
        return Ok(Conversation { id, created_at: opening.now });
    }
    // Another instance began one at the same moment.
    let theirs: Option<Row> = session.optional(CURRENT, args![&opening.bot, &opening.scope]).await?;
    theirs.map(Conversation::from).ok_or(Failure::Refused("the conversation was begun and ended meanwhile"))
}

/// A conversation lives from its latest message on.
pub(super) async fn touch(session: &mut Session, id: ConversationId, now: UnixMillis) -> Result<(), Failure> {
    let statement = "UPDATE conversations SET updated_at = $2 WHERE id = $1 AND updated_at < $2";
    session.execute(statement, args![id, now]).await?;
    Ok(())
}

pub(super) async fn end(pools: &Pools, bot: &BotId, scope: &ScopeKey, now: UnixMillis) -> Result<bool, Failure> {
    let statement = "UPDATE conversations SET ended_at = $3 WHERE bot = $1 AND scope = $2 AND ended_at IS NULL";
    let mut session = pools.write(Excluding::Nothing).await?;
    let ended = session.execute(statement, args![bot, scope, now]).await?;
    session.commit().await?;
    Ok(ended > 0)
}
