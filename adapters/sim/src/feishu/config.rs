//! What a simulated Feishu is started with.

use std::fmt;
use std::time::Duration;

use crate::wire::WireLog;

/// Credentials, behaviour and limits. `FeishuConfig::default()` is a complete made-up app without a webhook URL.
#[derive(Clone)]
pub struct FeishuConfig {
    /// `cli_` and 16 hex digits.
    pub app_id: String,
    pub app_secret: String,
    pub verification_token: String,
    /// Bodies are encrypted and signed when it is set and not empty.
    pub encrypt_key: Option<String>,
    pub bot_name: String,
    pub bot_open_id: String,
    pub tenant_key: String,
    /// Where events and callbacks go; can be set later.
    pub webhook_url: Option<String>,
    /// Port on 127.0.0.1; 0 takes a free one.
    pub port: u16,
    pub wire: WireLog,
    /// Waits before each further attempt after a failed delivery. The real platform: 15 s, 5 min, 1 h, 6 h.
    pub retry_schedule: Vec<Duration>,
    /// How long the service may take to answer a push. The real platform: 3 s.
    pub answer_limit: Duration,
    pub limits: RateLimits,
}

/// Calls allowed per window; `None` switches a check off.
/// Source: "Frequency control" and the pages of each call, checked May 2026.
#[derive(Debug, Clone, Copy)]
pub struct RateLimits {
    /// Per class of API within 1 s (429, 99991400).
    pub app_per_second: Option<u32>,
    /// Per class of API within 1 min (429, 99991400).
    pub app_per_minute: Option<u32>,
    /// Calls of all classes that are left, over all time as it passes here (99991403).
    pub app_per_month: Option<u64>,
    /// Messages into one chat within 1 s (230020).
    pub chat_per_second: Option<u32>,
    /// Changes of one message within 1 s (230020).
    pub message_per_second: Option<u32>,
    /// CardKit operations on one card within 1 s (429, 99991400).
    pub card_per_second: Option<u32>,
}

impl Default for RateLimits {
    fn default() -> Self {
        Self {
            app_per_second: Some(50),
            app_per_minute: Some(1_000),
            app_per_month: None,
            chat_per_second: Some(5),
            message_per_second: Some(5),
            card_per_second: Some(10),
        }
    }
}

impl RateLimits {
    /// No rate check at all.
    #[must_use]
    pub fn off() -> Self {
        Self {
            app_per_second: None,
            app_per_minute: None,
            app_per_month: None,
            chat_per_second: None,
            message_per_second: None,
            card_per_second: None,
        }
    }
}

impl Default for FeishuConfig {
    fn default() -> Self {
        Self {
            app_id: "cli_a1b2c3d4e5f60718".into(),
            app_secret: "simulatedFeishuAppSecret00000000".into(),
            verification_token: "simulatedFeishuVerificationToken".into(),
            encrypt_key: Some("simulated feishu encrypt key".into()),
            bot_name: "Magpie".into(),
            bot_open_id: "ou_b07b07b07b07b07b07b07b07b07b07b0".into(),
            tenant_key: "2ceef26e814c10e3".into(),
            webhook_url: None,
            port: 0,
            wire: WireLog::default(),
            retry_schedule: [15, 300, 3_600, 21_600].map(Duration::from_secs).to_vec(),
            answer_limit: Duration::from_secs(3),
            limits: RateLimits::default(),
        }
    }
}

impl FeishuConfig {
    /// The Encrypt Key, if one is in force.
    pub(super) fn sealing_key(&self) -> Option<&str> {
        self.encrypt_key.as_deref().filter(|key| !key.is_empty())
    }
}

impl fmt::Debug for FeishuConfig {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("FeishuConfig")
            .field("app_id", &self.app_id)
            .field("bot_name", &self.bot_name)
            .field("webhook_url", &self.webhook_url)
            .field("port", &self.port)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}
