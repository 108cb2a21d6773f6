//! What a Feishu bot is made from, and why one is refused at start.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use magpie_core::budget::Budget;
use magpie_core::event::PlatformKind;
use magpie_core::ids::BotId;

use magpie_core::secret::Secret;

/// Settings of one bot. Start from [`FeishuConfig::new`], which has the defaults.
#[derive(Debug, Clone)]
pub struct FeishuConfig {
    /// The bot's name in our configuration.
    pub bot: BotId,
    /// `Feishu` or `Lark`; decides the default origin.
    pub kind: PlatformKind,
    /// `cli_` and 16 hex digits, from the developer console.
    pub app_id: String,
    pub app_secret: Secret,
    /// Always required: it is inside every pushed body.
    pub verification_token: Secret,
    /// Set when the console has an Encrypt Key: bodies are then encrypted and signed.
    pub encrypt_key: Option<Secret>,
    /// The bot's own open id, if known from an earlier run; else `connect` asks for it.
    pub own_id: Option<String>,
    /// Origin of the OpenAPI instead of the public one, such as `http://127.0.0.1:8080`; a final `/` is ignored.
    pub base_url: Option<String>,
    /// How far the signed time of a request may be off, either way.
    pub timestamp_window: Duration,
    /// A folder whose `*.json.j2` files replace the built-in card templates of the same name.
    pub templates: Option<PathBuf>,
    /// The first wait before a failed call is repeated; the second is twice as long.
    pub retry_delay: Duration,
    /// Every call to the OpenAPI draws on it. The platform counts per app and API, 50 a second and 1000 a minute by
    /// default. Source: "Frequency control", May 2026.
    pub budget: Arc<Budget>,
    /// Updates of one card come no closer than this.
    pub min_update_interval: Duration,
}

impl FeishuConfig {
    /// Defaults for everything that is not a credential.
    #[must_use]
    pub fn new(
        bot: BotId,
        kind: PlatformKind,
        app_id: impl Into<String>,
        app_secret: Secret,
        verification_token: Secret,
    ) -> Self {
        Self {
            bot,
            kind,
            app_id: app_id.into(),
            app_secret,
            verification_token,
            encrypt_key: None,
            own_id: None,
            base_url: None,
            timestamp_window: Duration::from_secs(3_600),
            templates: None,
            retry_delay: Duration::from_millis(500),
            budget: Budget::unlimited(),
            min_update_interval: Duration::from_millis(400),
        }
    }

    /// Origin of the OpenAPI without a final slash.
    pub(crate) fn origin(&self) -> String {
        let default = match self.kind {
            PlatformKind::Lark => "https://open.larksuite.com",
            _ => "https://open.feishu.cn",
        };
        let chosen = self.base_url.as_deref().filter(|url| !url.trim().is_empty()).unwrap_or(default);
        chosen.trim().trim_end_matches('/').to_owned()
    }

    /// Refuses a bot that could not verify what it is sent, or could not answer.
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        let required = [
            ("app_id", self.app_id.as_str()),
            ("app_secret", self.app_secret.reveal()),
            ("verification_token", self.verification_token.reveal()),
        ];
        if let Some((key, _)) = required.into_iter().find(|(_, value)| value.trim().is_empty()) {
            return Err(ConfigError::Missing { bot: self.bot.clone(), key });
        }
        if self.kind == PlatformKind::DingTalk {
            return Err(ConfigError::Value { bot: self.bot.clone(), key: "platform", allowed: "feishu or lark" });
        }
        let origin = self.origin();
        if !(origin.starts_with("https://") || origin.starts_with("http://")) {
            return Err(ConfigError::Value { bot: self.bot.clone(), key: "base_url", allowed: "http:// or https://" });
        }
        Ok(())
    }
}

/// Why a bot can't be started. The operator has to change the configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("bots.{bot}.{key} is missing; copy it from the app's page in the developer console")]
    Missing { bot: BotId, key: &'static str },
    #[error("bots.{bot}.{key} has a value that can't be used; allowed: {allowed}")]
    Value { bot: BotId, key: &'static str, allowed: &'static str },
    #[error("bots.{bot}: card template {name} can't be used")]
    Template {
        bot: BotId,
        name: String,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> FeishuConfig {
        let bot = BotId::from("helpdesk");
        FeishuConfig::new(bot, PlatformKind::Feishu, "cli_0123456789abcdef", "secret".into(), "token".into())
    }

    #[test]
    fn missing_verification_token_is_named() {
        let mut config = config();
        config.verification_token = "  ".into();
        let refused = config.check().expect_err("a bot that can't verify must be refused");
        assert!(refused.to_string().starts_with("bots.helpdesk.verification_token is missing"), "{refused}");
    }

    #[test]
    fn lark_has_its_own_origin_and_an_override_loses_its_slash() {
        let mut config = config();
        assert_eq!(config.origin(), "https://open.feishu.cn");
        config.kind = PlatformKind::Lark;
        assert_eq!(config.origin(), "https://open.larksuite.com");
        config.base_url = Some("http://127.0.0.1:9/".into());
        assert_eq!(config.origin(), "http://127.0.0.1:9");
    }

    #[test]
    fn debug_output_of_the_settings_shows_no_credential() {
        let shown = format!("{:?}", config());
        assert!(!shown.contains("\"secret\"") && !shown.contains("\"token\""), "{shown}");
    }
}
