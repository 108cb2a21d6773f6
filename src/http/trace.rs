//! W3C trace context: taken from the request, or made.
//!
//! Source: <https://www.w3.org/TR/trace-context/#traceparent-header>, checked November 2026.

use uuid::Uuid;

/// The trace a request belongs to, with our own step in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceContext {
    /// 32 lower-case hex digits.
    trace_id: String,
    /// 16 lower-case hex digits: our step.
    span_id: String,
    /// 2 lower-case hex digits.
    flags: String,
}

impl TraceContext {
    /// A new step in the trace that the header `traceparent` names; in a new trace if there is none or it is malformed.
    #[must_use]
    pub fn next(traceparent: Option<&str>) -> Self {
        let random = Uuid::new_v4().simple().to_string();
        let span_id = random[..16].to_owned();
        match traceparent.and_then(parse) {
            Some((trace_id, flags)) => Self { trace_id, span_id, flags },
            None => Self { trace_id: Uuid::new_v4().simple().to_string(), span_id, flags: "01".to_owned() },
        }
    }

    #[must_use]
    pub fn trace_id(&self) -> &str {
        &self.trace_id
    }

    /// The header for whoever comes next.
    #[must_use]
    pub fn traceparent(&self) -> String {
        format!("00-{}-{}-{}", self.trace_id, self.span_id, self.flags)
    }
}

/// Trace id and flags of a well-formed header.
fn parse(header: &str) -> Option<(String, String)> {
    let mut parts = header.split('-');
    let (version, trace, parent, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let hex = |text: &str, length: usize| {
        text.len() == length && text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'a'..=b'f'))
    };
    let zero = |text: &str| text.bytes().all(|byte| byte == b'0');
    // Later versions may append fields; version 00 has exactly four, and ff is forbidden.
    let version_fits = hex(version, 2) && version != "ff" && (version != "00" || parts.next().is_none());
    let fits = version_fits && hex(trace, 32) && !zero(trace) && hex(parent, 16) && !zero(parent) && hex(flags, 2);
    fits.then(|| (trace.to_owned(), flags.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

    #[test]
    fn a_given_trace_is_continued_with_a_new_step() {
        let next = TraceContext::next(Some(&format!("00-{TRACE}-00f067aa0ba902b7-01")));
        assert_eq!(next.trace_id(), TRACE);
        assert_ne!(next.span_id, "00f067aa0ba902b7");
        assert_eq!(next.traceparent(), format!("00-{TRACE}-{}-01", next.span_id));
    }

    #[test]
    fn a_malformed_trace_is_replaced_by_a_new_one() {
        let malformed = [
            format!("00-{TRACE}-00f067aa0ba902b7"),
            format!("ff-{TRACE}-00f067aa0ba902b7-01"),
            format!("00-{TRACE}-0000000000000000-01"),
            format!("00-{}-00f067aa0ba902b7-01", TRACE.to_uppercase()),
            format!("00-{TRACE}-00f067aa0ba902b7-01-more"),
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01".to_owned(),
        ];
        for header in malformed {
            let made = TraceContext::next(Some(&header));
            assert_ne!(made.trace_id(), TRACE, "{header}");
            assert!(parse(&made.traceparent()).is_some());
        }
    }
}
