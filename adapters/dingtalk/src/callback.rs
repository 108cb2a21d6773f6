//! Encrypted pushes of the event subscription: trust first, then the event inside.

use magpie_core::clock::UnixMillis;
use magpie_core::event::{Event, PlatformKind};
use magpie_core::platform::{RawRequest, WebhookError};
use sha2::{Digest, Sha256};

use crate::envelope::Envelope;
use crate::fields::Fields;
use crate::lifecycle;
use crate::robot::Recipient;
use crate::verify::{Verified, Window, decrypted};

/// A verified push, with what its encrypted answer needs.
pub(crate) struct Push {
    pub verified: Verified<'static>,
    /// For whom it was encrypted; the answer is encrypted for the same.
    pub owner: String,
    pub timestamp: String,
    pub nonce: String,
}

/// Who may be named at the end of the plaintext.
pub(crate) struct Owners<'a> {
    pub client_id: &'a str,
    pub corp_id: Option<&'a str>,
}

/// Checks signature, time and owner of a push whose body held `encrypt`, and decrypts it.
pub(crate) fn open(
    raw: &RawRequest,
    encrypt: &str,
    envelope: &Envelope,
    owners: &Owners<'_>,
    window: &Window,
) -> Result<Push, WebhookError> {
    let query = |name: &str| raw.query(name).filter(|value| !value.is_empty());
    let signature = query("msg_signature")
        .or_else(|| query("signature"))
        .ok_or(WebhookError::Signature("query parameter signature is missing"))?;
    let timestamp = query("timestamp")
        .or_else(|| query("timeStamp"))
        .ok_or(WebhookError::Signature("query parameter timestamp is missing"))?;
    let nonce = query("nonce").ok_or(WebhookError::Signature("query parameter nonce is missing"))?;
    if !envelope.verifies(signature, timestamp, nonce, encrypt) {
        return Err(WebhookError::Signature("event signature does not match"));
    }
    let sent_at = window.admit(timestamp)?;
    let opened = envelope.decrypt(encrypt).map_err(|error| WebhookError::Malformed(error.cause()))?;
    let verified = decrypted(opened.text, sent_at);
    if !owners.include(&opened.owner, &verified) {
        return Err(WebhookError::Token("event was encrypted for another app or organisation"));
    }
    Ok(Push { verified, owner: opened.owner, timestamp: timestamp.to_owned(), nonce: nonce.to_owned() })
}

impl Owners<'_> {
    /// The app, the configured organisation, or the organisation that the event itself names: token and key have
    /// proved the sender already, and the documentation is at odds with itself about which of them comes.
    fn include(&self, owner: &str, verified: &Verified<'_>) -> bool {
        if owner == self.client_id || Some(owner) == self.corp_id {
            return true;
        }
        let Ok(object) = verified.object() else { return false };
        !owner.is_empty() && Fields::any_case(&object).text("CorpId") == Some(owner)
    }
}

/// What a push asks for.
pub(crate) enum Meaning {
    /// The console checks the address: this word is to be encrypted and sent back.
    Check(String),
    Event(Box<Event>),
}

/// Reads a verified push.
pub(crate) fn read(verified: &Verified<'_>, recipient: &Recipient) -> Result<Meaning, WebhookError> {
    let object = verified.object()?;
    let fields = Fields::any_case(&object);
    let type_name = fields.text("EventType").ok_or(WebhookError::Malformed("EventType is missing"))?;
    match type_name {
        "check_url" => return Ok(Meaning::Check(super::ack::SUCCESS.to_owned())),
        "check_create_suite_url" | "check_update_suite_url" => {
            let random = fields.text("Random").ok_or(WebhookError::Malformed("Random is missing"))?;
            return Ok(Meaning::Check(random.to_owned()));
        }
        _ => {}
    }
    let id = fields.text("eventId").map_or_else(|| hex::encode(Sha256::digest(verified.bytes())), str::to_owned);
    Ok(Meaning::Event(Box::new(Event {
        bot: recipient.bot.clone(),
        platform: PlatformKind::DingTalk,
        platform_event_id: id,
        occurred_at: fields.integer("EventTime").or_else(|| fields.integer("timeStamp")).map(UnixMillis),
        body: lifecycle::read(type_name, fields, recipient),
    })))
}

#[cfg(test)]
mod tests;
