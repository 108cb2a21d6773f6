//! Black-box tests of the adapter: golden requests in, and deliveries against a simulated platform.

mod bot;
mod card_callbacks;
mod config;
mod messages;
