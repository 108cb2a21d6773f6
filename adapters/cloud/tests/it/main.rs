//! One endpoint, as an engine and as a transcriber.

mod endpoint;
mod engine;
mod transcriber;
