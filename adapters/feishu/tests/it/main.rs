//! Black-box tests of the Feishu adapter: what comes in is held to golden vectors, what goes out to a simulated
//! platform.

mod again;
mod delivery;
mod inbound;
mod properties;
mod reading;
mod scene;
mod support;
mod vectors;
