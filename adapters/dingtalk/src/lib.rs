//! DingTalk: events in, cards out.
//!
//! One [`DingTalk`] is one internal-app robot behind [`magpie_core::platform::Platform`].
//!
//! *In* (`open` and what it calls) is pure: a request is told apart by its shape, verified for its class, and only then
//! parsed. The readers of robot messages, card callbacks and events know nothing of HTTP, so another transport can
//! feed them. *Out* renders a neutral card through a template, streams it as an AI card, and falls back to Markdown by
//! session webhook and then by the robot API when cards are refused. Wire facts cite the platform's documentation.
#![forbid(unsafe_code)]

mod ack;
mod action;
mod answer;
mod api;
mod buttons;
mod callback;
mod calls;
mod card;
mod config;
mod content;
mod courier;
mod deliver;
mod entropy;
mod envelope;
mod failure;
mod fetch;
mod fields;
mod form;
mod gap;
mod gate;
mod lifecycle;
mod markdown;
mod messages;
mod open;
mod pace;
mod platform;
mod quote;
mod regions;
mod revise;
mod robot;
mod route;
mod sign;
mod split;
mod token;
mod verify;

pub use config::{ConfigError, DingTalkConfig, Timing};
pub use entropy::{Entropy, SystemEntropy};
pub use magpie_core::secret::Secret;
pub use platform::DingTalk;
