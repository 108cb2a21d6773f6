//! One bot on Feishu or Lark, behind the port of the core.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use futures::future::BoxFuture;
use magpie_core::card::Card;
use magpie_core::clock::{Clock, UnixMillis};
use magpie_core::event::{ChatKind, Message, PlatformKind, ReplyTo, Resource};
use magpie_core::platform::{
    AckBody, CardRef, DeliveryKey, Download, Health, Inbound, Limits, Platform, RawRequest, Received, SendError,
    Target, Toast, WebhookError,
};

use crate::api::{Api, Call};
use crate::card::Cards;
use crate::config::{ConfigError, FeishuConfig};
use crate::crypto::EncryptKey;
use crate::deliver::Courier;
use crate::field;
use crate::gate::Gate;
use crate::message;
use crate::open::{Opener, acknowledge};
use crate::pages::PAGE_BYTES;
use crate::{enrich, fetch, route};

/// A Feishu or Lark bot.
pub struct Feishu {
    opener: Opener,
    courier: Courier,
    limits: Limits,
    /// The bot's own open id, once it is known.
    own_id: RwLock<Option<Arc<str>>>,
}

impl Feishu {
    /// Makes a bot. `http` should carry timeouts and follow no redirects. Nothing is sent yet; a template folder is
    /// read now.
    ///
    /// # Errors
    /// [`ConfigError`] names the key that is missing or can't be used.
    pub fn new(config: FeishuConfig, http: reqwest::Client, clock: Arc<dyn Clock>) -> Result<Self, ConfigError> {
        config.check()?;
        let gate = Gate {
            app_id: config.app_id.clone(),
            verification_token: config.verification_token.clone(),
            encrypt_key: config.encrypt_key.clone().filter(|key| !key.reveal().is_empty()).map(EncryptKey::new),
            timestamp_window: config.timestamp_window,
        };
        let courier = Courier {
            api: Api::new(&config, http, Arc::clone(&clock)),
            cards: Cards::load(&config.bot, config.templates.as_deref())?,
            clock,
            entities_denied_until: AtomicI64::new(0),
        };
        let known = config.own_id.as_deref().filter(|id| !id.is_empty()).map(Arc::from);
        Ok(Self {
            opener: Opener { bot: config.bot, platform: config.kind, gate },
            courier,
            limits: limits(config.min_update_interval),
            own_id: RwLock::new(known),
        })
    }

    fn own_id(&self) -> Option<Arc<str>> {
        self.own_id.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Asks the platform who this bot is.
    ///
    /// Source: "Get bot information" (the answer lies under `bot`, not `data`), checked May 2026.
    async fn learn_own_id(&self) -> Result<Arc<str>, SendError> {
        let answer = self.courier.api.call(&Call::get("bot_info", "bot/v3/info")).await?;
        let open_id = answer.get("bot").and_then(|bot| field::text(bot, "open_id")).ok_or(SendError::Refused {
            call: "bot_info",
            code: "no_bot".to_owned(),
            fix: "switch the app's bot ability on and publish a version".to_owned(),
        })?;
        let id: Arc<str> = Arc::from(open_id);
        *self.own_id.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&id));
        Ok(id)
    }
}

/// Sources: "Event subscription" (3 s), "Streaming updates" (10 min of streaming), "Card size" (30 KB);
/// checked May 2026.
fn limits(min_update_interval: Duration) -> Limits {
    Limits {
        ack_deadline: Duration::from_secs(3),
        min_update_interval,
        // Streaming is renewed after 8 of its 10 minutes by the first update then; one a minute is sure to come in time.
        max_silence: Duration::from_mins(1),
        max_card_bytes: PAGE_BYTES,
    }
}

impl Platform for Feishu {
    fn kind(&self) -> PlatformKind {
        self.opener.platform
    }

    fn limits(&self) -> &Limits {
        &self.limits
    }

