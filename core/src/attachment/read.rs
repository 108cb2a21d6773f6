//! The port to what reads files.

use std::time::Duration;

use futures::future::BoxFuture;

use super::File;

/// Makes text of files.
pub trait Reader: Send + Sync {
    /// The file's text, its first `max_characters` of it. Never panics and never takes much longer than the reader's
    /// own deadline, whatever the file holds. Dropping the future ends the wait; the work may go on until the deadline.
    fn read(&self, file: File, max_characters: usize) -> BoxFuture<'static, Result<FileText, ReadError>>;
}

/// What a file says.
#[derive(Clone, PartialEq, Eq)]
pub struct FileText {
    /// What the file turned out to be: `text`, `pdf`, `docx`, … A bounded set, for metrics.
    pub kind: &'static str,
    /// Without control characters other than line feed and tab; never blank.
    pub text: String,
    /// There is more than `text`: it was cut off at the limit of characters, or the file has more pages than are read.
    pub cut: bool,
}

impl std::fmt::Debug for FileText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { kind, text, cut } = self;
        f.debug_struct("FileText").field("kind", kind).field("bytes", &text.len()).field("cut", cut).finish()
    }
}

/// Why there is no text of a file, by what its sender can do.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// Send another kind of file.
    #[error("this kind of file can't be read{}", kind.map(|kind| format!(": {kind}")).unwrap_or_default())]
    Unsupported {
        /// What it is, if that is known: `image`, `audio`, `video`, `archive`, `doc`, …
        kind: Option<&'static str>,
    },
    /// Send a part of it. `what` names the limit.
    #[error("the file is too large: {what}")]
    TooLarge { what: &'static str },
    /// Take the password off.
    #[error("the file is protected by a password")]
    Locked,
    /// Save it again.
    #[error("the file is damaged: {what}")]
    Damaged { what: &'static str },
    /// Write out what it shows: there is nothing in it, or pictures of text only.
    #[error("the file holds no text")]
    NoText,
    /// Try again, or send a smaller or simpler one.
    #[error("the file was not read within {0:?}")]
    Timeout(Duration),
}

impl ReadError {
    /// Snake_case cause for texts, logs and metrics.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Unsupported { .. } => "unsupported",
            Self::TooLarge { .. } => "too_large",
            Self::Locked => "locked",
            Self::Damaged { .. } => "damaged",
            Self::NoText => "no_text",
            Self::Timeout(_) => "timeout",
        }
    }
}
