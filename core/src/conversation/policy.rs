//! Whether the bot speaks.

use crate::clock::UnixMillis;
use crate::event::{Addressed, ChatKind, Message, ReplyTo};
use crate::settings::{ChatSettings, DirectPolicy, GroupPolicy};

/// What policy says of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Answer,
    /// Kept and not answered, for this reason (snake_case, as in the events table).
    Ignore(&'static str),
    /// It speaks to the bot, and whoever wrote it may not: reason `denied`.
    Deny,
}

/// Judges a message whose addressee is known, and of whose quote it is known whether it is the bot's own. `sent_at` is
/// the platform's time of the message.
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

/// Whether the bot introduces itself where it is new: where it would also answer.
#[must_use]
pub fn welcomes(settings: &ChatSettings, to: &ReplyTo) -> bool {
    let listed = match to.chat_kind {
        ChatKind::Group => settings.allow_chats.contains(&to.chat.0),
        ChatKind::Direct => to.user.as_ref().is_some_and(|user| settings.allow_users.contains(&user.0)),
    };
    let answers = match (to.chat_kind, settings.group_policy, settings.direct_policy) {
        (ChatKind::Group, GroupPolicy::Off, _) | (ChatKind::Direct, _, DirectPolicy::Off) => false,
        (ChatKind::Group, GroupPolicy::Allowlist, _) | (ChatKind::Direct, _, DirectPolicy::Allowlist) => listed,
        _ => true,
    };
    settings.welcome && answers
}

fn direct(settings: &ChatSettings, message: &Message) -> Verdict {
    let listed = settings.allow_users.contains(&message.sender.id.0);
    match settings.direct_policy {
        DirectPolicy::Open => Verdict::Answer,
        DirectPolicy::Allowlist if listed => Verdict::Answer,
        DirectPolicy::Allowlist | DirectPolicy::Off => Verdict::Deny,
    }
}

fn group(settings: &ChatSettings, message: &Message) -> Verdict {
    let listed = settings.allow_chats.contains(&message.chat.id.0);
    match settings.group_policy {
        GroupPolicy::All => Verdict::Answer,
        _ if !speaks_to_the_bot(settings, message) => Verdict::Ignore("not_mentioned"),
        GroupPolicy::Off => Verdict::Deny,
        GroupPolicy::Allowlist if !listed => Verdict::Deny,
        GroupPolicy::Mention | GroupPolicy::Allowlist => Verdict::Answer,
    }
}

fn speaks_to_the_bot(settings: &ChatSettings, message: &Message) -> bool {
    let quotes_the_bot = message.quote.as_ref().is_some_and(|quote| quote.from_bot);
    match message.addressed {
        Addressed::Bot => true,
        Addressed::Everyone if settings.answer_everyone => true,
        Addressed::Everyone | Addressed::NotBot | Addressed::Unknown => settings.answer_replies && quotes_the_bot,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::event::Quote;
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
        assert_eq!(verdict(&settings, &group_message(Addressed::Bot)), Verdict::Deny);
        assert_eq!(verdict(&settings, &message("hi")), Verdict::Deny);
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

    #[test]
    fn everyone_and_replies_to_the_bot_count_only_where_configured() {
        let mut reply = group_message(Addressed::NotBot);
        reply.quote = Some(Quote { message_id: None, text: None, from_bot: true });
        let mut to_a_person = reply.clone();
        to_a_person.quote = Some(Quote { message_id: None, text: None, from_bot: false });
        let everyone = group_message(Addressed::Everyone);
        let generous = ChatSettings { answer_everyone: true, answer_replies: true, ..ChatSettings::default() };
        for message in [&reply, &everyone] {
            assert_eq!(verdict(&generous, message), Verdict::Answer);
            assert_eq!(verdict(&ChatSettings::default(), message), Verdict::Ignore("not_mentioned"));
        }
        assert_eq!(verdict(&generous, &to_a_person), Verdict::Ignore("not_mentioned"));
    }

    #[test]
    fn a_bot_that_is_off_in_groups_denies_only_who_speaks_to_it() {
        let off = ChatSettings { group_policy: GroupPolicy::Off, ..ChatSettings::default() };
        assert_eq!(verdict(&off, &group_message(Addressed::Bot)), Verdict::Deny);
        assert_eq!(verdict(&off, &group_message(Addressed::NotBot)), Verdict::Ignore("not_mentioned"));
    }

    #[test]
    fn the_bot_introduces_itself_only_where_it_would_answer() {
        let direct = message("hi").reply_to;
        let group = ReplyTo { chat_kind: ChatKind::Group, ..direct.clone() };
        let usual = ChatSettings::default();
        assert!(welcomes(&usual, &direct) && welcomes(&usual, &group));
        assert!(!welcomes(&ChatSettings { welcome: false, ..usual.clone() }, &direct));
        let off = ChatSettings { group_policy: GroupPolicy::Off, direct_policy: DirectPolicy::Off, ..usual.clone() };
        assert!(!welcomes(&off, &direct) && !welcomes(&off, &group));
        let listing = ChatSettings {
            group_policy: GroupPolicy::Allowlist,
            direct_policy: DirectPolicy::Allowlist,
            allow_users: vec!["user".to_owned()],
            ..usual
        };
        assert!(welcomes(&listing, &direct) && !welcomes(&listing, &group));
    }
}
