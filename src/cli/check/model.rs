//! Whether there is somebody to answer.

use std::time::Duration;

use magpie_core::causes::with_causes;
use magpie_core::settings::Strategy;
use reqwest::StatusCode;

use super::report::Report;
use crate::app::clients::Clients;
use crate::config::{CloudModel, Config};

const TIMEOUT: Duration = Duration::from_secs(15);

pub async fn check(config: &Config, online: bool, report: &mut Report) {
    let local = &config.model.local;
    let (has_local, has_cloud) = (!local.path.is_empty(), !config.model.cloud.is_empty());
    let is_asked = match config.model.strategy {
        Strategy::LocalOnly => has_local,
        Strategy::CloudOnly => has_cloud,
        Strategy::LocalFirst | Strategy::CloudFirst => has_local || has_cloud,
    };
    if !has_local && !has_cloud {
        report.warn("model", "none; set model.local.path or add a [[model.cloud]], else bots can only say so");
    } else if !is_asked {
        report.warn("model", "none that model.strategy allows; change it, else bots can only say so");
    }
    if !local.path.is_empty() {
        local_model(config, report).await;
    }
    if !config.model.embedding.path.is_empty() {
        embedding_model(config, report).await;
    }
    let transcription = &config.model.transcription;
    if !transcription.base_url.is_empty() {
        report.ok("model.transcription", format!("{} (not called)", transcription.base_url));
    }
    for endpoint in &config.model.cloud {
        let check = format!("model.cloud {}", endpoint.name);
        if endpoint.api_key.is_empty() {
            report.warn(&check, "no api_key; most endpoints want one");
        } else if !online {
            report.ok(&check, format!("{} (not called; use --online)", endpoint.base_url));
        }
        if online {
            call(endpoint, config, &check, report).await;
        }
    }
}

async fn local_model(config: &Config, report: &mut Report) {
    let model = config.model.clone();
    // Reading and checking gigabytes must not hold up the runtime.
    let loaded = tokio::task::spawn_blocking(move || crate::app::local::inspect(&model)).await;
    match loaded {
        Ok(Ok(what)) => report.ok("model.local", what),
        Ok(Err(error)) => report.fail("model.local", with_causes(&error)),
        Err(_) => report.fail("model.local", "the file makes the loader stumble; check model.local.path"),
    }
}

async fn embedding_model(config: &Config, report: &mut Report) {
    let model = config.model.clone();
    match tokio::task::spawn_blocking(move || crate::app::local::inspect_embedding(&model)).await {
        Ok(Ok(what)) => report.ok("model.embedding", what),
        Ok(Err(error)) => report.fail("model.embedding", with_causes(&error)),
        Err(_) => report.fail("model.embedding", "the files make the loader stumble; check model.embedding.path"),
    }
    if config.auth.admin_token.is_empty() {
        report.warn("model.embedding", "nobody can ask it; set auth.admin_token");
    }
}

/// Listing models costs nothing and needs the key.
async fn call(endpoint: &CloudModel, config: &Config, check: &str, report: &mut Report) {
    let clients = match Clients::new(config.server.outbound_proxy.reveal()) {
        Ok(clients) => clients,
        Err(error) => return report.fail(check, with_causes(&error)),
    };
    let url = format!("{}/models", endpoint.base_url.trim_end_matches('/'));
    let mut request = clients.platform.get(&url).timeout(TIMEOUT);
    if !endpoint.api_key.is_empty() {
        request = request.bearer_auth(endpoint.api_key.reveal());
    }
    match request.send().await.map(|response| response.status()) {
        Ok(status) if status.is_success() => report.ok(check, format!("{url} answers")),
        Ok(status @ (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)) => {
            report.fail(check, format!("{url} answers {status}; check api_key"));
        }
        Ok(status) => {
            report.warn(check, format!("{url} answers {status}; it may not list models, so this proves little"))
        }
        Err(error) => report.fail(check, format!("{}; check base_url and the network", with_causes(&error))),
    }
}
