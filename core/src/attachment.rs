//! What makes context of attachments: the ports to what reads files and hears speech, and what is common to both.
//!
//! Files come from strangers. What reads them is behind [`Reader`], which bounds time and memory; what a model gets to
//! see of them is put together by [`compose()`], so that a file can't pass for the person's own words.

mod compose;
mod gather;
mod read;
mod transcribe;

use std::sync::Arc;

use bytes::Bytes;

pub use compose::{AttachedText, compose, plain_name};
pub use gather::{GatherError, gather};
pub use read::{FileText, ReadError, Reader};
pub use transcribe::{Transcriber, TranscriptionError};

/// Everything that is needed to make context of attachments.
#[derive(Clone)]
pub struct Attachments {
    pub reader: Arc<dyn Reader>,
    /// `None` if no service is configured.
    pub transcriber: Option<Arc<dyn Transcriber>>,
    pub settings: FileSettings,
}

/// A downloaded file. Held in memory, so that nothing of it stays behind when the process dies.
#[derive(Clone)]
pub struct File {
    /// As the sender called it, untouched; empty if unknown.
    pub name: String,
    /// As the platform tells it, such as `application/pdf`; empty if it does not. Not to be trusted.
    pub media_type: String,
    pub bytes: Bytes,
}

impl std::fmt::Debug for File {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("File").field("media_type", &self.media_type).field("bytes", &self.bytes.len()).finish()
    }
}

/// `[files]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileSettings {
    /// Longest file that is downloaded.
    pub max_bytes: usize,
    /// Files of one message that are looked at; 0: none.
    pub max_files: usize,
    /// So many characters of one file's text become context.
    pub max_characters: usize,
}

impl Default for FileSettings {
    /// The values of `config/default.toml`.
    fn default() -> Self {
        Self { max_bytes: 20_000_000, max_files: 5, max_characters: 20_000 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contents_of_files_stay_out_of_debug_output() {
        let file = File { name: "salaries".into(), media_type: "text/plain".into(), bytes: "secret".into() };
        let text = FileText { kind: "text", text: "secret".into(), cut: false };
        let shown = format!("{file:?} {text:?}");
        assert!(!shown.contains("secret") && !shown.contains("salaries"), "{shown}");
    }
}
