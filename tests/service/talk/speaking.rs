//! When the bot speaks, to whom, and how often.

use std::collections::BTreeMap;

use magpie_core::card::CardState;
use magpie_core::event::{Addressed, ChatKind, Lifecycle, Quote, ReplyTo, Route};
use magpie_core::settings::{BotSettings, ChatSettings, DirectPolicy, GroupPolicy, SessionScope};
use serde_json::json;

use super::hall::{Hall, button, message};

#[tokio::test]
async fn a_refused_person_gets_one_sentence_where_policy_wants_that() {
    let denying =
        |deny_reply| ChatSettings { group_policy: GroupPolicy::Allowlist, deny_reply, ..ChatSettings::default() };
    let hall = Hall::open(denying(true)).await;
    let denied = hall.say("ada", "why?").await;
    assert!(hall.answer(denied).await.text.starts_with("You may not use this bot here"));
    assert_eq!(hall.reason(denied).await.as_deref(), Some("denied"));
    let silent = Hall::open(denying(false)).await;
    let denied = silent.say("ada", "why?").await;
    assert_eq!(silent.reason(denied).await.as_deref(), Some("denied"));
    assert!(silent.shown().is_empty());
}

#[tokio::test]
async fn one_group_may_have_settings_of_its_own() {
    let hall = Hall::open_as(|settings: &mut BotSettings| {
        let quiet = ChatSettings { group_policy: GroupPolicy::Off, ..ChatSettings::default() };
        settings.groups = BTreeMap::from([("quiet".to_owned(), quiet)]);
    })
    .await;
    let mut elsewhere = message("ada", "why?");
    elsewhere.chat.id = "quiet".into();
    let denied = hall.send(elsewhere).await;
    assert_eq!(hall.reason(denied).await.as_deref(), Some("denied"));
    let answered = hall.say("ada", "why?").await;
    assert_eq!(hall.answer(answered).await.text, "one");
}

#[tokio::test]
async fn a_reply_to_the_bots_own_card_counts_where_configured() {
    let chat = ChatSettings { answer_replies: true, ..ChatSettings::default() };
    let hall = Hall::open(chat).await;
    let mut reply = message("ada", "go on");
    reply.addressed = Addressed::NotBot;
    reply.quote = Some(Quote { message_id: Some("om_of_a_person".into()), text: None, from_bot: false });
    let ignored = hall.send(reply.clone()).await;
    assert_eq!(hall.reason(ignored).await.as_deref(), Some("not_mentioned"));
    reply.id = "om_second".into();
    reply.quote = Some(Quote { message_id: None, text: Some("earlier".to_owned()), from_bot: true });
    let answered = hall.send(reply).await;
    assert_eq!(hall.answer(answered).await.text, "one");
}

#[tokio::test]
async fn whoever_writes_too_fast_is_told_once_when_to_come_back() {
    let chat = ChatSettings { user_messages_per_minute: 2, ..ChatSettings::default() };
    let hall = Hall::open(chat).await;
    let mut events = Vec::new();
    for number in 0..4 {
        events.push(hall.say("ada", &format!("question {number}")).await);
    }
    assert_eq!(hall.answer(events[0]).await.text, "one");
    assert_eq!(hall.answer(events[1]).await.text, "two");
    let told = hall.answer(events[2]).await.text;
    assert!(told.starts_with("That was too many messages in a short time. Please come back in"), "{told}");
    for refused in &events[2..] {
        assert_eq!(hall.reason(*refused).await.as_deref(), Some("rate_limited"));
    }
    assert!(!hall.shown().iter().any(|one| one.event == events[3]), "one sentence, not one a message");
    let other = hall.say("bob", "why?").await;
    assert_eq!(hall.answer(other).await.text, "three");
}

