//! The embedding thread: loads the model, then works requests off, several at a time.

use std::panic::{AssertUnwindSafe, catch_unwind};

use magpie_core::causes::with_causes;
use magpie_core::embedding::{EmbeddingError, EmbeddingRequest, Embeddings};
use tokio::sync::{mpsc, oneshot, watch};

use super::error::EncoderError;
use super::folder::Folder;
use super::network::Network;
use super::vocabulary::{Row, Vocabulary};
use super::{EncoderConfig, EncoderSummary};

/// Rows × their length squared in one batch: what attention's memory grows with. At 12 heads of 32-bit scores one copy of
/// them is 200 MB.
const LARGEST_BATCH: usize = 4 << 20;

/// How far the model is.
#[derive(Debug, Clone)]
pub(super) enum Phase {
    Loading,
    Ready(EncoderSummary),
    /// For good; the reason is for an operator.
    Failed(String),
}

/// A request in the queue. Nobody wants it any more once `reply` is closed.
pub(super) struct Job {
    pub request: EmbeddingRequest,
    pub reply: oneshot::Sender<Result<Embeddings, EmbeddingError>>,
}

/// A loaded model.
pub(super) struct Model {
    name: String,
    network: Network,
    vocabulary: Vocabulary,
    max_tokens: usize,
    batch_size: usize,
}

impl Model {
    pub(super) fn load(config: &EncoderConfig) -> Result<Self, EncoderError> {
        let folder = Folder::open(&config.path)?;
        let network = Network::load(&folder, config.device.open()?)?;
        let max_tokens = config.max_tokens.min(network.max_tokens).min(folder.max_tokens.unwrap_or(usize::MAX));
        let vocabulary = Vocabulary::load(&folder, network.vocabulary, max_tokens)?;
        let batch_size = config.batch_size.max(1);
        Ok(Self { name: config.model(), network, vocabulary, max_tokens, batch_size })
    }

    pub(super) fn summary(&self) -> EncoderSummary {
        EncoderSummary { dimensions: self.network.dimensions, max_tokens: self.max_tokens }
    }

    /// Rows of all inputs of a request.
    fn rows(&self, request: &EmbeddingRequest) -> Result<Vec<Row>, EmbeddingError> {
        let row = |(index, input)| {
            let row = self.vocabulary.row(input, request.purpose);
            row.map_err(|what| EmbeddingError::Rejected { index, what })
        };
        request.inputs.iter().enumerate().map(row).collect()
    }

    fn failed(&self) -> EmbeddingError {
        let what = "its computation failed; see the log".to_owned();
        EmbeddingError::Unavailable { model: self.name.clone(), what, source: None }
    }
}

/// Runs until the embedder is dropped.
pub(super) fn run(config: &EncoderConfig, phase: &watch::Sender<Phase>, mut jobs: mpsc::Receiver<Job>) {
    // A damaged file can make candle panic; that must not look like loading for ever.
    let failure = match catch_unwind(AssertUnwindSafe(|| Model::load(config))) {
        Ok(Ok(model)) => {
            let summary = model.summary();
            tracing::info!(
                model = model.name,
                dimensions = summary.dimensions,
                max_tokens = summary.max_tokens,
                "embedding model is ready"
            );
            phase.send_replace(Phase::Ready(summary));
            while let Some(job) = jobs.blocking_recv() {
                work(&model, job, &mut jobs);
            }
            return;
        }
        Ok(Err(error)) => with_causes(&error),
        Err(_) => format!("{} made the loader panic; it is damaged or not supported", config.path.display()),
    };
    tracing::error!(failure, "embedding model can't be loaded");
    phase.send_replace(Phase::Failed(failure));
}

/// A request that has been begun.
struct Begun {
    reply: oneshot::Sender<Result<Embeddings, EmbeddingError>>,
    rows: Vec<Row>,
    vectors: Vec<Vec<f32>>,
}

