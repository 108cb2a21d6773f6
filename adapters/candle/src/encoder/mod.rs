//! Embeddings: encoders of the BERT family, from folders as sentence-transformers writes them.
//!
//! [`CandleEmbedder::load`] returns at once and loads on a thread of its own, which then works requests off: `vocabulary`
//! makes token ids of inputs, rows of similar length are put into batches, and `network` makes a vector of each.
//! Requests that wait are worked off together, so that many small ones cost little more than a large one.

mod error;
mod folder;
mod network;
mod vocabulary;
mod worker;

use std::path::PathBuf;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use magpie_core::embedding::{Embedder, EmbedderInfo, EmbeddingError, EmbeddingRequest, Embeddings};
use magpie_core::platform::Health;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, timeout};

use crate::device::DeviceChoice;
pub use error::EncoderError;
use worker::{Job, Phase};

/// How long a request waits for a model that is still loading.
const LOADING_PATIENCE: Duration = Duration::from_secs(10);

/// `[model.embedding]`, with the device of `[model.local]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncoderConfig {
    /// A folder with `config.json`, `*.safetensors` and `tokenizer.json`.
    pub path: PathBuf,
    /// Longer inputs are cut off; the model's own limit holds where it is lower.
    pub max_tokens: usize,
    /// Inputs computed at once, at most.
    pub batch_size: usize,
    /// Requests that may wait for those before them.
    pub queue_limit: usize,
    pub device: DeviceChoice,
}

impl EncoderConfig {
    /// The defaults of `config/default.toml` for the model at `path`.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        let (path, device) = (path.into(), DeviceChoice::Auto);
        Self { path, max_tokens: 512, batch_size: 32, queue_limit: 64, device }
    }

    /// The model's name: its folder's.
    fn model(&self) -> String {
        self.path.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }
}

/// What a folder holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncoderSummary {
    pub dimensions: usize,
    /// Longest input, after the configuration's limit.
    pub max_tokens: usize,
}

/// Reads a whole model as the service would, and says what it holds.
///
/// # Errors
/// It can't be used; the error says why and what to do.
pub fn inspect_encoder(config: &EncoderConfig) -> Result<EncoderSummary, EncoderError> {
    worker::Model::load(config).map(|model| model.summary())
}

/// An embedding model on a thread of its own. Dropping it ends the thread after the work that is under way.
pub struct CandleEmbedder {
    model: String,
    phase: watch::Receiver<Phase>,
    jobs: mpsc::Sender<Job>,
}

impl CandleEmbedder {
    /// Starts loading and returns at once; until it is done, and when it fails, [`Embedder::health`] says so. Requests
    /// wait ten seconds for it and are answered with [`EmbeddingError::Unavailable`] then.
    #[must_use]
    pub fn load(config: EncoderConfig) -> Self {
        let model = config.model();
        let (phase_sender, phase) = watch::channel(Phase::Loading);
        let (jobs, queue) = mpsc::channel(config.queue_limit.max(1));
        let thread = std::thread::Builder::new().name("magpie-embedding".to_owned());
        let starter = phase_sender.clone();
        if let Err(error) = thread.spawn(move || worker::run(&config, &phase_sender, queue)) {
            starter.send_replace(Phase::Failed(format!("the embedding thread can't be started: {error}")));
        }
        Self { model, phase, jobs }
    }

    /// Returns once loading has ended, well or badly; [`Embedder::health`] then says which.
    pub async fn loaded(&self) {
        settled(self.phase.clone()).await;
    }
}

impl Embedder for CandleEmbedder {
    fn info(&self) -> EmbedderInfo {
        let summary = match &*self.phase.borrow() {
            Phase::Ready(summary) => Some(summary.clone()),
            Phase::Loading | Phase::Failed(_) => None,
        };
        EmbedderInfo {
            model: self.model.clone(),
            dimensions: summary.as_ref().map(|summary| summary.dimensions),
            max_tokens: summary.map(|summary| summary.max_tokens),
        }
    }

    fn embed(&self, request: EmbeddingRequest) -> BoxFuture<'static, Result<Embeddings, EmbeddingError>> {
        let (model, phase, jobs) = (self.model.clone(), self.phase.clone(), self.jobs.clone());
        async move {
            let started = Instant::now();
            let answer = answer(&model, phase, &jobs, request).await;
            let outcome = if answer.is_ok() { "ok" } else { "error" };
            metrics::histogram!("magpie_embedding_seconds", "outcome" => outcome).record(started.elapsed());
            if let Ok(embeddings) = &answer {
                metrics::counter!("magpie_embedding_tokens_total").increment(embeddings.tokens);
                metrics::counter!("magpie_embedding_truncated_total").increment(embeddings.truncated as u64);
            }
            answer
        }
        .boxed()
    }

    fn health(&self) -> Health {
        let detail = match &*self.phase.borrow() {
            Phase::Ready(_) if self.jobs.is_closed() => {
                "the embedding thread has ended; restart the service".to_owned()
            }
            Phase::Ready(_) => return Health::Ok,
            Phase::Loading => "the embedding model is still loading".to_owned(),
            Phase::Failed(reason) => reason.clone(),
        };
        Health::Degraded { detail }
    }
}

async fn answer(
    model: &str,
    phase: watch::Receiver<Phase>,
    jobs: &mpsc::Sender<Job>,
    request: EmbeddingRequest,
) -> Result<Embeddings, EmbeddingError> {
    let unavailable =
        |what: &str| EmbeddingError::Unavailable { model: model.to_owned(), what: what.to_owned(), source: None };
    match timeout(LOADING_PATIENCE, settled(phase)).await {
        Err(_) | Ok(Phase::Loading) => return Err(unavailable("it is still loading")),
        Ok(Phase::Failed(reason)) => return Err(unavailable(&reason)),
        Ok(Phase::Ready(_)) => {}
    }
    if request.inputs.is_empty() {
        return Ok(Embeddings { vectors: Vec::new(), tokens: 0, truncated: 0 });
    }
    let (reply, vectors) = oneshot::channel();
    jobs.try_send(Job { request, reply }).map_err(|refused| match refused {
        mpsc::error::TrySendError::Full(_) => EmbeddingError::Overloaded { model: model.to_owned() },
        mpsc::error::TrySendError::Closed(_) => unavailable("its thread has ended"),
    })?;
    vectors.await.unwrap_or_else(|_| Err(unavailable("its thread has ended")))
}

/// The phase after loading; [`Phase::Loading`] if the thread died before.
async fn settled(mut phase: watch::Receiver<Phase>) -> Phase {
    match phase.wait_for(|phase| !matches!(phase, Phase::Loading)).await {
        Ok(phase) => phase.clone(),
        Err(_) => Phase::Failed("its thread has ended while loading".to_owned()),
    }
}

#[cfg(test)]
mod tests;
