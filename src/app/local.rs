//! The local model: candle in this process.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use magpie_candle::file::{Fetcher, HubSettings, Quantization};
use magpie_candle::{
    CacheKind, CandleConfig, CandleEmbedder, CandleEngine, DeviceChoice, EncoderConfig, EncoderError, LoadError,
};
pub use magpie_candle::{Specials, Tokenizer, report};
use magpie_core::clock::{Clock, SystemClock};
use magpie_core::embedding::Embedder;
use magpie_core::engine::Engine;

use super::StartError;
use crate::config::{LocalModel, Model};

/// A small model that comes with the program, so that it can be tried without any download.
const DEMO_MODEL: &[u8] = include_bytes!("../../adapters/candle/demo-model/magpie-demo.gguf");
const DEMO_FILE: &str = "magpie-demo.gguf";

/// The engine for `model.local`, if a model is configured. It loads in the background; until then, and if that fails,
/// its health says so and the strategy's next engine answers. `http` fetches a model that is elsewhere.
///
/// # Errors
/// None, where local models are built in.
pub fn engine(
    model: &Model,
    http: &reqwest::Client,
    clock: Arc<dyn Clock>,
) -> Result<Option<Arc<dyn Engine>>, StartError> {
    let fetcher = Fetcher::new(http.clone(), &model.local.download_folder, HubSettings::from_env());
    let engine = settings(model).map(|settings| CandleEngine::load_with(settings, clock, fetcher));
    Ok(engine.map(|engine| Arc::new(engine) as Arc<dyn Engine>))
}

/// The same for a command, which waits until it is loaded.
#[must_use]
pub fn chat_engine(model: &Model, clock: Arc<dyn Clock>) -> Option<Arc<CandleEngine>> {
    settings(model).map(|settings| Arc::new(CandleEngine::load(settings, clock)))
}

/// What the configured file holds, in one line. Reads all of it.
///
/// # Errors
/// It can't be used; the error says why and what to do.
pub fn inspect(model: &Model) -> Result<String, LoadError> {
    let Some(settings) = settings(model) else { return Ok("none".to_owned()) };
    let found = magpie_candle::inspect(&settings, Arc::new(SystemClock))?;
    let (tenths, context) = (found.parameters / 100_000, found.context_tokens);
    let millions = format!("{}.{} million parameters", tenths / 10, tenths % 10);
    Ok(format!("{} ({}, {millions}, context {context} tokens)", found.name, found.architecture))
}

/// The embedder for `model.embedding`, if a model is configured. It loads in the background; until then, and if that
/// fails, its health says so.
///
/// # Errors
/// None, where local models are built in.
pub fn embedder(model: &Model) -> Result<Option<Arc<dyn Embedder>>, StartError> {
    Ok(encoder(model).map(|settings| Arc::new(CandleEmbedder::load(settings)) as Arc<dyn Embedder>))
}

/// What the configured embedding model is, in one line. Reads all of it.
///
/// # Errors
/// It can't be used; the error says why and what to do.
pub fn inspect_embedding(model: &Model) -> Result<String, EncoderError> {
    let Some(settings) = encoder(model) else { return Ok("none".to_owned()) };
    let found = magpie_candle::inspect_encoder(&settings)?;
    Ok(format!("{} dimensions, texts of {} tokens", found.dimensions, found.max_tokens))
}

/// Writes the demo model into `folder`, unless it is there, and gives its path.
///
/// # Errors
/// The file can't be written.
pub fn demo_model(folder: &Path) -> std::io::Result<Option<PathBuf>> {
    let path = folder.join(DEMO_FILE);
    if fs::read(&path).is_ok_and(|present| present == DEMO_MODEL) {
        return Ok(Some(path));
    }
    // Renamed into place, so that an interrupted write leaves no half model.
    let unfinished = path.with_extension("part");
    fs::write(&unfinished, DEMO_MODEL)?;
    fs::rename(&unfinished, &path)?;
    Ok(Some(path))
}

fn encoder(model: &Model) -> Option<EncoderConfig> {
    let embedding = &model.embedding;
    (!embedding.path.is_empty()).then(|| EncoderConfig {
        max_tokens: embedding.max_tokens,
        batch_size: embedding.batch_size,
        queue_limit: embedding.queue_limit,
        device: device(&model.local),
        ..EncoderConfig::new(&embedding.path)
    })
}

fn device(local: &LocalModel) -> DeviceChoice {
    local.device.parse().expect("the configuration was checked to name a device")
}

fn settings(model: &Model) -> Option<CandleConfig> {
    let local = &model.local;
    let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    given(&local.path).map(|path| CandleConfig {
        sha256: given(&local.sha256),
        tokenizer: given(&local.tokenizer).map(PathBuf::from),
        chat_template: given(&local.chat_template),
        context_tokens: local.context_tokens,
        max_tokens: local.max_tokens,
        temperature: local.temperature,
        top_p: local.top_p,
        max_batch_size: local.max_batch_size,
        queue_limit: model.queue_limit,
        cache_bytes: usize::try_from(local.cache_bytes.bytes()).unwrap_or(usize::MAX),
        cache: if local.cache_type == "q8" { CacheKind::Q8 } else { CacheKind::F16 },
        quantization: Quantization::named(&local.quantization),
        threads: local.threads,
        device: device(local),
        ..CandleConfig::new(path)
    })
}
