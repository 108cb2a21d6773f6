//! A call that did not do what it should, and what that means to the port.

use std::error::Error;
use std::time::Duration;

use magpie_core::platform::SendError;

use crate::answer::{Answer, Class};

/// A failed call.
#[derive(Debug)]
pub(crate) struct Failure {
    pub call: &'static str,
    pub class: Class,
    /// The platform's code, or what went wrong on the way: `connect`, `timeout`, `transport`, `paused`.
    pub code: String,
    scopes: Vec<String>,
    pub pause: Option<Duration>,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl Failure {
    pub fn of(call: &'static str, answer: Answer) -> Self {
        let Answer { class, code, scopes, pause, .. } = answer;
        Self { call, class, code, scopes, pause, source: None }
    }

    /// No answer came.
    pub fn transport(call: &'static str, error: reqwest::Error) -> Self {
        let code = match () {
            () if error.is_connect() => "connect",
            () if error.is_timeout() => "timeout",
            () => "transport",
        };
        // The address of a session webhook is a credential; errors are logged.
        let source = Some(error.without_url().into());
        Self { source, ..Self::new(call, Class::Temporary, code) }
    }

    pub fn new(call: &'static str, class: Class, code: &str) -> Self {
        Self { call, class, code: code.to_owned(), scopes: Vec::new(), pause: None, source: None }
    }

    /// Not before this has passed.
    #[must_use]
    pub fn after(self, pause: Duration) -> Self {
        Self { pause: Some(pause), ..self }
    }

    /// The same call may work later.
    pub fn passes(&self) -> bool {
        matches!(self.class, Class::Temporary | Class::RateLimited)
    }

    /// What an operator can do about it.
    pub fn fix(&self) -> String {
        match self.class {
            Class::Permission if self.scopes.is_empty() => {
                "grant the app its permissions and allow this server's address in the console".to_owned()
            }
            Class::Permission => format!("grant the app {} in the console", self.scopes.join(", ")),
            Class::QuotaExhausted => "the organisation's monthly API quota is used up; buy more calls".to_owned(),
            Class::Credentials | Class::TokenInvalid => "check client_id and client_secret".to_owned(),
            _ => "see the platform's error codes".to_owned(),
        }
    }
}

impl From<Failure> for SendError {
    fn from(failure: Failure) -> Self {
        let fix = failure.fix();
        let Failure { call, class, code, pause, source, .. } = failure;
        match class {
            Class::Temporary | Class::RateLimited => Self::Retry { call, code, after: pause, source },
            Class::QuotaExhausted | Class::Credentials | Class::TokenInvalid | Class::Permission => {
                Self::Refused { call, code, fix }
            }
            Class::Gone | Class::ReplyPathExpired => Self::Gone { call, code },
            Class::ContentRejected => Self::Content { call, code },
            _ => Self::Protocol { call, code },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_become_what_the_caller_can_do() {
        let name = |class| SendError::from(Failure::new("call", class, "code")).name();
        assert_eq!(name(Class::RateLimited), "platform_unavailable");
        assert_eq!(name(Class::Permission), "platform_refused");
        assert_eq!(name(Class::Gone), "target_gone");
        assert_eq!(name(Class::ContentRejected), "content_rejected");
        assert_eq!(name(Class::BadRequest), "platform_protocol");
    }
}
