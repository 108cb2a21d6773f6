//! What buttons do: stop, regenerate, page, vote, ask.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use magpie_core::card::{Button, ButtonStyle, CardState, Form, Version};
use magpie_core::event::Action;
use magpie_core::platform::Target;
use magpie_core::settings::ChatSettings;
use magpie_core::task::Post;
use magpie_core::testkit::engine::Step;
use magpie_core::turn::{Proactive, post};

use super::hall::{Hall, button, commands};

#[tokio::test]
async fn regenerating_keeps_the_versions_in_one_card_and_pages_turn() {
    let hall = Hall::open(ChatSettings::default()).await;
    let asked = hall.say("ada", "why?").await;
    let first = hall.answer(asked).await;
    assert_eq!((first.text.as_str(), first.version), ("one", None));

    let (_, toast) = hall.press("ada", asked, &button(&first, Action::Regenerate)).await;
    assert_eq!(toast.unwrap().text, "Answering once more");
    let second = hall.nth_end(asked, 2).await;
    assert_eq!((second.text.as_str(), second.version), ("two", Some(Version { number: 2, of: 2 })));
    hall.press("ada", asked, &button(&second, Action::Regenerate)).await;
    let third = hall.nth_end(asked, 3).await;
    assert_eq!((third.text.as_str(), third.version), ("three", Some(Version { number: 3, of: 3 })));

    hall.press("bob", asked, &button(&third, Action::ShowVersion)).await;
    let back = hall.revised(asked, |card| card.text == "two").await;
    assert_eq!(back.version, Some(Version { number: 2, of: 3 }));
    let arrows: Vec<_> =
        back.buttons.iter().filter(|b| b.action == Action::ShowVersion).map(|b| b.argument.as_str()).collect();
    assert_eq!(arrows, ["1", "3"], "back and forth from the middle");

    // What is on show is what the conversation goes on from, and what people find in the table.
    assert_eq!(hall.rows("SELECT text FROM messages WHERE role = 'assistant'").await, ["two"]);
    let next = hall.say("ada", "and then?").await;
    hall.answer(next).await;
    let texts: Vec<_> = hall.engine.prompts().last().unwrap().messages.iter().map(|m| m.text.clone()).collect();
    assert_eq!(texts, ["be brief", "why?", "two", "and then?"]);
}

#[tokio::test]
async fn each_version_is_asked_for_with_what_came_before_the_question_alone() {
    let hall = Hall::open(ChatSettings::default()).await;
    for text in ["first", "second"] {
        let event = hall.say("ada", text).await;
        hall.answer(event).await;
    }
    let asked = hall.say("ada", "third").await;
    let card = hall.answer(asked).await;
    hall.press("ada", asked, &button(&card, Action::Regenerate)).await;
    hall.nth_end(asked, 2).await;
    let prompts = hall.engine.prompts();
    assert_eq!(prompts[3].messages, prompts[2].messages);
}

#[tokio::test]
async fn a_card_that_can_not_be_changed_is_followed_by_one_of_its_own() {
    let hall = Hall::open(ChatSettings::default()).await;
    let asked = hall.say("ada", "why?").await;
    let first = hall.answer(asked).await;
    hall.board.fixed.store(true, Ordering::SeqCst);
    hall.press("ada", asked, &button(&first, Action::Regenerate)).await;
    let (event, card) = hall
        .until(|shown| {
            let end = shown.iter().find(|one| one.event != asked && one.call == "finish");
            end.map(|one| (one.event, one.card.clone()))
        })
        .await;
    assert_eq!((card.text.as_str(), card.version), ("two", Some(Version { number: 2, of: 2 })));
    assert!(card.buttons.iter().all(|button| button.event == event), "its buttons speak of the new card");
    assert_eq!(hall.rows("SELECT text FROM messages WHERE role = 'assistant'").await, ["two"]);
}

#[tokio::test]
async fn the_other_engine_answers_when_it_is_asked() {
    let hall = Hall::open(ChatSettings::default()).await;
    let asked = hall.say("ada", "why?").await;
    let first = hall.answer(asked).await;
    let other = button(&first, Action::OtherEngine);
    assert_eq!((other.argument.as_str(), other.label.as_str()), ("cloud", "Ask cloud"));
    hall.press("ada", asked, &other).await;
    let second = hall.nth_end(asked, 2).await;
    assert_eq!((second.text.as_str(), second.footer.unwrap().engine.as_str()), ("from the cloud", "cloud"));
}

