//! What the OpenAPI answers: `{"code":0,…}` or a refusal with the platform's code.
//!
//! Business errors mostly come with HTTP 400; a client has to look at `code`, not at the status.

use bytes::Bytes;
use serde_json::{Value, json};

/// A call that worked.
#[derive(Debug, Clone)]
pub(super) enum Answer {
    /// The whole JSON body.
    Json(Value),
    /// A downloaded file.
    File { name: String, mime: String, bytes: Bytes },
}

impl Answer {
    /// The usual shape, with `data`.
    #[expect(clippy::needless_pass_by_value, reason = "callers build the value in place with json!")]
    pub(super) fn data(data: Value) -> Self {
        Self::Json(json!({"code": 0, "msg": "success", "data": data}))
    }

    pub(super) fn empty() -> Self {
        Self::data(json!({}))
    }
}

/// A call that was refused; nothing happened.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Refusal {
    pub(super) status: u16,
    pub(super) code: i64,
    pub(super) msg: String,
    /// Seconds for `x-ogw-ratelimit-reset`.
    pub(super) reset_s: Option<u32>,
    /// The `error` object beside `code`.
    pub(super) error: Option<Value>,
}

impl Refusal {
    /// HTTP 400 with a business code.
    pub(super) fn new(code: i64, msg: impl Into<String>) -> Self {
        Self { status: 400, code, msg: msg.into(), reset_s: None, error: None }
    }

    pub(super) fn with_status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    /// A field is missing or of the wrong kind (99992402).
    pub(super) fn field(name: &str, why: &str) -> Self {
        Self {
            error: Some(json!({"field_violations": [{"field": name, "description": why}]})),
            ..Self::new(99_992_402, "field validation failed")
        }
    }

    /// The frequency limit of the whole app.
    pub(super) fn rate_limited(reset_s: u32) -> Self {
        Self { reset_s: Some(reset_s), ..Self::new(99_991_400, "request trigger frequency limit").with_status(429) }
    }

    /// The frequency limit of one chat, person or message.
    pub(super) fn too_often(what: &str) -> Self {
        Self::new(230_020, format!("This operation triggers the frequency limit of the {what}."))
    }

    /// The month's calls are used up.
    pub(super) fn quota_used_up() -> Self {
        Self::new(99_991_403, "The quota of API calls of this month is used up.")
    }

    /// Whether a frequency limit or the quota is the reason.
    pub(super) fn is_by_frequency(&self) -> bool {
        matches!(self.code, 99_991_400 | 99_991_403 | 230_020 | 11_232 | 11_233 | 11_247)
    }

    /// The app has no such scope.
    pub(super) fn no_scope(scope: &str) -> Self {
        Self {
            error: Some(json!({"permission_violations": [{"type": "action_scope_required", "subject": scope}]})),
            ..Self::new(99_991_672, format!("Access denied. One of the following scopes is required: [{scope}]"))
        }
    }

    pub(super) fn body(&self, log_id: &str) -> Value {
        let mut error = self.error.clone().unwrap_or_else(|| json!({}));
        error["log_id"] = json!(log_id);
        json!({"code": self.code, "msg": self.msg, "error": error})
    }
}

/// What every call comes to.
pub(super) type Outcome = Result<Answer, Refusal>;
