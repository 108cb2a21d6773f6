//! Answers of the platform in its two styles.

use bytes::Bytes;
use serde_json::{Value, json};

use super::Api;
use crate::dingtalk::ids;
use crate::tally::Ending;

/// What a call gives: JSON for HTTP 200, or a refusal.
pub(in crate::dingtalk) type Answer = Result<Value, Refusal>;

/// Why a call is not served.
#[derive(Debug)]
pub(in crate::dingtalk) enum Refusal {
    /// New APIs: HTTP status with `code`, `message`, and the scopes that are missing.
    New { status: u16, code: String, message: String, scopes: Vec<&'static str> },
    /// Old APIs: HTTP 200 with `errcode`, and the real number in `sub_code` if `errcode` is 88.
    Old { errcode: i64, message: String, sub_code: Option<&'static str> },
}

impl Refusal {
    pub fn new(status: u16, code: &str, message: &str) -> Self {
        Self::New { status, code: code.to_owned(), message: message.to_owned(), scopes: Vec::new() }
    }

    /// HTTP 400 with this code.
    pub fn bad(code: &str, message: &str) -> Self {
        Self::new(400, code, message)
    }

    pub fn old(errcode: i64, message: &str) -> Self {
        Self::Old { errcode, message: message.to_owned(), sub_code: None }
    }

    pub fn rate_limited(api: Api) -> Self {
        if api == Api::CustomRobot {
            return Self::old(130_101, "send too fast");
        }
        if api.is_old() {
            return Self::Old { errcode: 88, message: "too many calls a second".to_owned(), sub_code: Some("90018") };
        }
        Self::new(403, "Forbidden.AccessDenied.QpsLimitForAppkeyAndApi", "too many calls of this API a second")
    }

    pub fn rate_limited_by_the_minute(api: Api) -> Self {
        match api.is_old() {
            true => Self::rate_limited(api),
            false => {
                Self::new(403, "Forbidden.AccessDenied.QpmLimitForAppkeyAndApi", "too many calls of this API a minute")
            }
        }
    }

    pub fn quota_used_up(api: Api) -> Self {
        let message = "the API quota of this month is used up";
        match api.is_old() {
            true => Self::Old { errcode: 88, message: message.to_owned(), sub_code: Some("90020") },
            false => Self::new(403, "Forbidden.AccessDenied.ApiCountLimitForOrg", message),
        }
    }

    pub fn token_invalid() -> Self {
        Self::bad("InvalidAuthentication", "the access token is missing, unknown or expired")
    }

    pub fn permission_missing(api: Api) -> Self {
        Self::New {
            status: 403,
            code: "Forbidden.AccessDenied.AccessTokenPermissionDenied".to_owned(),
            message: "the app lacks a permission".to_owned(),
            scopes: vec![api.scope()],
        }
    }
}

impl Refusal {
    /// Whether a frequency limit or the quota is the reason.
    fn is_by_frequency(&self) -> bool {
        match self {
            Self::New { code, .. } => code.contains(".Qps") || code.contains(".Qpm") || code.contains(".ApiCount"),
            Self::Old { errcode, sub_code, .. } => *errcode == 130_101 || sub_code.is_some(),
        }
    }
}

/// An HTTP answer.
#[derive(Debug, Clone)]
pub(in crate::dingtalk) struct Reply {
    pub status: u16,
    pub content_type: &'static str,
    pub body: Bytes,
    /// For the count of calls.
    pub ending: Ending,
}

impl Reply {
    pub fn json(status: u16, value: &Value) -> Self {
        let body = value.to_string().into();
        Self { status, content_type: "application/json;charset=utf-8", body, ending: Ending::Served }
    }

    /// The page of the network's guard: HTTP 200, and no JSON in it.
    pub fn punish_page() -> Self {
        let page = "<!doctype html><html><head><title>405</title></head><body><p>请求过于频繁</p></body></html>";
        Self { status: 200, content_type: "text/html;charset=utf-8", body: page.into(), ending: Ending::Refused }
    }
}

impl From<Refusal> for Reply {
    fn from(refusal: Refusal) -> Self {
        let ending = if refusal.is_by_frequency() { Ending::RateLimited } else { Ending::Refused };
        let reply = match refusal {
            Refusal::New { status, code, message, scopes } => {
                let mut body = json!({"code": code, "message": message, "requestid": ids::hex_id().to_uppercase()});
                if !scopes.is_empty() {
                    body["accessdenieddetail"] = json!({"requiredScopes": scopes});
                }
                Self::json(status, &body)
            }
            Refusal::Old { errcode, message, sub_code } => {
                let mut body = json!({"errcode": errcode, "errmsg": message, "request_id": ids::hex_id()});
                if let Some(sub_code) = sub_code {
                    body["sub_code"] = json!(sub_code);
                    body["sub_msg"] = json!(message);
                }
                Self::json(200, &body)
            }
        };
        Self { ending, ..reply }
    }
}
