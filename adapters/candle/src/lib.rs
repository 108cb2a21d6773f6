//! Local GGUF models run by candle in this process as an engine.
//!
//! [`CandleEngine::load`] returns at once and loads on a thread of its own, which then answers one prompt after the
//! other: candle keeps one global pool of worker threads, so a second generation at the same time would gain nothing.
//! The way of a prompt through this crate:
//!
//! 1. `engine` puts it into a bounded queue and hands back the stream of its deltas;
//! 2. `worker`, on the engine thread, takes it out, if somebody still wants it;
//! 3. `template` renders the messages, `tokenizer` makes token ids of them, keeping user text free of special tokens;
//! 4. `generation` runs `models` over them, token by token, with `sampling`;
//! 5. `decode` turns tokens back into text: whole characters, reasoning apart, cut at stop strings.
//!
//! Everything comes from the model file (`gguf` reads it): what the file names and this crate does not know for sure
//! (an architecture, a tokenizer, a pre-tokenizer) is refused, because a guess there gives answers that are wrong
//! without looking wrong.

#![forbid(unsafe_code)]

mod config;
mod decode;
mod engine;
mod error;
mod generation;
mod gguf;
mod model;
mod models;
mod sampling;
mod template;
#[cfg(test)]
mod testmodel;
mod tokenizer;
mod worker;

pub use config::CandleConfig;
pub use engine::CandleEngine;
pub use error::LoadError;
pub use model::{ModelSummary, inspect};
pub use tokenizer::{Specials, Tokenizer};
