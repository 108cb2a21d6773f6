//! Comparing a file with the checksum that was published for it.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use sha2::{Digest, Sha256};

use super::progress::{Reporter, Stage};
use crate::error::LoadError;

const CHUNK_BYTES: usize = 1 << 20;

/// Reads the whole file. `expected` is hexadecimal, in whatever case.
///
/// # Errors
/// The file can't be read, or is another one.
pub(crate) fn verify(path: &Path, expected: &str, reporter: &Reporter) -> Result<(), LoadError> {
    let actual = hash(path, reporter)?;
    if actual.eq_ignore_ascii_case(expected.trim()) {
        return Ok(());
    }
    Err(LoadError::Checksum { path: path.to_owned(), expected: expected.trim().to_owned(), actual })
}

/// The SHA-256 of a whole file, in lower case hexadecimal.
///
/// # Errors
/// The file can't be read.
pub(crate) fn sha256(path: &Path) -> Result<String, LoadError> {
    hash(path, &Reporter::default())
}

fn hash(path: &Path, reporter: &Reporter) -> Result<String, LoadError> {
    let unreadable = |source| LoadError::File { path: path.to_owned(), source };
    let mut file = File::open(path).map_err(unreadable)?;
    let total = file.metadata().map_err(unreadable)?.len();
    let mut done = 0;
    reporter.report(Stage::Verifying, done, Some(total));
    let mut hasher = Sha256::new();
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        let read = file.read(&mut chunk).map_err(unreadable)?;
        if read == 0 {
            break;
        }
        hasher.update(&chunk[..read]);
        done += read as u64;
        reporter.report(Stage::Verifying, done, Some(total));
    }
    Ok(hex::encode(hasher.finalize()))
}
