//! A really started server on free ports, with a scripted platform and SQLite in a temporary folder.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use actix_web::{HttpResponse, web};
use bytes::Bytes;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use magpie::app::clients;
use magpie::http::body::BodyLimits;
use magpie::http::requests::Requests;
use magpie::http::transcript::SignedLinks;
use magpie::http::{self, Connections, Ports, Shared};
use magpie::ops::metrics;
use magpie_core::budget::{Budget, BudgetSettings};
use magpie_core::cancel::CancelToken;
use magpie_core::card::Card;
use magpie_core::clock::{SystemClock, UnixMillis};
use magpie_core::embedding::Embedder;
use magpie_core::event::{Body, Event, Lifecycle, Message, PlatformKind, ReplyTo, Resource};
use magpie_core::ids::{BotId, MessageId};
use magpie_core::platform::{
    AckBody, CardRef, DeliveryKey, Download, Health, Inbound, Limits, Platform, RawRequest, Received, SendError,
    Target, Toast, WebhookError,
};
use magpie_core::router::{Router, RouterSettings};
use magpie_core::secret::Secret;
use magpie_core::settings::{BotSettings, ChatSettings, LanguageChoice, ModelChoice};
use magpie_core::turn::Bot;
use magpie_store::{Database, StoreConfig};
use serde_json::Value;
use tempfile::TempDir;

/// A platform that does what the header `x-test` says and remembers what it was given.
pub struct Scripted {
    bot: BotId,
    limits: Limits,
    pub seen: Mutex<Vec<RawRequest>>,
}

impl Platform for Scripted {
    fn kind(&self) -> PlatformKind {
        PlatformKind::Feishu
    }

    fn limits(&self) -> &Limits {
        &self.limits
    }

    fn open(&self, raw: &RawRequest, _now: UnixMillis) -> Result<Inbound, WebhookError> {
        self.seen.lock().unwrap().push(raw.clone());
        let id = String::from_utf8_lossy(&raw.body).into_owned();
        match raw.header("x-test") {
            Some("challenge") => Ok(Inbound::Challenge(AckBody(Bytes::from_static(b"{\"challenge\":1}")))),
            Some("signature") => Err(WebhookError::Signature("secret cause")),
            Some("timestamp") => Err(WebhookError::Timestamp { skew_seconds: 9 }),
            Some("token") => Err(WebhookError::Token("secret cause")),
            Some("malformed") => Err(WebhookError::Malformed("secret cause")),
            Some("unknown-type") => Ok(self.event(Body::Other { type_name: "x".to_owned() }, id)),
            _ => {
                let recalled = Lifecycle::Recalled { message: MessageId::from("om_1"), chat: None };
                Ok(self.event(Body::Lifecycle(recalled), id))
            }
        }
    }

    fn ack(&self, _received: &Received, toast: Option<&Toast>) -> AckBody {
        AckBody(Bytes::from(format!("{{\"toast\":{}}}", toast.is_some())))
    }

    fn connect(&self) -> BoxFuture<'_, Result<(), SendError>> {
        async { Ok(()) }.boxed()
    }

    fn settle<'a>(&'a self, _: &'a mut Message) -> BoxFuture<'a, Result<(), SendError>> {
        async { Ok(()) }.boxed()
    }

    fn prepare<'a>(
        &'a self,
        _: &'a ReplyTo,
        _: &'a Card,
        _: &'a DeliveryKey,
    ) -> BoxFuture<'a, Result<CardRef, SendError>> {
        async { Err(SendError::Protocol { call: "prepare", code: "not scripted".to_owned() }) }.boxed()
    }

    fn start<'a>(&'a self, _: &'a ReplyTo, _: &'a Card, _: &'a mut CardRef) -> BoxFuture<'a, Result<(), SendError>> {
        async { Ok(()) }.boxed()
    }

    fn update<'a>(&'a self, _: &'a ReplyTo, _: &'a Card, _: &'a mut CardRef) -> BoxFuture<'a, Result<(), SendError>> {
        async { Ok(()) }.boxed()
    }

    fn finish<'a>(&'a self, _: &'a ReplyTo, _: &'a Card, _: &'a mut CardRef) -> BoxFuture<'a, Result<(), SendError>> {
        async { Ok(()) }.boxed()
    }

    fn revise<'a>(&'a self, _: &'a ReplyTo, _: &'a Card, _: &'a mut CardRef) -> BoxFuture<'a, Result<(), SendError>> {
        async { Ok(()) }.boxed()
    }

    fn reopen<'a>(&'a self, _: &'a ReplyTo, _: &'a Card, _: &'a mut CardRef) -> BoxFuture<'a, Result<(), SendError>> {
        async { Ok(()) }.boxed()
    }

    fn enrich<'a>(&'a self, _: &'a mut Message) -> BoxFuture<'a, Result<(), SendError>> {
        async { Ok(()) }.boxed()
    }

    fn fetch<'a>(&'a self, _: &'a Message, _: &'a Resource) -> BoxFuture<'a, Result<Download, SendError>> {
        async { Err(SendError::Protocol { call: "fetch", code: "not scripted".to_owned() }) }.boxed()
    }

    fn address(&self, _: &Target) -> ReplyTo {
        unreachable!("nothing is sent here unasked")
    }

    fn health(&self) -> Health {
        Health::Ok
    }
}

