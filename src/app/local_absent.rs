//! In place of the local model, where the program was built without the feature `candle`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use magpie_core::clock::Clock;
use magpie_core::embedding::Embedder;
use magpie_core::engine::Engine;

use super::StartError;
use crate::config::Model;

/// No engine.
///
/// # Errors
/// [`StartError::NoLocalModels`] if a model is configured.
pub fn engine(
    model: &Model,
    _http: &reqwest::Client,
    _clock: Arc<dyn Clock>,
) -> Result<Option<Arc<dyn Engine>>, StartError> {
    if model.local.path.is_empty() { Ok(None) } else { Err(StartError::NoLocalModels { key: "model.local.path" }) }
}

/// No embedder.
///
/// # Errors
/// [`StartError::NoLocalModels`] if a model is configured.
pub fn embedder(model: &Model) -> Result<Option<Arc<dyn Embedder>>, StartError> {
    if model.embedding.path.is_empty() {
        Ok(None)
    } else {
        Err(StartError::NoLocalModels { key: "model.embedding.path" })
    }
}

/// # Errors
/// [`StartError::NoLocalModels`], always.
pub fn inspect_embedding(_model: &Model) -> Result<String, StartError> {
    Err(StartError::NoLocalModels { key: "model.embedding.path" })
}

/// # Errors
/// [`StartError::NoLocalModels`], always.
pub fn inspect(_model: &Model) -> Result<String, StartError> {
    Err(StartError::NoLocalModels { key: "model.local.path" })
}

/// No model.
///
/// # Errors
/// None.
pub fn demo_model(_folder: &Path) -> std::io::Result<Option<PathBuf>> {
    Ok(None)
}
