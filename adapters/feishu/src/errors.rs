//! What the platform's error codes mean for a call, and what a caller of the port is told.
//!
//! Sources: "Server error codes" and the error tables of the message and CardKit pages, checked May 2026. `code`
//! decides, whatever the HTTP status says.

use std::time::Duration;

use magpie_core::platform::SendError;

/// What can be done about a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// The token is not (or no longer) good: fetch another one.
    Token,
    /// A rate, an interaction that is running, an internal fault: try again later.
    Busy,
    /// App id, secret, quota, address or app state: an operator has to act.
    Operator(&'static str),
    /// A permission is missing: another form of delivery may not need it.
    Scope,
    /// Chat or person are out of reach.
    Gone,
    /// The message (the answered one, or our own) was taken back.
    Recalled,
    /// The message can't be answered in a thread.
    NoThread,
    /// The platform can't build or hold this content.
    Content,
    /// The platform does not want these words: a review for sensitive or confidential matter.
    Words,
    /// The card entity or message can no longer be changed.
    CardLost,
    /// Streaming mode is off.
    StreamingClosed,
    /// A later operation was accepted already.
    Sequence,
    /// We said something that the platform does not understand.
    Defect,
}

/// The class of a code other than 0; `msg` is needed where one code has several meanings.
pub(crate) fn classify(code: i64, msg: &str) -> Class {
    match code {
        99_991_661 | 99_991_663..=99_991_665 | 99_991_668 | 99_991_671 => Class::Token,
        99_991_400 | 230_020 | 11_232 | 11_233 | 11_247 | 230_049 | 2_200 | 200_810 | 300_120 => Class::Busy,
        230_099 if msg.contains("card action is lock") => Class::Busy,
        10_003 | 10_012 | 10_013 | 10_015 | 99_991_543 => Class::Operator("check app_id and app_secret"),
        10_014 | 99_991_662 => Class::Operator("the app is stopped; enable it in the developer console"),
        99_991_401 => Class::Operator("add this machine's address to the app's IP allow-list"),
        99_991_403 => Class::Operator("the monthly API quota is used up"),
        230_006 => Class::Operator("switch the bot ability on and publish a version"),
        99_991_672 | 99_991_673 | 99_991_676 | 99_991_679 | 230_027 => Class::Scope,
        230_002 | 230_013 | 230_018 | 230_029 | 230_034 | 230_035 | 230_038 | 230_053 | 230_075 | 232_009 | 234_004 => {
            Class::Gone
        }
        // Too large, confidential, or of a kind that can't be downloaded.
        234_003 | 234_037 | 234_038 | 234_043 => Class::Content,
        230_011 | 230_050 | 230_110 | 230_111 => Class::Recalled,
        230_019 | 230_071 | 230_072 => Class::NoThread,
        230_022 | 230_028 => Class::Words,
        230_025 | 230_054 | 230_055 | 230_099 | 200_220 | 200_860 => Class::Content,
        300_121 | 300_122 | 300_301..=300_303 | 300_305 | 300_307 | 300_310 | 300_312..=300_315 => Class::Content,
        200_740 | 200_750 | 230_031 | 300_311 => Class::CardLost,
        200_850 | 300_309 => Class::StreamingClosed,
        200_770 | 300_317 => Class::Sequence,
        _ => Class::Defect,
    }
}