impl Scripted {
    fn event(&self, body: Body, platform_event_id: String) -> Inbound {
        let event =
            Event { bot: self.bot.clone(), platform: PlatformKind::Feishu, platform_event_id, occurred_at: None, body };
        Inbound::Event(Box::new(Received { event, answer_by: Value::Null }))
    }
}

/// How a stand is to be different from the usual one.
pub struct Plan {
    /// Name and whether it is enabled.
    pub bots: Vec<(&'static str, bool)>,
    pub max_body_bytes: usize,
    pub body_timeout: Duration,
    /// False: as at a start with the database away.
    pub with_store: bool,
    pub embedder: Option<Arc<dyn Embedder>>,
    pub admin_token: &'static str,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            bots: vec![("helpdesk", true)],
            max_body_bytes: 1024,
            body_timeout: Duration::from_secs(10),
            with_store: true,
            embedder: None,
            admin_token: "",
        }
    }
}

/// A running server with a client for it.
pub struct Stand {
    pub shared: Arc<Shared>,
    pub database: Database,
    pub platforms: BTreeMap<&'static str, Arc<Scripted>>,
    pub client: reqwest::Client,
    public: SocketAddr,
    admin: SocketAddr,
    _folder: TempDir,
}

impl Stand {
    pub async fn start(plan: Plan) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", folder.path().join("test.db").display());
        let config = StoreConfig { url, max_connections: 4, clock: Arc::new(SystemClock) };
        let database = Database::connect(&config).await.unwrap();
        database.migrate().await.unwrap();
        let platforms: BTreeMap<_, _> = plan.bots.iter().map(|(name, _)| (*name, scripted(name))).collect();
        let bots = plan.bots.iter().map(|(name, enabled)| {
            let platform = Arc::clone(&platforms[name]);
            ((*name).to_owned(), Arc::new(Bot { settings: settings(name, *enabled), platform, budget: budget(name) }))
        });
        let shared = Arc::new(Shared {
            bots: bots.collect(),
            router: Arc::new(Router::new(Vec::new(), RouterSettings::default())),
            embedder: plan.embedder,
            attachments: None,
            admin_token: Secret::new(plan.admin_token),
            stores: OnceLock::new(),
            links: Arc::new(SignedLinks::new("", Arc::new(SystemClock))),
            clock: Arc::new(SystemClock),
            body: BodyLimits { max_bytes: plan.max_body_bytes, timeout: plan.body_timeout },
            scrape: metrics::install(),
            requests: Requests::default(),
            stopping: CancelToken::new(),
        });
        if plan.with_store {
            let _ = shared.stores.set(Ports { inbox: database.inbox(), store: database.store() });
        }
        let (public, admin) = serve(&shared);
        let client = clients::local(Duration::from_secs(10)).unwrap();
        Self { shared, database, platforms, client, public, admin, _folder: folder }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.public)
    }

    pub fn admin_url(&self, path: &str) -> String {
        format!("http://{}{path}", self.admin)
    }

    /// Posts `body` to `/webhook/helpdesk`; the scripted platform does what `script` says.
    pub async fn post(&self, script: &str, body: &str) -> reqwest::Response {
        self.post_to("/webhook/helpdesk", script, body).await
    }

    pub async fn post_to(&self, path: &str, script: &str, body: &str) -> reqwest::Response {
        let request = self.client.post(self.url(path)).header("x-test", script).body(body.to_owned());
        request.send().await.unwrap()
    }

    /// The page `/metrics`.
    pub async fn metrics(&self) -> String {
        self.client.get(self.admin_url("/metrics")).send().await.unwrap().text().await.unwrap()
    }
}

fn scripted(name: &str) -> Arc<Scripted> {
    let limits = Limits {
        ack_deadline: Duration::from_secs(3),
        min_update_interval: Duration::from_millis(100),
        max_silence: Duration::from_secs(60),
        max_card_bytes: 10_000,
    };
    Arc::new(Scripted { bot: BotId::from(name), limits, seen: Mutex::default() })
}

/// One call a month, and nobody here makes any unasked.
fn budget(name: &str) -> Arc<Budget> {
    let settings =
        BudgetSettings { bot: BotId::from(name), app: name.to_owned(), calls_per_second: 0, calls_per_month: 1 };
    Budget::new(settings, Arc::new(SystemClock))
}

fn settings(name: &str, enabled: bool) -> BotSettings {
    BotSettings {
        id: BotId::from(name),
        platform: PlatformKind::Feishu,
        enabled,
        system_prompt: String::new(),
        model: ModelChoice::Auto,
        language: LanguageChoice::Auto,
        chat: ChatSettings::default(),
        groups: BTreeMap::new(),
    }
}

fn serve(shared: &Arc<Shared>) -> (SocketAddr, SocketAddr) {
    let how = Connections {
        request_timeout: Duration::from_secs(5),
        keep_alive: Duration::from_secs(5),
        grace: Duration::ZERO,
    };
    let page = || async { HttpResponse::Ok().content_type("text/html; charset=utf-8").body("<p>a page</p>") };
    let pages: http::Pages = Arc::new(move |config: &mut web::ServiceConfig| {
        config.route("/page", web::get().to(page));
    });
    let free = SocketAddr::from(([127, 0, 0, 1], 0));
    let (public, admin) = (http::bind(free).unwrap(), http::bind(free).unwrap());
    let addresses = (public.local_addr().unwrap(), admin.local_addr().unwrap());
    tokio::spawn(http::public(public, shared, how, pages).unwrap());
    tokio::spawn(http::admin(admin, shared, how).unwrap());
    addresses
}
