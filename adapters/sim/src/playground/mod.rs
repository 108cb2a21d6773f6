//! The playground: a page on which a person writes to the bots on the simulated platforms.
//!
//! The page shows what the platforms show and what goes over the wire, live over server-sent events. It is plain
//! HTML, CSS and JavaScript, embedded, and loads nothing from elsewhere. `acts` takes what a person does there.

mod acts;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use actix_web::http::header;
use actix_web::{HttpResponse, web};
use bytes::Bytes;
use futures::stream::{self, Stream, StreamExt};
use serde::Serialize;
use tokio::sync::{broadcast, watch};

use crate::view::{Abilities, ChatView, SimulatedPlatform};
use crate::wire::{Exchange, WireLog};

/// How often the page is told of changes at most.
const REFRESH: Duration = Duration::from_millis(80);

/// Exchanges shown to a page that has just been opened.
const BACKLOG: usize = 60;

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The simulated platforms behind one page.
#[derive(Clone)]
pub struct Playground {
    platforms: Vec<Arc<dyn SimulatedPlatform>>,
    wire: WireLog,
}

impl Playground {
    /// `wire` is the log that the platforms write to.
    #[must_use]
    pub fn new(platforms: Vec<Arc<dyn SimulatedPlatform>>, wire: WireLog) -> Self {
        Self { platforms, wire }
    }

    /// Mounts the page at `/` and its files and calls under `/playground/`.
    pub fn mount(&self, config: &mut web::ServiceConfig) {
        config
            .app_data(web::Data::new(self.clone()))
            .route("/", web::get().to(page))
            .route("/playground/app.js", web::get().to(script))
            .route("/playground/style.css", web::get().to(style))
            .route("/playground/message.js", web::get().to(message_script))
            .route("/playground/stream", web::get().to(live))
            .configure(acts::mount);
    }

    fn platform(&self, name: &str) -> Option<&Arc<dyn SimulatedPlatform>> {
        self.platforms.iter().find(|platform| platform.name() == name)
    }

    fn views(&self) -> Vec<PlatformView> {
        let view = |platform: &Arc<dyn SimulatedPlatform>| PlatformView {
            name: platform.name(),
            abilities: platform.abilities(),
            people: platform.people(),
            chats: platform.chats(),
        };
        self.platforms.iter().map(view).collect()
    }
}

#[derive(Serialize)]
struct PlatformView {
    name: &'static str,
    abilities: Abilities,
    people: Vec<(String, String)>,
    chats: Vec<ChatView>,
}

async fn page() -> HttpResponse {
    file("text/html; charset=utf-8", include_str!("page.html"))
}

async fn script() -> HttpResponse {
    file("text/javascript; charset=utf-8", include_str!("app.js"))
}

async fn message_script() -> HttpResponse {
    file("text/javascript; charset=utf-8", include_str!("message.js"))
}

async fn style() -> HttpResponse {
    file("text/css; charset=utf-8", include_str!("style.css"))
}

fn file(content_type: &str, body: &'static str) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, content_type))
        .insert_header((header::CONTENT_SECURITY_POLICY, POLICY))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((header::REFERRER_POLICY, "no-referrer"))
        .body(body)
}

/// Server-sent events: `chats` with everything visible whenever it changed, `wire` for each exchange.
async fn live(playground: web::Data<Playground>) -> HttpResponse {
    let follow = playground.wire.follow();
    let all = playground.wire.all();
    let backlog: Vec<Bytes> = all.iter().skip(all.len().saturating_sub(BACKLOG)).map(|one| sse("wire", one)).collect();
    let first = sse("chats", &playground.views());
    let opening = stream::iter([first]).chain(stream::iter(backlog));
    let chats = stream::select_all(playground.platforms.iter().map(|one| changes(one.changes()).boxed_local()));
    let views = playground.clone();
    let chats = chats.map(move |()| sse("chats", &views.views()));
    let body = opening.chain(stream::select(chats, exchanges(follow))).map(Ok::<_, Infallible>);
    HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, "text/event-stream"))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .streaming(body)
}

/// One item for each bunch of changes, no closer together than [`REFRESH`].
fn changes(watched: watch::Receiver<u64>) -> impl Stream<Item = ()> {
    stream::unfold(watched, |mut watched| async move {
        watched.changed().await.ok()?;
        tokio::time::sleep(REFRESH).await;
        watched.borrow_and_update();
        Some(((), watched))
    })
}

fn exchanges(follow: broadcast::Receiver<Exchange>) -> impl Stream<Item = Bytes> {
    stream::unfold(follow, |mut follow| async move {
        loop {
            match follow.recv().await {
                Ok(exchange) => return Some((sse("wire", &exchange), follow)),
                Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => return None,
            }
        }
    })
}

fn sse(event: &str, data: &impl Serialize) -> Bytes {
    let json = serde_json::to_string(data).unwrap_or_else(|_| "null".to_owned());
    Bytes::from(format!("event: {event}\ndata: {json}\n\n"))
}
