//! Magpie, an enterprise chat bot service.
