//! Messages of conversations.

use magpie_core::engine::Role;
use magpie_core::ids::{ConversationId, EventId};
use magpie_core::inbox::Fence;
use magpie_core::store::{Question, StoredMessage};
use sqlx::FromRow;
use uuid::Uuid;

use super::conversations::touch;
use crate::column::{Id, Stamp, args};
use crate::errors::Failure;
use crate::session::{Excluding, Pools};

/// Events are in the order of their ids; within one, the question (`user`) comes before the answer (`assistant`).
pub(crate) const HISTORY: &str = "SELECT event_id, role, text, created_at FROM messages
                                  WHERE conversation_id = $1 AND event_id < $2
                                  ORDER BY event_id DESC, role ASC LIMIT $3";

#[derive(FromRow)]
struct Row {
    event_id: Id,
    role: String,
    text: String,
    created_at: Stamp,
}

pub(super) async fn history(
    pools: &Pools,
    conversation: ConversationId,
    before: EventId,
    limit: u32,
) -> Result<Vec<StoredMessage>, Failure> {
    let rows: Vec<Row> = pools.read().await?.all(HISTORY, args![conversation, before, limit]).await?;
    rows.into_iter().rev().map(read).collect()
}

fn read(row: Row) -> Result<StoredMessage, Failure> {
    let role = [Role::System, Role::User, Role::Assistant].into_iter().find(|role| role.as_str() == row.role);
    Ok(StoredMessage {
        event: Some(EventId(row.event_id.0)),
        role: role.ok_or_else(|| Failure::Corrupt(format!("unknown role of a message: {}", row.role).into()))?,
        text: row.text,
        created_at: row.created_at.0,
    })
}

pub(super) async fn add_question(pools: &Pools, fence: Fence, question: &Question) -> Result<(), Failure> {
    let statement = "INSERT INTO messages (id, conversation_id, event_id, role, text, user_id, user_name, created_at)
                     VALUES ($1, $2, $3, 'user', $4, $5, $6, $7)
                     ON CONFLICT (event_id, role) DO NOTHING";
    let mut session = pools.write(Excluding::Nothing).await?;
    session.guard(fence).await?;
    let args = args![
        Uuid::now_v7(),
        question.conversation,
        fence.event,
        &question.text,
        &question.user,
        &question.user_name,
        question.now
    ];
    session.execute(statement, args).await?;
    touch(&mut session, question.conversation, question.now).await?;
    session.commit().await?;
    Ok(())
}
