//! OpenAI-compatible chat endpoints as an engine, and their transcription of speech.
//!
//! One [`CloudEngine`] is one endpoint: `POST {base_url}/chat/completions` with `stream: true`, read as server-sent
//! events. The way of an answer through this crate:
//!
//! 1. `engine` looks whether the endpoint is cooling down, and guards the whole answer with its two time limits and
//!    the cancel token;
//! 2. `open` sends the request and repeats it while that is allowed (`retry`), that is, before the first token;
//! 3. `sse` cuts the body into events, `wire` gives them a meaning, `answer` makes deltas of them;
//! 4. `cooldown` remembers how it ended.
//!
//! [`CloudTranscriber`] sends recordings to `POST {base_url}/audio/transcriptions` with the same retries and cooldown.
//!
//! Nothing here logs or keeps message text or error bodies: an endpoint's error is reduced to its status and its code.

#![forbid(unsafe_code)]

mod answer;
mod config;
mod cooldown;
mod engine;
mod fault;
mod open;
mod retry;
mod sse;
mod transcriber;
mod wire;

pub use config::CloudConfig;
pub use engine::CloudEngine;
pub use magpie_core::secret::Secret;
pub use transcriber::{CloudTranscriber, TranscriptionConfig};
