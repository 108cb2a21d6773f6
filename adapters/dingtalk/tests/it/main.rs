//! Black-box tests of the adapter: golden requests in, and deliveries against a simulated platform.
#![expect(clippy::unwrap_used, reason = "a test that can't go on should say so and stop")]

mod bot;
mod card_callbacks;
mod config;
mod delivery;
mod fetch;
mod messages;
mod revise;
mod sim;
