//! What core wants to know, made from the sections.

use std::net::{SocketAddr, ToSocketAddrs};
use std::time::Duration;

use magpie_core::attachment::FileSettings;
use magpie_core::ids::BotId;
use magpie_core::settings::{BotSettings, ChatSettings, ModelChoice};

use super::sections::{Bot, Chat, Config, Files, Store};

impl Config {
    /// The settings of every bot, in the order of their names.
    #[must_use]
    pub fn bot_settings(&self) -> Vec<BotSettings> {
        self.bots.iter().map(|(name, bot)| bot.settings(name, self.limits.user_messages_per_minute)).collect()
    }
}

impl Bot {
    /// `name` is the table's name, `messages_per_minute` the limit of `[limits]`.
    #[must_use]
    pub fn settings(&self, name: &str, messages_per_minute: u32) -> BotSettings {
        BotSettings {
            id: BotId::from(name),
            platform: self.platform,
            enabled: self.enabled,
            system_prompt: self.system_prompt.clone(),
            model: match self.model.as_str() {
                "" | "auto" => ModelChoice::Auto,
                name => ModelChoice::Named(name.to_owned()),
            },
            language: self.language,
            chat: self.chat.settings(messages_per_minute),
            groups: self
                .groups
                .iter()
                .map(|(chat, settings)| (chat.clone(), settings.settings(messages_per_minute)))
                .collect(),
        }
    }
}

impl Chat {
    fn settings(&self, user_messages_per_minute: u32) -> ChatSettings {
        ChatSettings {
            session_scope: self.session_scope,
            session_idle: Duration::from_secs(self.session_idle_minutes * 60),
            history_messages: self.history_messages,
            group_policy: self.group_policy,
            direct_policy: self.direct_policy,
            allow_chats: self.allow_chats.clone(),
            allow_users: self.allow_users.clone(),
            admin_users: self.admin_users.clone(),
            card_update_interval: Duration::from_millis(self.card_update_interval_ms),
            max_answer_age: Duration::from_secs(self.max_answer_age_minutes * 60),
            user_messages_per_minute,
            answer_everyone: self.answer_everyone,
            answer_replies: self.answer_replies,
            deny_reply: self.deny_reply,
            busy: self.busy_policy,
            debounce: Duration::from_millis(self.debounce_ms),
            group_context_messages: self.group_context_messages,
            summarise: self.summarise,
            follow_ups: self.follow_up_questions,
            welcome: self.welcome,
            welcome_questions: self.welcome_questions.clone(),
            models: self.models.clone(),
        }
    }
}

impl Files {
    /// What may be done with files that people send.
    #[must_use]
    pub fn settings(&self) -> FileSettings {
        FileSettings {
            max_bytes: usize::try_from(self.max_bytes.bytes()).unwrap_or(usize::MAX),
            max_files: self.max_files,
            max_characters: self.max_characters,
        }
    }
}

impl Store {
    /// How long event and message ids are remembered.
    #[must_use]
    pub fn dedupe(&self) -> Duration {
        Duration::from_secs(u64::from(self.dedupe_hours) * 3600)
    }

    /// How long conversations are kept; zero: for ever.
    #[must_use]
    pub fn history(&self) -> Duration {
        Duration::from_secs(u64::from(self.history_retention_days) * 86_400)
    }
}

/// The first address of `host:port`.
///
/// # Errors
/// The host's name can't be resolved (any more: it could when the configuration was checked).
pub fn resolve(address: &str) -> std::io::Result<SocketAddr> {
    address.to_socket_addrs()?.next().ok_or_else(|| std::io::Error::other(format!("{address} names no address")))
}
