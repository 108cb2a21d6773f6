//! Feishu and Lark: events in, cards out.
//!
//! One [`Feishu`] is one bot. Its receiving half (`open`) is pure: `gate` decides who may come in, `envelope` takes
//! the wrapping off, and one module per kind of event (`message`, `action`, `lifecycle`) reads what is inside.
//!
//! Its sending half goes through `api`, the one path to the OpenAPI (`token`, `errors`). `deliver` brings an answer to
//! its certain end: rendered by `card` (with `markdown` and `pages`), as an entity of `cardkit` or in `messages`, with
//! its state (`form`) in the delivery's reference. `enrich` and `fetch` read what an event only points to.

#![forbid(unsafe_code)]

mod action;
mod api;
mod card;
mod cardkit;
mod config;
mod content;
mod crypto;
mod deliver;
mod enrich;
mod envelope;
mod errors;
mod fetch;
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
mod token;

pub use config::{ConfigError, FeishuConfig};
pub use magpie_core::secret::Secret;
pub use platform::Feishu;
