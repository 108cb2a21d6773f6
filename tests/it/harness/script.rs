//! What the scripted endpoint does with one request.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::watch;

/// One step of a response.
#[derive(Debug, Clone)]
pub enum Step {
    /// These very bytes.
    Bytes(String),
    /// Nothing, until the test opens the gate.
    Gate(Gate),
    /// A slow model.
    Pause(Duration),
    /// Nothing for ever.
    Hold,
}

/// What to do with a request; the connection closes after the last step.
#[derive(Debug, Clone)]
pub struct Script(pub Vec<Step>);

/// Holds a script back until it is opened. Clones are one gate.
#[derive(Debug, Clone)]
pub struct Gate(watch::Sender<bool>);

impl Gate {
    pub fn closed() -> Self {
        Self(watch::Sender::new(false))
    }

    pub fn open(&self) {
        self.0.send_replace(true);
    }

    pub(super) async fn passed(&self) {
        // The sender lives in `self`, so waiting can't fail.
        self.0.subscribe().wait_for(|open| *open).await.expect("the gate itself holds the sender");
    }
}

/// Name of the model that all scripts answer as.
pub const MODEL: &str = "stand-in";

impl Script {
    /// The whole answer at once.
    pub fn answer(text: &str) -> Self {
        Self(vec![head(), words(text), end()])
    }

    /// An answer whose words come at this pace.
    pub fn paced(text: &str, pause: Duration) -> Self {
        let mut steps = vec![head()];
        for word in text.split_inclusive(' ') {
            steps.extend([words(word), Step::Pause(pause)]);
        }
        steps.push(end());
        Self(steps)
    }

    /// `first`, and behind the gate the rest. An empty `first` sends not even a status.
    pub fn gated(first: &str, gate: &Gate, rest: &str) -> Self {
        let mut steps = match first {
            "" => vec![Step::Gate(gate.clone()), head()],
            first => vec![head(), words(first), Step::Gate(gate.clone())],
        };
        steps.extend([words(rest), end()]);
        Self(steps)
    }

    /// `first`, and behind the gate the end of the connection in mid-answer.
    pub fn dies_after(first: &str, gate: &Gate) -> Self {
        Self(vec![head(), words(first), Step::Gate(gate.clone())])
    }

    /// A refusal.
    pub fn status(status: &str) -> Self {
        Self::whole(status, r#"{"error":{"message":"scripted","type":"scripted"}}"#)
    }

    /// One object, not streamed.
    pub fn json(body: &Value) -> Self {
        Self::whole("200 OK", &body.to_string())
    }

    fn whole(status: &str, body: &str) -> Self {
        let length = body.len();
        Self(vec![Step::Bytes(format!(
            "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
        ))])
    }

    /// Takes the request and says nothing.
    pub fn silent() -> Self {
        Self(vec![Step::Hold])
    }

    /// A stream that stays open without a token.
    pub fn no_token() -> Self {
        Self(vec![head(), Step::Bytes(": waiting\n\n".into()), Step::Hold])
    }

    /// A stream that is none.
    pub fn malformed() -> Self {
        Self(vec![head(), Step::Bytes("data: {\"choices\": [{\"delta\":\n\n".into())])
    }
}

fn head() -> Step {
    Step::Bytes("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n".into())
}

fn words(text: &str) -> Step {
    let events = text.split_inclusive(' ').map(|word| {
        let chunk = json!({"model": MODEL, "choices": [{"index": 0, "delta": {"content": word}}]});
        format!("data: {chunk}\n\n")
    });
    Step::Bytes(events.collect())
}

fn end() -> Step {
    let finish = json!({"model": MODEL, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]});
    let usage = json!({"model": MODEL, "choices": [], "usage": {"prompt_tokens": 12, "completion_tokens": 5}});
    Step::Bytes(format!("data: {finish}\n\ndata: {usage}\n\ndata: [DONE]\n\n"))
}
