//! The typed sections. What a key means and which values it takes stands in `config/default.toml`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use magpie_core::event::PlatformKind;
use magpie_core::secret::Secret;
use magpie_core::settings::{BusyPolicy, DirectPolicy, GroupPolicy, LanguageChoice, SessionScope, Strategy};
use serde::Deserialize;

use super::size::ByteSize;

/// A whole configuration, checked.
#[derive(Debug, Clone, Deserialize)]
pub struct Config {
    pub server: Server,
    pub store: Store,
    pub bots: BTreeMap<String, Bot>,
    pub cards: Cards,
    pub files: Files,
    pub model: Model,
    pub auth: Auth,
    pub limits: Limits,
    pub log: Log,
}

#[derive(Debug, Clone, Deserialize)]
pub struct Server {
    pub listen: String,
    pub admin_listen: String,
    pub public_url: String,
    pub max_body_bytes: usize,
    pub shutdown_grace_seconds: u64,
    pub trusted_proxies: Vec<String>,
    pub timestamp_window_seconds: u64,
    pub request_timeout_seconds: u64,
    pub keep_alive_seconds: u64,
    /// May hold credentials.
    pub outbound_proxy: Secret,
    pub tls: Tls,
}

#[derive(Debug, Clone, Deserialize)]
pub struct Tls {
    pub cert: PathBuf,
    pub key: PathBuf,
}

#[derive(Debug, Clone, Deserialize)]
pub struct Store {
    /// May hold a password.
    pub url: Secret,
    pub max_connections: u32,
    pub encryption_key: Secret,
    pub encrypt_messages: bool,
    pub history_retention_days: u32,
    pub dedupe_hours: u32,
}

#[derive(Debug, Clone, Deserialize)]
pub struct Bot {
    pub enabled: bool,
    pub platform: PlatformKind,
    pub transport: Transport,
    pub system_prompt: String,
    pub model: String,
    pub language: LanguageChoice,
    pub budget: Budget,
    pub base_url: String,
    pub app_id: String,
    pub app_secret: Secret,
    pub verification_token: Secret,
    pub encrypt_key: Secret,
    pub client_id: String,
    pub client_secret: Secret,
    pub robot_code: String,
    pub callback_token: Secret,
    pub callback_aes_key: Secret,
    pub corp_id: String,
    pub card_template_id: String,
    pub legacy_base_url: String,
    pub webhook_hosts: Vec<String>,
    pub card_callback_secret: Secret,
    pub chat: Chat,
    /// By chat id, each filled up from `chat`.
    pub groups: BTreeMap<String, Chat>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Transport {
    Webhook,
    Stream,
}

#[derive(Debug, Clone, Copy, Deserialize)]
pub struct Budget {
    pub calls_per_second: u32,
    pub calls_per_month: u64,
}

/// `[chat]`; and `[bots.NAME.chat]` and `[bots.NAME.groups.CHAT]` after they were filled up.
#[derive(Debug, Clone, Deserialize)]
pub struct Chat {
    pub session_scope: SessionScope,
    pub session_idle_minutes: u64,
    pub history_messages: u32,
    pub group_policy: GroupPolicy,
    pub direct_policy: DirectPolicy,
    pub allow_chats: Vec<String>,
    pub allow_users: Vec<String>,
    pub admin_users: Vec<String>,
    pub card_update_interval_ms: u64,
    pub max_answer_age_minutes: u64,
    pub answer_everyone: bool,
    pub answer_replies: bool,
    pub deny_reply: bool,
    pub busy_policy: BusyPolicy,
    pub debounce_ms: u64,
    pub group_context_messages: u32,
    pub summarise: bool,
    pub follow_up_questions: u32,
    pub welcome: bool,
    pub welcome_questions: Vec<String>,
    pub models: Vec<String>,
}

#[derive(Debug, Clone, Deserialize)]
pub struct Cards {
    pub folder: PathBuf,
}

#[derive(Debug, Clone, Deserialize)]
pub struct Files {
    pub max_bytes: ByteSize,
    pub max_files: usize,
    pub max_characters: usize,
}

#[derive(Debug, Clone, Deserialize)]
pub struct Model {
    pub strategy: Strategy,
    pub request_timeout_ms: u64,
    pub total_timeout_ms: u64,
    pub max_concurrent: usize,
    pub queue_limit: usize,
    pub local: LocalModel,
    pub embedding: EmbeddingModel,
    pub transcription: TranscriptionModel,
    pub cloud: Vec<CloudModel>,
}

#[derive(Debug, Clone, Deserialize)]
pub struct LocalModel {
    pub path: String,
    pub sha256: String,
    pub download_folder: PathBuf,
    pub quantization: String,
    pub tokenizer: String,
    pub chat_template: String,
    pub context_tokens: usize,
    pub max_tokens: u32,
    pub temperature: f64,
    pub top_p: f64,
    pub max_batch_size: usize,
    pub cache_bytes: ByteSize,
    pub cache_type: String,
    pub threads: usize,
    pub device: String,
}

#[derive(Debug, Clone, Deserialize)]
pub struct EmbeddingModel {
    pub path: String,
    pub max_tokens: usize,
    pub batch_size: usize,
    pub queue_limit: usize,
}

#[derive(Debug, Clone, Deserialize)]
pub struct TranscriptionModel {
    pub base_url: String,
    pub api_key: Secret,
    pub model: String,
    pub language: String,
    pub timeout_seconds: u64,
}

#[derive(Debug, Clone, Deserialize)]
pub struct CloudModel {
    pub name: String,
    pub base_url: String,
    pub api_key: Secret,
    pub model: String,
    pub max_retries: u32,
    pub cooldown_seconds: u64,
    pub vision: bool,
}

#[derive(Debug, Clone, Deserialize)]
pub struct Auth {
    pub jwt_secret: Secret,
    pub token_ttl_seconds: u64,
    pub key_rotation_days: u32,
    pub auto_rotate: bool,
    pub keep_key_versions: u32,
    pub admin_token: Secret,
    pub admin_allow: Vec<String>,
    pub api_allow: Vec<String>,
}

#[derive(Debug, Clone, Deserialize)]
pub struct Limits {
    pub user_messages_per_minute: u32,
    pub api_requests_per_minute: u32,
    pub audit_retention_days: u32,
}

#[derive(Debug, Clone, Deserialize)]
pub struct Log {
    pub format: LogFormat,
    pub level: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    Text,
    Json,
}
