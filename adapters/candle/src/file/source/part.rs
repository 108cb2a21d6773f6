//! A file that has not arrived completely.
//!
//! Beside `model.gguf.part` lies `model.gguf.etag` with the server's name for the version that the part belongs to;
//! without one, nothing can be continued. The part is locked, so that several processes with one folder do not write
//! into the same file: the others wait, and find the whole file then.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use sha2::{Digest, Sha256};

use crate::error::LoadError;

const CHUNK_BYTES: usize = 1 << 20;
const LOCK_WAIT: Duration = Duration::from_millis(500);

pub(super) struct Part {
    target: PathBuf,
    path: PathBuf,
    etag_path: PathBuf,
    file: File,
    hasher: Sha256,
    length: u64,
    etag: Option<String>,
    /// Whether it begins with bytes of an earlier run, which a crash may have damaged.
    inherited: bool,
}

impl Part {
    /// Opens what an earlier attempt left, or begins. `None` once somebody else has finished the file.
    pub(super) async fn open(target: &Path) -> Result<Option<Self>, LoadError> {
        let (path, etag_path) = (beside(target, "part"), beside(target, "etag"));
        let failed = |source| LoadError::Folder { path: path.clone(), source };
        if let Some(folder) = target.parent() {
            fs::create_dir_all(folder).map_err(failed)?;
        }
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path).map_err(failed)?;
        let mut waited = false;
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) => {
                    if !waited {
                        tracing::info!(path = %target.display(), "another process is downloading the model; waiting for it");
                        waited = true;
                    }
                    tokio::time::sleep(LOCK_WAIT).await;
                }
                Err(TryLockError::Error(source)) if source.kind() == io::ErrorKind::Unsupported => break,
                Err(TryLockError::Error(source)) => return Err(failed(source)),
            }
        }
        // The holder before may have renamed the file that is open here into place.
        if target.is_file() {
            return Ok(None);
        }
        let etag = fs::read_to_string(&etag_path).ok().filter(|etag| !etag.is_empty());
        let mut part = Self {
            target: target.to_owned(),
            etag_path,
            file,
            hasher: Sha256::new(),
            length: 0,
            etag,
            inherited: false,
            path: path.clone(),
        };
        part.inherit().map_err(failed)?;
        Ok(Some(part))
    }

    /// Bytes that are there.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// The version that these bytes belong to.
    pub(super) fn etag(&self) -> Option<&str> {
        self.etag.as_deref().filter(|_| self.length > 0)
    }

    pub(super) fn is_inherited(&self) -> bool {
        self.inherited
    }

    /// Begins anew, with another version.
    pub(super) fn restart(&mut self, etag: Option<&str>) -> Result<(), LoadError> {
        self.reset(etag).map_err(|source| self.failed(source))
    }

    pub(super) fn append(&mut self, bytes: &[u8]) -> Result<(), LoadError> {
        self.file.write_all(bytes).map_err(|source| self.failed(source))?;
        self.hasher.update(bytes);
        self.length += bytes.len() as u64;
        Ok(())
    }

    /// The checksum of all bytes, in lower-case hex.
    pub(super) fn sha256(&self) -> String {
        hex::encode(self.hasher.clone().finalize())
    }

    /// Renames the file into place.
    pub(super) fn finish(self) -> Result<(), LoadError> {
        let renamed = self.file.sync_all().and_then(|()| fs::rename(&self.path, &self.target));
        renamed.map_err(|source| self.failed(source))?;
        // Left over, it would do no harm.
        fs::remove_file(&self.etag_path).ok();
        Ok(())
    }

    /// Takes over what is there, if its version is known.
    fn inherit(&mut self) -> io::Result<()> {
        if self.etag.is_none() {
            return self.reset(None);
        }
        self.file.seek(SeekFrom::Start(0))?;
        let mut chunk = vec![0; CHUNK_BYTES];
        loop {
            let read = self.file.read(&mut chunk)?;
            if read == 0 {
                break;
            }
            self.hasher.update(&chunk[..read]);
            self.length += read as u64;
        }
        self.inherited = self.length > 0;
        Ok(())
    }

    fn reset(&mut self, etag: Option<&str>) -> io::Result<()> {
        // In this order: a crash in between must not leave old bytes under a new name.
        self.file.set_len(0)?;
        self.file.seek(SeekFrom::Start(0))?;
        fs::write(&self.etag_path, etag.unwrap_or_default())?;
        self.hasher = Sha256::new();
        self.length = 0;
        self.etag = etag.map(str::to_owned);
        self.inherited = false;
        Ok(())
    }

    fn failed(&self, source: io::Error) -> LoadError {
        LoadError::Folder { path: self.path.clone(), source }
    }
}

fn beside(target: &Path, ending: &str) -> PathBuf {
    let mut name = target.as_os_str().to_owned();
    name.push(".");
    name.push(ending);
    PathBuf::from(name)
}
