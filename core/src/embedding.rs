//! The port to a model that turns texts into vectors.

use futures::future::BoxFuture;

use crate::platform::Health;

/// A model whose vectors lie near each other where texts mean the same.
pub trait Embedder: Send + Sync {
    fn info(&self) -> EmbedderInfo;

    /// One vector for each input, in their order. Dropping the future ends the work soon; limits of time are the
    /// caller's, but a dead thread is an error and no endless wait.
    fn embed(&self, request: EmbeddingRequest) -> BoxFuture<'static, Result<Embeddings, EmbeddingError>>;

    fn health(&self) -> Health;
}

/// Who an embedder is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmbedderInfo {
    /// Model name as the embedder knows it: what clients ask for.
    pub model: String,
    /// Length of its vectors; `None` while it is not loaded.
    pub dimensions: Option<usize>,
    /// Longer inputs are cut off; `None` while it is not loaded.
    pub max_tokens: Option<usize>,
}

/// Texts to be embedded together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmbeddingRequest {
    pub inputs: Vec<EmbeddingInput>,
    pub purpose: Purpose,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EmbeddingInput {
    Text(String),
    /// Ids of the model's own vocabulary, without the special tokens around them.
    Tokens(Vec<u32>),
}

/// What the vectors are for. Some models were trained with a few words before each text that say so; [`Self::Plain`]
/// takes what the model does by itself, and tokens are never changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Purpose {
    #[default]
    Plain,
    /// A question, to be compared with passages.
    Query,
    /// A piece of text to be found.
    Passage,
}

/// The answer to a request.
#[derive(Debug, Clone, PartialEq)]
pub struct Embeddings {
    /// One for each input, all of the same length.
    pub vectors: Vec<Vec<f32>>,
    /// What the model read, special tokens included.
    pub tokens: u64,
    /// How many inputs were longer than the model reads, so that their ends have no part in their vectors.
    pub truncated: usize,
}

/// Why there are no vectors, by what the caller can do.
#[derive(Debug, thiserror::Error)]
pub enum EmbeddingError {
    /// Too much to do; it is worth trying again.
    #[error("the embedding model {model} is overloaded; try again later")]
    Overloaded { model: String },
    /// Not loaded, or broken.
    #[error("the embedding model {model} is not available: {what}")]
    Unavailable {
        model: String,
        what: String,
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// It can never embed this input.
    #[error("input {index} can't be embedded: {what}")]
    Rejected { index: usize, what: String },
}
