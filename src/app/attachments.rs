//! From `[files]` and `[model.transcription]` to what makes context of attachments.

use std::sync::Arc;
use std::time::Duration;

use magpie_cloud::{CloudTranscriber, TranscriptionConfig};
use magpie_core::attachment::{Attachments, Transcriber};
use magpie_documents::{DocumentLimits, Documents};

use crate::config::{Config, TranscriptionModel};

/// The reader of files and, if one is configured, the transcriber. `http` carries recordings; it must not have a total
/// timeout.
#[must_use]
pub fn attachments(config: &Config, http: &reqwest::Client) -> Attachments {
    let configured = Some(&config.model.transcription).filter(|model| !model.base_url.is_empty());
    let transcriber = configured
        .map(|model| Arc::new(CloudTranscriber::new(transcription(model), http.clone())) as Arc<dyn Transcriber>);
    Attachments {
        reader: Arc::new(Documents::new(DocumentLimits::default())),
        transcriber,
        settings: config.files.settings(),
    }
}

fn transcription(model: &TranscriptionModel) -> TranscriptionConfig {
    TranscriptionConfig {
        base_url: model.base_url.clone(),
        api_key: model.api_key.clone(),
        model: model.model.clone(),
        language: Some(model.language.clone()).filter(|language| !language.is_empty()),
        timeout: Duration::from_secs(model.timeout_seconds),
    }
}