/// Works off a request together with those that wait already, as long as they fit into one batch.
fn work(model: &Model, first: Job, jobs: &mut mpsc::Receiver<Job>) {
    let mut begun = Vec::new();
    let mut inputs = 0;
    let mut next = Some(first);
    while let Some(job) = next {
        inputs += job.request.inputs.len();
        begun.extend(begin(model, job));
        next = if inputs < model.batch_size { jobs.try_recv().ok() } else { None };
    }
    // A panic leaves the weights as they were, and everybody who waits hears of it.
    let computed = catch_unwind(AssertUnwindSafe(|| compute(model, &mut begun)));
    let failure = match computed {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(error),
        Err(_) => Some(candle_core::Error::msg("the computation panicked")),
    };
    if let Some(error) = &failure {
        tracing::error!(error = error as &dyn std::error::Error, "embeddings could not be computed");
    }
    for Begun { reply, rows, vectors } in begun {
        let answer = match &failure {
            Some(_) => Err(model.failed()),
            None => Ok(Embeddings {
                vectors,
                tokens: rows.iter().map(|row| row.ids.len() as u64).sum(),
                truncated: rows.iter().filter(|row| row.truncated).count(),
            }),
        };
        // Nobody listens any more: then nobody needs to know.
        reply.send(answer).ok();
    }
}

/// The rows of a request that somebody still wants; what can't be embedded is answered at once.
fn begin(model: &Model, job: Job) -> Option<Begun> {
    if job.reply.is_closed() {
        return None;
    }
    match model.rows(&job.request) {
        Ok(rows) => Some(Begun { vectors: vec![Vec::new(); rows.len()], reply: job.reply, rows }),
        Err(error) => {
            job.reply.send(Err(error)).ok();
            None
        }
    }
}

/// Fills in the vectors of all requests, rows of similar length together. Requests that nobody waits for any more are
/// left out from the next batch on.
fn compute(model: &Model, begun: &mut [Begun]) -> Result<(), candle_core::Error> {
    let places = |(request, begun): (usize, &Begun)| (0..begun.rows.len()).map(move |row| (request, row));
    let mut order: Vec<(usize, usize)> = begun.iter().enumerate().flat_map(places).collect();
    // The longest first: should memory not suffice, it shows at once.
    order.sort_by_key(|(request, row)| std::cmp::Reverse(begun[*request].rows[*row].ids.len()));
    let lengths: Vec<usize> = order.iter().map(|(request, row)| begun[*request].rows[*row].ids.len()).collect();
    let mut rest = order.as_slice();
    for size in batches(&lengths, model.batch_size) {
        let (batch, later) = rest.split_at(size);
        rest = later;
        let wanted: Vec<&(usize, usize)> =
            batch.iter().filter(|(request, _)| !begun[*request].reply.is_closed()).collect();
        if wanted.is_empty() {
            continue;
        }
        let rows: Vec<&[u32]> = wanted.iter().map(|(request, row)| begun[*request].rows[*row].ids.as_slice()).collect();
        let vectors = model.network.vectors(&rows)?;
        for ((request, row), vector) in wanted.into_iter().zip(vectors) {
            begun[*request].vectors[*row] = vector;
        }
    }
    Ok(())
}

/// How many rows each batch takes of rows with these falling lengths.
fn batches(mut lengths: &[usize], batch_size: usize) -> Vec<usize> {
    let mut sizes = Vec::new();
    while let Some(longest) = lengths.first() {
        let largest = (LARGEST_BATCH / (longest * longest)).clamp(1, batch_size);
        // Never more padding than tokens.
        let fitting = lengths.iter().take(largest).take_while(|length| *length * 2 > *longest).count();
        sizes.push(fitting);
        lengths = &lengths[fitting..];
    }
    sizes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_are_bounded_in_rows_memory_and_padding() {
        assert_eq!(batches(&[], 32), [0; 0]);
        assert_eq!(batches(&[10; 70], 32), [32, 32, 6]);
        assert_eq!(batches(&[512; 20], 32), [16, 4]);
        assert_eq!(batches(&[8192, 8192], 32), [1, 1]);
        assert_eq!(batches(&[256, 129, 128, 20, 11, 10, 1], 32), [2, 1, 2, 1, 1]);
    }
}
