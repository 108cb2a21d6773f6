//! From `[model]` to engines and the router over them.

use std::sync::Arc;
use std::time::Duration;

use magpie_cloud::{CloudConfig, CloudEngine};
use magpie_core::clock::Clock;
use magpie_core::engine::Engine;
use magpie_core::router::{Router, RouterSettings};

use super::StartError;
use crate::config::{CloudModel, Model};

/// Longest silence in mid-answer: models pause for tokens, not for minutes. Never more than half of the whole time,
/// so that the next engine has the other half.
fn between_tokens(model: &Model) -> Duration {
    Duration::from_secs(60).min(Duration::from_millis(model.total_timeout_ms) / 2)
}

/// Every configured engine: the local one first, then the endpoints in their order. The strategy decides later.
///
/// # Errors
/// A local model is configured and the program was built without them.
pub fn router(model: &Model, http: &reqwest::Client, clock: &Arc<dyn Clock>) -> Result<Arc<Router>, StartError> {
    let mut engines: Vec<Arc<dyn Engine>> = Vec::new();
    engines.extend(super::local::engine(model, http, Arc::clone(clock))?);
    for endpoint in &model.cloud {
        engines.push(Arc::new(CloudEngine::new(cloud(endpoint, model), http.clone())));
    }
    Ok(Arc::new(Router::new(engines, settings(model))))
}

fn cloud(endpoint: &CloudModel, model: &Model) -> CloudConfig {
    CloudConfig {
        name: endpoint.name.clone(),
        base_url: endpoint.base_url.clone(),
        api_key: endpoint.api_key.clone(),
        model: endpoint.model.clone(),
        max_retries: endpoint.max_retries,
        cooldown: Duration::from_secs(endpoint.cooldown_seconds),
        first_token_timeout: Duration::from_millis(model.request_timeout_ms),
        between_tokens_timeout: between_tokens(model),
        vision: endpoint.vision,
        temperature: None,
        max_tokens: None,
    }
}

fn settings(model: &Model) -> RouterSettings {
    RouterSettings {
        strategy: model.strategy,
        first_token_timeout: Duration::from_millis(model.request_timeout_ms),
        between_tokens_timeout: between_tokens(model),
        total_timeout: Duration::from_millis(model.total_timeout_ms),
        max_concurrent: model.max_concurrent,
        queue_limit: model.queue_limit,
        ..RouterSettings::default()
    }
}
