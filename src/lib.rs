//! Magpie, an enterprise chat bot service for DingTalk and Feishu.
//!
//! This crate reads the configuration ([`config`]), joins the adapters ([`app`]), serves HTTP ([`http`]), offers the
//! commands ([`cli`]) and reports on itself ([`ops`]). What a bot decides is in `magpie-core`.

pub mod app;
pub mod cli;
pub mod config;
pub mod http;
pub mod ops;
