//! A caller of the simulated API, and a service that takes its pushes.

use std::net::TcpListener;
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use magpie_sim::dingtalk::{DingTalkConfig, DingTalkSim, TEMPLATE_A};
use magpie_sim::view::SimulatedPlatform;
use serde_json::{Value, json};

/// Seeded group of every simulated DingTalk.
pub const GROUP: &str = "cidSimMagpieBridge0Group1+w==";
/// Staff id of a seeded person.
pub const ZHANG: &str = "01486223571234567";

pub fn start() -> DingTalkSim {
    start_with(|_| {})
}

/// Waits long for answers, so that a busy machine fails no test; what waits is said by the test itself.
pub fn start_with(change: impl FnOnce(&mut DingTalkConfig)) -> DingTalkSim {
    let patience = Duration::from_secs(60);
    let mut config = DingTalkConfig { push_timeout: patience, card_timeout: patience, ..DingTalkConfig::default() };
    change(&mut config);
    DingTalkSim::start(config).expect("a loopback port")
}

/// The bot's side of the API.
pub struct Caller {
    pub base: String,
    pub http: reqwest::Client,
    pub token: String,
}

impl Caller {
    pub async fn new(sim: &DingTalkSim) -> Self {
        let http = reqwest::Client::builder().no_proxy().build().expect("a client");
        let mut caller = Self { base: sim.base_url(), http, token: String::new() };
        caller.log_in().await;
        caller
    }

    pub async fn log_in(&mut self) {
        let config = DingTalkConfig::default();
        let body = json!({"appKey": config.client_id, "appSecret": config.client_secret});
        let (status, answer) = self.post("/v1.0/oauth2/accessToken", &body).await;
        assert_eq!(status, 200, "{answer}");
        self.token = answer["accessToken"].as_str().expect("a token").to_owned();
    }

    pub async fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        self.send(reqwest::Method::POST, path, body).await.expect("an answer")
    }

    pub async fn put(&self, path: &str, body: &Value) -> (u16, Value) {
        self.send(reqwest::Method::PUT, path, body).await.expect("an answer")
    }

    pub async fn send(&self, method: reqwest::Method, path: &str, body: &Value) -> reqwest::Result<(u16, Value)> {
        let url = if path.starts_with("http") { path.to_owned() } else { format!("{}{path}", self.base) };
        let request = self.http.request(method, url).header("x-acs-dingtalk-access-token", &self.token).json(body);
        let response = request.send().await?;
        let status = response.status().as_u16();
        let text = response.text().await?;
        Ok((status, serde_json::from_str(&text).unwrap_or(Value::String(text))))
    }

    pub async fn create(&self, card: &Value) -> (u16, Value) {
        self.post("/v1.0/card/instances/createAndDeliver", card).await
    }

    pub async fn stream(&self, frame: &Value) -> (u16, Value) {
        self.put("/v1.0/card/streaming", frame).await
    }
}

/// A card of template A for the seeded group.
pub fn group_card(id: &str) -> Value {
    let complex = json!({"order": ["msgTitle", "msgContent", "msgButtons"],
        "msgButtons": [{"text": "停止", "color": "red", "id": "stop", "request": true, "params": {"round": "1"}}]});
    json!({
        "cardTemplateId": TEMPLATE_A, "outTrackId": id, "callbackType": "HTTP", "callbackRouteKey": "route",
        "cardData": {"cardParamMap": {"flowStatus": "1", "msgTitle": "标题", "msgContent": "", "sys_full_json_obj": complex.to_string()}},
        "openSpaceId": format!("dtv1.card//IM_GROUP.{GROUP}"),
        "imGroupOpenDeliverModel": {"robotCode": "dingsimmagpie0001"}, "userIdType": 1
    })
}

pub fn frame(id: &str, guid: &str, content: &str) -> Value {
    json!({"outTrackId": id, "guid": guid, "key": "msgContent", "content": content,
        "isFull": true, "isFinalize": false, "isError": false})
}

/// Code of a refusal, or the answer itself to make a failed assertion readable.
pub fn code(answer: &Value) -> &str {
    answer["code"].as_str().unwrap_or("no code")
}

/// One push that the service got.
#[derive(Debug, Clone)]
pub struct Got {
    pub query: String,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Got {
    pub fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect("JSON")
    }
}

type Script = Arc<dyn Fn(usize, &Got) -> (u16, String) + Send + Sync>;

/// A service that answers by a script, given the number of the push (from 0).
pub struct Service {
    pub url: String,
    pub got: Arc<Mutex<Vec<Got>>>,
    arrived: tokio::sync::watch::Receiver<usize>,
    server: actix_web::dev::ServerHandle,
}

impl Service {
    pub fn start(script: impl Fn(usize, &Got) -> (u16, String) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        let url = format!("http://{}/webhook/bot", listener.local_addr().expect("an address"));
        let got = Arc::new(Mutex::new(Vec::new()));
        let (count, arrived) = tokio::sync::watch::channel(0);
        let (count, script, kept) = (Arc::new(count), Arc::new(script) as Script, got.clone());
        let (started, handle) = mpsc::channel();
        std::thread::spawn(move || {
            actix_web::rt::System::new().block_on(async move {
                let app = move || {
                    let (kept, script, count) = (kept.clone(), script.clone(), count.clone());
                    App::new().default_service(web::to(move |request: HttpRequest, body: web::Bytes| {
                        let reply = take(&request, &body, &kept, &script);
                        count.send_modify(|count| *count += 1);
                        async move { reply }
                    }))
                };
                let server =
                    HttpServer::new(app).workers(1).disable_signals().listen(listener).expect("a server").run();
                started.send(server.handle()).expect("the starter waits");
                server.await.expect("a clean end");
            });
        });
        Self { url, got, arrived, server: handle.recv().expect("a handle") }
    }

    /// Waits until this many pushes came; gives them.
    pub async fn pushes(&self, count: usize) -> Vec<Got> {
        self.arrived.clone().wait_for(|arrived| *arrived >= count).await.expect("the service lives");
        self.got.lock().expect("no panic while held").clone()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        drop(self.server.stop(false));
    }
}

fn take(request: &HttpRequest, body: &[u8], kept: &Mutex<Vec<Got>>, script: &Script) -> HttpResponse {
    let header = |(name, value): (&actix_web::http::header::HeaderName, &actix_web::http::header::HeaderValue)| {
        (name.to_string(), value.to_str().unwrap_or_default().to_owned())
    };
    let got = Got {
        query: request.query_string().to_owned(),
        headers: request.headers().iter().map(header).collect(),
        body: String::from_utf8_lossy(body).into_owned(),
    };
    let mut kept = kept.lock().expect("no panic while held");
    let (status, answer) = script(kept.len(), &got);
    kept.push(got);
    HttpResponse::build(actix_web::http::StatusCode::from_u16(status).expect("a status")).body(answer)
}
