//! Fakes and contract suites of the ports, for tests only.
//!
//! A contract suite is one set of cases over a port, run by every implementation. [`crate::inbox_contract`],
//! [`crate::waiting_contract`], [`crate::store_contract`], [`crate::topics_contract`], [`crate::versions_contract`] and
//! [`crate::meter_contract`] make a test of each case; the implementation gives a way to open a [`stores::Fixture`].

pub mod clock;
pub mod embedding_contract;
pub mod engine;
pub mod engine_contract;
pub mod inbox_contract;
pub mod meter;
pub mod meter_contract;
pub mod samples;
pub mod store_contract;
pub mod stores;
pub mod topics_contract;
pub mod versions_contract;
pub mod waiting_contract;

pub use clock::ManualClock;
