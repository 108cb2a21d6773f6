//! What an operator says about one endpoint.

use std::time::Duration;

use magpie_core::secret::Secret;

/// One entry of `[[model.cloud]]`, with the limits that all endpoints share.
#[derive(Debug, Clone)]
pub struct CloudConfig {
    /// The engine's name in footers, tables, metrics and `GET /v1/models`.
    pub name: String,
    /// Origin and path up to, not including, `/chat/completions`; a slash at the end does no harm.
    pub base_url: String,
    /// Sent as a bearer token; empty means that no `Authorization` header is sent.
    pub api_key: Secret,
    /// Model name as the endpoint knows it.
    pub model: String,
    /// How often a request may be repeated before its first token.
    pub max_retries: u32,
    /// How long the endpoint is left alone after repeated failures.
    pub cooldown: Duration,
    /// From the call to the first token, all retries included.
    pub first_token_timeout: Duration,
    /// From one token to the next. Comments that keep a connection open are not tokens.
    pub between_tokens_timeout: Duration,
    /// Whether the model understands images.
    pub vision: bool,
    /// For prompts that name no temperature; `None` leaves it to the endpoint.
    pub temperature: Option<f64>,
    /// For prompts that name no limit; `None` leaves it to the endpoint.
    pub max_tokens: Option<u32>,
}

impl CloudConfig {
    /// The address that answers chats.
    #[must_use]
    pub(crate) fn completions_url(&self) -> String {
        format!("{}/chat/completions", self.base_url.trim_end_matches('/'))
    }
}
