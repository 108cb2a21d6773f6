//! The local model: candle in this process.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use magpie_candle::{CandleConfig, CandleEngine, LoadError};
use magpie_core::clock::{Clock, SystemClock};
use magpie_core::engine::Engine;

use super::StartError;
use crate::config::Model;

/// A small model that comes with the program, so that it can be tried without any download.
const DEMO_MODEL: &[u8] = include_bytes!("../../adapters/candle/demo-model/magpie-demo.gguf");
const DEMO_FILE: &str = "magpie-demo.gguf";

/// The engine for `model.local`, if a model is configured. It loads in the background; until then, and if that fails,
/// its health says so and the strategy's next engine answers.
///
/// # Errors
/// None, where local models are built in.
pub fn engine(model: &Model, clock: Arc<dyn Clock>) -> Result<Option<Arc<dyn Engine>>, StartError> {
    Ok(settings(model).map(|settings| Arc::new(CandleEngine::load(settings, clock)) as Arc<dyn Engine>))
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
        queue_limit: model.queue_limit,
        threads: local.threads,
        ..CandleConfig::new(path)
    })
}
