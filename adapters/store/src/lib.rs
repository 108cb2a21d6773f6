//! Every store port on Postgres and on SQLite; the only crate with SQL.
//!
//! # How it is laid out
//! - [`Database`] opens a database by its URL, migrates it, and gives the three ports.
//! - `session` hides which of the two databases a statement goes to. A statement is one text for both where both
//!   understand it; where not, the two texts stand side by side in one `session::Sql`.
//! - `column` maps Rust values to each database's native types: `uuid`, `timestamptz` and `jsonb` in Postgres; text and
//!   integer milliseconds in SQLite.
//! - `inbox`, `store` and `meter` implement the ports, a file per topic.
//!
//! # Adding a statement
//! Write it beside the function that uses it, with named columns. Add the case to the contract suite in
//! `magpie_core::testkit`, which runs on both databases. Writes of a worker go through `session::Session::guard` in
//! the same transaction, else a late worker could overwrite what its successor wrote.

#![forbid(unsafe_code)]

// Tests share their databases with the test binaries, which see this crate by its name.
#[cfg(test)]
extern crate self as magpie_store;

mod column;
mod database;
mod errors;
mod inbox;
mod lock;
mod meter;
mod migrations;
#[cfg(test)]
mod plans;
mod postgres;
mod session;
mod sqlite;
mod store;

pub use database::{Database, StoreConfig};
pub use errors::{MigrateError, OpenError};
