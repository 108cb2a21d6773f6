//! In place of the local model, where the program was built without the feature `candle`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use magpie_core::clock::Clock;
use magpie_core::engine::Engine;

use super::StartError;
use crate::config::Model;

/// No engine.
///
/// # Errors
/// [`StartError::NoLocalModels`] if a model is configured.
pub fn engine(model: &Model, _clock: Arc<dyn Clock>) -> Result<Option<Arc<dyn Engine>>, StartError> {
    if model.local.path.is_empty() { Ok(None) } else { Err(StartError::NoLocalModels) }
}

/// # Errors
/// [`StartError::NoLocalModels`], always.
pub fn inspect(_model: &Model) -> Result<String, StartError> {
    Err(StartError::NoLocalModels)
}

/// No model.
///
/// # Errors
/// None.
pub fn demo_model(_folder: &Path) -> std::io::Result<Option<PathBuf>> {
    Ok(None)
}
