//! Fakes and contract suites of the ports, for tests only.

pub mod engine;
pub mod engine_contract;
