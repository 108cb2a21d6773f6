//! What a model's folder says about itself: the files of sentence-transformers beside those of transformers.
//!
//! Source: sentence-transformers 5, `SentenceTransformer.py` and `models/{Transformer,Pooling}.py`, for the files, their
//! keys and what holds where one is missing (read 11/2026).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::error::EncoderError;

/// How a model makes one vector of the vectors of its tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pooling {
    /// The first token's.
    First,
    /// The mean of all tokens'.
    Mean,
}

/// A model's folder, read but for its weights and its vocabulary.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Folder {
    pub path: PathBuf,
    /// `config.json`, for whoever builds the network.
    pub config: Map<String, Value>,
    pub pooling: Pooling,
    /// Whether vectors are brought to length 1.
    pub normalised: bool,
    /// Longest input, special tokens included, as far as the folder limits it.
    pub max_tokens: Option<usize>,
    pub lowercased: bool,
    pub prompts: Prompts,
}

/// What is written before a text, by purpose.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Prompts {
    pub plain: String,
    pub query: String,
    pub passage: String,
}

impl Folder {
    pub(super) fn open(path: &Path) -> Result<Self, EncoderError> {
        let config = required(path, "config.json")?;
        let modules: Option<Vec<Module>> = optional(path, "modules.json")?;
        let (pooling, normalised) = match &modules {
            Some(modules) => shape(path, modules)?,
            // What sentence-transformers does with a folder of plain transformers.
            None => (Pooling::Mean, false),
        };
        let sentence: Sentence = optional(path, "sentence_bert_config.json")?.unwrap_or_default();
        let prompts: Prompting = optional(path, "config_sentence_transformers.json")?.unwrap_or_default();
        Ok(Self {
            path: path.to_owned(),
            config,
            pooling,
            normalised,
            max_tokens: sentence.max_seq_length,
            lowercased: sentence.do_lower_case,
            prompts: prompts.sorted(),
        })
    }

    /// The weights' files, in order.
    pub(super) fn weights(&self) -> Result<Vec<PathBuf>, EncoderError> {
        let unreadable = |source| EncoderError::File { path: self.path.clone(), source };
        let mut files = Vec::new();
        for entry in std::fs::read_dir(&self.path).map_err(unreadable)? {
            let file = entry.map_err(unreadable)?.path();
            if file.extension().is_some_and(|extension| extension == "safetensors") {
                files.push(file);
            }
        }
        files.sort();
        if files.is_empty() {
            return Err(self.broken("it has no *.safetensors file"));
        }
        Ok(files)
    }

    pub(super) fn broken(&self, what: impl Into<String>) -> EncoderError {
        EncoderError::Broken { path: self.path.clone(), what: what.into(), source: None }
    }
}

