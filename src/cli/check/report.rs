//! The lines of the doctor.

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
