//! Messages that nobody asked for: one call, with the same certainty, record and budget as answers.

use super::Bot;
use crate::clock::UnixMillis;
use crate::ids::ScopeKey;
use crate::inbox::{Acceptance, Inbox};
use crate::intake;
use crate::platform::Target;
use crate::store::StoreError;
use crate::task::{Post, Task};

/// What is to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proactive {
    pub target: Target,
    pub post: Post,
    /// Chosen by the caller; the same key sends once, however often it is asked for.
    pub key: String,
}

/// Has something sent. It is on disk when this returns, and goes out like an answer does: in order within its target,
/// once, tried again while the platform is away.
///
/// # Errors
/// [`StoreError`]; nothing is sent then.
pub async fn post(
    inbox: &dyn Inbox,
    bot: &Bot,
    proactive: Proactive,
    now: UnixMillis,
) -> Result<Acceptance, StoreError> {
    let Proactive { target, post, key } = proactive;
    let to = bot.platform.address(&target);
    let whom = match &target {
        Target::Chat(chat) => format!("post:chat:{chat}"),
        Target::User(user) => format!("post:user:{user}"),
    };
    let task = Task::Post { to, post };
    inbox.accept(intake::task(task, &bot.settings, &format!("post:{key}"), ScopeKey(whom), now)).await
}
