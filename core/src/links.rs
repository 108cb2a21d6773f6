//! The port to whoever can give people an address of ours.

use crate::ids::ConversationId;

/// How long a link to a transcript works.
pub const LINK_HOURS: u32 = 24;

/// Makes links that work for whoever has them, for [`LINK_HOURS`].
pub trait Links: Send + Sync {
    /// Where a conversation can be read as a file; `None` if people can't reach this service.
    fn transcript(&self, conversation: ConversationId) -> Option<String>;
}

/// For a service that people can't reach.
pub struct NoLinks;

impl Links for NoLinks {
    fn transcript(&self, _conversation: ConversationId) -> Option<String> {
        None
    }
}
