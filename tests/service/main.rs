//! The server's own parts, joined with fakes instead of adapters: the configuration and the HTTP side.

#![expect(clippy::unwrap_used, reason = "what surprises a test is to end it, and the line says enough")]

mod config;
mod embeddings;
mod health;
mod http;
mod stand;
mod talk;
mod webhook;
