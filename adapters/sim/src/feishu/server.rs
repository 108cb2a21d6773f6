//! The HTTP side: reads a call, applies faults, answers, and writes the wire log.

use std::collections::HashMap;
use std::io;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Instant;

use actix_web::dev::{Extensions, ServerHandle};
use actix_web::http::StatusCode;
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use bytes::Bytes;

use super::answer::{Answer, Outcome, Refusal};
use super::api::{self, Located, Request};
use super::faults::{Call, Fault};
use super::ids;
use super::shared::Shared;
use super::wirelog::{self, Call as Logged};
use super::world::rates::class;
use crate::tally::Ending;

const MAX_BODY_BYTES: usize = 64 * 1024 * 1024;

/// The server thread.
pub(super) struct Server {
    handle: ServerHandle,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Serves until stopped.
    pub(super) fn start(listener: TcpListener, shared: Arc<Shared>) -> io::Result<Self> {
        let (ready, started) = std::sync::mpsc::channel();
        let thread = std::thread::Builder::new().name("feishu-sim".into()).spawn(move || {
            actix_web::rt::System::new().block_on(async move {
                match build(listener, shared) {
                    Ok(server) => {
                        let _ = ready.send(Ok(server.handle()));
                        let _ = server.await;
                    }
                    Err(error) => {
                        let _ = ready.send(Err(error));
                    }
                }
            });
        })?;
        let handle = started.recv().map_err(io::Error::other)??;
        Ok(Self { handle, thread: Some(thread) })
    }

