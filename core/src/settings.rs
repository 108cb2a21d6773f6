//! What the operator decided, as the decisions need it. Parsing and checking the configuration is the server's job.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::card::Language;
use crate::event::PlatformKind;
use crate::ids::{BotId, ChatId};

/// One bot.
#[derive(Debug, Clone, PartialEq)]
pub struct BotSettings {
    pub id: BotId,
    pub platform: PlatformKind,
    /// A disabled bot keeps its events as done, `bot_disabled`, and answers nothing.
    pub enabled: bool,
    pub system_prompt: String,
    pub model: ModelChoice,
    /// Language of fixed texts.
    pub language: LanguageChoice,
    pub chat: ChatSettings,
    /// By chat id: what holds in single groups instead of `chat`.
    pub groups: BTreeMap<String, ChatSettings>,
}

impl BotSettings {
    /// What holds in a chat.
    #[must_use]
    pub fn chat_in(&self, chat: &ChatId) -> &ChatSettings {
        self.groups.get(chat.as_str()).unwrap_or(&self.chat)
    }

    /// The language of fixed texts for somebody who wrote `text`.
    #[must_use]
    pub fn language_for(&self, text: &str) -> Language {
        match self.language {
            LanguageChoice::Auto => Language::of(text),
            LanguageChoice::Zh => Language::Zh,
            LanguageChoice::En => Language::En,
        }
    }
}

/// The language that a bot speaks of its own accord; answers are in whatever language the model chooses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LanguageChoice {
    /// That of the message at hand.
    Auto,
    Zh,
    En,
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
    /// Whether a mention of everyone speaks to the bot.
    pub answer_everyone: bool,
    /// Whether a reply to the bot's own message speaks to it without a mention.
    pub answer_replies: bool,
    /// Whether a person who may not ask is told so.
    pub deny_reply: bool,
    pub allow_chats: Vec<String>,
    pub allow_users: Vec<String>,
    pub admin_users: Vec<String>,
    pub card_update_interval: Duration,
    /// Zero: answer however late.
    pub max_answer_age: Duration,
    /// Messages of one person a minute; 0: no limit.
    pub user_messages_per_minute: u32,
    pub busy: BusyPolicy,
    /// How long messages may be apart to become one question under [`BusyPolicy::Merge`].
    pub debounce: Duration,
    /// So many of a group's latest messages that were not meant for the bot become context; 0: none.
    pub group_context_messages: u32,
    /// Fold what no longer fits into a summary.
    pub summarise: bool,
    /// Questions that an engine proposes after each answer, at most.
    pub follow_ups: u32,
    /// Whether the bot introduces itself where it is new.
    pub welcome: bool,
    /// Questions that the introduction offers.
    pub welcome_questions: Vec<String>,
    /// Names of engines that people may choose; empty: all.
    pub models: Vec<String>,
}

/// What becomes of a message while the one before it is still being answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BusyPolicy {
    /// It waits, and its card shows its place.
    Queue,
    /// Messages shortly after one another become one question.
    Merge,
    /// It ends the answer that runs for the same person.
    Interrupt,
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
            answer_everyone: false,
            answer_replies: false,
            deny_reply: false,
            busy: BusyPolicy::Queue,
            debounce: Duration::from_millis(1500),
            group_context_messages: 0,
            summarise: true,
            follow_ups: 0,
            welcome: true,
            welcome_questions: Vec::new(),
            models: Vec::new(),
        }
    }
}
