//! Encrypted events, and the strict reading of the encrypted `success` that answers them.

use std::sync::Arc;

use serde_json::Value;

use super::crypto::{CryptoError, EventCrypto};
use super::ids;
use super::push::{self, Payload, Push};
use super::shared::Shared;
use crate::view::Pushed;

/// An event is repeated twice: after about 10 s, then 30 s.
const EVENT_REPEATS: usize = 2;

/// Why the platform does not take an answer for an acknowledgement.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EventAnswerError {
    #[error("the event was not answered with HTTP 200 but with {0}")]
    Status(u16),
    #[error("the answer is not a JSON object with the texts msg_signature, timeStamp, nonce and encrypt")]
    Shape,
    #[error("the answer does not open")]
    Crypto(#[from] CryptoError),
    #[error("the answer opens, but does not say success")]
    Word,
}

/// What came of an event.
#[derive(Debug, Clone)]
pub struct EventPushed {
    /// Status and answer; the answer is the decrypted word if it opened.
    pub pushed: Pushed,
    /// Whether the platform would count the event as delivered.
    pub accepted: Result<(), EventAnswerError>,
}

/// Seals and pushes an event. `eventId` names it if it has one.
pub(super) async fn push(shared: Arc<Shared>, event: &Value) -> EventPushed {
    let id = event.get("eventId").and_then(Value::as_str).map_or_else(ids::hex_id, str::to_owned);
    let push = Push { id, payload: Payload::Event(event.to_string()), repeats: EVENT_REPEATS };
    let mut pushed = push::deliver(shared.clone(), push).await;
    match opened(&shared.events, &pushed) {
        Ok(word) => {
            let accepted = if word == "success" { Ok(()) } else { Err(EventAnswerError::Word) };
            pushed.answer = word;
            EventPushed { pushed, accepted }
        }
        Err(error) => EventPushed { pushed, accepted: Err(error) },
    }
}

fn opened(crypto: &EventCrypto, pushed: &Pushed) -> Result<String, EventAnswerError> {
    if pushed.status != 200 {
        return Err(EventAnswerError::Status(pushed.status));
    }
    let answer: Value = serde_json::from_str(&pushed.answer).map_err(|_| EventAnswerError::Shape)?;
    let field = |name: &str| answer.get(name).and_then(Value::as_str).ok_or(EventAnswerError::Shape);
    let (signature, timestamp) = (field("msg_signature")?, field("timeStamp")?);
    let (nonce, encrypt) = (field("nonce")?, field("encrypt")?);
    Ok(crypto.open(signature, timestamp, nonce, encrypt)?)
}
