//! What a verified request is answered with.

use bytes::Bytes;
use magpie_core::platform::{AckBody, Toast};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::action::HintRoom;
use crate::entropy::Entropy;
use crate::envelope::{Envelope, RANDOM_BYTES, Sealing};

/// The word that acknowledges an event.
pub(crate) const SUCCESS: &str = "success";
/// Variable of the public card that is free for a hint; see `cards/dingtalk`.
const HINT_VARIABLE: &str = "staticMsgContent";

/// How a stored event is answered; kept in [`magpie_core::platform::Received::answer_by`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "to", rename_all = "snake_case")]
pub(crate) enum AnswerBy {
    /// Any 200 does. The body could hold a message, which is not used: answers leave by the sending half.
    Robot,
    /// The encrypted word `success`, for the owner the event was encrypted for.
    Event { owner: String, timestamp: String, nonce: String },
    /// What the presser's client should show.
    Card { hint: bool },
}

impl AnswerBy {
    pub fn card(room: HintRoom) -> Self {
        Self::Card { hint: room == HintRoom::Free }
    }

    pub fn into_value(self) -> Value {
        serde_json::to_value(self).unwrap_or_default()
    }

    /// An unreadable value is answered like a robot message: `{}` is harmless everywhere.
    pub fn from_value(value: &Value) -> Self {
        serde_json::from_value(value.clone()).unwrap_or(Self::Robot)
    }
}

/// Makes answers.
pub(crate) struct Answerer<'a> {
    pub envelope: Option<&'a Envelope>,
    pub entropy: &'a dyn Entropy,
}

impl Answerer<'_> {
    pub fn ack(&self, by: &AnswerBy, toast: Option<&Toast>) -> AckBody {
        match by {
            AnswerBy::Event { owner, timestamp, nonce } => self.sealed(SUCCESS, owner, timestamp, nonce),
            AnswerBy::Card { hint } => body(&toast.map_or_else(|| json!({}), |toast| to_presser(toast, *hint))),
            AnswerBy::Robot => body(&json!({})),
        }
    }

    /// `word` encrypted under the time and nonce of the request.
    pub fn sealed(&self, word: &str, owner: &str, timestamp: &str, nonce: &str) -> AckBody {
        let Some(envelope) = self.envelope else { return body(&json!({})) };
        let mut random = [0; RANDOM_BYTES];
        self.entropy.fill(&mut random);
        body(&envelope.seal(word, &Sealing { random, timestamp, nonce, owner }))
    }
}

/// Changes what the presser alone sees. Cards have no toast: an own template may show the private variable `toast`,
/// the public one shows the line below the answer if nothing stands there.
fn to_presser(toast: &Toast, hint: bool) -> Value {
    let mut answer = json!({
        "cardUpdateOptions": {"updateCardDataByKey": true, "updatePrivateDataByKey": true},
        "userPrivateData": {"cardParamMap": {"toast": toast.text}},
    });
    if hint {
        answer["cardData"] = json!({"cardParamMap": {HINT_VARIABLE: toast.text}});
    }
    answer
}

fn body(value: &impl Serialize) -> AckBody {
    AckBody(Bytes::from(serde_json::to_vec(value).unwrap_or_else(|_| b"{}".to_vec())))
}
