//! Whether the bot speaks.

use crate::clock::UnixMillis;
use crate::event::{Addressed, ChatKind, Message};
use crate::settings::{ChatSettings, DirectPolicy, GroupPolicy};

/// What policy says of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Answer,
    /// Kept and not answered, for this reason (snake_case, as in the events table).
    Ignore(&'static str),
}

/// Judges a message whose addressee is known. `sent_at` is the platform's time of the message.
#[must_use]
pub fn judge(settings: &ChatSettings, message: &Message, sent_at: Option<UnixMillis>, now: UnixMillis) -> Verdict {
    if message.sender.is_bot {
        return Verdict::Ignore("from_bot");
    }
    let too_old = |at: UnixMillis| now.since(at) > settings.max_answer_age;
    if !settings.max_answer_age.is_zero() && sent_at.is_some_and(too_old) {
        return Verdict::Ignore("too_old");
    }
    match message.chat.kind {
        ChatKind::Direct => direct(settings, message),
        ChatKind::Group => group(settings, message),
    }
}

fn direct(settings: &ChatSettings, message: &Message) -> Verdict {
    let listed = settings.allow_users.contains(&message.sender.id.0);
    match settings.direct_policy {
        DirectPolicy::Open => Verdict::Answer,
        DirectPolicy::Allowlist if listed => Verdict::Answer,
        DirectPolicy::Allowlist | DirectPolicy::Off => Verdict::Ignore("denied"),
    }
}

fn group(settings: &ChatSettings, message: &Message) -> Verdict {
    let mentioned = message.addressed == Addressed::Bot;
    let listed = settings.allow_chats.contains(&message.chat.id.0);
    match settings.group_policy {
        GroupPolicy::Off => Verdict::Ignore("denied"),
        GroupPolicy::All => Verdict::Answer,
        GroupPolicy::Mention | GroupPolicy::Allowlist if !mentioned => Verdict::Ignore("not_mentioned"),
        GroupPolicy::Allowlist if !listed => Verdict::Ignore("denied"),
        GroupPolicy::Mention | GroupPolicy::Allowlist => Verdict::Answer,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::event::tests::message;

    fn group_message(addressed: Addressed) -> Message {
        let mut one = message("hi");
        one.chat.kind = ChatKind::Group;
        one.addressed = addressed;
        one
    }

    fn verdict(settings: &ChatSettings, message: &Message) -> Verdict {
        judge(settings, message, Some(UnixMillis(0)), UnixMillis(60_000))
    }

    #[test]
    fn in_groups_only_a_mention_of_the_bot_counts_by_default() {
        let settings = ChatSettings::default();
        assert_eq!(verdict(&settings, &group_message(Addressed::Bot)), Verdict::Answer);
        for other in [Addressed::NotBot, Addressed::Everyone, Addressed::Unknown] {
            assert_eq!(verdict(&settings, &group_message(other)), Verdict::Ignore("not_mentioned"));
        }
    }

    #[test]
    fn bots_are_never_answered() {
        let settings = ChatSettings { group_policy: GroupPolicy::All, ..ChatSettings::default() };
        let mut from_bot = group_message(Addressed::Bot);
        from_bot.sender.is_bot = true;
        assert_eq!(verdict(&settings, &from_bot), Verdict::Ignore("from_bot"));
    }

    #[test]
    fn allow_lists_name_chats_and_people() {
        let settings = ChatSettings {
            group_policy: GroupPolicy::Allowlist,
            direct_policy: DirectPolicy::Allowlist,
            ..ChatSettings::default()
        };
        assert_eq!(verdict(&settings, &group_message(Addressed::Bot)), Verdict::Ignore("denied"));
        assert_eq!(verdict(&settings, &message("hi")), Verdict::Ignore("denied"));
        let one = message("hi");
        let open = ChatSettings {
            allow_chats: vec![one.chat.id.0.clone()],
            allow_users: vec![one.sender.id.0.clone()],
            ..settings
        };
        assert_eq!(verdict(&open, &group_message(Addressed::Bot)), Verdict::Answer);
        assert_eq!(verdict(&open, &one), Verdict::Answer);
        assert_eq!(verdict(&open, &group_message(Addressed::NotBot)), Verdict::Ignore("not_mentioned"));
    }

    #[test]
    fn old_messages_are_left_only_where_configured() {
        let strict = ChatSettings { max_answer_age: Duration::from_secs(59), ..ChatSettings::default() };
        assert_eq!(verdict(&strict, &message("hi")), Verdict::Ignore("too_old"));
        assert_eq!(verdict(&ChatSettings::default(), &message("hi")), Verdict::Answer);
    }
}
