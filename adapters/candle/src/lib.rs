//! Local GGUF models run by candle in this process as an engine.
