//! Contract of the simulated Feishu, over HTTP as a service would see it.

#![expect(clippy::unwrap_used, reason = "test code; the lint only exempts functions marked as tests")]

mod cards;
mod forms;
mod lifecycle;
mod messages;
mod press;
mod push;
mod rates;
mod reading;
mod service;
mod vectors;
