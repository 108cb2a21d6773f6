//! Pushing to the service: one signed attempt, and repeats in the background until somebody answers 200.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::crypto::{card_sign, robot_sign};
use super::journal::{self, PushRecord};
use super::shared::Shared;
use crate::view::Pushed;

/// What is pushed and how it is authenticated.
#[derive(Debug, Clone)]
pub(super) enum Payload {
    /// A robot message: body, signed anew at each attempt.
    Robot(String),
    /// An event: plain JSON text, sealed and signed anew at each attempt.
    Event(String),
    /// A card callback: body and the registered secret.
    Card { url: String, api_secret: Option<String>, body: String },
    /// Exactly these headers, this query and this body.
    Raw(RawPush),
}

/// A push that a test makes up byte by byte.
#[derive(Debug, Clone, Default)]
pub struct RawPush {
    pub headers: Vec<(String, String)>,
    /// Without the question mark.
    pub query: String,
    pub body: String,
}

/// An HTTP request about to leave.
struct Outgoing {
    url: String,
    headers: Vec<(String, String)>,
    body: String,
    timeout: Duration,
}

/// A push with the id under which it is repeated.
#[derive(Debug, Clone)]
pub(super) struct Push {
    pub id: String,
    pub payload: Payload,
    /// How many of the configured repeats apply.
    pub repeats: usize,
}

/// Makes the first attempt and gives its outcome; after a failure repeats follow in the background.
/// Runs on the platform's own runtime, whatever the caller's is.
pub(super) async fn deliver(shared: Arc<Shared>, push: Push) -> Pushed {
    let runtime = shared.runtime.clone();
    let id = push.id.clone();
    let task = runtime.spawn(async move {
        let copies = match push.payload {
            Payload::Robot(_) => shared.faults.take_duplicates(),
            _ => 0,
        };
        for _ in 0..copies {
            let (shared, push) = (shared.clone(), push.clone());
            tokio::spawn(async move { attempt(&shared, &push).await });
        }
        if matches!(push.payload, Payload::Robot(_) | Payload::Event(_)) {
            shared.world().unacknowledged.insert(push.id.clone());
        }
        let first = attempt(&shared, &push).await;
        if first.status != 200 && push.repeats > 0 {
            tokio::spawn(repeat(shared.clone(), push));
        }
        first
    });
    task.await.unwrap_or(Pushed { id, status: 0, answer: String::new() })
}

async fn repeat(shared: Arc<Shared>, push: Push) {
    for pause in shared.config.repeat_after.iter().take(push.repeats) {
        tokio::time::sleep(*pause).await;
        if attempt(&shared, &push).await.status == 200 {
            return;
        }
    }
}

/// One attempt with a fresh signature; logged.
async fn attempt(shared: &Shared, push: &Push) -> Pushed {
    let nothing = Pushed { id: push.id.clone(), status: 0, answer: String::new() };
    let Some(outgoing) = outgoing(shared, &push.payload) else { return nothing };
    let begun = Instant::now();
    let mut request = shared.http.post(&outgoing.url).timeout(outgoing.timeout).body(outgoing.body.clone());
    for (name, value) in &outgoing.headers {
        request = request.header(name, value);
    }
    let (status, answer) = match request.send().await {
        Ok(response) => {
            let status = response.status().as_u16();
            match response.text().await {
                Ok(answer) => (status, answer),
                Err(_) => (0, String::new()),
            }
        }
        Err(_) => (0, String::new()),
    };
    let took = begun.elapsed();
    let path = path_of(&outgoing.url);
    let (headers, body) = (&outgoing.headers, &outgoing.body);
    journal::pushed(shared, &PushRecord { path: &path, headers, body, status, answer: &answer, took });
    let mut world = shared.world();
    world.counted_messages += u64::from(matches!(push.payload, Payload::Robot(_)));
    if status == 200 {
        world.unacknowledged.remove(&push.id);
    }
    Pushed { id: push.id.clone(), status, answer }
}

fn outgoing(shared: &Shared, payload: &Payload) -> Option<Outgoing> {
    let timestamp = shared.clock.now_ms().to_string();
    let json = ("content-type".to_owned(), "application/json; charset=utf-8".to_owned());
    let push_timeout = shared.config.push_timeout;
    match payload {
        Payload::Robot(body) => {
            let sign = robot_sign(&shared.config.client_secret, &timestamp);
            let headers = vec![json, ("timestamp".to_owned(), timestamp), ("sign".to_owned(), sign)];
            Some(Outgoing { url: shared.webhook_url()?, headers, body: body.clone(), timeout: push_timeout })
        }
        Payload::Event(event) => {
            let nonce: String = super::ids::hex_id().chars().take(8).collect();
            let encrypt = shared.events.seal(event);
            let signature = shared.events.signature(&timestamp, &nonce, &encrypt);
            let query = format!("signature={signature}&msg_signature={signature}&timestamp={timestamp}&nonce={nonce}");
            let body = serde_json::json!({"encrypt": encrypt}).to_string();
            let url = with_query(&shared.webhook_url()?, &query);
            Some(Outgoing { url, headers: vec![json], body, timeout: push_timeout })
        }
        Payload::Card { url, api_secret, body } => {
            let mut headers = vec![json];
            if let Some(api_secret) = api_secret {
                headers.push(("x-ddpaas-signature".to_owned(), card_sign(api_secret, &timestamp)));
                headers.push(("x-ddpaas-signature-timestamp".to_owned(), timestamp));
            }
            Some(Outgoing { url: url.clone(), headers, body: body.clone(), timeout: shared.config.card_timeout })
        }
        Payload::Raw(raw) => Some(Outgoing {
            url: with_query(&shared.webhook_url()?, &raw.query),
            headers: raw.headers.clone(),
            body: raw.body.clone(),
            timeout: push_timeout,
        }),
    }
}

fn with_query(url: &str, query: &str) -> String {
    match (query.is_empty(), url.contains('?')) {
        (true, _) => url.to_owned(),
        (false, true) => format!("{url}&{query}"),
        (false, false) => format!("{url}?{query}"),
    }
}

fn path_of(url: &str) -> String {
    let Ok(url) = url::Url::parse(url) else { return String::new() };
    match url.query() {
        Some(query) => format!("{}?{query}", url.path()),
        None => url.path().to_owned(),
    }
}
