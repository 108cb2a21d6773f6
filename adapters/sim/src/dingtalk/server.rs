//! The HTTP server: reads a request, lets faults strike, guards a card against two calls at once, serves, logs.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Instant;

use actix_web::http::StatusCode;
use actix_web::http::header::CONTENT_TYPE;
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use serde_json::Value;

use super::api::{self, Api, Refusal, Reply, Request};
use super::faults::Fault;
use super::journal;
use super::shared::Shared;
use crate::tally::Ending;

/// Uploads go up to 20 MB.
const MAX_BODY_BYTES: usize = 24 * 1024 * 1024;
const TOKEN_HEADER: &str = "x-acs-dingtalk-access-token";

/// Serves on `listener` from a thread of its own until the handle says stop.
///
/// # Errors
/// When the thread or the server can't be started.
pub(super) fn spawn(listener: TcpListener, shared: Arc<Shared>) -> std::io::Result<actix_web::dev::ServerHandle> {
    let (started, outcome) = std::sync::mpsc::channel();
    std::thread::Builder::new().name("sim-dingtalk".to_owned()).spawn(move || {
        actix_web::rt::System::new().block_on(async move {
            let app = move || {
                App::new()
                    .app_data(web::PayloadConfig::new(MAX_BODY_BYTES))
                    .app_data(web::Data::from(shared.clone()))
                    .default_service(web::to(answer))
            };
            let server = HttpServer::new(app).workers(1).disable_signals().shutdown_timeout(1).listen(listener);
            match server {
                Ok(server) => {
                    let server = server.run();
                    let _ = started.send(Ok(server.handle()));
                    if let Err(error) = server.await {
                        tracing::warn!(%error, "the simulated DingTalk stopped");
                    }
                }
                Err(error) => drop(started.send(Err(error))),
            }
        });
    })?;
    outcome.recv().unwrap_or_else(|_| Err(std::io::Error::other("the server thread ended before it served")))
}

async fn answer(request: HttpRequest, body: web::Bytes, shared: web::Data<Shared>) -> HttpResponse {
    let header = |name: &str| Some(request.headers().get(name)?.to_str().ok()?.to_owned());
    let request = Request {
        method: request.method().clone(),
        path: request.path().to_owned(),
        query: request.query_string().to_owned(),
        token: header(TOKEN_HEADER),
        content_type: header(CONTENT_TYPE.as_str()),
        body,
    };
    let begun = Instant::now();
    let reply = handle(&shared, &request).await;
    journal::call_served(&shared, &request, reply.as_ref(), begun.elapsed());
    match reply {
        Some(reply) => {
            let status = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            HttpResponse::build(status).content_type(reply.content_type).body(reply.body)
        }
        None => hang_up(),
    }
}

/// As [`answered`], counted.
async fn handle(shared: &Shared, request: &Request) -> Option<Reply> {
    let api = Api::of(&request.method, &request.path);
    if let Some(api) = api {
        shared.world().counter.arrived(&format!("{api:?}"), api.is_counted(), shared.clock.now_ms());
    }
    let reply = answered(shared, request, api).await;
    if let Some(api) = api {
        let ending = reply.as_ref().map_or(Ending::Refused, |reply| reply.ending);
        shared.world().counter.ended(&format!("{api:?}"), ending);
    }
    reply
}

/// `None`: the connection is to be closed without an answer.
async fn answered(shared: &Shared, request: &Request, api: Option<Api>) -> Option<Reply> {
    let Some(api) = api else {
        return Some(Refusal::new(404, "InvalidAction.NotFound", "no such API").into());
    };
    let body: Value =
        if api.is_card() { serde_json::from_slice(&request.body).unwrap_or_default() } else { Value::Null };
    let faults = shared.faults.strike(api, api::is_final(&body));
    let out_track_id = body.get("outTrackId").and_then(Value::as_str).filter(|_| api.is_card());
    let guard = match out_track_id {
        Some(out_track_id) => match CardGuard::enter(shared, out_track_id) {
            Ok(guard) => Some(guard),
            Err(refusal) => return Some(refusal.into()),
        },
        None => None,
    };
    tokio::time::sleep(shared.latency()).await;
    for fault in &faults {
        if let Fault::Slow(by) = fault {
            tokio::time::sleep(*by).await;
        }
    }
    let reply = match prevented(api, &faults) {
        Some(prevented) => prevented,
        None => Some(api::serve(shared, api, request, &faults)),
    };
    if let (Some(guard), Some(reply)) = (&guard, &reply) {
        guard.note(reply.status);
    }
    reply.filter(|_| !faults.contains(&Fault::AnswerLost))
}

/// What a fault answers in place of the call: outer `None` if the call goes on, inner `None` to hang up.
fn prevented(api: Api, faults: &[Fault]) -> Option<Option<Reply>> {
    faults.iter().find_map(|fault| match fault {
        Fault::Disconnect => Some(None),
        Fault::ServerError => Some(Some(Refusal::new(503, "serviceBusy", "try again").into())),
        Fault::RateLimited => Some(Some(Refusal::rate_limited(api).into())),
        Fault::TokenInvalid => Some(Some(Refusal::token_invalid().into())),
        Fault::PermissionMissing => Some(Some(Refusal::permission_missing(api).into())),
        Fault::PunishPage => Some(Some(Reply::punish_page())),
        _ => None,
    })
}

/// A body that fails before its first byte: the server then drops the connection with nothing sent.
fn hang_up() -> HttpResponse {
    let broken = futures::stream::once(async { Err::<web::Bytes, _>(std::io::Error::other("simulated disconnect")) });
    HttpResponse::Ok().streaming(broken)
}

/// Holds a card while one call for it is served; a second call is refused and noted.
struct CardGuard<'a> {
    shared: &'a Shared,
    out_track_id: &'a str,
}

impl<'a> CardGuard<'a> {
    fn enter(shared: &'a Shared, out_track_id: &'a str) -> Result<Self, Refusal> {
        let mut world = shared.world();
        let is_free = world.in_flight.insert(out_track_id.to_owned());
        let report = world.report(out_track_id);
        report.api_calls += 1;
        if is_free {
            return Ok(Self { shared, out_track_id });
        }
        report.concurrency_violations += 1;
        report.refused += 1;
        Err(Refusal::new(500, "system.busy", "another call for this card is being served"))
    }

    fn note(&self, status: u16) {
        if status >= 400 {
            self.shared.world().report(self.out_track_id).refused += 1;
        }
    }
}

impl Drop for CardGuard<'_> {
    fn drop(&mut self) {
        self.shared.world().in_flight.remove(self.out_track_id);
    }
}
