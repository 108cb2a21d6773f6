//! Everything that a model file gives: weights, tokenizer, template.

use std::sync::Arc;

use magpie_core::clock::Clock;

use crate::config::CandleConfig;
use crate::error::LoadError;
use crate::gguf::{self, Gguf};
use crate::models::{Architecture, Model};
use crate::template::ChatTemplate;
use crate::tokenizer::Tokenizer;

/// What a model file says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelSummary {
    /// Its own name, else the file's.
    pub name: String,
    /// `llama`, `qwen2` or `qwen3`.
    pub architecture: String,
    /// What this engine can use of it: the file's limit, the configuration's and candle's, whichever is lowest.
    pub context_tokens: usize,
    pub vocabulary_size: usize,
    pub parameters: u64,
}

/// A model that can answer.
pub(crate) struct LoadedModel {
    pub weights: Model,
    pub tokenizer: Arc<Tokenizer>,
    pub template: ChatTemplate,
    pub summary: ModelSummary,
}

/// The parts of a model that are read before its weights.
struct Opened {
    file: Gguf,
    architecture: Architecture,
    tokenizer: Tokenizer,
    template: ChatTemplate,
    summary: ModelSummary,
}

/// Checks a model file without reading its weights: checksum, header, architecture, tokenizer and template.
///
/// # Errors
/// Whatever would keep [`crate::CandleEngine`] from using it, but missing or damaged tensors.
pub fn inspect(config: &CandleConfig, clock: Arc<dyn Clock>) -> Result<ModelSummary, LoadError> {
    open(config, clock).map(|opened| opened.summary)
}

pub(crate) fn load(config: &CandleConfig, clock: Arc<dyn Clock>) -> Result<LoadedModel, LoadError> {
    let Opened { file, architecture, tokenizer, template, summary } = open(config, clock)?;
    let weights = Model::load(file, architecture, summary.context_tokens)?;
    Ok(LoadedModel { weights, tokenizer: Arc::new(tokenizer), template, summary })
}

fn open(config: &CandleConfig, clock: Arc<dyn Clock>) -> Result<Opened, LoadError> {
    if let Some(expected) = &config.sha256 {
        gguf::verify_checksum(&config.path, expected)?;
    }
    let file = Gguf::open(&config.path)?;
    let architecture = Architecture::of(&file)?;
    let context_tokens = architecture.context_tokens(&file)?.min(config.context_tokens);
    let other = config.tokenizer.as_deref().map(Gguf::open).transpose()?;
    let vocabulary = other.as_ref().unwrap_or(&file);
    let tokenizer = Tokenizer::from_gguf(vocabulary)?;
    let template = ChatTemplate::load(vocabulary, config.chat_template.as_deref(), &tokenizer, clock)?;
    let file_name = || config.path.file_stem().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let parameters = file.content.tensor_infos.values().map(|tensor| tensor.shape.elem_count());
    let summary = ModelSummary {
        name: file.text("general.name").map_or_else(file_name, str::to_owned),
        architecture: architecture.name().to_owned(),
        context_tokens,
        vocabulary_size: tokenizer.vocabulary_size(),
        parameters: parameters.map(|count| u64::try_from(count).unwrap_or(u64::MAX)).sum(),
    };
    Ok(Opened { file, architecture, tokenizer, template, summary })
}

#[cfg(test)]
mod tests {
    use magpie_core::clock::SystemClock;
    use sha2::{Digest, Sha256};

    use super::*;
    use crate::testmodel::{self, Kind};

    fn try_load(config: &CandleConfig) -> Result<ModelSummary, LoadError> {
        load(config, Arc::new(SystemClock)).map(|model| model.summary)
    }

    #[test]
    fn every_architecture_loads_and_says_what_it_is() {
        for kind in Kind::ALL {
            let file = testmodel::write(kind, &[]);
            let summary = try_load(&CandleConfig::new(file.path())).unwrap();
            assert_eq!((summary.architecture.as_str(), summary.name.as_str()), (kind.name(), "tiny"));
            assert_eq!(summary.context_tokens, testmodel::CONTEXT_TOKENS);
            assert!(summary.parameters > 10_000);
        }
    }

    #[test]
    fn an_unknown_architecture_is_refused_by_name() {
        let file = testmodel::write(Kind::Llama, &[("general.architecture", "mamba".into())]);
        let error = try_load(&CandleConfig::new(file.path())).unwrap_err();
        assert!(matches!(&error, LoadError::Unsupported { what, .. } if what.contains("mamba")), "{error}");
    }

    #[test]
    fn a_truncated_file_is_refused_wherever_it_ends() {
        let file = testmodel::write(Kind::Llama, &[]);
        let bytes = std::fs::read(file.path()).unwrap();
        for length in [0, 3, 20, 1000, bytes.len() / 2, bytes.len() - 40] {
            let cut = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(cut.path(), &bytes[..length]).unwrap();
            let error = try_load(&CandleConfig::new(cut.path())).unwrap_err();
            assert!(matches!(error, LoadError::Broken { .. }), "{length}: {error}");
        }
    }

    #[test]
    fn a_checksum_is_compared_with_the_whole_file() {
        let file = testmodel::write(Kind::Llama, &[]);
        let right = hex::encode(Sha256::digest(std::fs::read(file.path()).unwrap()));
        let config = |sha256: &str| CandleConfig { sha256: Some(sha256.to_owned()), ..CandleConfig::new(file.path()) };
        assert!(try_load(&config(&right.to_uppercase())).is_ok());
        let error = try_load(&config(&"0".repeat(64))).unwrap_err();
        assert!(matches!(&error, LoadError::Checksum { actual, .. } if *actual == right), "{error}");
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = try_load(&CandleConfig::new("no/such/model.gguf")).unwrap_err();
        assert!(matches!(&error, LoadError::File { .. }) && error.to_string().contains("no/such/model.gguf"));
    }
}
