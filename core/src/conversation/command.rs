//! Commands: a message that begins with a slash.

/// A command, in whichever language it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    Help,
    New,
    Status,
    /// Begins with a slash and a letter, and means nothing.
    Unknown,
}

/// The command a text is, if it is one. `/` alone, `//` and paths such as `/etc/hosts` are ordinary text.
#[must_use]
pub fn parse(text: &str) -> Option<Command> {
    let word = text.split_whitespace().next()?;
    let name = word.strip_prefix('/').or_else(|| word.strip_prefix('／'))?;
    match name.to_lowercase().as_str() {
        "help" | "帮助" => Some(Command::Help),
        "new" | "新话题" | "新对话" => Some(Command::New),
        "status" | "状态" => Some(Command::Status),
        other if !other.is_empty() && other.chars().all(char::is_alphabetic) && text.trim() == word => {
            Some(Command::Unknown)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_understood_in_both_languages() {
        for (text, command) in [
            ("/help", Command::Help),
            (" /帮助 ", Command::Help),
            ("／新话题", Command::New),
            ("/NEW and more", Command::New),
            ("/状态", Command::Status),
            ("/frobnicate", Command::Unknown),
        ] {
            assert_eq!(parse(text), Some(command), "{text}");
        }
    }

    #[test]
    fn ordinary_text_is_no_command() {
        for text in ["", "help", "/", "// comment", "/etc/hosts", "/usr what is this?", "a /help b"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
