//! What a bot is configured with, and the checks before anything is started.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use magpie_core::budget::Budget;
use magpie_core::ids::BotId;
use url::Url;

use magpie_core::secret::Secret;

/// `[bots.NAME]` of a DingTalk bot. Empty texts count as absent.
#[derive(Debug, Clone)]
pub struct DingTalkConfig {
    pub bot: BotId,
    /// App key (`ding…`).
    pub client_id: String,
    /// App secret: key of the robot signature and of token requests.
    pub client_secret: Secret,
    /// The app's robot; the app key if absent.
    pub robot_code: Option<String>,
    /// Token of the event subscription; goes with `callback_aes_key`.
    pub callback_token: Option<Secret>,
    /// 43 characters as the console shows them; goes with `callback_token`.
    pub callback_aes_key: Option<Secret>,
    /// An organisation accepted as owner of encrypted events beside the app.
    pub corp_id: Option<String>,
    /// Own card template; a public one is used if absent.
    pub card_template_id: Option<String>,
    /// Origin of the APIs, `https://api.dingtalk.com` if absent.
    pub base_url: Option<String>,
    /// Origin of the old APIs in a private deployment; its host may hand out session webhooks over https.
    pub legacy_base_url: Option<String>,
    /// Hosts (no port) that session webhooks may point to beside the official ones.
    pub webhook_hosts: Vec<String>,
    /// Secret that card callbacks are registered with; derived from the app secret if absent.
    pub card_callback_secret: Option<Secret>,
    /// Full address for card callbacks (`https://host/webhook/it`). Without it cards carry no buttons.
    pub public_webhook_url: Option<String>,
    /// How far the signed time of a request may be off, either way.
    pub timestamp_window: Duration,
    /// Folder whose templates replace the built-in ones of the same name.
    pub templates: Option<PathBuf>,
    pub timing: Timing,
    /// Every call to the APIs draws on it; the platform allows 20 a second and API for ordinary organisations.
    pub budget: Arc<Budget>,
}

/// Pace of the sending half.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timing {
    /// Least pause between two calls for one card. Closer ones race with the client's loading.
    pub frame_gap: Duration,
    /// The same for whole updates of a card that runs once more: they cost the client more than frames.
    pub update_gap: Duration,
    /// Pause before the first repeat of a failed call; doubled for the next.
    pub retry_pause: Duration,
    /// How long no card is tried after the platform refused cards to this bot.
    pub cards_off: Duration,
    /// Longest wait for one answer of the platform.
    pub call_timeout: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            frame_gap: Duration::from_millis(500),
            update_gap: Duration::from_secs(2),
            retry_pause: Duration::from_secs(1),
            cards_off: Duration::from_secs(5 * 60),
            call_timeout: Duration::from_secs(10),
        }
    }
}

impl DingTalkConfig {
    /// The three settings that every bot needs, and defaults for the rest.
    #[must_use]
    pub fn new(bot: BotId, client_id: impl Into<String>, client_secret: impl Into<Secret>) -> Self {
        Self {
            bot,
            client_id: client_id.into(),
            client_secret: client_secret.into(),
            robot_code: None,
            callback_token: None,
            callback_aes_key: None,
            corp_id: None,
            card_template_id: None,
            base_url: None,
            legacy_base_url: None,
            webhook_hosts: Vec::new(),
            card_callback_secret: None,
            public_webhook_url: None,
            timestamp_window: Duration::from_secs(3_600),
            templates: None,
            timing: Timing::default(),
            budget: Budget::unlimited(),
        }
    }
}

/// Why a bot can't be started: which key is wrong, and how.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("bots.{bot}.{key} is empty: {fix}")]
    Missing { bot: BotId, key: &'static str, fix: &'static str },
    #[error("bots.{bot}.{key} is not usable: {fix}")]
    Invalid { bot: BotId, key: &'static str, fix: &'static str },
    #[error("bots.{bot}: template {name} can't be used")]
    Template {
        bot: BotId,
        name: &'static str,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl ConfigError {
    /// The key below `bots.NAME`.
    #[must_use]
    pub fn key(&self) -> &'static str {
        match self {
            Self::Missing { key, .. } | Self::Invalid { key, .. } => key,
            Self::Template { .. } => "templates",
        }
    }
}

/// Reads the keys of one bot and names it in errors.
pub(crate) struct Keys<'a> {
    pub bot: &'a BotId,
}

impl Keys<'_> {
    pub fn required(&self, key: &'static str, text: &str, fix: &'static str) -> Result<String, ConfigError> {
        match text.trim() {
            "" => Err(ConfigError::Missing { bot: self.bot.clone(), key, fix }),
            text => Ok(text.to_owned()),
        }
    }

    pub fn invalid(&self, key: &'static str, fix: &'static str) -> ConfigError {
        ConfigError::Invalid { bot: self.bot.clone(), key, fix }
    }

    /// An http(s) address with a host and no user-info.
    pub fn address(&self, key: &'static str, text: Option<&str>) -> Result<Option<Url>, ConfigError> {
        let Some(text) = present(text) else { return Ok(None) };
        let url = Url::parse(&text).map_err(|_| self.invalid(key, "it must be an address such as https://host"))?;
        if !matches!(url.scheme(), "http" | "https") || url.host().is_none() || !url.username().is_empty() {
            return Err(self.invalid(key, "it must begin with https:// (or http://) and hold no user name"));
        }
        Ok(Some(url))
    }
}

/// A text that is not blank, trimmed.
pub(crate) fn present(text: Option<&str>) -> Option<String> {
    text.map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned)
}