#[tokio::test]
async fn stop_ends_a_running_answer_and_one_that_is_regenerated() {
    let hall = Hall::open(ChatSettings::default()).await;
    hall.engine.script(vec![vec![Step::text("half"), Step::Hang], vec![Step::text("other half"), Step::Hang]]);
    let asked = hall.say("ada", "why?").await;
    let running =
        hall.until(|shown| shown.iter().find(|one| one.card.text == "half").map(|one| one.card.clone())).await;
    hall.press("ada", asked, &button(&running, Action::Stop)).await;
    let stopped = hall.answer(asked).await;
    assert_eq!((stopped.state, stopped.text.as_str()), (CardState::Stopped, "half"));
    assert_eq!(hall.reason(asked).await.as_deref(), Some("cancelled"));

    hall.press("ada", asked, &button(&stopped, Action::Regenerate)).await;
    let again =
        hall.until(|shown| shown.iter().find(|one| one.card.text == "other half").map(|one| one.card.clone())).await;
    hall.press("ada", asked, &button(&again, Action::Stop)).await;
    let stopped = hall.nth_end(asked, 2).await;
    assert_eq!((stopped.state, stopped.text.as_str()), (CardState::Stopped, "other half"));
}

#[tokio::test]
async fn stop_and_regenerate_belong_to_the_asker_and_to_administrators() {
    let chat = ChatSettings { admin_users: vec!["root".to_owned()], ..ChatSettings::default() };
    let hall = Hall::open(chat).await;
    let asked = hall.say("ada", "why?").await;
    let card = hall.answer(asked).await;
    let (press, toast) = hall.press("bob", asked, &button(&card, Action::Regenerate)).await;
    let toast = toast.unwrap();
    assert_eq!((toast.text.as_str(), toast.success), ("Only the person who asked can do this", false));
    assert_eq!(hall.reason(press).await.as_deref(), Some("denied"));
    assert_eq!(hall.engine.prompts().len(), 1);
    hall.press("root", asked, &button(&card, Action::Regenerate)).await;
    assert_eq!(hall.nth_end(asked, 2).await.text, "two");
}

#[tokio::test]
async fn a_vote_against_asks_why_and_keeps_the_reason() {
    let hall = Hall::open(ChatSettings::default()).await;
    let asked = hall.say("ada", "why?").await;
    let card = hall.answer(asked).await;
    hall.press("bob", asked, &button(&card, Action::VoteDown)).await;
    let asking = hall.revised(asked, |card| card.form.is_some()).await;
    let form = asking.form.unwrap();
    assert!(form.reasons.iter().any(|reason| reason.name == "incomplete"));
    assert_eq!(asking.text, "one", "the answer stays");

    let inputs = [(Form::REASON, "incomplete"), (Form::COMMENT, " too short ")];
    let inputs = inputs.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let submit = Button {
        action: Action::VoteReason,
        label: form.submit,
        style: ButtonStyle::Default,
        event: form.event,
        argument: String::new(),
    };
    hall.submit("bob", asked, &submit, BTreeMap::from(inputs)).await;
    hall.revised(asked, |card| card.form.is_none()).await;
    let votes = "SELECT user_id || ' ' || value || ' ' || reason || ' ' || comment FROM feedback";
    assert_eq!(hall.rows(votes).await, ["bob down incomplete too short"]);

    let (press, _) = hall.press("bob", asked, &button(&card, Action::VoteUp)).await;
    hall.reason(press).await;
    assert_eq!(hall.rows("SELECT value FROM feedback").await, ["up"], "a repeat replaces it");
}

#[tokio::test]
async fn a_press_on_a_foreign_card_does_nothing() {
    let hall = Hall::open(ChatSettings::default()).await;
    let (mine, theirs) = (hall.say("ada", "why?").await, hall.say("bob", "how?").await);
    let (card, _) = (hall.answer(mine).await, hall.answer(theirs).await);
    let (press, toast) = hall.press("bob", theirs, &button(&card, Action::Regenerate)).await;
    assert_eq!(toast.unwrap().text, "This card no longer works");
    assert_eq!(hall.reason(press).await.as_deref(), Some("unknown_card"));
}

