//! Feishu and Lark: events in, cards out.
//!
//! One [`Feishu`] is one bot. Its receiving half (`open`) is pure: `gate` decides who may come in, `envelope` takes
//! the wrapping off, and one module per kind of event (`message`, `action`, `lifecycle`) reads what is inside.

#![forbid(unsafe_code)]

mod action;
mod config;
mod content;
mod crypto;
mod envelope;
mod field;
mod gate;
mod lifecycle;
mod mentions;
mod message;
mod open;
mod platform;
mod route;
mod secret;

pub use config::{ConfigError, FeishuConfig};
pub use platform::Feishu;
pub use secret::Secret;
