//! Text of attached files.
//!
//! [`Documents`] is the core's [`Reader`]. `kind` finds out what a file is, by its first bytes and only then by its
//! name; `text`, `office` and `pdf` read it; all of them write into an `output`, which is bounded and keeps control
//! characters out.
//!
//! Files come from strangers, and libraries that read them have defects. So everything runs on a blocking thread, where
//! a panic is an error of that file alone; whatever is decompressed is bounded; few files are read at once; and the
//! caller is answered at a deadline even if the thread goes on. It stops at the next thing it would write.

#![forbid(unsafe_code)]

mod kind;
mod office;
mod output;
mod pdf;
mod text;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use magpie_core::attachment::{File, FileText, ReadError, Reader};
use tokio::sync::Semaphore;
use tokio::task::JoinError;
use tokio::time::timeout;

use kind::Kind;
use output::{Halt, Output};

/// What reading may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DocumentLimits {
    /// For one file, waiting for others included.
    pub deadline: Duration,
    /// Files read at the same moment; others wait. Each takes a thread and some ten times the memory of the file.
    pub at_once: usize,
    /// Bytes of one part of a file after decompression: the text of a thick book is some megabytes of markup, a bomb is
    /// gigabytes.
    pub unpacked_bytes: usize,
}

impl Default for DocumentLimits {
    fn default() -> Self {
        Self { deadline: Duration::from_secs(20), at_once: 2, unpacked_bytes: 64 << 20 }
    }
}

/// The reader of attached files.
pub struct Documents {
    limits: DocumentLimits,
    slots: Arc<Semaphore>,
}

impl Documents {
    #[must_use]
    pub fn new(limits: DocumentLimits) -> Self {
        Self { limits, slots: Arc::new(Semaphore::new(limits.at_once)) }
    }
}

impl Reader for Documents {
    fn read(&self, file: File, max_characters: usize) -> BoxFuture<'static, Result<FileText, ReadError>> {
        let slots = Arc::clone(&self.slots);
        let DocumentLimits { deadline, unpacked_bytes, .. } = self.limits;
        async move {
            let waiting = Waiting::default();
            let output = Output::new(max_characters, Arc::clone(&waiting.given_up));
            let reading = async {
                let Ok(slot) = slots.acquire_owned().await else { return Err(ReadError::Timeout(deadline)) };
                // The slot stays taken as long as the thread runs, not as long as somebody waits for it.
                let reading = tokio::task::spawn_blocking(move || {
                    let _slot = slot;
                    read(&file, unpacked_bytes, output)
                });
                reading.await.unwrap_or_else(|error| Err(stumbled(error)))
            };
            timeout(deadline, reading).await.unwrap_or(Err(ReadError::Timeout(deadline)))
        }
        .boxed()
    }
}

/// Tells the thread when nobody waits for it any more.
#[derive(Default)]
struct Waiting {
    given_up: Arc<AtomicBool>,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.given_up.store(true, Ordering::Relaxed);
    }
}

fn read(file: &File, unpacked_bytes: usize, mut output: Output) -> Result<FileText, ReadError> {
    let kind = kind::of(file)?;
    let outcome = match kind {
        Kind::Pdf => pdf::read(&file.bytes, unpacked_bytes, &mut output),
        Kind::Word => office::word(&file.bytes, unpacked_bytes, &mut output),
        Kind::Slides => office::slides(&file.bytes, unpacked_bytes, &mut output),
        Kind::Sheets => office::sheets(&file.bytes, unpacked_bytes, &mut output),
        Kind::Text(_) => text::read(&file.bytes, &mut output),
    };
    match outcome {
        Ok(()) | Err(Halt::Full) => output.finish(kind.name()),
        Err(Halt::GivenUp) => Err(ReadError::Timeout(Duration::ZERO)),
        Err(Halt::Failed(error)) => Err(error),
    }
}

/// The thread panicked: a defect of ours or of a library, or `pdf` found no other way out of one.
fn stumbled(error: JoinError) -> ReadError {
    match error.try_into_panic() {
        Ok(panic) if panic.is::<pdf::TooMuch>() => ReadError::TooLarge { what: "it has too many parts" },
        _ => {
            tracing::warn!("a file made its reader panic");
            ReadError::Damaged { what: "the reader stumbled over it" }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn outcome_of(work: fn() -> Result<FileText, ReadError>) -> ReadError {
        let outcome = tokio::task::spawn_blocking(work).await;
        outcome.unwrap_or_else(|error| Err(stumbled(error))).expect_err("it fails")
    }

    #[tokio::test]
    async fn a_panic_is_the_files_fault_and_nobody_elses() {
        let error = outcome_of(|| panic!("a defect of a library")).await;
        assert!(matches!(error, ReadError::Damaged { .. }), "{error}");
        let error = outcome_of(|| std::panic::resume_unwind(Box::new(pdf::TooMuch))).await;
        assert!(matches!(error, ReadError::TooLarge { .. }), "{error}");
    }
}
