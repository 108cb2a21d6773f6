//! The adapter as the port sees it.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::{BoxFuture, ready};
use magpie_core::card::Card;
use magpie_core::clock::{Clock, UnixMillis};
use magpie_core::event::{ChatKind, Message, PlatformKind, ReplyTo, Resource, Route};
use magpie_core::ids::ChatId;
use magpie_core::platform::{
    AckBody, CardRef, DeliveryKey, Download, Health, Inbound, Limits, Platform, RawRequest, Received, SendError,
    Target, Toast, WebhookError,
};
use url::Url;

use crate::api::{Api, Call, Credentials};
use crate::calls::register_callback;
use crate::card::Templates;
use crate::config::{ConfigError, DingTalkConfig, Keys, present};
use crate::courier::Courier;
use crate::deliver::Delivery;
use crate::entropy::{Entropy, SystemEntropy};
use crate::envelope::Envelope;
use crate::fetch;
use crate::gap::Gaps;
use crate::gate::Gate;
use crate::open::Intake;
use crate::robot::Recipient;
use crate::route::WebhookHosts;
use crate::sign::derived_card_secret;
use magpie_core::secret::Secret;

/// Origin of the APIs for mainland tenants.
const ORIGIN: &str = "https://api.dingtalk.com";
/// The shortest of the platform's waits: card callbacks. Events get 2.5 s.
const ACK_DEADLINE: Duration = Duration::from_secs(2);
/// A card without a frame for ten minutes counts as forgotten.
const MAX_SILENCE: Duration = Duration::from_secs(5 * 60);
/// A card variable takes 20 000 characters in practice; markup that the dialect needs comes on top of the answer.
const MAX_CARD_BYTES: usize = 18_000;

/// One DingTalk robot.
pub struct DingTalk {
    intake: Intake,
    courier: Courier,
    limits: Limits,
    /// Where card callbacks go.
    callback_address: Option<String>,
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
        http: reqwest::Client,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self, ConfigError> {
        let keys = Keys { bot: &config.bot };
        let callback_address = keys.address("public_webhook_url", config.public_webhook_url.as_deref())?;
        let intake = intake(&config, entropy)?;
        let limits = Limits {
            ack_deadline: ACK_DEADLINE,
            min_update_interval: config.timing.frame_gap,
            max_silence: MAX_SILENCE,
            max_card_bytes: MAX_CARD_BYTES,
        };
        let callback_address = callback_address.map(String::from);
        let route = callback_address.as_ref().map(|_| format!("magpie-{}", config.bot));
        let courier = courier(config, &intake, http, clock, route)?;
        Ok(Self { intake, courier, limits, callback_address })
    }
}

fn courier(
    config: DingTalkConfig,
    intake: &Intake,
    http: reqwest::Client,
    clock: Arc<dyn Clock>,
    callback_route: Option<String>,
) -> Result<Courier, ConfigError> {
    let keys = Keys { bot: &config.bot };
    let origin = keys
        .address("base_url", Some(config.base_url.as_deref().unwrap_or(ORIGIN)).filter(|url| !url.trim().is_empty()))?
        .or_else(|| Url::parse(ORIGIN).ok())
        .ok_or_else(|| keys.invalid("base_url", "it must be an address such as https://host"))?;
    let templates = Templates::load(config.templates.as_deref()).map_err(|(name, source)| ConfigError::Template {
        bot: config.bot.clone(),
        name,
        source,
    })?;
    let credentials = Credentials { client_id: intake.client_id.clone(), client_secret: intake.client_secret.clone() };
    Ok(Courier {
        api: Api::new(http, origin, credentials, config.timing.clone(), config.budget),
        templates,
        clock,
        hosts: intake.recipient.hosts.clone(),
        robot_code: intake.recipient.robot_code.clone(),
        own_template: present(config.card_template_id.as_deref()),
        callback_route,
        gate: Gate::default(),
        gaps: Gaps::default(),
        timing: config.timing,
    })
}

