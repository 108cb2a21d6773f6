//! One bot on Feishu or Lark, behind the port of the core.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures::future::BoxFuture;
use magpie_core::card::Card;
use magpie_core::clock::{Clock, UnixMillis};
use magpie_core::event::{Message, PlatformKind, ReplyTo};
use magpie_core::platform::{
    AckBody, CardRef, DeliveryKey, Health, Inbound, Limits, Platform, RawRequest, Received, SendError, Toast,
    WebhookError,
};

use crate::config::{ConfigError, FeishuConfig};
use crate::crypto::EncryptKey;
use crate::gate::Gate;
use crate::open::{Opener, acknowledge};

/// A Feishu or Lark bot.
pub struct Feishu {
    opener: Opener,
    own_id: OnceLock<String>,
    limits: Limits,
}

impl Feishu {
    /// Makes a bot. Nothing is sent yet.
    ///
    /// # Errors
    /// [`ConfigError`] names the key that is missing or can't be used.
    pub fn new(config: FeishuConfig, http: reqwest::Client, clock: Arc<dyn Clock>) -> Result<Self, ConfigError> {
        config.check()?;
        let _ = (http, clock);
        let own_id = OnceLock::new();
        if let Some(known) = config.own_id.clone().filter(|id| !id.is_empty()) {
            own_id.get_or_init(|| known);
        }
        let gate = Gate {
            app_id: config.app_id.clone(),
            verification_token: config.verification_token.clone(),
            encrypt_key: config.encrypt_key.clone().filter(|key| !key.reveal().is_empty()).map(EncryptKey::new),
            timestamp_window: config.timestamp_window,
        };
        Ok(Self {
            opener: Opener { bot: config.bot.clone(), platform: config.kind, gate },
            own_id,
            limits: limits(config.min_update_interval),
        })
    }
}

/// Sources: "Event subscription" (3 s), "Streaming updates" (10 min of streaming), "Card size" (30 KB);
/// checked May 2026.
fn limits(min_update_interval: Duration) -> Limits {
    Limits {
        ack_deadline: Duration::from_secs(3),
        min_update_interval,
        max_silence: Duration::from_secs(60),
        max_card_bytes: 20_000,
    }
}

fn later() -> SendError {
    SendError::Protocol { call: "send", code: "unsupported".into() }
}

impl Platform for Feishu {
    fn kind(&self) -> PlatformKind {
        self.opener.platform
    }

    fn limits(&self) -> &Limits {
        &self.limits
    }

    fn open(&self, raw: &RawRequest, now: UnixMillis) -> Result<Inbound, WebhookError> {
        self.opener.open(raw, now, self.own_id.get().map(String::as_str))
    }

    fn ack(&self, received: &Received, toast: Option<&Toast>) -> AckBody {
        acknowledge(received, toast)
    }

    fn connect(&self) -> BoxFuture<'_, Result<(), SendError>> {
        Box::pin(async { Err(later()) })
    }

    fn settle<'a>(&'a self, message: &'a mut Message) -> BoxFuture<'a, Result<(), SendError>> {
        Box::pin(async move {
            let id = self.own_id.get().ok_or_else(later)?;
            crate::message::settle(message, id);
            Ok(())
        })
    }

    fn prepare<'a>(
        &'a self,
        _to: &'a ReplyTo,
        _card: &'a Card,
        _key: &'a DeliveryKey,
    ) -> BoxFuture<'a, Result<CardRef, SendError>> {
        Box::pin(async { Err(later()) })
    }

    fn start<'a>(
        &'a self,
        _to: &'a ReplyTo,
        _card: &'a Card,
        _at: &'a mut CardRef,
    ) -> BoxFuture<'a, Result<(), SendError>> {
        Box::pin(async { Err(later()) })
    }

    fn update<'a>(
        &'a self,
        _to: &'a ReplyTo,
        _card: &'a Card,
        _at: &'a mut CardRef,
    ) -> BoxFuture<'a, Result<(), SendError>> {
        Box::pin(async { Err(later()) })
    }

    fn finish<'a>(
        &'a self,
        _to: &'a ReplyTo,
        _card: &'a Card,
        _at: &'a mut CardRef,
    ) -> BoxFuture<'a, Result<(), SendError>> {
        Box::pin(async { Err(later()) })
    }

    fn health(&self) -> Health {
        Health::Ok
    }
}
