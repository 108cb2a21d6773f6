//! Who may come in: the checks between raw bytes and a body that can be believed.
//!
//! The order of the checks is part of the contract with the platform and with attackers: nothing is told apart for a
//! sender who has proven nothing. An encrypted body without a signature can only be the console's address check, and
//! every failure on that path is one and the same refusal; otherwise the answers would tell an attacker whether the
//! padding of a captured event was right.

use std::borrow::Cow;
use std::time::Duration;

use magpie_core::clock::UnixMillis;
use magpie_core::platform::{RawRequest, WebhookError};
use serde::Deserialize;
use serde_json::Value;

use crate::crypto::{EncryptKey, SignedParts, card_signed, fingerprint, same};
use crate::field;
use magpie_core::secret::Secret;

const NO_PROOF: WebhookError = WebhookError::Signature("an event needs X-Lark-Signature, -Timestamp and -Nonce");

/// What a bot knows its platform by.
pub(crate) struct Gate {
    pub(crate) app_id: String,
    pub(crate) verification_token: Secret,
    pub(crate) encrypt_key: Option<EncryptKey>,
    pub(crate) timestamp_window: Duration,
}

/// What the checks let through.
pub(crate) enum Admitted {
    /// The console's address check: the text to send back.
    Challenge(String),
    Event(Verified),
}

/// A body whose sender is proven. Only [`Gate::admit`] makes one, and only a `Verified` can be read as an event.
pub(crate) struct Verified {
    object: Value,
    shape: Shape,
    fingerprint: String,
}

impl Verified {
    pub(crate) fn object(&self) -> &Value {
        &self.object
    }

    pub(crate) fn shape(&self) -> Shape {
        self.shape
    }

    /// An id for a body that carries none: a redelivery of the same body gets the same.
    pub(crate) fn fingerprint(&self) -> &str {
        &self.fingerprint
    }
}

/// The kinds of body that the platform pushes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    Challenge,
    /// `schema` 2.0: events and new card callbacks.
    V2,
    /// `uuid`: events of old subscriptions.
    V1,
    /// The flat card callback of the bot page.
    OldCard,
}

impl Shape {
    fn of(object: &Value) -> Option<Self> {
        if field::text(object, "type") == Some("url_verification") {
            return Some(Self::Challenge);
        }
        if field::text(object, "schema").is_some() {
            return Some(Self::V2);
        }
        if field::text(object, "uuid").is_some() {
            return Some(Self::V1);
        }
        let card =
            field::text(object, "open_message_id").is_some() && object.get("action").is_some_and(Value::is_object);
        card.then_some(Self::OldCard)
    }
}

/// What the signature headers prove.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Proof {
    /// One of the three headers is missing.
    Missing,
    Wrong,
    /// By the Encrypt Key.
    Event,
    /// By the Verification Token, as old card callbacks are.
    Card,
}

/// The one thing that is read before anything is proven: whether the body is an object, and encrypted.
#[derive(Deserialize)]
struct Outer {
    #[serde(default)]
    encrypt: Value,
}

impl Gate {
    /// Runs the checks in their order: shape, signature, decryption, address check, proof, time, token, app.
    pub(crate) fn admit(&self, raw: &RawRequest, now: UnixMillis) -> Result<Admitted, WebhookError> {
        let outer = read_outer(&raw.body)?;
        let proof = self.proof(raw);
        if self.encrypt_key.is_some() && proof == Proof::Wrong {
            return Err(WebhookError::Signature("X-Lark-Signature does not fit body and encrypt_key"));
        }
        // Nothing may be told apart for whoever sends ciphertext without proof.
        let blind = !outer.encrypt.is_null() && proof != Proof::Event && self.encrypt_key.is_some();
        let admitted = self.admit_plain(&outer, raw, proof, now);
        match admitted {
            Err(_) if blind => Err(NO_PROOF),
            other => other,
        }
    }

    fn admit_plain(
        &self,
        outer: &Outer,
        raw: &RawRequest,
        proof: Proof,
        now: UnixMillis,
    ) -> Result<Admitted, WebhookError> {
        let plain = self.plain(outer, &raw.body)?;
        let object: Value =
            serde_json::from_slice(&plain).map_err(|_| WebhookError::Malformed("decrypted body is no JSON"))?;
        let shape = Shape::of(&object).ok_or(WebhookError::Malformed("no known kind of event"))?;
        if shape == Shape::Challenge {
            self.check_token(field::text(&object, "token"))?;
            let text = object.get("challenge").and_then(Value::as_str);
            return text
                .map(|text| Admitted::Challenge(text.to_owned()))
                .ok_or(WebhookError::Malformed("the challenge is no text"));
        }
        self.check_proof(shape, proof)?;
        if matches!(proof, Proof::Event | Proof::Card) {
            self.check_time(raw.header("X-Lark-Request-Timestamp").unwrap_or_default(), now)?;
        }
        self.check_owner(shape, &object)?;
        Ok(Admitted::Event(Verified { fingerprint: fingerprint(&plain), object, shape }))
    }

