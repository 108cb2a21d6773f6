//! The HTTP side. It knows the ports of `magpie-core` and no adapter, so it can be tested with fakes.

pub mod access;
pub mod body;
pub mod embeddings;
pub mod frame;
pub mod health;
pub mod problem;
pub mod requests;
pub mod trace;
pub mod transcript;
pub mod webhook;

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use actix_web::dev::Server;
use actix_web::http::KeepAlive;
use actix_web::http::header::CONTENT_TYPE;
use actix_web::middleware::from_fn;
use actix_web::{App, HttpResponse, HttpServer, web};
use magpie_core::attachment::Attachments;
use magpie_core::cancel::CancelToken;
use magpie_core::clock::Clock;
use magpie_core::embedding::Embedder;
use magpie_core::inbox::Inbox;
use magpie_core::router::Router;
use magpie_core::secret::Secret;
use magpie_core::store::Store;
use magpie_core::turn::Bot;

use crate::ops::metrics::Scrape;
use body::BodyLimits;
use problem::Problem;
use requests::Requests;
use transcript::SignedLinks;

/// What the handlers work with.
pub struct Shared {
    /// By their names.
    pub bots: BTreeMap<String, Arc<Bot>>,
    pub router: Arc<Router>,
    pub embedder: Option<Arc<dyn Embedder>>,
    /// What makes context of attachments; `None` if nothing does.
    pub attachments: Option<Attachments>,
    /// Empty: what needs it is closed.
    pub admin_token: Secret,
    /// Empty until the database has been reached and migrated.
    pub stores: OnceLock<Ports>,
    pub clock: Arc<dyn Clock>,
    pub links: Arc<SignedLinks>,
    pub body: BodyLimits,
    pub scrape: Scrape,
    pub requests: Requests,
    /// Cancelled when shutdown begins.
    pub stopping: CancelToken,
}

/// The two ports of the store.
#[derive(Clone)]
pub struct Ports {
    pub inbox: Arc<dyn Inbox>,
    pub store: Arc<dyn Store>,
}

/// How a listener treats connections.
#[derive(Debug, Clone, Copy)]
pub struct Connections {
    /// For the head of a request.
    pub request_timeout: Duration,
    /// Zero: connections are closed after each response.
    pub keep_alive: Duration,
    /// How long connections may finish once stopping.
    pub grace: Duration,
}

impl Connections {
    fn keep_alive(self) -> KeepAlive {
        if self.keep_alive.is_zero() { KeepAlive::Disabled } else { KeepAlive::Timeout(self.keep_alive) }
    }
}

/// Further routes of the public listener, such as the playground's.
pub type Pages = Arc<dyn Fn(&mut web::ServiceConfig) + Send + Sync>;

/// The listener for webhooks and the APIs: given its socket, not yet running.
///
/// # Errors
/// The socket can't be used.
pub fn public(listener: TcpListener, shared: &Arc<Shared>, how: Connections, pages: Pages) -> std::io::Result<Server> {
    let shared = web::Data::from(Arc::clone(shared));
    let server = HttpServer::new(move || {
        let pages = Arc::clone(&pages);
        App::new()
            .app_data(shared.clone())
            .configure(webhook::routes)
            .configure(embeddings::routes)
            .configure(transcript::routes)
            .configure(health::routes)
            .configure(move |config| pages(config))
            .default_service(web::to(not_found))
            .wrap(from_fn(frame::frame))
    });
    Ok(server
        .client_request_timeout(how.request_timeout)
        .keep_alive(how.keep_alive())
        .shutdown_timeout(how.grace.as_secs())
        .disable_signals()
        .listen(listener)?
        .run())
}

/// The listener for operators: metrics and health.
///
/// # Errors
/// The socket can't be used.
pub fn admin(listener: TcpListener, shared: &Arc<Shared>, how: Connections) -> std::io::Result<Server> {
    let shared = web::Data::from(Arc::clone(shared));
    let server = HttpServer::new(move || {
        App::new()
            .app_data(shared.clone())
            .service(web::resource("/metrics").route(web::get().to(metrics)).default_service(web::to(only_get)))
            .configure(health::routes)
            .default_service(web::to(not_found))
            .wrap(from_fn(frame::frame))
    });
    Ok(server
        .workers(1)
        .client_request_timeout(how.request_timeout)
        .keep_alive(how.keep_alive())
        .shutdown_timeout(how.grace.as_secs())
        .disable_signals()
        .listen(listener)?
        .run())
}

/// Binds a socket, so that its real port is known before anything runs.
///
/// # Errors
/// The address is taken or not ours.
pub fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

async fn not_found() -> Result<HttpResponse, Problem> {
    Err(Problem::not_found("There is nothing at this address."))
}

async fn only_get() -> Result<HttpResponse, Problem> {
    Err(Problem::method_not_allowed("GET"))
}

async fn metrics(shared: web::Data<Shared>) -> HttpResponse {
    let inbox = shared.stores.get().map(|ports| &*ports.inbox);
    let text = shared.scrape.render(inbox).await;
    HttpResponse::Ok().insert_header((CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")).body(text)
}
