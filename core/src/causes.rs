//! Errors in one line, for people.

use std::error::Error;

/// The error with all its causes: `can't be read: permission denied`.
#[must_use]
pub fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{0}")]
    struct Layer(&'static str, #[source] Option<Box<dyn Error>>);

    #[test]
    fn causes_follow_the_error_down_to_the_last() {
        let last = io::Error::other("the disk is gone");
        let middle = Layer("the file can't be read", Some(last.into()));
        let error = Layer("the model can't be loaded", Some(Box::new(middle)));
        assert_eq!(with_causes(&error), "the model can't be loaded: the file can't be read: the disk is gone");
        assert_eq!(with_causes(&Layer("alone", None)), "alone");
    }
}
