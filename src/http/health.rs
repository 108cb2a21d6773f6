//! `/health` for people and monitors, `/health/live` and `/health/ready` for an orchestrator.

use std::collections::BTreeMap;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use magpie_core::platform::Health;
use magpie_core::settings::ModelChoice;
use magpie_core::turn::Bot;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::time::timeout;

use super::problem::Problem;
use super::{Shared, body};

/// A database that needs longer for a round trip is as good as away.
const PING_TIMEOUT: Duration = Duration::from_secs(2);

/// From good to bad, so that the worst of several is their maximum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    Ok,
    Degraded,
    Down,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Check {
    status: Status,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    /// The same for each part: each engine, each bot.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    parts: BTreeMap<String, Health>,
}

impl Check {
    fn ok() -> Self {
        Self { status: Status::Ok, detail: None, parts: BTreeMap::new() }
    }

    fn failing(status: Status, detail: &str) -> Self {
        Self { status, detail: Some(detail.to_owned()), parts: BTreeMap::new() }
    }

    fn of(parts: BTreeMap<String, Health>) -> Self {
        let all_ok = parts.values().all(|health| *health == Health::Ok);
        Self { status: if all_ok { Status::Ok } else { Status::Degraded }, detail: None, parts }
    }
}

/// The parts that can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Part {
    System,
    Database,
    Model,
    Platforms,
}

const ALL: [Part; 4] = [Part::System, Part::Database, Part::Model, Part::Platforms];

/// What `POST /health` may say.
#[derive(Debug, Default, Deserialize)]
struct Asked {
    check: Option<Part>,
}

async fn all(shared: web::Data<Shared>) -> HttpResponse {
    report(&shared, &ALL).await
}

async fn asked(
    request: HttpRequest,
    payload: web::Payload,
    shared: web::Data<Shared>,
) -> Result<HttpResponse, Problem> {
    let body = body::read(&request, payload, shared.body).await?;
    let asked = match body.is_empty() {
        true => Asked::default(),
        false => serde_json::from_slice(&body).map_err(|_| {
            Problem::invalid_request(r#"Send {"check": "system" | "database" | "model" | "platforms"}, or nothing."#)
        })?,
    };
    Ok(match asked.check {
        Some(part) => report(&shared, &[part]).await,
        None => report(&shared, &ALL).await,
    })
}

async fn live() -> HttpResponse {
    HttpResponse::Ok().json(json!({"status": "ok"}))
}

/// Ready is whoever can store events; models and platforms heal meanwhile.
async fn ready(shared: web::Data<Shared>) -> Result<HttpResponse, Problem> {
    if shared.stopping.is_cancelled() {
        return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "stopping", "The service is shutting down."));
    }
    match database(&shared).await.status {
        Status::Down => Err(Problem::store_unavailable()),
        Status::Ok | Status::Degraded => Ok(HttpResponse::Ok().json(json!({"status": "ok"}))),
    }
}

async fn report(shared: &Shared, parts: &[Part]) -> HttpResponse {
    let mut checks = BTreeMap::new();
    for part in parts {
        let check = match part {
            Part::System => system(shared),
            Part::Database => database(shared).await,
            Part::Model => model(shared),
            Part::Platforms => platforms(shared),
        };
        checks.insert(*part, check);
    }
    let status = checks.values().map(|check| check.status).max().unwrap_or(Status::Ok);
    let code = if status == Status::Down { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
    let version = env!("CARGO_PKG_VERSION");
    HttpResponse::build(code).json(json!({"status": status, "version": version, "checks": checks}))
}

fn system(shared: &Shared) -> Check {
    if shared.stopping.is_cancelled() {
        return Check::failing(Status::Degraded, "the service is shutting down");
    }
    Check::ok()
}

async fn database(shared: &Shared) -> Check {
    let Some(ports) = shared.stores.get() else {
        return Check::failing(Status::Down, "the database has not been reached yet; check store.url and the server");
    };
    match timeout(PING_TIMEOUT, ports.store.ping()).await {
        Ok(Ok(())) => Check::ok(),
        Ok(Err(error)) => {
            tracing::warn!(error = &error as &dyn std::error::Error, "the database does not answer");
            Check::failing(Status::Down, "the database does not answer; see the log")
        }
        Err(_) => Check::failing(Status::Down, "the database needs longer than two seconds for a round trip"),
    }
}

fn model(shared: &Shared) -> Check {
    let engines = shared.router.engines();
    let without_engine = engines.is_empty();
    let mut parts: BTreeMap<_, _> = engines.into_iter().map(|engine| (engine.info.name, engine.health)).collect();
    parts.extend(shared.embedder.as_ref().map(|embedder| ("model.embedding".to_owned(), embedder.health())));
    let transcriber = shared.attachments.as_ref().and_then(|attachments| attachments.transcriber.as_ref());
    parts.extend(transcriber.map(|transcriber| ("model.transcription".to_owned(), transcriber.health())));
    let check = Check::of(parts);
    if without_engine {
        let detail = "no engine; set model.local.path or add a [[model.cloud]]";
        return Check { parts: check.parts, ..Check::failing(Status::Degraded, detail) };
    }
    if shared.router.candidates(&ModelChoice::Auto).is_empty() {
        let detail = "model.strategy leaves no engine to ask; change it or add an engine that it allows";
        return Check { parts: check.parts, ..Check::failing(Status::Degraded, detail) };
    }
    check
}

fn platforms(shared: &Shared) -> Check {
    Check::of(shared.bots.iter().map(|(name, bot)| (name.clone(), health(bot))).collect())
}

/// What its platform teaches, and what is left of its month.
fn health(bot: &Bot) -> Health {
    let spent = bot.budget.spent();
    if !spent.is_used_up() {
        return bot.platform.health();
    }
    let used_up = format!(
        "the month's budget is used up ({} calls of {}); raise budget.calls_per_month if the platform allows more",
        spent.calls, spent.limit
    );
    match bot.platform.health() {
        Health::Ok => Health::Degraded { detail: used_up },
        Health::Degraded { detail } => Health::Degraded { detail: format!("{detail}; {used_up}") },
    }
}

/// On both listeners, so that they can be asked while the public one is closing.
pub(super) fn routes(config: &mut web::ServiceConfig) {
    let refuse = |allow: &'static str| {
        web::to(move || async move { Err::<HttpResponse, _>(Problem::method_not_allowed(allow)) })
    };
    config
        .service(
            web::resource("/health")
                .route(web::get().to(all))
                .route(web::head().to(all))
                .route(web::post().to(asked))
                .default_service(refuse("GET, HEAD, POST")),
        )
        .service(
            web::resource("/health/live")
                .route(web::get().to(live))
                .route(web::head().to(live))
                .default_service(refuse("GET, HEAD")),
        )
        .service(
            web::resource("/health/ready")
                .route(web::get().to(ready))
                .route(web::head().to(ready))
                .default_service(refuse("GET, HEAD")),
        );
}
