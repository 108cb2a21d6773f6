//! From `[bots.NAME]` to a platform adapter.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use magpie_core::budget::{Budget, BudgetSettings};
use magpie_core::clock::Clock;
use magpie_core::event::PlatformKind;
use magpie_core::ids::BotId;
use magpie_core::platform::Platform;
use magpie_core::secret::Secret;
use magpie_dingtalk::{DingTalk, DingTalkConfig};
use magpie_feishu::{Feishu, FeishuConfig};

use super::StartError;
use crate::config::{Bot, Config};

/// Makes platforms from the configuration.
pub struct Platforms<'c> {
    pub config: &'c Config,
    pub http: reqwest::Client,
    pub clock: Arc<dyn Clock>,
}

impl Platforms<'_> {
    /// The budget of one bot's app, not yet connected. It is counted by app, not by bot: bots that share one draw on the
    /// same account.
    #[must_use]
    pub fn budget(&self, name: &str, bot: &Bot) -> Arc<Budget> {
        let app = match bot.platform {
            PlatformKind::Feishu | PlatformKind::Lark => &bot.app_id,
            PlatformKind::DingTalk => &bot.client_id,
        };
        let settings = BudgetSettings {
            bot: BotId::from(name),
            app: format!("{}/{app}", bot.platform.as_str()),
            calls_per_second: bot.budget.calls_per_second,
            calls_per_month: bot.budget.calls_per_month,
        };
        Budget::new(settings, Arc::clone(&self.clock))
    }

    /// The adapter of one bot, whose calls draw on `budget`. Nothing is sent yet.
    ///
    /// # Errors
    /// The adapter refuses a value; the error names the key.
    pub fn platform(&self, name: &str, bot: &Bot, budget: &Arc<Budget>) -> Result<Arc<dyn Platform>, StartError> {
        let (http, clock) = (self.http.clone(), Arc::clone(&self.clock));
        Ok(match bot.platform {
            PlatformKind::Feishu | PlatformKind::Lark => Arc::new(Feishu::new(
                FeishuConfig { budget: Arc::clone(budget), ..self.feishu(name, bot) },
                http,
                clock,
            )?),
            PlatformKind::DingTalk => Arc::new(DingTalk::new(
                DingTalkConfig { budget: Arc::clone(budget), ..self.dingtalk(name, bot) },
                http,
                clock,
            )?),
        })
    }

    fn feishu(&self, name: &str, bot: &Bot) -> FeishuConfig {
        let (secret, token) = (bot.app_secret.clone(), bot.verification_token.clone());
        FeishuConfig {
            encrypt_key: set(&bot.encrypt_key),
            base_url: given(&bot.base_url),
            timestamp_window: self.window(),
            templates: self.templates("feishu"),
            ..FeishuConfig::new(BotId::from(name), bot.platform, bot.app_id.as_str(), secret, token)
        }
    }

    fn dingtalk(&self, name: &str, bot: &Bot) -> DingTalkConfig {
        let public = self.config.server.public_url.trim_end_matches('/');
        DingTalkConfig {
            robot_code: given(&bot.robot_code),
            callback_token: set(&bot.callback_token),
            callback_aes_key: set(&bot.callback_aes_key),
            corp_id: given(&bot.corp_id),
            card_template_id: given(&bot.card_template_id),
            base_url: given(&bot.base_url),
            legacy_base_url: given(&bot.legacy_base_url),
            webhook_hosts: bot.webhook_hosts.clone(),
            card_callback_secret: set(&bot.card_callback_secret),
            public_webhook_url: given(public).map(|origin| format!("{origin}/webhook/{name}")),
            timestamp_window: self.window(),
            templates: self.templates("dingtalk"),
            ..DingTalkConfig::new(BotId::from(name), bot.client_id.as_str(), bot.client_secret.clone())
        }
    }

    fn window(&self) -> Duration {
        Duration::from_secs(self.config.server.timestamp_window_seconds)
    }

    /// The platform's part of `cards.folder`, if there is one.
    fn templates(&self, platform: &str) -> Option<PathBuf> {
        let folder: &Path = &self.config.cards.folder;
        (!folder.as_os_str().is_empty()).then(|| folder.join(platform)).filter(|folder| folder.is_dir())
    }
}

fn set(secret: &Secret) -> Option<Secret> {
    (!secret.is_empty()).then(|| secret.clone())
}

fn given(text: &str) -> Option<String> {
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}
