//! What the operator decided, as the decisions need it. Parsing and checking the configuration is the server's job.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::event::PlatformKind;
use crate::ids::BotId;

/// One bot.
#[derive(Debug, Clone, PartialEq)]
pub struct BotSettings {
    pub id: BotId,
    pub platform: PlatformKind,
    /// A disabled bot keeps its events as done, `bot_disabled`, and answers nothing.
    pub enabled: bool,
    pub system_prompt: String,
    pub model: ModelChoice,
    pub chat: ChatSettings,
}

/// Which engine a bot wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ModelChoice {
    /// By the strategy.
    Auto,
    /// This engine first; then the strategy's others.
    Named(String),
}

/// `[chat]` and `[bots.NAME.chat]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChatSettings {
    pub session_scope: SessionScope,
    /// Zero: never idle.
    pub session_idle: Duration,
    /// Messages of history at most; the token budget may allow fewer.
    pub history_messages: u32,
    pub group_policy: GroupPolicy,
    pub direct_policy: DirectPolicy,
    pub allow_chats: Vec<String>,
    pub allow_users: Vec<String>,
    pub admin_users: Vec<String>,
    pub card_update_interval: Duration,
    /// Zero: answer however late.
    pub max_answer_age: Duration,
    /// Messages of one person a minute; 0: no limit.
    pub user_messages_per_minute: u32,
}

/// Who shares a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SessionScope {
    /// Everybody in the chat.
    Chat,
    /// Each person in each chat apart.
    ChatUser,
    /// Everybody in a topic; outside topics everybody in the chat.
    Thread,
}

/// When to speak in groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GroupPolicy {
    /// When the bot is mentioned.
    Mention,
    /// Always.
    All,
    /// When mentioned, in the chats of `allow_chats` only.
    Allowlist,
    Off,
}

/// When to speak in direct chats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DirectPolicy {
    Open,
    /// With the people of `allow_users` only.
    Allowlist,
    Off,
}

/// The order in which engines are tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Strategy {
    LocalFirst,
    CloudFirst,
    LocalOnly,
    CloudOnly,
}

impl Default for ChatSettings {
    /// The values of `config/default.toml`.
    fn default() -> Self {
        Self {
            session_scope: SessionScope::ChatUser,
            session_idle: Duration::from_secs(120 * 60),
            history_messages: 20,
            group_policy: GroupPolicy::Mention,
            direct_policy: DirectPolicy::Open,
            allow_chats: Vec::new(),
            allow_users: Vec::new(),
            admin_users: Vec::new(),
            card_update_interval: Duration::from_millis(400),
            max_answer_age: Duration::ZERO,
            user_messages_per_minute: 20,
        }
    }
}
