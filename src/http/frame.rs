//! What surrounds every request: its id, its span, its metrics, and errors in one form.

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::http::{ConnectionType, Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage as _, web};
use tokio::time::Instant;
use tracing::{Instrument as _, Span, debug, field, info, info_span};
use uuid::Uuid;

use super::Shared;
use super::problem::Problem;
use super::requests::Tracked;
use super::trace::TraceContext;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const TRACEPARENT: &str = "traceparent";
/// Below it, clients of OpenAI's API expect errors as it sends them.
const OPENAI: &str = "/v1/";
const MAX_REQUEST_ID_BYTES: usize = 64;

/// Pages load nothing from elsewhere and can't be framed.
const PAGE_POLICY: &str = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
    object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/// The id of a request, the client's or a new one.
#[derive(Debug, Clone)]
pub struct RequestId(pub String);

/// Wraps every service of both listeners.
///
/// # Errors
/// None of its own; errors from within become problem responses.
pub async fn frame(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let started = Instant::now();
    let id = request_id(request.headers());
    let trace = TraceContext::next(request.headers().get(TRACEPARENT).and_then(|value| value.to_str().ok()));
    let span = info_span!("http", request.id = %id, trace.id = trace.trace_id(), method = %request.method(),
        path = request.path(), bot.id = field::Empty);
    request.extensions_mut().insert(RequestId(id.clone()));
    request.extensions_mut().insert(trace);
    let method = request.method().clone();
    let shared = request.app_data::<web::Data<Shared>>().cloned();
    let running = shared.as_ref().map(|shared| shared.requests.begin());

    async move {
        let response = next.call(request).await?.map_into_boxed_body();
        let mut response = with_problem(response, &id);
        let is_page = is_html(response.headers());
        set_headers(response.headers_mut(), &id, is_page);
        record(&method, &response, started);
        if shared.is_some_and(|shared| shared.stopping.is_cancelled()) {
            response.response_mut().head_mut().set_connection_type(ConnectionType::Close);
        }
        Ok(match running {
            Some(running) => response.map_body(|_, body| BoxBody::new(Tracked::new(body, running))),
            None => response,
        })
    }
    .instrument(span)
    .await
}

/// Names the bot in the span of the request.
pub fn record_bot(bot: &str) {
    Span::current().record("bot.id", bot);
}

fn request_id(headers: &HeaderMap) -> String {
    let fits = |id: &&str| {
        (1..=MAX_REQUEST_ID_BYTES).contains(&id.len())
            && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
    };
    let given = headers.get(&REQUEST_ID).and_then(|value| value.to_str().ok()).filter(fits);
    given.map_or_else(|| Uuid::now_v7().simple().to_string(), str::to_owned)
}

/// Gives an error the common form, whoever raised it: a handler, an extractor, or the router.
fn with_problem(response: ServiceResponse<BoxBody>, id: &str) -> ServiceResponse<BoxBody> {
    let status = response.status();
    if !status.is_client_error() && !status.is_server_error() {
        return response;
    }
    let problem = match response.response().error() {
        Some(error) => error.as_error::<Problem>().cloned().unwrap_or_else(|| Problem::of_status(status)),
        None if response.headers().contains_key(header::CONTENT_TYPE) => return response,
        None => Problem::of_status(status),
    };
    let answer = if response.request().path().starts_with(OPENAI) { problem.openai() } else { problem.response(id) };
    response.into_response(answer)
}

fn set_headers(headers: &mut HeaderMap, id: &str, is_page: bool) {
    let id = HeaderValue::from_str(id).expect("a request id is made of letters, digits, dots, lines and hyphens");
    headers.insert(REQUEST_ID, id);
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if is_page {
        let rows = [
            (header::CONTENT_SECURITY_POLICY, PAGE_POLICY),
            (header::X_FRAME_OPTIONS, "DENY"),
            (header::REFERRER_POLICY, "no-referrer"),
        ];
        for (name, value) in rows {
            if !headers.contains_key(&name) {
                headers.insert(name, HeaderValue::from_static(value));
            }
        }
    }
}

fn is_html(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(b"text/html"))
}

fn record(method: &Method, response: &ServiceResponse<BoxBody>, started: Instant) {
    let took = started.elapsed();
    let path = response.request().match_pattern().unwrap_or_else(|| "unmatched".to_owned());
    let (method, status) = (method_label(method), response.status());
    let labels = [("method", method.to_owned()), ("path", path.clone()), ("status", status.as_u16().to_string())];
    metrics::counter!("http_requests_total", &labels).increment(1);
    metrics::histogram!("http_request_duration_seconds", &labels).record(took);
    let duration_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    if is_probe(&path) && status == StatusCode::OK {
        debug!(status = status.as_u16(), duration_ms, "answered");
    } else {
        info!(status = status.as_u16(), duration_ms, "answered");
    }
}

/// Asked every few seconds; of no interest while all is well.
fn is_probe(path: &str) -> bool {
    path == "/metrics" || path.starts_with("/health")
}

/// Anybody can invent methods; a label must not grow with them.
fn method_label(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        _ => "other",
    }
}
