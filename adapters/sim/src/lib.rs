//! Simulated DingTalk and Feishu platforms for the demo and the tests.
//!
//! They stand where the real platforms stand: they sign and encrypt events and push them over HTTP, and they serve
//! the OpenAPI that a bot calls, strict where the real ones are strict, with switchable faults. This crate shares no
//! code with the adapters, so a misreading of the protocol is not mirrored; its own cryptography is held to the same
//! published vectors.

pub mod dingtalk;
pub mod feishu;
mod form;
pub mod playground;
pub mod tally;
pub mod view;
pub mod wire;