/// Why a call came to nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApiError {
    /// No connection, or no answer in time; whether the call took effect is unknown.
    #[error("{call}: no answer")]
    NoAnswer {
        call: &'static str,
        #[source]
        source: reqwest::Error,
    },
    /// Something on the way answered in the platform's place.
    #[error("{call}: HTTP {status} without the platform's JSON")]
    Gateway { call: &'static str, status: u16 },
    /// The platform's own refusal.
    #[error("{call}: refused with {code}")]
    Refused { call: &'static str, code: i64, class: Class, wait: Option<Duration>, scope: Option<String> },
    /// A card that can't be rendered.
    #[error("card template failed")]
    Template(#[from] minijinja::Error),
}

impl ApiError {
    pub(crate) fn class(&self) -> Class {
        match self {
            Self::NoAnswer { .. } => Class::Busy,
            Self::Gateway { status, .. } if *status >= 500 || *status == 429 || *status == 200 => Class::Busy,
            Self::Gateway { .. } => {
                Class::Operator("check base_url and proxy: something else than the platform answers")
            }
            Self::Template(_) => Class::Defect,
            Self::Refused { class, .. } => *class,
        }
    }

    /// How long the platform asks to wait.
    pub(crate) fn wait(&self) -> Option<Duration> {
        match self {
            Self::Refused { wait, .. } => *wait,
            _ => None,
        }
    }

    /// Whether the call may have taken effect all the same.
    pub(crate) fn outcome_unknown(&self) -> bool {
        matches!(self, Self::NoAnswer { .. } | Self::Gateway { .. })
    }

    /// What an operator has to do so that the call works, if that is known.
    pub(crate) fn fix(&self) -> Option<String> {
        match (self.class(), self) {
            (Class::Operator(fix), _) => Some(fix.to_owned()),
            (Class::Scope, Self::Refused { scope: Some(scope), .. }) => {
                Some(format!("grant the app the scope {scope} and publish a version"))
            }
            (Class::Scope, _) => Some("grant the app the scope that the call needs and publish a version".to_owned()),
            _ => None,
        }
    }

    /// The label in metrics: a bounded set.
    pub(crate) fn label(&self) -> &'static str {
        match self.class() {
            Class::Token => "token",
            Class::Busy if self.outcome_unknown() => "unavailable",
            Class::Busy => "rate_limited",
            Class::Operator(_) | Class::Scope => "refused",
            Class::Gone | Class::Recalled | Class::NoThread => "target_gone",
            Class::Content | Class::Words => "content_rejected",
            Class::CardLost | Class::StreamingClosed => "card_closed",
            Class::Sequence => "superseded",
            Class::Defect => "protocol",
        }
    }

    fn code(&self) -> String {
        match self {
            Self::NoAnswer { .. } => "no_answer".to_owned(),
            Self::Gateway { status, .. } => format!("http_{status}"),
            Self::Refused { code, .. } => code.to_string(),
            Self::Template(_) => "template".to_owned(),
        }
    }

    fn call(&self) -> &'static str {
        match self {
            Self::NoAnswer { call, .. } | Self::Gateway { call, .. } | Self::Refused { call, .. } => call,
            Self::Template(_) => "render_card",
        }
    }
}

impl From<ApiError> for SendError {
    fn from(error: ApiError) -> Self {
        let (call, code) = (error.call(), error.code());
        match error.class() {
            Class::Token | Class::Busy => {
                Self::Retry { call, code, after: error.wait(), source: Some(Box::new(error)) }
            }
            Class::Operator(_) | Class::Scope => Self::Refused { call, code, fix: error.fix().unwrap_or_default() },
            Class::Gone | Class::Recalled | Class::CardLost => Self::Gone { call, code },
            Class::Content | Class::Words => Self::Content { call, code },
            Class::Sequence => Self::Superseded { call },
            Class::NoThread | Class::StreamingClosed | Class::Defect => Self::Protocol { call, code },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(code: i64) -> SendError {
        let class = classify(code, "");
        ApiError::Refused { call: "reply", code, class, wait: None, scope: Some("cardkit:card:write".into()) }.into()
    }

    #[test]
    fn codes_are_told_to_callers_by_what_they_can_do() {
        let names = [99_991_400, 230_020, 230_002, 230_011, 99_991_672, 10_015, 230_099, 300_317, 230_001];
        let told = names.map(|code| refused(code).name());
        let expected = [
            "platform_unavailable",
            "platform_unavailable",
            "target_gone",
            "target_gone",
            "platform_refused",
            "platform_refused",
            "content_rejected",
            "superseded",
            "platform_protocol",
        ];
        assert_eq!(told, expected);
    }

    #[test]
    fn missing_scope_is_named_to_the_operator() {
        assert!(refused(99_991_672).to_string().contains("cardkit:card:write"));
    }

    #[test]
    fn running_interaction_is_waited_for() {
        assert_eq!(classify(230_099, "ErrCode: 11310; ErrMsg: card action is lock"), Class::Busy);
        assert_eq!(classify(230_099, "ErrCode: 200621"), Class::Content);
    }
}
