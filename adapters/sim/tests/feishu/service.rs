//! The other side: a client of the OpenAPI, and a webhook that records what it is sent.

use std::sync::{Arc, Mutex};

use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use magpie_sim::feishu::{FeishuConfig, FeishuSim, crypto};
use magpie_sim::view::SimulatedPlatform;
use reqwest::Method;
use serde_json::{Value, json};

/// A platform with a stopped clock, and a client with a token.
pub struct Bench {
    pub sim: FeishuSim,
    pub http: reqwest::Client,
    pub token: String,
}

/// Status and body of an answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub body: Value,
    pub reset: Option<String>,
    pub log_id: Option<String>,
}

impl Answer {
    pub fn code(&self) -> i64 {
        self.body["code"].as_i64().unwrap_or(-1)
    }

    pub fn text(&self, pointer: &str) -> String {
        self.body.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
    }
}

impl Bench {
    pub async fn start() -> Self {
        Self::with(FeishuConfig::default()).await
    }

    pub async fn with(config: FeishuConfig) -> Self {
        let sim = FeishuSim::start(config).unwrap();
        sim.clock().stop();
        let http = client();
        let mut bench = Self { sim, http, token: String::new() };
        bench.token = bench.fetch_token().await;
        bench
    }

    pub async fn fetch_token(&self) -> String {
        let config = self.sim.config();
        let body = json!({"app_id": config.app_id, "app_secret": config.app_secret});
        let answer = self.call(Method::POST, "auth/v3/tenant_access_token/internal", &body).await.unwrap();
        assert_eq!((answer.code(), answer.body["data"].is_null()), (0, true));
        answer.text("/tenant_access_token")
    }

    /// `None` when the connection ended without an answer.
    pub async fn call(&self, method: Method, path: &str, body: &Value) -> Option<Answer> {
        let mut request = self.http.request(method, format!("{}/open-apis/{path}", self.sim.base_url()));
        if !self.token.is_empty() {
            request = request.bearer_auth(&self.token);
        }
        if !body.is_null() {
            request = request.json(body);
        }
        let response = request.send().await.ok()?;
        let header = |name: &str| response.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
        let (reset, log_id) = (header("x-ogw-ratelimit-reset"), header("x-tt-logid"));
        let status = response.status().as_u16();
        let text = response.text().await.ok()?;
        Some(Answer { status, body: serde_json::from_str(&text).unwrap_or_default(), reset, log_id })
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.call(Method::POST, path, &body).await.unwrap()
    }

    pub async fn put(&self, path: &str, body: Value) -> Answer {
        self.call(Method::PUT, path, &body).await.unwrap()
    }

    pub async fn patch(&self, path: &str, body: Value) -> Answer {
        self.call(Method::PATCH, path, &body).await.unwrap()
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path, &Value::Null).await.unwrap()
    }

    /// Sends into the group.
    pub async fn send(&self, msg_type: &str, content: &Value, uuid: &str) -> Answer {
        let body =
            json!({"receive_id": self.sim.group(), "msg_type": msg_type, "content": content.to_string(), "uuid": uuid});
        self.post("im/v1/messages?receive_id_type=chat_id", body).await
    }

    /// Creates a card and sends it: `(card id, message id)`.
    pub async fn send_card(&self, card: &Value) -> (String, String) {
        let created = self.post("cardkit/v1/cards", json!({"type": "card_json", "data": card.to_string()})).await;
        let card_id = created.text("/data/card_id");
        let sent = self.send("interactive", &json!({"type": "card", "data": {"card_id": card_id}}), "").await;
        assert_eq!(sent.code(), 0, "{sent:?}");
        (card_id, sent.text("/data/message_id"))
    }

    pub fn first_person(&self) -> String {
        self.sim.people()[0].0.clone()
    }
}

pub fn client() -> reqwest::Client {
    rustls::crypto::ring::default_provider().install_default().ok();
    reqwest::Client::builder().no_proxy().build().unwrap()
}

/// What reached the webhook.
#[derive(Debug, Clone)]
pub struct Received {
    pub timestamp: String,
    pub nonce: String,
    pub signature: String,
    pub body: Vec<u8>,
}

impl Received {
    /// The event, decrypted if it was encrypted.
    pub fn event(&self, encrypt_key: &str) -> Value {
        let body: Value = serde_json::from_slice(&self.body).unwrap();
        match body["encrypt"].as_str() {
            Some(sealed) => serde_json::from_slice(&crypto::open(encrypt_key, sealed).unwrap()).unwrap(),
            None => body,
        }
    }
}

type Script = Arc<dyn Fn(usize, &Received) -> (u16, String) + Send + Sync>;

/// A webhook that answers by script; the script gets the number of the request, from 0.
pub struct Webhook {
    pub url: String,
    received: Arc<Mutex<Vec<Received>>>,
}

impl Webhook {
    pub fn answering(script: impl Fn(usize, &Received) -> (u16, String) + Send + Sync + 'static) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/webhook/bot", listener.local_addr().unwrap());
        let received: Arc<Mutex<Vec<Received>>> = Arc::default();
        let kept = Arc::clone(&received);
        std::thread::spawn(move || {
            let script: Script = Arc::new(script);
            let app = move || {
                let (kept, script) = (Arc::clone(&kept), Arc::clone(&script));
                let answer = move |http: HttpRequest, body: web::Bytes| {
                    let answered = record(&kept, &script, &http, &body);
                    async move { answered }
                };
                App::new().default_service(web::to(answer))
            };
            let server = HttpServer::new(app).workers(1).disable_signals().listen(listener).unwrap().run();
            actix_web::rt::System::new().block_on(server)
        });
        Self { url, received }
    }

    pub fn accepting() -> Self {
        Self::answering(|_, _| (200, "{}".into()))
    }

    pub fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }
}

fn record(kept: &Mutex<Vec<Received>>, script: &Script, http: &HttpRequest, body: &[u8]) -> HttpResponse {
    let header = |name: &str| http.headers().get(name).map_or("", |value| value.to_str().unwrap()).to_owned();
    let received = Received {
        timestamp: header("X-Lark-Request-Timestamp"),
        nonce: header("X-Lark-Request-Nonce"),
        signature: header("X-Lark-Signature"),
        body: body.to_vec(),
    };
    let number = {
        let mut kept = kept.lock().unwrap();
        kept.push(received.clone());
        kept.len() - 1
    };
    let (status, answer) = script(number, &received);
    HttpResponse::build(actix_web::http::StatusCode::from_u16(status).unwrap()).body(answer)
}
