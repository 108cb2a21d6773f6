//! Commands: a message that begins with a slash.

use std::str::FromStr;

use crate::ids::ConversationId;

/// A command, in whichever language it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    Help,
    New,
    Stop,
    Status,
    Model(ModelPick),
    History(Topic),
    Export,
    WhoAmI,
    /// For administrators: answer nobody in this chat.
    Pause,
    /// For administrators: take it back.
    Resume,
    /// Begins with a slash and letters, and means nothing; the name of the command that is nearest to it, if one is
    /// near.
    Unknown(Option<&'static str>),
}

/// Which engine is wanted from now on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ModelPick {
    /// None is: show the choice.
    Ask,
    /// As the bot always does.
    Auto,
    Named(String),
}

/// Which earlier topic is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Topic {
    /// None is: show them.
    List,
    /// By its place in the list, from 1.
    Place(usize),
    Conversation(ConversationId),
}

/// What a word after the slash means. The first name of each is the one that people are told.
const NAMES: &[(&str, &[&str])] = &[
    ("help", &["帮助"]),
    ("new", &["新话题", "新对话", "reset"]),
    ("stop", &["停止", "cancel"]),
    ("status", &["状态"]),
    ("model", &["模型"]),
    ("history", &["历史"]),
    ("export", &["导出"]),
    ("whoami", &["我是谁"]),
    ("pause", &["暂停"]),
    ("resume", &["恢复"]),
];

/// At most so many letters may differ for a name to be suggested.
const NEAR: usize = 2;

/// The command a text is, if it is one. `/` alone, `//` and paths such as `/etc/hosts` are ordinary text.
#[must_use]
pub fn parse(text: &str) -> Option<Command> {
    let mut words = text.split_whitespace();
    let name = words.next()?.strip_prefix(['/', '／'])?.to_lowercase();
    let argument = words.next();
    let known = NAMES.iter().find(|(first, others)| *first == name || others.contains(&name.as_str()));
    Some(match (known.map(|(first, _)| *first), argument) {
        (Some("help"), _) => Command::Help,
        (Some("new"), _) => Command::New,
        (Some("stop"), _) => Command::Stop,
        (Some("status"), _) => Command::Status,
        (Some("model"), argument) => Command::Model(model(argument)),
        (Some("history"), argument) => Command::History(topic(argument)),
        (Some("export"), _) => Command::Export,
        (Some("whoami"), _) => Command::WhoAmI,
        (Some("pause"), _) => Command::Pause,
        (Some("resume"), _) => Command::Resume,
        (_, None) if !name.is_empty() && name.chars().all(char::is_alphabetic) => Command::Unknown(nearest(&name)),
        _ => return None,
    })
}

fn model(argument: Option<&str>) -> ModelPick {
    match argument {
        None => ModelPick::Ask,
        Some("auto" | "自动") => ModelPick::Auto,
        Some(name) => ModelPick::Named(name.to_owned()),
    }
}

fn topic(argument: Option<&str>) -> Topic {
    let Some(argument) = argument else { return Topic::List };
    let by_id = ConversationId::from_str(argument).map(Topic::Conversation).ok();
    by_id.or_else(|| argument.parse().map(Topic::Place).ok()).unwrap_or(Topic::List)
}

/// The name that people are told for the command that `word` may have been meant to be.
fn nearest(word: &str) -> Option<&'static str> {
    let distance = |name: &str| strsim::damerau_levenshtein(name, word);
    let candidates = NAMES.iter().map(|(first, others)| {
        let least = others.iter().map(|other| distance(other)).chain([distance(first)]).min();
        (least.unwrap_or(usize::MAX), *first)
    });
    // Two letters of three may differ for any word at all.
    let near = NEAR.min(word.chars().count().saturating_sub(1));
    candidates.min().filter(|(distance, _)| *distance <= near).map(|(_, name)| name)
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
            ("/停止", Command::Stop),
            ("/model", Command::Model(ModelPick::Ask)),
            ("/模型 自动", Command::Model(ModelPick::Auto)),
            ("/model primary", Command::Model(ModelPick::Named("primary".into()))),
            ("/history", Command::History(Topic::List)),
            ("/历史 2", Command::History(Topic::Place(2))),
            ("/导出", Command::Export),
            ("/我是谁", Command::WhoAmI),
            ("/pause", Command::Pause),
            ("/恢复", Command::Resume),
        ] {
            assert_eq!(parse(text), Some(command), "{text}");
        }
    }

    #[test]
    fn a_topic_is_named_by_its_place_or_its_id() {
        let id = ConversationId::new();
        assert_eq!(parse(&format!("/history {id}")), Some(Command::History(Topic::Conversation(id))));
        assert_eq!(parse("/history yesterday"), Some(Command::History(Topic::List)));
    }

    #[test]
    fn the_nearest_command_is_suggested_if_one_is_near() {
        for (text, nearest) in [
            ("/hlep", Some("help")),
            ("/stats", Some("status")),
            ("/modle", Some("model")),
            ("/帮忙", Some("help")),
            ("/frobnicate", None),
            ("/x", None),
        ] {
            assert_eq!(parse(text), Some(Command::Unknown(nearest)), "{text}");
        }
    }

    #[test]
    fn ordinary_text_is_no_command() {
        for text in ["", "help", "/", "// comment", "/etc/hosts", "/usr what is this?", "a /help b"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