    /// Ends all connections and frees the port.
    pub(super) fn stop(&mut self) {
        // The command is sent by the call itself; its future would only wait for the end, which the thread tells too.
        drop(self.handle.stop(false));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn build(listener: TcpListener, shared: Arc<Shared>) -> io::Result<actix_web::dev::Server> {
    let data = web::Data::from(shared);
    let app = move || {
        App::new()
            .app_data(web::PayloadConfig::new(MAX_BODY_BYTES))
            .app_data(data.clone())
            .default_service(web::to(serve))
    };
    let server = HttpServer::new(app)
        .workers(2)
        .disable_signals()
        .shutdown_timeout(0)
        .keep_alive(std::time::Duration::from_secs(75))
        .on_connect(keep_socket)
        .listen(listener)?;
    Ok(server.run())
}

/// A second handle on the connection, so that a fault can close it without an answer.
struct Socket(TcpStream);

fn keep_socket(io: &dyn std::any::Any, data: &mut Extensions) {
    let Some(stream) = io.downcast_ref::<actix_web::rt::net::TcpStream>() else { return };
    if let Ok(copy) = stream.as_fd().try_clone_to_owned() {
        data.insert(Socket(TcpStream::from(copy)));
    }
}

/// What goes back over the wire.
enum Reply {
    Outcome(Outcome),
    /// An error page of a gateway.
    Page(u16),
    /// The connection is closed.
    Nothing,
}

async fn serve(http: HttpRequest, body: Bytes, shared: web::Data<Shared>) -> HttpResponse {
    let started = Instant::now();
    let request = read(&http, body);
    let log_id = ids::log_id();
    let at = match http.path().starts_with("/open-apis/") {
        true => api::locate(&request.method, &request.segments),
        false => None,
    };
    if let Some(at) = &at {
        *shared.calls().entry(at.call).or_default() += 1;
        shared.counter().arrived(&class_name(at.call), at.call.is_counted(), shared.clock.now_ms());
    }
    let flight = at.as_ref().and_then(|at| Flight::begin(&shared, at));
    let reply = match &at {
        Some(at) => react(&shared, at, &request).await,
        None => Reply::Page(404),
    };
    if let (Some(flight), Reply::Outcome(Err(_))) = (&flight, &reply) {
        flight.refused();
    }
    if let Some(at) = &at {
        shared.counter().ended(&class_name(at.call), ending_of(&reply));
    }
    let (status, response_body, response) = respond(reply, &log_id);
    let call = at.as_ref().map(|at| at.call);
    wirelog::incoming(&shared, &Logged { http: &http, request: &request, call, status, response_body, started });
    // Over before the client can know: its next call is not a parallel one.
    drop(flight);
    if status == 0
        && let Some(socket) = http.conn_data::<Socket>()
    {
        // The client sees the connection end; that it may already be gone is as good.
        let _ = socket.0.shutdown(Shutdown::Both);
    }
    response
}

/// The class of API that a call's frequency is counted in.
fn class_name(call: Call) -> String {
    format!("{:?}", class(call))
}

fn ending_of(reply: &Reply) -> Ending {
    match reply {
        Reply::Outcome(Ok(_)) => Ending::Served,
        Reply::Outcome(Err(refusal)) if refusal.is_by_frequency() => Ending::RateLimited,
        _ => Ending::Refused,
    }
}

fn read(http: &HttpRequest, body: Bytes) -> Request {
    let header = |name: &str| http.headers().get(name).and_then(|value| value.to_str().ok());
    let path = http.path().strip_prefix("/open-apis/").unwrap_or_default();
    let pairs = url::form_urlencoded::parse(http.query_string().as_bytes());
    Request {
        method: http.method().to_string(),
        segments: path.split('/').map(str::to_owned).collect(),
        query: pairs.into_owned().collect::<HashMap<_, _>>(),
        bearer: header("authorization").and_then(|value| value.strip_prefix("Bearer ")).map(str::to_owned),
        content_type: header("content-type").unwrap_or_default().to_owned(),
        body,
    }
}

async fn react(shared: &Shared, at: &Located, request: &Request) -> Reply {
    let fault = shared.faults.take(at.call);
    let refusal = match fault {
        Some(Fault::ServerError(status)) => return Reply::Page(status),
        Some(Fault::Dropped) => return Reply::Nothing,
        Some(Fault::NoScope) => Some(Refusal::no_scope(scope_of(at.call))),
        Some(Fault::RateLimited { reset_s }) => Some(Refusal::rate_limited(reset_s)),
        Some(Fault::Refused { status, code }) => Some(Refusal::new(code, "refused by a fault").with_status(status)),
        Some(Fault::TokenInvalid { status }) => {
            shared.world().tokens.invalidate();
            Some(Refusal::new(99_991_663, "Invalid access token for authorization.").with_status(status))
        }
        Some(Fault::AnswerLost | Fault::Slow(_)) | None => None,
    };
    if let Some(refusal) = refusal {
        return Reply::Outcome(Err(refusal));
    }
    let outcome = api::serve(&mut shared.world(), at, request);
    if outcome.is_ok() && request.method != "GET" {
        shared.changed();
    }
    match fault {
        Some(Fault::AnswerLost) => Reply::Nothing,
        Some(Fault::Slow(wait)) => {
            tokio::time::sleep(wait).await;
            Reply::Outcome(outcome)
        }
        _ => Reply::Outcome(outcome),
    }
}

fn scope_of(call: Call) -> &'static str {
    match call {
        call if call.is_cardkit() => "cardkit:card:write",
        Call::PatchMessage => "im:message:update",
        Call::AddReaction | Call::RemoveReaction => "im:message.reactions:write_only",
        Call::UploadImage | Call::UploadFile => "im:resource",
        Call::ReadUser => "contact:user.base:readonly",
        _ => "im:message:send_as_bot",
    }
}

/// Status (0 for none), body for the log, and the response itself.
fn respond(reply: Reply, log_id: &str) -> (u16, String, HttpResponse) {
    let (status, body, reset_s) = match reply {
        Reply::Nothing => return (0, String::new(), HttpResponse::ServiceUnavailable().finish()),
        Reply::Page(status) => {
            let page = format!("<html><head><title>{status}</title></head><body>{status}</body></html>");
            let response = builder(status, log_id).content_type("text/html").body(page.clone());
            return (status, page, response);
        }
        Reply::Outcome(Ok(Answer::File { name, mime, bytes })) => {
            let shown = format!("<{} bytes>", bytes.len());
            let disposition = format!("attachment; filename*=UTF-8''{}", percent(&name));
            let response =
                builder(200, log_id).content_type(mime).insert_header(("Content-Disposition", disposition)).body(bytes);
            return (200, shown, response);
        }
        Reply::Outcome(Ok(Answer::Json(body))) => (200, body, None),
        Reply::Outcome(Err(refusal)) => (refusal.status, refusal.body(log_id), refusal.reset_s),
    };
    let mut response = builder(status, log_id);
    if let Some(reset_s) = reset_s {
        response
            .insert_header(("x-ogw-ratelimit-limit", "50"))
            .insert_header(("x-ogw-ratelimit-reset", reset_s.to_string()));
    }
    let text = body.to_string();
    (status, text.clone(), response.content_type("application/json; charset=utf-8").body(text))
}

fn builder(status: u16, log_id: &str) -> actix_web::HttpResponseBuilder {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = HttpResponse::build(status);
    response.insert_header(("X-Tt-Logid", log_id)).insert_header(("X-Request-Id", log_id));
    response
}

fn percent(name: &str) -> String {
    url::form_urlencoded::byte_serialize(name.as_bytes()).collect::<String>().replace('+', "%20")
}

/// A running call for one card; counted from its arrival until its answer left.
struct Flight<'a> {
    shared: &'a Shared,
    card_id: String,
}

impl<'a> Flight<'a> {
    fn begin(shared: &'a Shared, at: &Located) -> Option<Self> {
        let mut world = shared.world();
        let card_id = at.card_id(&world)?;
        let card = world.cards.get_mut(&card_id)?;
        card.in_flight += 1;
        card.report.calls += 1;
        card.report.max_in_flight = card.report.max_in_flight.max(card.in_flight);
        Some(Self { shared, card_id })
    }

    fn refused(&self) {
        if let Some(card) = self.shared.world().cards.get_mut(&self.card_id) {
            card.report.refused += 1;
        }
    }
}

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        if let Some(card) = self.shared.world().cards.get_mut(&self.card_id) {
            card.in_flight -= 1;
        }
    }
}
