//! Everything that a model file gives: weights, tokenizer, template.

use std::path::PathBuf;
use std::sync::Arc;

use candle_core::Device;
use magpie_core::clock::Clock;
use magpie_kernels::Tier;

use crate::arch::Spec;
use crate::config::{CacheKind, CandleConfig};
use crate::error::LoadError;
use crate::file::{self, Fetcher, FreeMemory, MemoryNeed, ModelFile, Reporter, Source, Stage};
use crate::native::{NativeConfig, NativeNetwork};
use crate::network::{Network, PAGE_TOKENS};
use crate::sampling::Grammars;
use crate::scheduler::longest_sequence;
use crate::template::{ChatTemplate, TemplateOrigin};
use crate::tensor::{TensorConfig, TensorNetwork};
use crate::tokenizer::{Tokenizer, TokenizerKind};
use crate::worker::Order;

/// What a step computes with, tokenizer and all, by rule of thumb.
const WORKING_BYTES: u64 = 64 << 20;

/// What a model file says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelSummary {
    /// Its own name, else the file's.
    pub name: String,
    /// `llama`, `qwen2` or `qwen3`.
    pub architecture: String,
    /// What this engine can use of it: the file's limit, the configuration's and the cache's, whichever is lowest.
    pub context_tokens: usize,
    /// Tokens that have both a text and a row of the network; tokenizers may name more, and networks be wider.
    pub vocabulary_size: usize,
    pub parameters: u64,
    pub tokenizer: TokenizerKind,
    pub template: TemplateOrigin,
}

/// A model that can be computed.
pub(crate) struct Loaded {
    pub network: Box<dyn Network>,
    pub tokenizer: Arc<Tokenizer>,
    pub grammars: Grammars,
    pub template: ChatTemplate,
    pub summary: ModelSummary,
}

/// What turns text into tokens and back.
struct Words {
    tokenizer: Tokenizer,
    template: ChatTemplate,
}

/// Checks a model file without reading its weights: checksum, header, architecture, tokenizer and template.
///
/// # Errors
/// Whatever would keep [`crate::CandleEngine`] from using it, but damaged tensors.
pub fn inspect(config: &CandleConfig, clock: Arc<dyn Clock>) -> Result<ModelSummary, LoadError> {
    let (file, spec) = open(config, &Reporter::default())?;
    Ok(summary(&file, &spec, config, &words(&file, config, clock)?))
}

/// Loads all of a model.
pub(crate) fn load(order: &Order, fetcher: Option<&Fetcher>) -> Result<Loaded, LoadError> {
    let (config, reporter) =
        (&CandleConfig { path: fetched(order, fetcher)?, ..order.config().clone() }, order.reporter());
    let (file, spec) = open(config, reporter)?;
    if order.arrival.stop.is_cancelled() {
        return Err(LoadError::Cancelled);
    }
    let free = FreeMemory { promised: order.promised_bytes(), ..FreeMemory::now() };
    // A vocabulary takes a good part of the time that the weights take, but one thread alone.
    let (words, network) = std::thread::scope(|scope| {
        let words = scope.spawn(|| words(&file, config, Arc::clone(&order.clock)));
        let network = network(&file, spec.clone(), config, (reporter, free));
        (words.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)), network)
    });
    let (network, words) = (network?, words?);
    let mut summary = summary(&file, &spec, config, &words);
    if let TokenizerKind { pre: Some(pre), pre_is_assumed: true, .. } = &summary.tokenizer {
        tracing::warn!(path = %config.path.display(), pre, "the file names no pre-tokenizer, so this one is assumed");
    }
    summary.context_tokens = longest_sequence(&network.limits());
    let Words { tokenizer, template } = words;
    let tokenizer = Arc::new(tokenizer);
    let grammars = Grammars::new(Arc::clone(&tokenizer));
    Ok(Loaded { network, tokenizer, grammars, template, summary })
}

/// Where the model lies on this machine, after a download if it comes from elsewhere.
fn fetched(order: &Order, fetcher: Option<&Fetcher>) -> Result<PathBuf, LoadError> {
    let config = order.config();
    // A path that is no text is none of an address.
    let Some(path) = config.path.to_str() else { return Ok(config.path.clone()) };
    match (Source::parse(path, config.sha256.as_deref())?, fetcher) {
        (Source::Local(path), _) => Ok(path),
        (elsewhere, Some(fetcher)) => fetcher.fetch_blocking(&elsewhere, order.reporter(), &order.arrival.stop),
        (_, None) => Err(LoadError::Source { what: format!("{path} is not on this machine") }),
    }
}

