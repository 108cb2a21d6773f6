//! Feishu and Lark: events in, cards out.
//!
//! One [`Feishu`] is one bot. Its receiving half (`open`) is pure: `gate` decides who may come in, `envelope` takes
//! the wrapping off, and one module per kind of event (`message`, `action`, `lifecycle`) reads what is inside.

#![forbid(unsafe_code)]

mod action;
mod api;
mod card;
mod cardkit;
mod config;
mod content;
mod crypto;
mod deliver;
mod envelope;
mod errors;
mod field;
mod form;
mod gate;
mod lifecycle;
mod markdown;
mod mentions;
mod message;
mod messages;
mod open;
mod pages;
mod platform;
mod route;
mod secret;
mod token;

pub use config::{ConfigError, FeishuConfig};
pub use platform::Feishu;
pub use secret::Secret;
