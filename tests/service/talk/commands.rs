//! Commands, as text and from cards.

use magpie_core::card::CardState;
use magpie_core::event::Action;
use magpie_core::settings::{BotSettings, ChatSettings, LanguageChoice};
use magpie_core::testkit::engine::Step;

use super::hall::{Hall, commands};

async fn said(hall: &Hall, user: &str, text: &str) -> String {
    let event = hall.say(user, text).await;
    hall.answer(event).await.text
}

#[tokio::test]
async fn commands_answer_in_the_language_they_are_written_in() {
    let hall = Hall::open_as(|settings: &mut BotSettings| settings.language = LanguageChoice::Auto).await;
    assert!(said(&hall, "ada", "/帮助").await.contains("直接提问"));
    assert!(said(&hall, "ada", "/help").await.contains("Just ask"));
    assert!(hall.engine.prompts().is_empty(), "no engine is asked");
}

#[tokio::test]
async fn an_unknown_command_suggests_the_nearest() {
    let hall = Hall::open(ChatSettings::default()).await;
    let event = hall.say("ada", "/hlep").await;
    let card = hall.answer(event).await;
    assert!(card.text.contains("Did you mean `/help`?"), "{}", card.text);
    assert_eq!(commands(&card), ["/help"]);
}

#[tokio::test]
async fn stop_does_not_wait_for_what_it_stops_and_leaves_others_alone() {
    let hall = Hall::open(ChatSettings::default()).await;
    hall.engine.script(vec![vec![Step::text("half"), Step::Hang]]);
    let (mine, theirs) = (hall.say("ada", "why?").await, hall.say("bob", "how?").await);
    hall.until(|shown| (shown.iter().filter(|one| one.card.text == "half").count() >= 2).then_some(())).await;
    assert_eq!(said(&hall, "ada", "/stop").await, "Stopped.");
    assert_eq!(hall.answer(mine).await.state, CardState::Stopped);
    assert_eq!(said(&hall, "ada", "/stop").await, "Nothing is being answered for you here.");
    assert!(!hall.shown().iter().any(|one| one.event == theirs && one.card.state.is_final()));
}

#[tokio::test]
async fn a_model_is_chosen_for_oneself_and_given_back() {
    let hall = Hall::open(ChatSettings::default()).await;
    let event = hall.say("ada", "/model").await;
    let choice = hall.answer(event).await;
    assert_eq!(commands(&choice), ["/model local", "/model cloud", "/model auto"]);
    let cloud = choice.buttons.iter().find(|button| button.argument == "/model cloud").unwrap();
    hall.press("ada", event, cloud).await;
    hall.until(|shown| shown.iter().find(|one| one.card.text.contains("**cloud**")).map(|_| ())).await;
    assert_eq!(said(&hall, "ada", "why?").await, "from the cloud");
    assert_eq!(said(&hall, "bob", "why?").await, "one", "others keep theirs");
    said(&hall, "ada", "/model auto").await;
    assert_eq!(said(&hall, "ada", "why?").await, "two");
    assert!(said(&hall, "ada", "/model gpt-9").await.contains("no model `gpt-9`"));
}

#[tokio::test]
async fn only_allowed_models_can_be_chosen() {
    let chat = ChatSettings { models: vec!["local".to_owned()], ..ChatSettings::default() };
    let hall = Hall::open(chat).await;
    assert!(said(&hall, "ada", "/model cloud").await.contains("no model `cloud`"));
    let event = hall.say("ada", "why?").await;
    let card = hall.answer(event).await;
    assert!(card.buttons.iter().all(|button| button.action != Action::OtherEngine));
}

#[tokio::test]
async fn an_earlier_topic_is_gone_on_with() {
    let hall = Hall::open(ChatSettings::default()).await;
    said(&hall, "ada", "about trees").await;
    said(&hall, "ada", "/new").await;
    said(&hall, "ada", "about rivers").await;
    said(&hall, "bob", "about secrets").await;
    let event = hall.say("ada", "/history").await;
    let list = hall.answer(event).await;
    assert!(list.text.contains("1. about rivers (1) · current\n2. about trees (1)"), "{}", list.text);
    assert!(!list.text.contains("secrets"), "each person sees their own topics");
    let trees = list.questions.iter().find(|button| button.label == "about trees").unwrap();
    hall.press("ada", event, trees).await;
    hall.until(|shown| shown.iter().find(|one| one.card.text == "We go on with: about trees").map(|_| ())).await;
    said(&hall, "ada", "and leaves?").await;
    let texts: Vec<_> = hall.engine.prompts().last().unwrap().messages.iter().map(|m| m.text.clone()).collect();
    assert_eq!(texts, ["be brief", "about trees", "one", "and leaves?"]);
    assert_eq!(said(&hall, "bob", "/history 7").await, "There is no such topic here.");
}

#[tokio::test]
async fn nobody_resumes_another_persons_topic() {
    let hall = Hall::open(ChatSettings::default()).await;
    said(&hall, "ada", "about secrets").await;
    let id = hall.rows("SELECT id FROM conversations").await.remove(0);
    assert_eq!(said(&hall, "bob", &format!("/history {id}")).await, "There is no such topic here.");
}

#[tokio::test]
async fn pausing_a_chat_is_for_administrators_and_silences_it_until_it_is_resumed() {
    let chat = ChatSettings { admin_users: vec!["root".to_owned()], ..ChatSettings::default() };
    let hall = Hall::open(chat).await;
    assert_eq!(said(&hall, "ada", "/pause").await, "Only administrators of this bot can do this.");
    said(&hall, "root", "/pause").await;
    let ignored = hall.say("ada", "why?").await;
    assert_eq!(hall.reason(ignored).await.as_deref(), Some("paused"));
    said(&hall, "root", "/resume").await;
    assert_eq!(said(&hall, "ada", "why?").await, "one");
}

#[tokio::test]
async fn a_topic_is_exported_and_a_person_told_who_they_are() {
    let hall = Hall::open(ChatSettings::default()).await;
    assert_eq!(said(&hall, "ada", "/export").await, "There is nothing to export in the current topic.");
    said(&hall, "ada", "why?").await;
    let text = said(&hall, "ada", "/export").await;
    assert!(text.contains("**ADA**\n\nwhy?") && text.contains("one"), "{text}");
    let text = said(&hall, "ada", "/whoami").await;
    assert!(text.contains("Name: ADA") && text.contains("`ada`") && text.contains("member"), "{text}");
}
