//! What operators need: logs, metrics, an orderly end.

pub mod metrics;
pub mod shutdown;
pub mod telemetry;
