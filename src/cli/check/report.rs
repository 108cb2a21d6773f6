//! The lines of the doctor.

use std::error::Error;
use std::fmt::Display;

/// Prints each finding as it comes and remembers whether any was a failure.
#[derive(Default)]
pub struct Report {
    failed: bool,
}

impl Report {
    pub fn ok(&mut self, check: &str, what: impl Display) {
        println!("ok    {check}: {what}");
    }

    /// It works, but the operator should know.
    pub fn warn(&mut self, check: &str, what: impl Display) {
        println!("warn  {check}: {what}");
    }

    /// `what` says what to do.
    pub fn fail(&mut self, check: &str, what: impl Display) {
        println!("FAIL  {check}: {what}");
        self.failed = true;
    }

    #[must_use]
    pub fn failed(&self) -> bool {
        self.failed
    }
}

/// An error with its causes in one line.
#[must_use]
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
