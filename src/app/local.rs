//! The local model, where it was built in.

use std::sync::Arc;

use magpie_core::engine::Engine;

use super::StartError;
use crate::config::LocalModel;

/// The engine for `model.local`, if a model is configured.
///
/// # Errors
/// The program was built without local models.
pub fn engine(local: &LocalModel) -> Result<Option<Arc<dyn Engine>>, StartError> {
    if local.path.is_empty() {
        return Ok(None);
    }
    Err(StartError::NoLocalModels)
}

/// What the configured file holds, in one line.
///
/// # Errors
/// It can't be used; the error says why.
pub fn inspect(local: &LocalModel) -> Result<String, StartError> {
    engine(local).map(|_| local.path.clone())
}
