//! Pushing events to the service: envelope, encryption, signature, and the retry schedule.
//!
//! Source: "Receive events", "Security verification" and the retry policy of event subscriptions, checked May 2026.

use std::sync::Arc;
use std::time::Instant;

use serde_json::{Value, json};

use super::crypto;
use super::ids;
use super::shared::Shared;
use super::wirelog::{self, Push};

/// How the delivery of one event stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DeliveryReport {
    /// Attempts made so far, redeliveries on demand included.
    pub attempts: u32,
    /// Attempts answered with 200.
    pub acknowledged: u32,
    /// The retry schedule ran out without a 200.
    pub lost: bool,
}

/// What answered one attempt; status 0 when nothing did in time.
#[derive(Debug, Clone, Default)]
pub(super) struct Attempt {
    pub(super) status: u16,
    pub(super) answer: String,
}

/// How a body is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seal {
    /// Encrypted and signed if the app has an Encrypt Key.
    Event,
    /// Encrypted if the app has an Encrypt Key, never signed.
    Challenge,
    /// Plain, signed with SHA-1 and the Verification Token.
    OldCard,
}

impl Shared {
    /// A version 2 event with a fresh id.
    pub(super) fn envelope(&self, event_type: &str, event: Value) -> Value {
        let now_ms = self.clock.now_ms();
        // Callbacks carry microseconds, events milliseconds.
        let create_time = if event_type.starts_with("card.") { now_ms * 1_000 } else { now_ms };
        json!({
            "schema": "2.0",
            "header": {
                "event_id": ids::fresh(""),
                "token": self.config.verification_token,
                "create_time": create_time.to_string(),
                "event_type": event_type,
                "tenant_key": self.config.tenant_key,
                "app_id": self.config.app_id,
            },
            "event": event,
        })
    }

    /// Headers and body of one attempt, sealed afresh.
    pub(super) fn sealed(&self, body: &Value, seal: Seal) -> (Vec<(String, String)>, Vec<u8>) {
        let plain = body.to_string();
        let mut headers = vec![("Content-Type".to_owned(), "application/json; charset=utf-8".to_owned())];
        let timestamp = (self.clock.now_ms() / 1_000).to_string();
        let nonce = ids::nonce();
        let (sent, signature) = match (seal, self.config.sealing_key()) {
            (Seal::OldCard, _) => {
                let token = &self.config.verification_token;
                let signature = crypto::old_card_signature(&timestamp, &nonce, token, plain.as_bytes());
                (plain, Some(signature))
            }
            (_, None) => (plain, None),
            (seal, Some(key)) => {
                let sent = json!({"encrypt": crypto::seal(key, plain.as_bytes())}).to_string();
                let signature =
                    (seal == Seal::Event).then(|| crypto::event_signature(&timestamp, &nonce, key, sent.as_bytes()));
                (sent, signature)
            }
        };
        if let Some(signature) = signature {
            headers.push(("X-Lark-Request-Timestamp".to_owned(), timestamp));
            headers.push(("X-Lark-Request-Nonce".to_owned(), nonce));
            headers.push(("X-Lark-Signature".to_owned(), signature));
        }
        (headers, sent.into_bytes())
    }

    /// One attempt with these very bytes.
    pub(super) async fn attempt_raw(self: &Arc<Self>, headers: Vec<(String, String)>, body: Vec<u8>) -> Attempt {
        let shared = Arc::clone(self);
        let work = self.runtime.spawn(async move { shared.post(headers, body).await });
        work.await.unwrap_or_default()
    }

    /// One attempt, sealed afresh.
    pub(super) async fn attempt(self: &Arc<Self>, body: &Value, seal: Seal) -> Attempt {
        let (headers, sent) = self.sealed(body, seal);
        let attempt = self.attempt_raw(headers, sent).await;
        self.note(body, &attempt);
        attempt
    }

    /// First attempt now; after a failure the further ones follow the schedule in the background.
    pub(super) async fn deliver(self: &Arc<Self>, event: Value) -> Attempt {
        let first = self.attempt(&event, Seal::Event).await;
        if first.status != 200 {
            let shared = Arc::clone(self);
            self.runtime.spawn(async move { shared.retry(event).await });
        }
        first
    }

    async fn retry(self: Arc<Self>, event: Value) {
        for wait in self.config.retry_schedule.clone() {
            tokio::time::sleep(wait).await;
            if self.attempt(&event, Seal::Event).await.status == 200 {
                return;
            }
        }
        if let Some(id) = event["header"]["event_id"].as_str() {
            self.deliveries().entry(id.to_owned()).or_default().lost = true;
        }
        self.changed();
    }

    async fn post(&self, headers: Vec<(String, String)>, body: Vec<u8>) -> Attempt {
        let Some(url) = self.webhook().clone() else { return Attempt::default() };
        let started = Instant::now();
        let mut request = self.http.post(&url).body(body.clone());
        for (name, value) in &headers {
            request = request.header(name, value);
        }
        let exchange = async {
            let response = request.send().await.ok()?;
            let status = response.status().as_u16();
            Some(Attempt { status, answer: response.text().await.ok()? })
        };
        let attempt = tokio::time::timeout(self.config.answer_limit, exchange).await.ok().flatten().unwrap_or_default();
        let (status, response_body) = (attempt.status, attempt.answer.as_str());
        wirelog::outgoing(
            self,
            &Push { url: &url, headers: &headers, request_body: &body, status, response_body, started },
        );
        attempt
    }

    fn note(&self, event: &Value, attempt: &Attempt) {
        let Some(id) = event["header"]["event_id"].as_str() else { return };
        let mut deliveries = self.deliveries();
        let report = deliveries.entry(id.to_owned()).or_default();
        report.attempts += 1;
        report.acknowledged += u32::from(attempt.status == 200);
        drop(deliveries);
        self.changed();
    }
}
