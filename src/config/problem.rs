//! What is wrong with a configuration, told so that it can be repaired without reading code.

use std::fmt;
use std::sync::Arc;

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// `config/default.toml`, built in.
    Default,
    /// A line (from 1) of the configuration file.
    File { path: Arc<str>, line: usize },
    /// An environment variable, or a line of `.env`.
    Env { name: String },
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("configuration"),
            Self::File { path, line } => write!(f, "{path}:{line}"),
            Self::Env { name } => write!(f, "environment variable {name}"),
        }
    }
}

/// One thing to repair.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    pub origin: Origin,
    /// Dotted path such as `bots.helpdesk.app_id`; empty if the file as a whole can't be read.
    pub key: String,
    /// What is wrong and what is allowed. Never holds a secret.
    pub what: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.key.is_empty() {
            write!(f, "{}: {}", self.origin, self.what)
        } else {
            write!(f, "{}: {}: {}", self.origin, self.key, self.what)
        }
    }
}

/// Everything found wrong, as far as it could be looked at together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    pub problems: Vec<Problem>,
}

impl ConfigError {
    pub(super) fn one(origin: Origin, what: impl Into<String>) -> Self {
        Self { problems: vec![Problem { origin, key: String::new(), what: what.into() }] }
    }

    /// `Ok` if there is nothing to complain of.
    pub(super) fn unless_empty(problems: Vec<Problem>) -> Result<(), Self> {
        if problems.is_empty() { Ok(()) } else { Err(Self { problems }) }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}
