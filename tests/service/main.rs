//! The server's own parts, joined with fakes instead of adapters: the configuration and the HTTP side.

mod config;
mod health;
mod http;
mod stand;
mod webhook;
