//! What a model file holds, and whether this engine can run it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use magpie_core::causes::with_causes;
use magpie_core::clock::Clock;
use serde::Serialize;

use super::needs::MemoryNeeds;
use crate::arch::Spec;
use crate::error::LoadError;
use crate::file::{ModelFile, sha256};
use crate::template::{ChatTemplate, TemplateOrigin};
use crate::tokenizer::Tokenizer;

/// Lines of a template that are shown.
const TEMPLATE_LINES: usize = 3;

/// What a file says about itself. What it does not say is `None`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Holdings {
    pub path: String,
    pub name: Option<String>,
    pub architecture: Option<String>,
    pub bytes: u64,
    /// Of a single file, in lower case.
    pub sha256: Option<String>,
    pub parameters: u64,
    /// By encoding, the one with most bytes first; none in a file that holds a vocabulary only.
    pub formats: Vec<FormatShare>,
    pub network: NetworkShape,
    pub vocabulary: VocabularyShown,
    pub template: TemplateShown,
    /// If this engine can run it.
    pub memory: Option<MemoryNeeds>,
    /// Why this engine can't run it; `None` if it can.
    pub refusal: Option<String>,
}

/// Tensors of one encoding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FormatShare {
    pub format: &'static str,
    pub tensors: usize,
    pub parameters: u64,
    pub bytes: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NetworkShape {
    pub context_tokens: Option<u64>,
    pub layers: Option<u64>,
    pub width: Option<u64>,
    pub heads: Option<u64>,
    pub kv_heads: Option<u64>,
    pub feed_forward: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VocabularyShown {
    /// `gpt2`, `llama`, … or `tokenizer.json`.
    pub kind: Option<String>,
    /// Name of the rules by which text is cut into words.
    pub pre: Option<String>,
    /// The file does not name those rules, and these are a guess.
    pub pre_is_assumed: bool,
    pub tokens: Option<usize>,
    /// Why text can't be encoded with it; `None` if it can.
    pub refusal: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TemplateShown {
    /// Whether the file brings one.
    pub own: bool,
    /// Name of the one that stands in for it, because it fits the model's special tokens.
    pub assumed: Option<&'static str>,
    /// Its beginning.
    pub first_lines: Vec<String>,
    /// Why it, or the one that would stand in for it, can't be used; `None` if it can.
    pub refusal: Option<String>,
}

/// Reads a file or folder, but not its weights. With files, all bytes are read for the checksum.
///
/// # Errors
/// It can't be read, or is no model file. What this engine can't run is no error.
pub fn look_into(path: &Path, clock: Arc<dyn Clock>) -> Result<Holdings, LoadError> {
    let file = ModelFile::open(path)?;
    let tokenizer = Tokenizer::open(path);
    let formats = formats(&file);
    let spec = if formats.is_empty() {
        Err("it holds a vocabulary only".to_owned())
    } else {
        Spec::of(&file).map_err(|error| with_causes(&error))
    };
    let template = template(&file, &tokenizer, clock);
    let vocabulary = vocabulary(&file, &tokenizer);
    let refusals = [spec.as_ref().err(), vocabulary.refusal.as_ref(), template.refusal.as_ref()];
    let refusal = refusals.into_iter().flatten().next().cloned();
    Ok(Holdings {
        path: path.display().to_string(),
        name: file.text("general.name").map(str::to_owned),
        architecture: file.architecture().ok().map(str::to_owned),
        bytes: bytes_on_disk(path)?,
        sha256: if path.is_dir() { None } else { Some(sha256(path)?) },
        parameters: formats.iter().map(|share| share.parameters).sum(),
        network: network(&file),
        memory: spec.as_ref().ok().map(|spec| MemoryNeeds::of(&file, spec)),
        refusal,
        formats,
        vocabulary,
        template,
    })
}

fn formats(file: &ModelFile) -> Vec<FormatShare> {
    let mut shares: BTreeMap<&'static str, FormatShare> = BTreeMap::new();
    for tensor in file.tensors() {
        let format = tensor.format.name();
        let share = shares.entry(format).or_insert(FormatShare { format, tensors: 0, parameters: 0, bytes: 0 });
        share.tensors += 1;
        share.parameters += tensor.shape.iter().map(|&size| size as u64).product::<u64>();
        share.bytes += tensor.bytes.len() as u64;
    }
    let mut shares: Vec<FormatShare> = shares.into_values().collect();
    shares.sort_by_key(|share| std::cmp::Reverse(share.bytes));
    shares
}

fn network(file: &ModelFile) -> NetworkShape {
    let prefix = file.architecture().unwrap_or_default();
    let number = |key: &str| file.number(&format!("{prefix}.{key}"));
    let heads = number("attention.head_count");
    NetworkShape {
        context_tokens: number("context_length"),
        layers: number("block_count"),
        width: number("embedding_length"),
        heads,
        kv_heads: number("attention.head_count_kv").or(heads),
        feed_forward: number("feed_forward_length"),
    }
}

fn vocabulary(file: &ModelFile, tokenizer: &Result<Tokenizer, LoadError>) -> VocabularyShown {
    let kind = tokenizer.as_ref().ok().map(Tokenizer::kind);
    let said = |key: &str| file.text(key).map(str::to_owned);
    VocabularyShown {
        kind: kind.map(|kind| kind.model.clone()).or_else(|| said("tokenizer.ggml.model")),
        pre: kind.and_then(|kind| kind.pre.clone()).or_else(|| said("tokenizer.ggml.pre")),
        pre_is_assumed: kind.is_some_and(|kind| kind.pre_is_assumed),
        tokens: tokenizer.as_ref().ok().map(Tokenizer::vocabulary_size),
        refusal: tokenizer.as_ref().err().map(|error| with_causes(error)),
    }
}

fn template(file: &ModelFile, tokenizer: &Result<Tokenizer, LoadError>, clock: Arc<dyn Clock>) -> TemplateShown {
    let own = file.text("tokenizer.chat_template");
    let lines = own.unwrap_or_default().lines().take(TEMPLATE_LINES);
    // Without a tokenizer there is no saying; that refusal is enough.
    let loaded = tokenizer.as_ref().ok().map(|tokenizer| ChatTemplate::load(file, None, tokenizer, clock));
    let assumed = match loaded.as_ref().and_then(|loaded| loaded.as_ref().ok()).map(ChatTemplate::origin) {
        Some(TemplateOrigin::Assumed(name)) => Some(name),
        _ => None,
    };
    TemplateShown {
        own: own.is_some(),
        assumed,
        first_lines: lines.map(str::to_owned).collect(),
        refusal: loaded.and_then(Result::err).map(|error| with_causes(&error)),
    }
}

fn bytes_on_disk(path: &Path) -> Result<u64, LoadError> {
    let unreadable = |source| LoadError::File { path: path.to_owned(), source };
    if !path.is_dir() {
        return Ok(path.metadata().map_err(unreadable)?.len());
    }
    let entries = path.read_dir().map_err(unreadable)?;
    entries.map(|entry| Ok(entry.and_then(|entry| entry.metadata()).map_err(unreadable)?.len())).sum()
}

#[cfg(test)]
mod tests {
    use magpie_core::clock::SystemClock;

    use super::*;
    use crate::testmodel::{self, Kind};

    fn holdings(path: &Path) -> Holdings {
        look_into(path, Arc::new(SystemClock)).unwrap()
    }

    #[test]
    fn what_a_file_leaves_open_and_how_it_was_guessed_is_said() {
        let file = testmodel::write(Kind::Qwen2, &[("tokenizer.ggml.pre", "".into())]);
        let Holdings { vocabulary, template, refusal, .. } = holdings(file.path());
        assert_eq!((vocabulary.kind.as_deref(), vocabulary.pre.as_deref()), (Some("gpt2"), Some("qwen2")));
        assert!(vocabulary.pre_is_assumed);
        assert_eq!((template.own, template.assumed, refusal), (false, Some("chatml"), None));
    }

    #[test]
    fn what_a_file_says_is_no_guess() {
        let file = testmodel::write(Kind::Llama, &[("tokenizer.chat_template", "{{ messages }}".into())]);
        let Holdings { vocabulary, template, .. } = holdings(file.path());
        assert!(!vocabulary.pre_is_assumed && template.own && template.assumed.is_none());
    }

    #[test]
    fn a_folder_is_looked_into_like_a_file() {
        let folder = testmodel::folder::write(Kind::Qwen3);
        let Holdings { vocabulary, template, refusal, .. } = holdings(folder.path());
        assert_eq!((vocabulary.kind.as_deref(), vocabulary.tokens), (Some("tokenizer.json"), Some(262)));
        assert_eq!((template.own, template.first_lines.len(), refusal), (true, 3, None));
    }
}