fn intake(config: &DingTalkConfig, entropy: Arc<dyn Entropy>) -> Result<Intake, ConfigError> {
    let keys = Keys { bot: &config.bot };
    let client_id = keys.required("client_id", &config.client_id, "it is the app's AppKey (Client ID)")?;
    let secret =
        keys.required("client_secret", config.client_secret.reveal(), "robot messages are verified by the AppSecret")?;
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

    /// Gets a token and registers the address of card callbacks.
    fn connect(&self) -> BoxFuture<'_, Result<(), SendError>> {
        async {
            self.courier.api.sign_in().await?;
            let Some((route, address)) = self.courier.callback_route.as_ref().zip(self.callback_address.as_ref())
            else {
                return Ok(());
            };
            let body = register_callback(route, address, self.intake.card_secret.reveal());
            self.courier.api.insist(Call::RegisterCallback, || body.clone()).await?;
            Ok(())
        }
        .boxed()
    }

    /// Nothing is left open: the platform itself says whether the bot was spoken to.
    fn settle<'a>(&'a self, _message: &'a mut Message) -> BoxFuture<'a, Result<(), SendError>> {
        ready(Ok(())).boxed()
    }

    fn prepare<'a>(
        &'a self,
        to: &'a ReplyTo,
        _card: &'a Card,
        key: &'a DeliveryKey,
    ) -> BoxFuture<'a, Result<CardRef, SendError>> {
        ready(Ok(self.courier.prepare(to, key))).boxed()
    }

    fn start<'a>(
        &'a self,
        to: &'a ReplyTo,
        card: &'a Card,
        at: &'a mut CardRef,
    ) -> BoxFuture<'a, Result<(), SendError>> {
        async { Delivery::new(&self.courier, to, card, at).start().await }.boxed()
    }

    fn update<'a>(
        &'a self,
        to: &'a ReplyTo,
        card: &'a Card,
        at: &'a mut CardRef,
    ) -> BoxFuture<'a, Result<(), SendError>> {
        async { Delivery::new(&self.courier, to, card, at).update().await }.boxed()
    }

    fn finish<'a>(
        &'a self,
        to: &'a ReplyTo,
        card: &'a Card,
        at: &'a mut CardRef,
    ) -> BoxFuture<'a, Result<(), SendError>> {
        async { Delivery::new(&self.courier, to, card, at).finish().await }.boxed()
    }

    fn revise<'a>(
        &'a self,
        to: &'a ReplyTo,
        card: &'a Card,
        at: &'a mut CardRef,
    ) -> BoxFuture<'a, Result<(), SendError>> {
        async { Delivery::new(&self.courier, to, card, at).revise().await }.boxed()
    }

    fn reopen<'a>(
        &'a self,
        to: &'a ReplyTo,
        card: &'a Card,
        at: &'a mut CardRef,
    ) -> BoxFuture<'a, Result<(), SendError>> {
        async { Delivery::new(&self.courier, to, card, at).reopen().await }.boxed()
    }

    /// Nothing more can be had: a quote's text comes with the message or not at all, forwarded messages come whole.
    fn enrich<'a>(&'a self, _message: &'a mut Message) -> BoxFuture<'a, Result<(), SendError>> {
        ready(Ok(())).boxed()
    }

    fn fetch<'a>(&'a self, message: &'a Message, resource: &'a Resource) -> BoxFuture<'a, Result<Download, SendError>> {
        async { Ok(fetch::begin(&self.courier, message, resource).await?) }.boxed()
    }

    fn address(&self, target: &Target) -> ReplyTo {
        let (chat, chat_kind, user) = match target {
            Target::Chat(chat) => (chat.clone(), ChatKind::Group, None),
            // A direct chat is found by the person; its own id is never told.
            Target::User(user) => (ChatId::from(user.as_str()), ChatKind::Direct, Some(user.clone())),
        };
        ReplyTo { chat, chat_kind, user, message: None, thread: None, route: Route::default() }
    }

    fn health(&self) -> Health {
        self.courier.api.health()
    }
}
