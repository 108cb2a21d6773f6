//! The adapter as the port sees it.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use magpie_core::card::Card;
use magpie_core::clock::{Clock, UnixMillis};
use magpie_core::event::{Message, PlatformKind, ReplyTo};
use magpie_core::platform::{
    AckBody, CardRef, DeliveryKey, Health, Inbound, Limits, Platform, RawRequest, Received, SendError, Toast,
    WebhookError,
};

use crate::config::{ConfigError, DingTalkConfig, Keys, present};
use crate::entropy::{Entropy, SystemEntropy};
use crate::envelope::Envelope;
use crate::open::Intake;
use crate::robot::Recipient;
use crate::route::WebhookHosts;
use crate::secret::Secret;
use crate::sign::derived_card_secret;

/// One DingTalk robot.
pub struct DingTalk {
    intake: Intake,
    limits: Limits,
}

impl DingTalk {
    /// Checks the configuration; nothing is called yet. `http` must not follow redirects: an answer posted to a
    /// session webhook must not travel on.
    ///
    /// # Errors
    /// [`ConfigError`] names the key that is missing or wrong. A bot with nothing to verify by is refused.
    pub fn new(config: DingTalkConfig, http: reqwest::Client, clock: Arc<dyn Clock>) -> Result<Self, ConfigError> {
        Self::with_entropy(config, http, clock, Arc::new(SystemEntropy))
    }

    /// The same with another source of random bytes, so that encrypted answers can be foretold.
    ///
    /// # Errors
    /// As [`DingTalk::new`].
    pub fn with_entropy(
        config: DingTalkConfig,
        _http: reqwest::Client,
        _clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self, ConfigError> {
        let intake = intake(&config, entropy)?;
        Ok(Self {
            intake,
            limits: Limits {
                ack_deadline: Duration::from_secs(2),
                min_update_interval: config.timing.frame_gap,
                max_silence: Duration::from_secs(5 * 60),
                max_card_bytes: 18_000,
            },
        })
    }
}

fn intake(config: &DingTalkConfig, entropy: Arc<dyn Entropy>) -> Result<Intake, ConfigError> {
    let keys = Keys { bot: &config.bot };
    let client_id = keys.required("client_id", &config.client_id, "it is the app's AppKey (Client ID)")?;
    let secret =
        keys.required("client_secret", config.client_secret.expose(), "robot messages are verified by the AppSecret")?;
    keys.address("base_url", config.base_url.as_deref())?;
    keys.address("public_webhook_url", config.public_webhook_url.as_deref())?;
    let legacy = keys.address("legacy_base_url", config.legacy_base_url.as_deref())?;
    if config.timestamp_window.is_zero() {
        return Err(keys.invalid("timestamp_window", "no request would ever be accepted"));
    }
    let card_secret = config
        .card_callback_secret
        .clone()
        .filter(|secret| !secret.is_empty())
        .unwrap_or_else(|| Secret::from(derived_card_secret(&secret)));
    Ok(Intake {
        recipient: Recipient {
            bot: config.bot.clone(),
            robot_code: present(config.robot_code.as_deref()).unwrap_or_else(|| client_id.clone()),
            hosts: WebhookHosts::new(&config.webhook_hosts, legacy.as_ref()),
        },
        client_id,
        client_secret: Secret::from(secret),
        corp_id: present(config.corp_id.as_deref()),
        envelope: envelope(config, &keys)?,
        card_secret,
        timestamp_window: config.timestamp_window,
        entropy,
    })
}

/// Token and key of the event subscription: both or none.
fn envelope(config: &DingTalkConfig, keys: &Keys<'_>) -> Result<Option<Envelope>, ConfigError> {
    let filled = |secret: &Option<Secret>| secret.clone().filter(|secret| !secret.is_empty());
    match (filled(&config.callback_token), filled(&config.callback_aes_key)) {
        (None, None) => Ok(None),
        (Some(token), Some(key)) => Envelope::new(token, &key)
            .map(Some)
            .ok_or_else(|| keys.invalid("callback_aes_key", "it must be 43 characters of A-Z, a-z, 0-9")),
        (None, Some(_)) => Err(ConfigError::Missing {
            bot: config.bot.clone(),
            key: "callback_token",
            fix: "callback_aes_key is set, and the event subscription needs both",
        }),
        (Some(_), None) => Err(ConfigError::Missing {
            bot: config.bot.clone(),
            key: "callback_aes_key",
            fix: "callback_token is set, and the event subscription needs both",
        }),
    }
}

fn later<T>() -> BoxFuture<'static, Result<T, SendError>> {
    async { Err(SendError::Refused { call: "send", code: "none".to_owned(), fix: String::new() }) }.boxed()
}

impl Platform for DingTalk {
    fn kind(&self) -> PlatformKind {
        PlatformKind::DingTalk
    }
    fn limits(&self) -> &Limits {
        &self.limits
    }
    fn open(&self, raw: &RawRequest, now: UnixMillis) -> Result<Inbound, WebhookError> {
        self.intake.open(raw, now)
    }
    fn ack(&self, received: &Received, toast: Option<&Toast>) -> AckBody {
        self.intake.ack(received, toast)
    }
    fn connect(&self) -> BoxFuture<'_, Result<(), SendError>> {
        later()
    }
    fn settle<'a>(&'a self, _message: &'a mut Message) -> BoxFuture<'a, Result<(), SendError>> {
        later()
    }
    fn prepare<'a>(
        &'a self,
        _to: &'a ReplyTo,
        _card: &'a Card,
        _key: &'a DeliveryKey,
    ) -> BoxFuture<'a, Result<CardRef, SendError>> {
        later()
    }
    fn start<'a>(
        &'a self,
        _to: &'a ReplyTo,
        _card: &'a Card,
        _at: &'a mut CardRef,
    ) -> BoxFuture<'a, Result<(), SendError>> {
        later()
    }
    fn update<'a>(
        &'a self,
        _to: &'a ReplyTo,
        _card: &'a Card,
        _at: &'a mut CardRef,
    ) -> BoxFuture<'a, Result<(), SendError>> {
        later()
    }
    fn finish<'a>(
        &'a self,
        _to: &'a ReplyTo,
        _card: &'a Card,
        _at: &'a mut CardRef,
    ) -> BoxFuture<'a, Result<(), SendError>> {
        later()
    }
    fn health(&self) -> Health {
        Health::Ok
    }
}
