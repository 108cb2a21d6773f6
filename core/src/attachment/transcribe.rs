//! The port to what hears speech.

use futures::future::BoxFuture;

use super::File;
use crate::platform::Health;

/// Makes text of speech.
pub trait Transcriber: Send + Sync {
    /// What is said in a recording; never blank. Limits of time are the transcriber's own.
    fn transcribe(&self, recording: File) -> BoxFuture<'static, Result<String, TranscriptionError>>;

    /// What the last calls taught, for `/health`.
    fn health(&self) -> Health;
}

/// Why a recording was not understood, by what somebody can do.
#[derive(Debug, thiserror::Error)]
pub enum TranscriptionError {
    /// Try again later.
    #[error("the transcription service is not available: {what}")]
    Unavailable {
        what: String,
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// Record it anew, shorter or in another format.
    #[error("the transcription service refused the recording: {what}")]
    Rejected { what: String },
    /// Speak up, or write.
    #[error("nobody speaks in the recording")]
    NoSpeech,
    /// Wrong key, unknown model: an operator has to act.
    #[error("the transcription service is misconfigured: {what}")]
    Misconfigured { what: String },
}

impl TranscriptionError {
    /// Snake_case cause for texts, logs and metrics.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Unavailable { .. } => "unavailable",
            Self::Rejected { .. } => "rejected",
            Self::NoSpeech => "no_speech",
            Self::Misconfigured { .. } => "misconfigured",
        }
    }
}
