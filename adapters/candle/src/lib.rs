//! Local models in this process as an engine.
//!
//! [`CandleEngine::load`] returns at once and loads on a thread of its own, which then answers many prompts at once. The
//! way of a prompt through this crate:
//!
//! 1. `engine` gives it one of a bounded number of places, and hands back the stream of its deltas;
//! 2. `prepare`, on the side of whoever asks, makes of it what the thread needs: `template` renders the messages,
//!    `tokenizer` makes token ids of them, keeping user text free of special tokens;
//! 3. `worker`, on the engine thread, steps the `scheduler` as long as there is anything to do;
//! 4. each step computes one batch of rows of all answers under way, over pages of keys and values that `cache` shares
//!    among everybody who has the same beginning, and chooses tokens with `sampling`;
//! 5. a `network` computes the batch: `native` on the processor, of a shape that `arch` has read from the file;
//! 6. `decode` turns tokens back into text: whole characters, reasoning apart, cut at stop strings.
//!
//! An answer is the same, bit by bit, whatever else is computed beside it.
//!
//! Everything comes from the model file (`file` reads it): what the file names and this crate does not know for sure
//! (an architecture, a tokenizer, a pre-tokenizer) is refused, because a guess there gives answers that are wrong
//! without looking wrong.

mod arch;
mod cache;
mod config;
mod decode;
mod device;
mod encoder;
mod engine;
mod error;
pub mod file;
mod model;
mod native;
mod network;
mod phase;
mod prepare;
#[cfg(any(test, feature = "testkit"))]
pub mod random_model;
pub mod report;
mod sampling;
mod scheduler;
mod template;
mod tensor;
#[cfg(test)]
mod testmodel;
mod tokenizer;
mod weights;
mod worker;

pub use config::{CacheKind, CandleConfig};
pub use device::{DeviceChoice, DeviceError, NoSuchDevice};
pub use encoder::{CandleEmbedder, EncoderConfig, EncoderError, EncoderSummary, inspect_encoder};
pub use engine::CandleEngine;
pub use error::LoadError;
pub use model::{ModelSummary, inspect};
pub use template::TemplateOrigin;
pub use tokenizer::{Specials, Tokenizer, TokenizerKind};