    fn proof(&self, raw: &RawRequest) -> Proof {
        let headers = ["X-Lark-Request-Timestamp", "X-Lark-Request-Nonce", "X-Lark-Signature"];
        let [Some(timestamp), Some(nonce), Some(signature)] = headers.map(|name| raw.header(name)) else {
            return Proof::Missing;
        };
        let parts = SignedParts { timestamp, nonce, signature, body: &raw.body };
        if self.encrypt_key.as_ref().is_some_and(|key| key.signed(&parts)) {
            return Proof::Event;
        }
        if card_signed(&self.verification_token, &parts) { Proof::Card } else { Proof::Wrong }
    }

    fn plain<'a>(&self, outer: &Outer, body: &'a [u8]) -> Result<Cow<'a, [u8]>, WebhookError> {
        if outer.encrypt.is_null() {
            return Ok(Cow::Borrowed(body));
        }
        let key = self.encrypt_key.as_ref().ok_or(WebhookError::Malformed("encrypted, but encrypt_key is not set"))?;
        let undecryptable = WebhookError::Malformed("body can't be decrypted with encrypt_key");
        let Some(encrypted) = outer.encrypt.as_str() else { return Err(undecryptable) };
        key.decrypt(encrypted).map(Cow::Owned).map_err(|_| undecryptable)
    }

    /// With an Encrypt Key every event is signed. An old card callback always is: its token is another one.
    fn check_proof(&self, shape: Shape, proof: Proof) -> Result<(), WebhookError> {
        match (shape, proof) {
            (Shape::OldCard, Proof::Card) | (Shape::V1 | Shape::V2, Proof::Event) => Ok(()),
            (Shape::V1 | Shape::V2, _) if self.encrypt_key.is_none() => Ok(()),
            (_, Proof::Missing) => Err(NO_PROOF),
            _ => Err(WebhookError::Signature("X-Lark-Signature is not the one of this kind of request")),
        }
    }

    fn check_time(&self, timestamp: &str, now: UnixMillis) -> Result<(), WebhookError> {
        // What is no number counts as 1970, so the skew in the log shows that something is odd.
        let given: i64 = timestamp.parse().unwrap_or(0);
        let seconds = if given > 100_000_000_000 { given / 1_000 } else { given };
        let skew_seconds = now.seconds().saturating_sub(seconds);
        if skew_seconds.unsigned_abs() > self.timestamp_window.as_secs() {
            return Err(WebhookError::Timestamp { skew_seconds });
        }
        Ok(())
    }

    /// The Verification Token inside the body and the app the event is for.
    fn check_owner(&self, shape: Shape, object: &Value) -> Result<(), WebhookError> {
        let (token, app_id) = match shape {
            Shape::V2 => {
                let header = object.get("header").unwrap_or(&Value::Null);
                (field::text(header, "token"), field::text(header, "app_id"))
            }
            Shape::V1 => {
                let event = object.get("event").unwrap_or(&Value::Null);
                (field::text(object, "token"), field::text(event, "app_id"))
            }
            Shape::OldCard | Shape::Challenge => return Ok(()),
        };
        self.check_token(token)?;
        if app_id.is_some_and(|app_id| app_id != self.app_id) {
            return Err(WebhookError::Token("the event is for another app than app_id"));
        }
        Ok(())
    }

    fn check_token(&self, token: Option<&str>) -> Result<(), WebhookError> {
        if same(token.unwrap_or_default(), self.verification_token.reveal()) {
            return Ok(());
        }
        Err(WebhookError::Token("token differs from verification_token"))
    }
}

fn read_outer(body: &[u8]) -> Result<Outer, WebhookError> {
    // A struct can be read from an array, too, so the first byte is looked at.
    if body.iter().find(|byte| !byte.is_ascii_whitespace()) != Some(&b'{') {
        return Err(WebhookError::Malformed("body is no JSON object"));
    }
    serde_json::from_slice(body).map_err(|_| WebhookError::Malformed("body is no JSON object"))
}
