//! `POST /webhook/{bot}`: where the platforms deliver.
//!
//! Raw bytes go to the bot's platform, which verifies and parses; a verified event goes to the inbox; the
//! acknowledgement leaves after the commit and not before. The sender of anything else learns a status and a code.

use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::{HttpMessage as _, HttpRequest, HttpResponse, web};
use bytes::Bytes;
use magpie_core::inbox::Acceptance;
use magpie_core::intake;
use magpie_core::platform::{AckBody, Inbound, RawRequest, Received, Toast, WebhookError};
use magpie_core::store::{Store, StoreError};
use magpie_core::turn::{Bot, press};
use tokio::time::{Instant, timeout};
use tracing::{debug, info, warn};

use super::problem::Problem;
use super::trace::TraceContext;
use super::{Shared, body, frame};

/// A press is answered in time, with or without a word.
const TOAST_PATIENCE: Duration = Duration::from_millis(100);

/// The webhook of the bot that the path names.
///
/// # Errors
/// 404 for a bot that is not configured, and those of `receive`.
pub async fn named(
    request: HttpRequest,
    payload: web::Payload,
    name: web::Path<String>,
    shared: web::Data<Shared>,
) -> Result<HttpResponse, Problem> {
    let bot = shared.bots.get(name.as_str()).ok_or_else(|| Problem::not_found("There is no such bot."))?;
    receive(&request, payload, bot, &shared).await
}

/// The webhook without a name, for a service with one bot.
///
/// # Errors
/// 404 unless exactly one bot is configured, and those of `receive`.
pub async fn only(
    request: HttpRequest,
    payload: web::Payload,
    shared: web::Data<Shared>,
) -> Result<HttpResponse, Problem> {
    let mut bots = shared.bots.values();
    match (bots.next(), bots.next()) {
        (Some(bot), None) => receive(&request, payload, bot, &shared).await,
        _ => Err(Problem::not_found("Use /webhook/{bot}.")),
    }
}

/// # Errors
/// 400 and 401 as the platform's adapter decides, 413 and 408 for the body, 503 while the store is away.
async fn receive(
    request: &HttpRequest,
    payload: web::Payload,
    bot: &Bot,
    shared: &Shared,
) -> Result<HttpResponse, Problem> {
    let started = Instant::now();
    frame::record_bot(bot.settings.id.as_str());
    let body = body::read(request, payload, shared.body).await?;
    let raw = raw_request(request, body)?;
    match bot.platform.open(&raw, shared.clock.now()) {
        Ok(Inbound::Challenge(answer)) => {
            info!("address checked by the platform");
            Ok(json(answer))
        }
        Ok(Inbound::Event(received)) => {
            let trace = request.extensions().get::<TraceContext>().map(TraceContext::traceparent);
            let answer = accept(*received, trace, bot, shared).await?;
            metrics::histogram!("magpie_event_ack_seconds").record(started.elapsed());
            Ok(json(answer))
        }
        Err(error) => Err(refuse(&error)),
    }
}

/// Stores the event, then gives the body of the acknowledgement. A repeated event is acknowledged like a new one.
async fn accept(received: Received, trace: Option<String>, bot: &Bot, shared: &Shared) -> Result<AckBody, Problem> {
    let Some(ports) = shared.stores.get() else {
        warn!("event refused: the store has not been there yet");
        return Err(Problem::store_unavailable());
    };
    let kind = received.event.kind();
    let entry = intake::entry(received.event.clone(), &bot.settings, shared.clock.now(), trace);
    let (event_id, ignored) = (entry.id, entry.done.is_some());
    // Later than the platform waits, an answer is worthless: it sends the event again, which is then a duplicate. The
    // last quarter of its patience is for the answer's way.
    let patience = bot.platform.limits().ack_deadline * 3 / 4;
    let outcome = match timeout(patience, ports.inbox.accept(entry)).await {
        Ok(Ok(Acceptance::New)) if ignored => "ignored",
        Ok(Ok(Acceptance::New)) => "accepted",
        Ok(Ok(Acceptance::Duplicate)) => "duplicate",
        Ok(Err(error)) => return Err(not_stored(&error)),
        Err(_) => {
            warn!("event refused: the store is too slow");
            return Err(Problem::store_unavailable());
        }
    };
    let labels = [("bot", bot.settings.id.to_string()), ("kind", kind.to_owned()), ("outcome", outcome.to_owned())];
    metrics::counter!("magpie_events_total", &labels).increment(1);
    debug!(event.id = %event_id, kind, outcome, "event received");
    let toast = toast(&received, bot, ports.store.as_ref()).await;
    Ok(bot.platform.ack(&received, toast.as_ref()))
}

/// The line for the person who pressed a button; none if the store is too slow to tell.
async fn toast(received: &Received, bot: &Bot, store: &dyn Store) -> Option<Toast> {
    if !bot.settings.enabled {
        return None;
    }
    timeout(TOAST_PATIENCE, press::toast(store, &bot.settings, &received.event)).await.ok()?.ok()?
}

fn not_stored(error: &StoreError) -> Problem {
    let source = error as &dyn std::error::Error;
    match error {
        StoreError::Unavailable { .. } => {
            warn!(error = source, "event refused: the store is away");
            Problem::store_unavailable()
        }
        // The platform sends it again, which gives an operator time to repair the cause without losing the event.
        StoreError::Fenced(_) | StoreError::Corrupt { .. } | StoreError::Bug { .. } => {
            tracing::error!(error = source, "event could not be stored");
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "")
        }
    }
}

/// The cause goes to the log and the metrics; the sender gets the status.
fn refuse(error: &WebhookError) -> Problem {
    metrics::counter!("magpie_auth_failures_total", "kind" => error.kind()).increment(1);
    warn!(kind = error.kind(), error = error as &dyn std::error::Error, "request refused");
    match error {
        WebhookError::Malformed(_) => malformed(),
        WebhookError::Signature(_) | WebhookError::Timestamp { .. } | WebhookError::Token(_) => {
            Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", "")
        }
    }
}

fn malformed() -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "malformed", "")
}

/// Headers that are not visible ASCII are left out: to an adapter they are missing, never half read.
fn raw_request(request: &HttpRequest, body: Bytes) -> Result<RawRequest, Problem> {
    let query = web::Query::<Vec<(String, String)>>::from_query(request.query_string()).map_err(|_| {
        metrics::counter!("magpie_auth_failures_total", "kind" => "malformed").increment(1);
        malformed()
    })?;
    let headers = request
        .headers()
        .iter()
        .filter_map(|(name, value)| value.to_str().ok().map(|value| (name.as_str().to_owned(), value.to_owned())));
    Ok(RawRequest { query: query.into_inner(), headers: headers.collect(), body })
}

fn json(body: AckBody) -> HttpResponse {
    HttpResponse::Ok().content_type("application/json").body(body.0)
}

/// The two addresses.
pub(super) fn routes(config: &mut web::ServiceConfig) {
    let refuse = || web::to(|| async { Err::<HttpResponse, _>(Problem::method_not_allowed("POST")) });
    config
        .service(web::resource("/webhook").route(web::post().to(only)).default_service(refuse()))
        .service(web::resource("/webhook/{bot}").route(web::post().to(named)).default_service(refuse()));
}
