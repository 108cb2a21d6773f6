//! Opening a GGUF file and reading what it says about itself.
//!
//! Source: "GGUF" in the documentation of ggml (`ggml/docs/gguf.md`, read 11/2026) for the keys.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use candle_core::quantized::gguf_file::{Content, Value};
use sha2::{Digest, Sha256};

use crate::error::LoadError;

const CHUNK_BYTES: usize = 1 << 20;

/// An open model file: its metadata read, its tensors not.
pub(crate) struct Gguf {
    pub path: PathBuf,
    pub content: Content,
    pub reader: BufReader<File>,
}

impl Gguf {
    pub(crate) fn open(path: &Path) -> Result<Self, LoadError> {
        let mut reader = BufReader::new(open(path)?);
        let content = Content::read(&mut reader).map_err(|source| LoadError::Broken {
            path: path.to_owned(),
            what: "its header can't be read".to_owned(),
            source: Some(Box::new(source)),
        })?;
        Ok(Self { path: path.to_owned(), content, reader })
    }

    pub(crate) fn text(&self, key: &str) -> Option<&str> {
        match self.content.metadata.get(key)? {
            Value::String(text) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn flag(&self, key: &str) -> Option<bool> {
        match self.content.metadata.get(key)? {
            Value::Bool(flag) => Some(*flag),
            _ => None,
        }
    }

    /// A whole number of whatever width; files differ in that.
    pub(crate) fn number(&self, key: &str) -> Option<u64> {
        number(self.content.metadata.get(key)?)
    }

    pub(crate) fn texts(&self, key: &str) -> Result<Vec<&str>, LoadError> {
        self.list(key, |value| if let Value::String(text) = value { Some(text.as_str()) } else { None })
    }

    pub(crate) fn numbers(&self, key: &str) -> Result<Vec<u64>, LoadError> {
        self.list(key, number)
    }

    pub(crate) fn floats(&self, key: &str) -> Result<Vec<f32>, LoadError> {
        self.list(key, |value| value.to_f32().ok())
    }

    pub(crate) fn architecture(&self) -> Result<&str, LoadError> {
        self.text("general.architecture").ok_or_else(|| self.broken("it does not name its architecture"))
    }

    pub(crate) fn broken(&self, what: impl Into<String>) -> LoadError {
        LoadError::Broken { path: self.path.clone(), what: what.into(), source: None }
    }

    pub(crate) fn unsupported(&self, what: impl Into<String>) -> LoadError {
        LoadError::Unsupported { path: self.path.clone(), what: what.into() }
    }

    fn list<'a, T>(&'a self, key: &str, item: impl Fn(&'a Value) -> Option<T>) -> Result<Vec<T>, LoadError> {
        let Some(Value::Array(values)) = self.content.metadata.get(key) else {
            return Err(self.broken(format!("it has no list {key}")));
        };
        let items: Option<Vec<T>> = values.iter().map(item).collect();
        items.ok_or_else(|| self.broken(format!("an item of {key} has the wrong type")))
    }
}

fn number(value: &Value) -> Option<u64> {
    match *value {
        Value::I8(number) => u64::try_from(number).ok(),
        Value::I16(number) => u64::try_from(number).ok(),
        Value::I32(number) => u64::try_from(number).ok(),
        Value::I64(number) => u64::try_from(number).ok(),
        Value::U8(_) | Value::U16(_) | Value::U32(_) | Value::U64(_) => value.to_u64().ok(),
        _ => None,
    }
}

/// Compares the whole file with the checksum that was published for it.
pub(crate) fn verify_checksum(path: &Path, expected: &str) -> Result<(), LoadError> {
    let mut file = open(path)?;
    let mut hasher = Sha256::new();
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        let read = file.read(&mut chunk).map_err(|source| LoadError::File { path: path.to_owned(), source })?;
        if read == 0 {
            break;
        }
        hasher.update(&chunk[..read]);
    }
    let actual = hex::encode(hasher.finalize());
    if actual.eq_ignore_ascii_case(expected.trim()) {
        return Ok(());
    }
    Err(LoadError::Checksum { path: path.to_owned(), expected: expected.trim().to_owned(), actual })
}

fn open(path: &Path) -> Result<File, LoadError> {
    File::open(path).map_err(|source| LoadError::File { path: path.to_owned(), source })
}
