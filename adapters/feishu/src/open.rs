//! From a request's raw bytes to a verified event, and the answer that the platform expects.

use magpie_core::clock::UnixMillis;
use magpie_core::event::{Body, Event, PlatformKind};
use magpie_core::ids::BotId;
use magpie_core::platform::{AckBody, Inbound, RawRequest, Received, Toast, WebhookError};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::action;
use crate::envelope::Envelope;
use crate::field;
use crate::gate::{Admitted, Gate, Shape, Verified};
use crate::{lifecycle, message};

/// How the sender of a request wants to be answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum AnswerBy {
    /// The platform looks at the status only.
    Status,
    /// A card callback, old or new: the body may carry a toast.
    Toast,
}

/// Reads requests for one bot.
pub(crate) struct Opener {
    pub(crate) bot: BotId,
    pub(crate) platform: PlatformKind,
    pub(crate) gate: Gate,
}

impl Opener {
    /// `own_id` is the bot's open id, if it is known already.
    pub(crate) fn open(
        &self,
        raw: &RawRequest,
        now: UnixMillis,
        own_id: Option<&str>,
    ) -> Result<Inbound, WebhookError> {
        match self.gate.admit(raw, now)? {
            Admitted::Challenge(text) => Ok(Inbound::Challenge(json_body(&json!({"challenge": text})))),
            Admitted::Event(verified) => Ok(Inbound::Event(Box::new(self.receive(&verified, own_id)))),
        }
    }

    fn receive(&self, verified: &Verified, own_id: Option<&str>) -> Received {
        let envelope = Envelope::read(verified);
        let callback = envelope.shape == Shape::OldCard || envelope.event_type == action::EVENT_TYPE;
        let sent_at = envelope.event.get("message").and_then(|message| field::moment(message, "create_time"));
        let answer_by = if callback { AnswerBy::Toast } else { AnswerBy::Status };
        let event = Event {
            bot: self.bot.clone(),
            platform: self.platform,
            occurred_at: sent_at.or(envelope.created_at),
            body: read_body(&envelope, callback, own_id),
            platform_event_id: envelope.event_id,
        };
        Received { event, answer_by: json!(answer_by) }
    }
}

/// Every verified event has a body; what can't be read keeps its type.
fn read_body(envelope: &Envelope, callback: bool, own_id: Option<&str>) -> Body {
    let event = &envelope.event;
    let body = match (envelope.shape, envelope.event_type.as_str()) {
        _ if callback => action::read(envelope),
        (Shape::V1, "message") => message::receive_v1(event, own_id),
        (Shape::V1, _) => None,
        (_, "im.message.receive_v1") => message::receive(event, own_id),
        (_, event_type) => lifecycle::read(event_type, event),
    };
    body.unwrap_or_else(|| Body::Other { type_name: envelope.event_type.clone() })
}

/// The body of the 200: empty but for callbacks, which may show a toast.
pub(crate) fn acknowledge(received: &Received, toast: Option<&Toast>) -> AckBody {
    let wants_toast =
        serde_json::from_value(received.answer_by.clone()).is_ok_and(|by: AnswerBy| by == AnswerBy::Toast);
    let body = match toast {
        Some(toast) if wants_toast => {
            let kind = if toast.success { "success" } else { "error" };
            json!({"toast": {"type": kind, "content": toast.text}})
        }
        _ => json!({}),
    };
    json_body(&body)
}

fn json_body(value: &Value) -> AckBody {
    AckBody(value.to_string().into_bytes().into())
}
