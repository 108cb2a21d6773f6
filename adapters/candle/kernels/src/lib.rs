//! What a transformer computes on a processor, and nothing about models: packed quantised matrices, activations in
//! eight bits, attention over pages of keys and values, and the pool of threads that runs it all.
//!
//! All results are independent of how work is cut: a row of a product, or one query's attention, is computed by the same
//! operations in the same order whether it comes alone or with others, on one thread or on many, so that batching never
//! changes an answer. The tiers (instruction sets) differ from each other by rounding only in floating-point sums;
//! integer sums are equal.
//!
//! All shapes are row-major unless said otherwise; lengths are in elements.

mod activations;
mod attention;
mod bandwidth;
mod compute;
mod elementwise;
mod format;
mod layout;
mod math;
mod matrix;
mod memory;
mod pages;
mod parts;
mod pool;
mod product;
mod simd;
mod tier;

pub use activations::Activations;
pub use attention::{AttentionSpan, Queries};
pub use compute::Compute;
pub use elementwise::{HeadNorm, Rotation, RotationStyle};
pub use format::Format;
pub use matrix::{Matrix, PackError};
pub use pages::{CacheKind, PAGE_TOKENS, PageShape, Pages, Place};
pub use pool::Pool;
pub use product::{Product, Write};
pub use tier::Tier;