#[tokio::test]
async fn scopes_never_mix() {
    for scope in [SessionScope::ChatUser, SessionScope::Chat, SessionScope::Thread] {
        let hall = Hall::open(ChatSettings { session_scope: scope, ..ChatSettings::default() }).await;
        let place = |user: &str, chat: &str, thread: Option<&str>| {
            let mut one = message(user, &format!("{user} {chat} {}", thread.unwrap_or("-")));
            one.chat.id = chat.into();
            one.thread = thread.map(Into::into);
            one.reply_to = ReplyTo { chat: chat.into(), thread: one.thread.clone(), ..one.reply_to };
            one
        };
        let places = [
            place("ada", "team", None),
            place("bob", "team", None),
            place("ada", "other", None),
            place("ada", "team", Some("t1")),
            place("ada", "team", Some("t2")),
        ];
        for one in &places {
            let event = hall.send(one.clone()).await;
            let card = hall.answer(event).await;
            assert_eq!(card.state, CardState::Done);
            let at = hall.shown().iter().rev().find(|shown| shown.event == event).unwrap().to.clone();
            assert_eq!((at.chat, at.thread), (one.chat.id.clone(), one.thread.clone()), "answered where it was asked");
        }
        for prompt in hall.engine.prompts() {
            let question = &prompt.messages.last().unwrap().text;
            let own = |text: &str| {
                let (asked, seen): (Vec<_>, Vec<_>) = (question.split(' ').collect(), text.split(' ').collect());
                let same_chat = asked[1] == seen[1];
                match scope {
                    SessionScope::ChatUser => same_chat && asked[0] == seen[0],
                    SessionScope::Chat => same_chat,
                    SessionScope::Thread => same_chat && asked[2] == seen[2],
                }
            };
            let users = prompt.messages.iter().filter(|m| m.role == magpie_core::engine::Role::User);
            for message in users {
                assert!(own(&message.text), "{scope:?}: {question:?} was asked with {:?}", message.text);
            }
        }
    }
}

#[tokio::test]
async fn the_bot_introduces_itself_once_with_questions_to_begin_with() {
    let chat = ChatSettings { welcome_questions: vec!["What can you do?".to_owned()], ..ChatSettings::default() };
    let hall = Hall::open(chat).await;
    let to = |chat: &str, chat_kind, user: &str| ReplyTo {
        chat: chat.into(),
        chat_kind,
        user: Some(user.into()),
        message: None,
        thread: None,
        route: Route(json!({})),
    };
    let opened = || Lifecycle::DirectOpened { reply_to: to("p2p", ChatKind::Direct, "ada"), first_time: true };
    let first = hall.happen("opened-1", opened()).await;
    let card = hall.answer(first).await;
    assert!(card.text.starts_with("Hello! Ask me anything"), "{}", card.text);
    let again = hall.happen("opened-2", opened()).await;
    assert_eq!(hall.reason(again).await.as_deref(), Some("noted"), "every visit is told of, the first one is welcomed");

    let added = Lifecycle::BotAdded { reply_to: to("team", ChatKind::Group, "ada"), title: None, operator: None };
    let added = hall.happen("added", added).await;
    assert!(hall.answer(added).await.text.contains("@mention me"));

    hall.press("ada", first, &card.questions[0]).await;
    let answer = hall.until(|shown| shown.iter().find(|one| one.call == "finish" && one.card.text == "one").cloned());
    assert_eq!(answer.await.card.title, "What can you do?");
    let menu = Lifecycle::Menu { reply_to: to("p2p", ChatKind::Direct, "ada"), key: "/whoami".to_owned() };
    hall.happen("menu", menu).await;
    hall.until(|shown| shown.iter().find(|one| one.card.text.contains("User id: `ada`")).map(|_| ())).await;
}

#[tokio::test]
async fn direct_chats_can_be_closed_but_for_some() {
    let chat = ChatSettings {
        direct_policy: DirectPolicy::Allowlist,
        allow_users: vec!["ada".to_owned()],
        deny_reply: true,
        ..ChatSettings::default()
    };
    let hall = Hall::open(chat).await;
    let direct = |user: &str| {
        let mut one = message(user, "why?");
        one.chat.kind = ChatKind::Direct;
        one.chat.id = format!("p2p_{user}").into();
        one
    };
    let (allowed, denied) = (hall.send(direct("ada")).await, hall.send(direct("bob")).await);
    assert_eq!(hall.answer(allowed).await.text, "one");
    assert!(hall.answer(denied).await.text.starts_with("You may not"));
    let card = hall.answer(allowed).await;
    let _ = button(&card, magpie_core::event::Action::NewTopic);
}

#[tokio::test]
async fn two_bots_in_one_chat_do_not_know_what_the_other_was_told() {
    let hall = Hall::open(ChatSettings::default()).await;
    let first = hall.say("ada", "a secret for it").await;
    hall.answer(first).await;
    let second = hall.send_to_hr(message("ada", "what did I say?")).await;
    hall.answer(second).await;
    let asked: Vec<_> = hall.engine.prompts()[1].messages.iter().map(|m| m.text.clone()).collect();
    assert_eq!(asked, ["be brief", "what did I say?"]);
}
