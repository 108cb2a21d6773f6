//! What an answer of the platform means. Matches on codes, never on words: messages change and are translated.
//!
//! Three shapes occur: new APIs answer a status of 400 or more with `code`; old ones answer 200 with `errcode`, or
//! `errcode` 88 around a `sub_code`; and the network's own guard answers with HTML or a `punish` object under 200.
//! Source: open.dingtalk.com "错误码", "服务端 API 调用频率限制", August 2026.

use std::time::Duration;

use serde_json::Value;

use crate::fields::Fields;

/// The guard shuts an address out for five minutes.
const PUNISHED_FOR: Duration = Duration::from_secs(5 * 60);
/// Limits that count by the minute.
const MINUTE_LIMIT_PAUSE: Duration = Duration::from_secs(30);

/// What the caller can do about an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    Ok,
    /// Some recipients got nothing.
    Partial,
    /// Success outside, failure inside: a card that nobody sees.
    FailedInsideOk,
    /// An earlier call with the same id took effect.
    AlreadyDone,
    Temporary,
    RateLimited,
    QuotaExhausted,
    TokenInvalid,
    Credentials,
    Permission,
    ReplyPathExpired,
    MessageTooLong,
    ContentRejected,
    BadRequest,
    Gone,
}

impl Class {
    /// Label in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Partial => "partial",
            Self::FailedInsideOk => "failed_inside_ok",
            Self::AlreadyDone => "already_done",
            Self::Temporary => "temporary",
            Self::RateLimited => "rate_limited",
            Self::QuotaExhausted => "quota_exhausted",
            Self::TokenInvalid => "token_invalid",
            Self::Credentials => "credentials",
            Self::Permission => "permission",
            Self::ReplyPathExpired => "reply_path_expired",
            Self::MessageTooLong => "message_too_long",
            Self::ContentRejected => "content_rejected",
            Self::BadRequest => "bad_request",
            Self::Gone => "gone",
        }
    }
}

/// An answer, judged.
#[derive(Debug)]
pub(crate) struct Answer {
    pub class: Class,
    /// The platform's code, or `http_<status>`.
    pub code: String,
    pub body: Value,
    /// Permissions that are missing.
    pub scopes: Vec<String>,
    /// How long to leave this kind of call alone, where the platform implies it.
    pub pause: Option<Duration>,
    /// The whole address is shut out, not only this kind of call.
    pub shut_out: bool,
}

/// Judges an answer by status and body.
pub(crate) fn judge(status: u16, body: &[u8]) -> Answer {
    let Ok(body @ Value::Object(_)) = serde_json::from_slice::<Value>(body) else {
        // A gateway's page, or nothing at all.
        return Answer { class: Class::Temporary, ..plain(status, Value::Null) };
    };
    let answer = plain(status, body);
    let empty = serde_json::Map::new();
    let map = answer.body.as_object().unwrap_or(&empty);
    let fields = Fields::exact(map);
    if fields.text("punish").is_some() || fields.integer("status") == Some(1111) {
        return Answer { class: Class::RateLimited, pause: Some(PUNISHED_FOR), shut_out: true, ..answer };
    }
    if let Some(errcode) = fields.integer("errcode") {
        return old(errcode, answer);
    }
    if status >= 400 {
        return new(status, answer);
    }
    Answer { class: inside(fields), ..answer }
}

fn plain(status: u16, body: Value) -> Answer {
    let code = format!("http_{status}");
    Answer { class: Class::Ok, code, body, scopes: Vec::new(), pause: None, shut_out: false }
}

/// New APIs: HTTP status and `code`.
fn new(status: u16, answer: Answer) -> Answer {
    let code = answer.body.get("code").and_then(Value::as_str).unwrap_or_default().to_owned();
    let scopes = answer.body.pointer("/accessdenieddetail/requiredScopes").and_then(Value::as_array);
    let scopes = scopes.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect();
    let pause = code.contains("QpmLimit").then_some(MINUTE_LIMIT_PAUSE);
    let class = class_of_code(&code).unwrap_or(match status {
        429 => Class::RateLimited,
        500.. => Class::Temporary,
        _ => Class::BadRequest,
    });
    let code = if code.is_empty() { answer.code } else { code };
    Answer { class, code, scopes, pause, ..answer }
}

