//! What the scheduler tells the metrics.

use std::time::Duration;

use metrics::{counter, gauge, histogram};

use super::plan::Plan;
use crate::cache::PageCounts;

/// A step that was computed.
pub(super) fn step(plan: &Plan, took: Duration) {
    histogram!("magpie_engine_step_seconds").record(took.as_secs_f64());
    histogram!("magpie_engine_batch_rows").record(float(plan.answer_rows + plan.prompt_rows));
    counter!("magpie_engine_decode_tokens_total").increment(plan.answer_rows as u64);
    counter!("magpie_engine_prefill_tokens_total").increment(plan.prompt_rows as u64);
}

/// What the pages are now, and how many were evicted since the last time.
pub(super) fn pages(counts: PageCounts, evicted: u64) {
    for (state, count) in [("used", counts.used), ("cached", counts.cached), ("free", counts.free)] {
        gauge!("magpie_engine_pages", "state" => state).set(float(count));
    }
    counter!("magpie_engine_evictions_total").increment(evicted);
}

pub(super) fn queue(waiting: usize, running: usize) {
    gauge!("magpie_engine_queue_depth").set(float(waiting));
    gauge!("magpie_engine_running").set(float(running));
}

/// Tokens of a new prompt that are cached.
pub(super) fn hit(tokens: usize) {
    counter!("magpie_prefix_cache_hit_tokens_total").increment(tokens as u64);
}

pub(super) fn preempted() {
    counter!("magpie_engine_preemptions_total").increment(1);
}

pub(super) fn first_token(after: Duration) {
    histogram!("magpie_engine_first_token_seconds").record(after.as_secs_f64());
}

pub(super) fn next_token(after: Duration) {
    histogram!("magpie_engine_inter_token_seconds").record(after.as_secs_f64());
}

fn float(count: usize) -> f64 {
    u32::try_from(count).unwrap_or(u32::MAX).into()
}