    fn open(&self, raw: &RawRequest, now: UnixMillis) -> Result<Inbound, WebhookError> {
        self.opener.open(raw, now, self.own_id().as_deref())
    }

    fn ack(&self, received: &Received, toast: Option<&Toast>) -> AckBody {
        acknowledge(received, toast)
    }

    fn connect(&self) -> BoxFuture<'_, Result<(), SendError>> {
        Box::pin(async { self.learn_own_id().await.map(|_| ()) })
    }

    fn settle<'a>(&'a self, message: &'a mut Message) -> BoxFuture<'a, Result<(), SendError>> {
        Box::pin(async move {
            let id = match self.own_id() {
                Some(id) => id,
                None => self.learn_own_id().await?,
            };
            message::settle(message, &id);
            Ok(())
        })
    }

    fn prepare<'a>(
        &'a self,
        _to: &'a ReplyTo,
        card: &'a Card,
        key: &'a DeliveryKey,
    ) -> BoxFuture<'a, Result<CardRef, SendError>> {
        Box::pin(async move { Ok(self.courier.prepare(card, key).await?) })
    }

    fn start<'a>(
        &'a self,
        to: &'a ReplyTo,
        card: &'a Card,
        at: &'a mut CardRef,
    ) -> BoxFuture<'a, Result<(), SendError>> {
        Box::pin(async move { Ok(self.courier.start(to, card, at).await?) })
    }

    fn update<'a>(
        &'a self,
        to: &'a ReplyTo,
        card: &'a Card,
        at: &'a mut CardRef,
    ) -> BoxFuture<'a, Result<(), SendError>> {
        Box::pin(async move { Ok(self.courier.update(to, card, at).await?) })
    }

    fn finish<'a>(
        &'a self,
        to: &'a ReplyTo,
        card: &'a Card,
        at: &'a mut CardRef,
    ) -> BoxFuture<'a, Result<(), SendError>> {
        Box::pin(async move { Ok(self.courier.finish(to, card, at).await?) })
    }

    fn revise<'a>(
        &'a self,
        to: &'a ReplyTo,
        card: &'a Card,
        at: &'a mut CardRef,
    ) -> BoxFuture<'a, Result<(), SendError>> {
        Box::pin(self.courier.revise(to, card, at))
    }

    fn reopen<'a>(
        &'a self,
        to: &'a ReplyTo,
        card: &'a Card,
        at: &'a mut CardRef,
    ) -> BoxFuture<'a, Result<(), SendError>> {
        Box::pin(self.courier.reopen(to, card, at))
    }

    fn enrich<'a>(&'a self, message: &'a mut Message) -> BoxFuture<'a, Result<(), SendError>> {
        Box::pin(async move {
            enrich::enrich(&self.courier.api, message).await;
            Ok(())
        })
    }

    fn fetch<'a>(&'a self, message: &'a Message, resource: &'a Resource) -> BoxFuture<'a, Result<Download, SendError>> {
        Box::pin(async move { fetch::fetch(&self.courier.api, message, resource).await })
    }

    fn address(&self, target: &Target) -> ReplyTo {
        match target {
            Target::Chat(chat) => route::to_chat(chat.as_str(), ChatKind::Group, None),
            Target::User(user) => route::to_person(user.as_str()),
        }
    }

    fn health(&self) -> Health {
        let unknown = "the bot's own id is not known yet, so group mentions wait; it is asked for again";
        let denied = "card entities are not permitted; grant cardkit:card:write, then answers can stream";
        let entities_denied =
            self.courier.clock.now() < UnixMillis(self.courier.entities_denied_until.load(Ordering::Relaxed));
        let detail = match self.courier.api.trouble() {
            Some(trouble) => trouble,
            None if self.own_id().is_none() => unknown.to_owned(),
            None if entities_denied => denied.to_owned(),
            None => return Health::Ok,
        };
        Health::Degraded { detail }
    }
}