#[derive(Deserialize)]
struct Module {
    #[serde(rename = "type")]
    class: String,
    path: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Sentence {
    max_seq_length: Option<usize>,
    do_lower_case: bool,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Prompting {
    prompts: BTreeMap<String, String>,
    default_prompt_name: Option<String>,
}

impl Prompting {
    fn sorted(&self) -> Prompts {
        let named = |name: &str| self.prompts.get(name).cloned();
        let plain = self.default_prompt_name.as_deref().and_then(named).unwrap_or_default();
        let passage = ["document", "passage", "corpus"].into_iter().find_map(named);
        Prompts {
            query: named("query").unwrap_or_else(|| plain.clone()),
            passage: passage.unwrap_or_else(|| plain.clone()),
            plain,
        }
    }
}

/// Pooling and normalisation from the list of modules: a transformer, a pooling, and perhaps a normalisation.
fn shape(path: &Path, modules: &[Module]) -> Result<(Pooling, bool), EncoderError> {
    let (mut pooling, mut normalised) = (Pooling::Mean, false);
    for module in modules {
        match module.class.rsplit('.').next().unwrap_or_default() {
            // Its files are looked for in the folder itself.
            "Transformer" if module.path.is_empty() => {}
            "Pooling" => pooling = read_pooling(path, &module.path)?,
            "Normalize" => normalised = true,
            other => {
                return Err(unsupported(path, format!("its modules.json asks for a {other} in {:?}", module.path)));
            }
        }
    }
    Ok((pooling, normalised))
}

fn read_pooling(path: &Path, folder: &str) -> Result<Pooling, EncoderError> {
    let settings: Map<String, Value> = required(path, &format!("{folder}/config.json"))?;
    if settings.get("include_prompt") == Some(&Value::Bool(false)) {
        return Err(unsupported(path, "it leaves prompts out of the pooling"));
    }
    // Newer files name one mode, older ones have a flag for each.
    let named = settings.get("pooling_mode").and_then(Value::as_str).map(|mode| vec![mode]);
    let flags = || {
        let set = settings.iter().filter(|(_, value)| **value == Value::Bool(true));
        set.filter_map(|(key, _)| key.strip_prefix("pooling_mode_")).collect()
    };
    match named.unwrap_or_else(flags).as_slice() {
        ["mean" | "mean_tokens"] => Ok(Pooling::Mean),
        ["cls" | "cls_token"] => Ok(Pooling::First),
        other => Err(unsupported(path, format!("it pools by {other:?}, not by the mean or the first token"))),
    }
}

/// `config` with values for keys that newer versions of transformers leave out and the network's reader insists on.
pub(super) fn completed<T: DeserializeOwned>(folder: &Folder) -> Result<T, EncoderError> {
    let mut config = folder.config.clone();
    let defaults = json!({
        "hidden_dropout_prob": 0.0,
        "attention_probs_dropout_prob": 0.0,
        "initializer_range": 0.02,
        "position_embedding_type": "absolute",
    });
    for (key, value) in defaults.as_object().into_iter().flatten() {
        config.entry(key).or_insert_with(|| value.clone());
    }
    T::deserialize(Value::Object(config)).map_err(|source| EncoderError::Broken {
        path: folder.path.join("config.json"),
        what: "it lacks a key, or one has an unknown value".to_owned(),
        source: Some(Box::new(source)),
    })
}

fn required<T: DeserializeOwned>(folder: &Path, name: &str) -> Result<T, EncoderError> {
    let path = folder.join(name);
    let text = std::fs::read(&path).map_err(|source| EncoderError::File { path: path.clone(), source })?;
    serde_json::from_slice(&text).map_err(|source| EncoderError::Broken {
        path,
        what: "its JSON is not what is expected there".to_owned(),
        source: Some(Box::new(source)),
    })
}

fn optional<T: DeserializeOwned>(folder: &Path, name: &str) -> Result<Option<T>, EncoderError> {
    if folder.join(name).exists() { required(folder, name).map(Some) } else { Ok(None) }
}

fn unsupported(path: &Path, what: impl Into<String>) -> EncoderError {
    EncoderError::Unsupported { path: path.to_owned(), what: what.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder with these files beside an empty `config.json`.
    fn folder(files: &[(&str, Value)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("1_Pooling")).unwrap();
        for (name, content) in files.iter().cloned().chain([("config.json", json!({}))]) {
            std::fs::write(folder.path().join(name), content.to_string()).unwrap();
        }
        folder
    }

    fn modules(last: &str) -> Value {
        json!([
            {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
            {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
            {"idx": 2, "name": "2", "path": "2_Last", "type": format!("sentence_transformers.models.{last}")},
        ])
    }

    #[test]
    fn the_modules_say_how_vectors_are_pooled_and_normalised() {
        let flags = json!({"pooling_mode_cls_token": true, "pooling_mode_mean_tokens": false, "include_prompt": true});
        for (pooling, expected) in [
            (flags, Pooling::First),
            (json!({"pooling_mode_mean_tokens": true}), Pooling::Mean),
            (json!({"pooling_mode": "cls"}), Pooling::First),
        ] {
            let files = folder(&[("modules.json", modules("Normalize")), ("1_Pooling/config.json", pooling)]);
            let read = Folder::open(files.path()).unwrap();
            assert_eq!((read.pooling, read.normalised), (expected, true));
        }
    }

    #[test]
    fn a_folder_of_plain_transformers_means_the_mean() {
        let read = Folder::open(folder(&[]).path()).unwrap();
        assert_eq!((read.pooling, read.normalised, read.max_tokens), (Pooling::Mean, false, None));
    }

    #[test]
    fn what_is_not_followed_is_refused() {
        let mean = json!({"pooling_mode_mean_tokens": true});
        let dense = folder(&[("modules.json", modules("Dense")), ("1_Pooling/config.json", mean)]);
        assert!(Folder::open(dense.path()).unwrap_err().to_string().contains("Dense"));
        for pooling in [
            json!({"pooling_mode_max_tokens": true}),
            json!({"pooling_mode_cls_token": true, "pooling_mode_mean_tokens": true}),
            json!({"pooling_mode_mean_tokens": true, "include_prompt": false}),
            json!({}),
        ] {
            let files = folder(&[("modules.json", modules("Normalize")), ("1_Pooling/config.json", pooling)]);
            assert!(matches!(Folder::open(files.path()), Err(EncoderError::Unsupported { .. })));
        }
    }

    #[test]
    fn prompts_are_found_by_purpose() {
        let given = json!({"prompts": {"query": "query: ", "passage": "passage: "}, "default_prompt_name": "passage"});
        let read = Folder::open(folder(&[("config_sentence_transformers.json", given)]).path()).unwrap();
        let expected = ["passage: ", "query: ", "passage: "].map(str::to_owned);
        assert_eq!([read.prompts.plain, read.prompts.query, read.prompts.passage], expected);
        let none = json!({"prompts": {}, "default_prompt_name": null});
        let read = Folder::open(folder(&[("config_sentence_transformers.json", none)]).path()).unwrap();
        assert_eq!(read.prompts, Prompts::default());
    }

    #[test]
    fn broken_files_are_named() {
        let files = folder(&[("modules.json", json!({"not": "a list"}))]);
        assert!(Folder::open(files.path()).unwrap_err().to_string().contains("modules.json"));
        let empty = tempfile::tempdir().unwrap();
        assert!(Folder::open(empty.path()).unwrap_err().to_string().contains("config.json"));
    }
}
