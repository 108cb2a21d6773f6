//! Made-up ids in the platform's shapes.

use uuid::Uuid;

/// `prefix` and 32 hex digits: `om_…`, `oc_…`, `ou_…`, `omt_…`, or an event id with an empty prefix.
pub(super) fn fresh(prefix: &str) -> String {
    format!("{prefix}{}", Uuid::new_v4().simple())
}

/// A CardKit card id: decimal digits, at most 20.
pub(super) fn card_id() -> String {
    format!("7{:018}", Uuid::new_v4().as_u128() % 1_000_000_000_000_000_000)
}

/// A signature nonce, decimal as on the wire.
pub(super) fn nonce() -> String {
    format!("{}", Uuid::new_v4().as_u128() % 10_000_000_000)
}

/// The log id that every answer carries in `X-Tt-Logid`.
pub(super) fn log_id() -> String {
    fresh("02").to_uppercase()
}
