//! OpenAI-compatible chat endpoints as an engine.