fn class_of_code(code: &str) -> Option<Class> {
    let class = match code {
        "InvalidAuthentication" => Class::TokenInvalid,
        "invalidClientIdOrSecret" | "authFailed" => Class::Credentials,
        "unauthorized" => Class::Permission,
        "send.too.fast" | "send.byToken.tooFast" | "too.many.group" => Class::RateLimited,
        "invalidParameter.msgParam.tooLong" | "param.stream.content" => Class::MessageTooLong,
        "session.expired" => Class::ReplyPathExpired,
        "param.cardAlreadyExist" => Class::AlreadyDone,
        "param.contentUnsafe" => Class::ContentRejected,
        "group.disbanded"
        | "bot.stopped"
        | "robot.oto.notExist"
        | "chatbotId.notAllow.sendOTO"
        | "staffId.notExisted"
        | "session.notExisted"
        | "conversation.org.notMatch" => Class::Gone,
        "serviceBusy" | "system.busy" | "system.error" => Class::Temporary,
        _ if code.contains("AccessTokenPermissionDenied") || code.contains("IpNotInWhiteList") => Class::Permission,
        _ if code.contains("ApiCountLimitForOrg") => Class::QuotaExhausted,
        _ if code.contains("QpsLimit") || code.contains("QpmLimit") => Class::RateLimited,
        _ if code.starts_with("contain.") => Class::ContentRejected,
        // Faults of the request, whatever the status: some come with 500.
        _ if code.starts_with("param.") || code.starts_with("invalidParameter") => Class::BadRequest,
        _ => return None,
    };
    Some(class)
}

/// Old APIs: `errcode` under HTTP 200; 88 wraps the real one.
fn old(errcode: i64, answer: Answer) -> Answer {
    let sub_code = answer.body.as_object().and_then(|map| Fields::exact(map).integer("sub_code"));
    let (code, class) = match (errcode, sub_code) {
        (88, Some(sub)) => (format!("88/{sub}"), class_of_sub_code(sub)),
        _ => (errcode.to_string(), class_of_errcode(errcode)),
    };
    let pause = matches!(errcode, 130_101 | 410_100).then_some(MINUTE_LIMIT_PAUSE);
    Answer { class, code, pause, ..answer }
}

fn class_of_errcode(errcode: i64) -> Class {
    match errcode {
        0 => Class::Ok,
        -1 => Class::Temporary,
        40_001 | 40_014 | 41_001 | 42_001 => Class::TokenInvalid,
        40_089 => Class::Credentials,
        130_101 | 410_100 => Class::RateLimited,
        300_001 | 300_005 => Class::ReplyPathExpired,
        460_101 => Class::MessageTooLong,
        430_101..=430_104 => Class::ContentRejected,
        33_012 | 400_013 | 400_102 | 400_106 => Class::Gone,
        _ => Class::BadRequest,
    }
}

fn class_of_sub_code(sub_code: i64) -> Class {
    match sub_code {
        15 => Class::Temporary,
        60_011 | 60_020 => Class::Permission,
        90_020 => Class::QuotaExhausted,
        90_000..=90_099 => Class::RateLimited,
        _ => Class::BadRequest,
    }
}

/// Failures inside a 200 of the new APIs.
fn inside(fields: Fields<'_>) -> Class {
    let refused = |part: Fields<'_>| part.get("success") == Some(&Value::Bool(false));
    let by_result = fields.object("result").is_some_and(|result| result.objects("deliverResults").any(refused));
    if refused(fields) || by_result || fields.objects("result").any(refused) {
        return Class::FailedInsideOk;
    }
    let left_out = |key: &str| fields.get(key).and_then(Value::as_array).is_some_and(|list| !list.is_empty());
    let partial = ["invalidStaffIdList", "flowControlledStaffIdList", "filteredStaffIdList"].into_iter().any(left_out);
    if partial { Class::Partial } else { Class::Ok }
}

#[cfg(test)]
mod tests;
