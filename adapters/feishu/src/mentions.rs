//! Mentions: placeholders in a text, and who they stand for.
//!
//! The platform writes `@_user_3` into the text and says elsewhere whom that means; everyone is `@_all`. Keys are
//! matched as a whole (`@_user_1` is no part of `@_user_12`) and in one pass, so a name is never replaced again.
//!
//! Source: "Receive message" (`im.message.receive_v1`), field `mentions`, checked May 2026.

use magpie_core::event::{Addressed, ChatKind, Mention};
use magpie_core::ids::UserId;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::field;

/// One entry of a message's `mentions`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Mentioned {
    pub(crate) key: String,
    pub(crate) open_id: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) everyone: bool,
}

/// Reads the entries; those without a key are left out.
pub(crate) fn read(message: &Value) -> Vec<Mentioned> {
    let entry = |value: &Value| {
        let id = value.get("id").unwrap_or(&Value::Null);
        let key = field::text(value, "key")?.to_owned();
        // In events `id` is an object; where the OpenAPI answers, it is the open id itself.
        let open_id = field::text(id, "open_id").or_else(|| id.as_str().filter(|id| !id.is_empty()));
        Some(Mentioned {
            everyone: key == "@_all" || field::text(id, "user_id") == Some("all"),
            open_id: open_id.map(str::to_owned),
            name: field::text(value, "name").map(str::to_owned),
            key,
        })
    };
    field::list(message, "mentions").iter().filter_map(entry).collect()
}

/// A text as the person meant it, and whom it speaks to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Cleaned {
    pub(crate) text: String,
    pub(crate) bot: bool,
    pub(crate) everyone: bool,
}

/// Takes this bot's placeholders out, puts other names in, trims the ends. `bot` is the bot's open id, if known.
pub(crate) fn clean(text: &str, mentions: &[Mentioned], bot: Option<&str>) -> Cleaned {
    let is_bot = |mentioned: &Mentioned| bot.is_some() && mentioned.open_id.as_deref() == bot;
    let mut cleaned = Cleaned {
        text: String::with_capacity(text.len()),
        bot: mentions.iter().any(is_bot),
        everyone: mentions.iter().any(|mentioned| mentioned.everyone),
    };
    let mut rest = text;
    while let Some(at) = rest.find('@') {
        let (before, from) = rest.split_at(at);
        cleaned.text.push_str(before);
        let key = placeholder(from);
        rest = &from[key.len()..];
        match mentions.iter().find(|mentioned| mentioned.key == key) {
            _ if key == "@_all" => {
                cleaned.everyone = true;
                cleaned.text.push_str("@all");
            }
            Some(mentioned) if is_bot(mentioned) => rest = close_gap(&mut cleaned.text, rest),
            Some(Mentioned { name: Some(name), .. }) => {
                cleaned.text.push('@');
                cleaned.text.push_str(name);
            }
            _ => cleaned.text.push_str(key),
        }
    }
    cleaned.text.push_str(rest);
    cleaned.text = cleaned.text.trim().to_owned();
    cleaned
}

/// Whom a message speaks to. Everything in a direct chat is for the bot.
pub(crate) fn addressed(chat: ChatKind, cleaned: &Cleaned, mentions: &[Mentioned], bot: Option<&str>) -> Addressed {
    let people = mentions.iter().any(|mentioned| !mentioned.everyone);
    match chat {
        ChatKind::Direct => Addressed::Bot,
        ChatKind::Group if cleaned.bot => Addressed::Bot,
        ChatKind::Group if bot.is_none() && people => Addressed::Unknown,
        ChatKind::Group if cleaned.everyone => Addressed::Everyone,
        ChatKind::Group => Addressed::NotBot,
    }
}

/// Everybody mentioned except this bot and everyone.
pub(crate) fn others(mentions: &[Mentioned], bot: Option<&str>) -> Vec<Mention> {
    let is_bot = |mentioned: &Mentioned| bot.is_some() && mentioned.open_id.as_deref() == bot;
    let other = |mentioned: &&Mentioned| !mentioned.everyone && !is_bot(mentioned);
    let neutral = |mentioned: &Mentioned| Mention {
        id: mentioned.open_id.as_deref().map(UserId::from),
        name: mentioned.name.clone(),
    };
    mentions.iter().filter(other).map(neutral).collect()
}

/// The placeholder that `text` (which starts with `@`) begins with, or the `@` alone.
fn placeholder(text: &str) -> &str {
    if let Some(number) = text.strip_prefix("@_user_") {
        let digits = number.bytes().take_while(u8::is_ascii_digit).count();
        if digits > 0 {
            return &text[.."@_user_".len() + digits];
        }
    }
    // `@_all_hands` is a word of its own; a Chinese character right behind is not part of the key.
    let continues = |c: char| c.is_ascii_alphanumeric() || c == '_';
    match text.strip_prefix("@_all") {
        Some(rest) if !rest.starts_with(continues) => "@_all",
        _ => "@",
    }
}

/// Closes the gap where a mention was: blanks on both sides become one, those of one side stay.
fn close_gap<'a>(text: &mut String, rest: &'a str) -> &'a str {
    const BLANKS: [char; 2] = [' ', '\t'];
    let kept = text.trim_end_matches(BLANKS).len();
    let after = rest.trim_start_matches(BLANKS);
    if kept < text.len() && after.len() < rest.len() {
        text.truncate(kept);
        text.push(' ');
        return after;
    }
    rest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mentioned(key: &str, open_id: &str, name: &str) -> Mentioned {
        Mentioned { key: key.into(), open_id: Some(open_id.into()), name: Some(name.into()), everyone: false }
    }

    #[test]
    fn everyone_directly_before_a_chinese_character_is_still_everyone() {
        let cleaned = clean("@_all大家好", &[], Some("ou_bot"));
        assert_eq!(cleaned, Cleaned { text: "@all大家好".into(), bot: false, everyone: true });
    }

    #[test]
    fn group_mention_is_undecided_until_the_own_id_is_known() {
        let mentions = [mentioned("@_user_1", "ou_bot", "Bot")];
        let unknown = clean("@_user_1 hi", &mentions, None);
        assert_eq!(addressed(ChatKind::Group, &unknown, &mentions, None), Addressed::Unknown);
        let known = clean("@_user_1 hi", &mentions, Some("ou_bot"));
        assert_eq!(addressed(ChatKind::Group, &known, &mentions, Some("ou_bot")), Addressed::Bot);
        assert_eq!((known.text.as_str(), others(&mentions, Some("ou_bot")).len()), ("hi", 0));
    }

    #[test]
    fn group_message_without_mentions_is_decided_even_without_the_own_id() {
        let cleaned = clean("hi", &[], None);
        assert_eq!(addressed(ChatKind::Group, &cleaned, &[], None), Addressed::NotBot);
    }
}
