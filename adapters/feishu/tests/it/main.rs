//! Black-box tests of the Feishu adapter: what comes in is held to golden vectors, what goes out to a simulated
//! platform.

mod delivery;
mod inbound;
mod properties;
mod support;
mod vectors;
