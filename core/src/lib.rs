//! Magpie's neutral middle: what comes in, what goes out, and every decision between the two.
//!
//! No platform JSON, no SQL, no HTTP and no model weights here: those are behind the ports [`platform::Platform`],
//! [`engine::Engine`], [`embedding::Embedder`], [`attachment::Reader`], [`attachment::Transcriber`], [`inbox::Inbox`] and
//! [`store::Store`], so that everything in this crate runs in a test without network, disk or wall clock.

#![forbid(unsafe_code)]

pub mod attachment;
pub mod budget;
pub mod cancel;
pub mod card;
pub mod causes;
pub mod clock;
pub mod conversation;
pub mod embedding;
pub mod engine;
pub mod event;
pub mod ids;
pub mod inbox;
pub mod intake;
pub mod links;
pub mod platform;
pub mod reply;
pub mod router;
pub mod secret;
pub mod settings;
pub mod store;
pub mod task;
#[cfg(any(test, feature = "testkit"))]
pub mod testkit;
pub mod texts;
pub mod turn;