#[tokio::test]
async fn follow_up_questions_are_proposed_where_configured_and_asked_by_pressing() {
    let chat = ChatSettings { follow_ups: 2, ..ChatSettings::default() };
    let hall = Hall::open(chat).await;
    let proposal = vec![Step::text("[\"How so?\", \"Since when?\", \"Who?\"]"), Step::Done];
    hall.engine.script(vec![vec![Step::text("because"), Step::Done], proposal, vec![Step::text("so"), Step::Done]]);
    let asked = hall.say("ada", "why?").await;
    let card = hall.revised(asked, |card| !card.questions.is_empty()).await;
    let labels: Vec<_> = card.questions.iter().map(|question| question.label.as_str()).collect();
    assert_eq!(labels, ["How so?", "Since when?"]);
    hall.press("ada", asked, &card.questions[0]).await;
    let answer =
        hall.until(|shown| shown.iter().find(|one| one.call == "finish" && one.card.text == "so").cloned()).await;
    assert_eq!(answer.card.title, "How so?");
    let texts: Vec<_> = hall.engine.prompts()[2].messages.iter().map(|m| m.text.clone()).collect();
    assert_eq!(texts, ["be brief", "why?", "because", "How so?"], "it is the same conversation");
}

#[tokio::test]
async fn a_command_on_a_card_is_run_for_whoever_pressed() {
    let hall = Hall::open(ChatSettings::default()).await;
    let asked = hall.say("ada", "/help").await;
    let card = hall.answer(asked).await;
    assert!(commands(&card).contains(&"/whoami".to_owned()));
    let who = card.buttons.iter().find(|button| button.argument == "/whoami").unwrap();
    hall.press("bob", asked, who).await;
    let answer = hall.until(|shown| shown.iter().find(|one| one.card.text.contains("`bob`")).cloned()).await;
    assert_eq!(answer.to.user, Some("bob".into()));
}

#[tokio::test]
async fn what_nobody_asked_for_is_sent_once_however_often_it_is_wanted() {
    let hall = Hall::open(ChatSettings::default()).await;
    let wanted = || Proactive {
        target: Target::Chat("team".into()),
        post: Post { title: "News".to_owned(), text: "**Lunch**".to_owned(), questions: vec!["When?".to_owned()] },
        key: "lunch".to_owned(),
    };
    let now = magpie_core::clock::UnixMillis(0);
    for _ in 0..3 {
        post(hall.inbox.as_ref(), &hall.bot, wanted(), now).await.unwrap();
    }
    let asked = hall.say("ada", "why?").await;
    hall.reason(asked).await;
    let news = |one: &&super::hall::Shown| one.card.title == "News" && one.call == "finish";
    let shown = hall.until(|shown| shown.iter().find(news).cloned()).await;
    assert_eq!((shown.card.text.as_str(), shown.card.questions[0].label.as_str()), ("**Lunch**", "When?"));
    hall.reason(shown.event).await;
    assert_eq!(hall.shown().iter().filter(news).count(), 1);
    assert_eq!(hall.rows("SELECT state FROM deliveries").await, ["final", "final"]);
}

#[tokio::test]
async fn whoever_presses_twice_gets_it_once() {
    let hall = Hall::open(ChatSettings::default()).await;
    let asked = hall.say("ada", "why?").await;
    let card = hall.answer(asked).await;
    hall.reason(asked).await;
    let again = button(&card, Action::Regenerate);
    let (first, _) = hall.press("ada", asked, &again).await;
    let (second, _) = hall.press("ada", asked, &again).await;
    hall.nth_end(asked, 2).await;
    for press in [first, second] {
        hall.reason(press).await;
    }
    let help = hall.say("ada", "/help").await;
    let help_card = hall.answer(help).await;
    let status = help_card.buttons.iter().find(|button| button.argument == "/status").unwrap();
    for _ in 0..2 {
        hall.press("ada", help, status).await;
    }
    hall.until(|shown| shown.iter().find(|one| one.call == "finish" && one.card.text.contains("local")).map(|_| ()))
        .await;
    let last = hall.say("ada", "/whoami").await;
    hall.answer(last).await;
    let ends =
        |text: &str| hall.shown().iter().filter(|one| one.call == "finish" && one.card.text.contains(text)).count();
    assert_eq!((ends("two"), ends("three"), ends("Answers running")), (1, 0, 1));
}
