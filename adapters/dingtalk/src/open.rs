//! The entrance: tells the three kinds of request apart, has the one in hand verified, and reads it.

use std::sync::Arc;
use std::time::Duration;

use magpie_core::clock::UnixMillis;
use magpie_core::event::Event;
use magpie_core::platform::{AckBody, Inbound, RawRequest, Received, Toast, WebhookError};
use serde::Deserialize;
use serde_json::Value;

use crate::ack::{AnswerBy, Answerer};
use crate::action;
use crate::callback::{self, Meaning, Owners};
use crate::entropy::Entropy;
use crate::envelope::Envelope;
use crate::robot::{self, Recipient};
use crate::verify::{self, Window};
use magpie_core::secret::Secret;

/// Everything that judging and reading a request needs. Pure: no I/O, no clock.
pub(crate) struct Intake {
    pub recipient: Recipient,
    pub client_id: String,
    pub client_secret: Secret,
    pub corp_id: Option<String>,
    /// Token and key of the event subscription, if the bot has one.
    pub envelope: Option<Envelope>,
    pub card_secret: Secret,
    pub timestamp_window: Duration,
    pub entropy: Arc<dyn Entropy>,
}

/// What a request claims to be. Nothing is believed yet.
enum Claim {
    /// The event subscription: the body holds this ciphertext.
    Event(String),
    Card,
    Robot,
}

impl Claim {
    /// Decided by the shape alone, in the order of the protocol: a ciphertext, then anything about card callbacks,
    /// else a robot message. A body that is no JSON is left to the check of whichever class its headers name.
    fn of(raw: &RawRequest) -> Self {
        let shape: Shape = serde_json::from_slice(&raw.body).unwrap_or_default();
        if let Some(Value::String(encrypt)) = shape.encrypt {
            return Self::Event(encrypt);
        }
        let signed_as_card =
            raw.header("x-ddpaas-signature").is_some() || raw.header("x-ddpaas-signature-timestamp").is_some();
        let named_card = shape.kind.is_some_and(|kind| kind == "actionCallback");
        if signed_as_card || named_card { Self::Card } else { Self::Robot }
    }
}

/// The two fields that tell requests apart; the rest of an unverified body is not looked at.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Shape {
    encrypt: Option<Value>,
    #[serde(rename = "type")]
    kind: Option<Value>,
}

impl Intake {
    pub fn open(&self, raw: &RawRequest, now: UnixMillis) -> Result<Inbound, WebhookError> {
        let window = Window { now, width: self.timestamp_window };
        match Claim::of(raw) {
            Claim::Event(encrypt) => self.open_event(raw, &encrypt, &window),
            Claim::Card => {
                let verified = verify::card(raw, self.card_secret.reveal(), &window)?;
                let pressed = action::read(&verified, &self.recipient.bot)?;
                Ok(received(pressed.event, AnswerBy::card(pressed.room)))
            }
            Claim::Robot => {
                let verified = verify::robot(raw, self.client_secret.reveal(), &window)?;
                Ok(received(robot::read(&verified, &self.recipient)?, AnswerBy::Robot))
            }
        }
    }

    pub fn ack(&self, received: &Received, toast: Option<&Toast>) -> AckBody {
        self.answerer().ack(&AnswerBy::from_value(&received.answer_by), toast)
    }

    fn open_event(&self, raw: &RawRequest, encrypt: &str, window: &Window) -> Result<Inbound, WebhookError> {
        let Some(envelope) = &self.envelope else {
            return Err(WebhookError::Token("encrypted event, but the bot has no callback_token and callback_aes_key"));
        };
        let owners = Owners { client_id: &self.client_id, corp_id: self.corp_id.as_deref() };
        let push = callback::open(raw, encrypt, envelope, &owners, window)?;
        Ok(match callback::read(&push.verified, &self.recipient)? {
            Meaning::Check(word) => {
                Inbound::Challenge(self.answerer().sealed(&word, &push.owner, &push.timestamp, &push.nonce))
            }
            Meaning::Event(event) => {
                let by = AnswerBy::Event { owner: push.owner, timestamp: push.timestamp, nonce: push.nonce };
                received(*event, by)
            }
        })
    }

    fn answerer(&self) -> Answerer<'_> {
        Answerer { envelope: self.envelope.as_ref(), entropy: self.entropy.as_ref() }
    }
}

fn received(event: Event, by: AnswerBy) -> Inbound {
    Inbound::Event(Box::new(Received { event, answer_by: by.into_value() }))
}

#[cfg(test)]
mod tests;