/// Bytes for keys and values, decided before anything is taken: as many as are configured, or as there is memory for.
fn cache_bytes(file: &ModelFile, spec: &Spec, config: &CandleConfig, free: FreeMemory) -> Result<usize, LoadError> {
    let page = spec.page_shape(config.cache).page_bytes();
    let whole_pages = |bytes: usize| (bytes / page).max(1) * page;
    let context = spec.context_tokens.min(config.context_tokens).div_ceil(PAGE_TOKENS).saturating_mul(page);
    let wanted = whole_pages(config.cache_bytes);
    let need = MemoryNeed {
        weights: file.packed_bytes(config.quantization)?,
        cache: wanted as u64,
        least_cache: context.min(wanted) as u64,
        working: WORKING_BYTES + file.loading_bytes(config.quantization),
    };
    let fitting = need.cache_within(&config.path, free)?;
    let given = whole_pages(usize::try_from(fitting).unwrap_or(usize::MAX));
    if given < wanted {
        tracing::warn!(
            wanted_bytes = wanted,
            given_bytes = given,
            free_bytes = free.fewest().map(|(bytes, _)| bytes),
            promised_bytes = free.promised,
            weights_bytes = need.weights,
            "too little memory for the whole cache, so conversations are computed anew more often; free some memory and \
             load the model again, or lower model.local.cache_bytes"
        );
    }
    Ok(given)
}

/// What computes a file's network on the configured device.
fn network(
    file: &ModelFile,
    spec: Spec,
    config: &CandleConfig,
    (reporter, free): (&Reporter, FreeMemory),
) -> Result<Box<dyn Network>, LoadError> {
    let mut progress = |done, all| reporter.report(Stage::Loading, done, Some(all));
    let CandleConfig { quantization, context_tokens, .. } = *config;
    match config.device.open()? {
        Device::Cpu => {
            let cache_bytes = cache_bytes(file, &spec, config, free)?;
            let (threads, tier, cache) = (config.threads, Tier::best(), config.cache);
            let native = NativeConfig { threads, tier, quantization, cache, cache_bytes, context_tokens };
            Ok(Box::new(NativeNetwork::load(file, spec, &native, &mut progress)?))
        }
        // Its memory is another than the one that can be asked after; it refuses for itself.
        device => {
            if config.cache != CacheKind::F16 {
                tracing::warn!("model.local.cache_type is not followed on a graphics processor, which keeps f16");
            }
            let tensor = TensorConfig { device, quantization, cache_bytes: config.cache_bytes, context_tokens };
            Ok(Box::new(TensorNetwork::load(file, spec, &tensor, &mut progress)?))
        }
    }
}

fn open(config: &CandleConfig, reporter: &Reporter) -> Result<(ModelFile, Spec), LoadError> {
    if let Some(expected) = &config.sha256 {
        file::verify_checksum(&config.path, expected, reporter)?;
    }
    let file = ModelFile::open(&config.path)?;
    let spec = Spec::of(&file)?;
    Ok((file, spec))
}

/// Of the model itself, unless the configuration names another place.
fn words(file: &ModelFile, config: &CandleConfig, clock: Arc<dyn Clock>) -> Result<Words, LoadError> {
    let other = config.tokenizer.as_deref().map(ModelFile::open).transpose()?;
    let vocabulary = other.as_ref().unwrap_or(file);
    let tokenizer = Tokenizer::of(vocabulary)?;
    let template = ChatTemplate::load(vocabulary, config.chat_template.as_deref(), &tokenizer, clock)?;
    Ok(Words { tokenizer, template })
}

fn summary(file: &ModelFile, spec: &Spec, config: &CandleConfig, words: &Words) -> ModelSummary {
    let file_name = || config.path.file_stem().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let parameters = file.tensors().map(|tensor| tensor.shape.iter().product::<usize>());
    ModelSummary {
        name: file.text("general.name").map_or_else(file_name, str::to_owned),
        architecture: spec.architecture.to_owned(),
        context_tokens: spec.context_tokens.min(config.context_tokens),
        vocabulary_size: words.tokenizer.vocabulary_size().min(spec.vocabulary),
        tokenizer: words.tokenizer.kind().clone(),
        template: words.template.origin(),
        parameters: parameters.map(|count| u64::try_from(count).unwrap_or(u64::MAX)).sum(),
    }
}

#[cfg(test)]
mod tests;
