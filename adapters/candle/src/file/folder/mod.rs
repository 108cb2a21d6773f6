//! Models as transformers saves them: a folder with `config.json`, `*.safetensors` and the tokenizer's files.

mod config;
mod names;
mod weights;

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde_json::Value as Json;

use super::format::Encoding;
use super::layout::{Claim, Layout, broken};
use super::mapping::Mapping;
use super::{Contents, Part};
use crate::error::LoadError;
use config::{Described, Descriptions};

/// Far more than any configuration, index or template has.
const MOST_TEXT_BYTES: u64 = 64 << 20;
const INDEX: &str = "model.safetensors.index.json";
const SINGLE: &str = "model.safetensors";

/// Opens a folder; everything in it gets GGUF's names.
pub(super) fn read(path: &Path) -> Result<Contents, LoadError> {
    let described = descriptions(path)?.read().map_err(|error| error.of(path))?;
    let mut layout = Layout::default();
    let mut parts = Vec::new();
    for file in weight_files(path)? {
        let mapping = Mapping::open(&file).map_err(|source| LoadError::File { path: file.clone(), source })?;
        weights::read(&mapping, parts.len(), &mut layout).map_err(|error| error.of(&file))?;
        parts.push(Part::Mapped(mapping));
    }
    layout.refuse_overlaps().map_err(|error| error.of(path))?;
    let Described { metadata, tied, frequency_divisors } = described;
    match tied {
        Some(true) => layout.remove("output.weight"),
        Some(false) if layout.get("output.weight").is_none() => {
            return Err(broken("its lm_head.weight is missing").of(path));
        }
        _ => {}
    }
    if let Some(divisors) = frequency_divisors {
        let bytes: Vec<u8> = divisors.iter().flat_map(|divisor| divisor.to_le_bytes()).collect();
        let name = "rope_freqs.weight".to_owned();
        let claim = Claim { name, encoding: Encoding::F32, shape: vec![divisors.len()], start: Some(0) };
        layout.add(claim, parts.len(), bytes.len()).map_err(|error| error.of(path))?;
        parts.push(Part::Made(bytes));
    }
    Ok(Contents { metadata, layout, parts })
}

/// Whether all files of a model are there.
pub(super) fn is_complete(path: &Path) -> bool {
    path.join("config.json").is_file() && weight_files(path).is_ok_and(|files| files.iter().all(|file| file.is_file()))
}

fn descriptions(path: &Path) -> Result<Descriptions, LoadError> {
    let name = path.canonicalize().ok().and_then(|path| Some(path.file_name()?.to_string_lossy().into_owned()));
    let config = path.join("config.json");
    Ok(Descriptions {
        config: json(&config)?.ok_or_else(|| absent(&config))?,
        generation: json(&path.join("generation_config.json"))?.unwrap_or_default(),
        tokenizer: json(&path.join("tokenizer_config.json"))?.unwrap_or_default(),
        template: text(&path.join("chat_template.jinja"))?,
        name: name.unwrap_or_default(),
    })
}

/// The files of the index; without one the only file, or all there are.
fn weight_files(path: &Path) -> Result<Vec<PathBuf>, LoadError> {
    if let Some(index) = json(&path.join(INDEX))? {
        let names = index["weight_map"].as_object().map(|map| map.values().collect::<Vec<_>>());
        let names: Option<BTreeSet<&str>> = names.unwrap_or_default().into_iter().map(Json::as_str).collect();
        let names = names.filter(|names| !names.is_empty() && names.iter().all(|name| is_plain(name)));
        let names = names.ok_or_else(|| broken("it names no files of this folder").of(&path.join(INDEX)))?;
        return Ok(names.into_iter().map(|name| path.join(name)).collect());
    }
    let single = path.join(SINGLE);
    if single.is_file() {
        return Ok(vec![single]);
    }
    let unreadable = |source| LoadError::File { path: path.to_owned(), source };
    let entries = std::fs::read_dir(path).and_then(Iterator::collect::<io::Result<Vec<_>>>).map_err(unreadable)?;
    let files = entries.into_iter().map(|entry| entry.path());
    let mut files: Vec<_> = files.filter(|file| file.extension().is_some_and(|end| end == "safetensors")).collect();
    files.sort_unstable();
    if files.is_empty() { Err(absent(&single)) } else { Ok(files) }
}

/// Whether a name stays inside the folder.
fn is_plain(name: &str) -> bool {
    !name.starts_with('.') && !name.contains(['/', '\\', ':'])
}

fn json(path: &Path) -> Result<Option<Json>, LoadError> {
    let Some(text) = text(path)? else { return Ok(None) };
    let parsed = serde_json::from_str(&text);
    parsed.map(Some).map_err(|error| broken(format!("it is not JSON ({error})")).of(path))
}

/// A small file, if there is one.
fn text(path: &Path) -> Result<Option<String>, LoadError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(LoadError::File { path: path.to_owned(), source }),
    };
    let mut text = String::new();
    let read = file.take(MOST_TEXT_BYTES).read_to_string(&mut text);
    read.map_err(|source| LoadError::File { path: path.to_owned(), source })?;
    Ok(Some(text))
}

fn absent(path: &Path) -> LoadError {
    LoadError::File { path: path.to_owned(), source: io::ErrorKind::NotFound.into() }
}

#[cfg(test)]
mod tests;
