//! Magpie from the outside: the really started program between simulated platforms and a scripted model endpoint.
//!
//! Nothing here knows the inside. What people see is read from the platforms, what operators see from the tables, the
//! metrics and the exit codes. Platforms, endpoint and test live in this process and outlast the service, which is
//! killed at will. Tests on Postgres need `TEST_DATABASE_URL`, the address of a server on which databases may be made;
//! without it they say that they are skipped.

mod harness;

mod attachments;
mod budget;
mod buttons;
mod card_faults;
mod commands;
mod conversation;
mod crash;
mod crash_talk;
mod database_away;
mod duplicates;
#[cfg(feature = "candle")]
mod embeddings;
mod engines;
mod instances;
mod models;
mod platform_faults;
mod playground;
mod refusals;
mod shutdown;
mod stopping;
mod talk;
