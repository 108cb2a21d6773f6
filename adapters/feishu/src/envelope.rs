//! The wrapping around an event, in both of its versions.

use magpie_core::clock::UnixMillis;
use serde_json::Value;

use crate::field;
use crate::gate::{Shape, Verified};

/// A verified event without its wrapping.
pub(crate) struct Envelope {
    pub(crate) shape: Shape,
    /// Never empty.
    pub(crate) event_id: String,
    /// Such as `im.message.receive_v1`; `unknown` where the platform left it out.
    pub(crate) event_type: String,
    pub(crate) created_at: Option<UnixMillis>,
    /// The event itself; for old card callbacks the whole body.
    pub(crate) event: Value,
}

impl Envelope {
    pub(crate) fn read(verified: &Verified) -> Self {
        let object = verified.object();
        let event = object.get("event").cloned().unwrap_or(Value::Null);
        let header = object.get("header").unwrap_or(&Value::Null);
        let (event_id, event_type, created_at, event) = match verified.shape() {
            Shape::V2 => {
                let created_at = field::moment(header, "create_time");
                (field::text(header, "event_id"), field::text(header, "event_type"), created_at, event)
            }
            Shape::OldCard => (None, Some("card.action.trigger_v1"), None, object.clone()),
            Shape::V1 | Shape::Challenge => {
                (field::text(object, "uuid"), field::text(&event, "type"), field::moment(object, "ts"), event.clone())
            }
        };
        Self {
            shape: verified.shape(),
            event_id: event_id.unwrap_or_else(|| verified.fingerprint()).to_owned(),
            event_type: event_type.unwrap_or("unknown").to_owned(),
            created_at,
            event,
        }
    }
}
