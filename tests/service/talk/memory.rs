//! What a conversation remembers, and what is said around it.

use magpie_core::event::{Addressed, Quote};
use magpie_core::settings::ChatSettings;
use magpie_core::testkit::engine::Step;

use super::hall::{Hall, message};

fn script(texts: &[&str]) -> Vec<Vec<Step>> {
    texts.iter().map(|text| vec![Step::text(text), Step::Done]).collect()
}

#[tokio::test]
async fn older_turns_are_folded_into_a_summary_that_later_questions_are_asked_with() {
    let chat = ChatSettings { history_messages: 4, ..ChatSettings::default() };
    let hall = Hall::open(chat).await;
    hall.engine.script(script(&["a1", "a2", "They spoke of q1.", "a3"]));
    for question in ["q1", "q2"] {
        let event = hall.say("ada", question).await;
        hall.answer(event).await;
    }
    while hall.rows("SELECT text FROM summaries").await.is_empty() {
        hall.inbox.wait(std::time::Duration::from_millis(20)).await;
    }
    assert_eq!(hall.rows("SELECT text FROM summaries").await, ["They spoke of q1."]);
    let event = hall.say("ada", "q3").await;
    hall.answer(event).await;
    let texts: Vec<_> = hall.engine.prompts()[3].messages.iter().map(|m| m.text.clone()).collect();
    assert_eq!(texts[0], "be brief\n\nSummary of the conversation so far:\nThey spoke of q1.");
    assert_eq!(texts[1..], ["q2", "a2", "q3"]);
    let event = hall.say("ada", "/history").await;
    let card = hall.answer(event).await;
    assert!(card.text.contains("**Summary so far**\n\nThey spoke of q1."), "{}", card.text);
}

#[tokio::test]
async fn a_failed_summary_costs_nothing_but_itself() {
    use magpie_core::testkit::engine::Failure;
    let chat = ChatSettings { history_messages: 4, ..ChatSettings::default() };
    let hall = Hall::open(chat).await;
    hall.other.script(vec![vec![Step::Fail(Failure::Unavailable)]]);
    hall.engine.script(vec![
        vec![Step::text("a1"), Step::Done],
        vec![Step::text("a2"), Step::Done],
        vec![Step::Fail(Failure::Unavailable)],
        vec![Step::text("a3"), Step::Done],
    ]);
    for (question, answer) in [("q1", "a1"), ("q2", "a2")] {
        let event = hall.say("ada", question).await;
        assert_eq!(hall.answer(event).await.text, answer);
    }
    while hall.rows("SELECT reason FROM events WHERE reason = 'not_summarised'").await.is_empty() {
        hall.inbox.wait(std::time::Duration::from_millis(20)).await;
    }
    let event = hall.say("ada", "q3").await;
    assert_eq!(hall.answer(event).await.text, "a3");
}

#[tokio::test]
async fn a_group_is_overheard_by_consent_only() {
    for (limit, expected) in [(0, "so?"), (2, "> BOB: second\n> EVE: third\n\nso?")] {
        let chat = ChatSettings { group_context_messages: limit, ..ChatSettings::default() };
        let hall = Hall::open(chat).await;
        for (user, text) in [("bob", "first"), ("bob", "second"), ("eve", "third")] {
            let mut said = message(user, text);
            said.addressed = Addressed::NotBot;
            let event = hall.send(said).await;
            assert_eq!(hall.reason(event).await.as_deref(), Some("not_mentioned"));
        }
        let mut elsewhere = message("mallory", "in another group");
        elsewhere.addressed = Addressed::NotBot;
        elsewhere.chat.id = "other".into();
        let elsewhere = hall.send(elsewhere).await;
        hall.reason(elsewhere).await;
        let event = hall.say("ada", "so?").await;
        hall.answer(event).await;
        let asked = hall.engine.prompts()[0].messages[1].text.clone();
        assert!(asked.ends_with(expected) && !asked.contains("another group"), "{asked}");
        assert_eq!(hall.rows("SELECT text FROM messages WHERE role = 'user'").await, ["so?"], "and it is not kept");
    }
}

#[tokio::test]
async fn a_quoted_text_becomes_context_wherever_it_comes_from() {
    let hall = Hall::open(ChatSettings::default()).await;
    hall.board.quotes.lock().unwrap().insert("om_far".to_owned(), "the old rule".to_owned());
    let mut asked = message("ada", "still true?");
    asked.quote = Some(Quote { message_id: Some("om_far".into()), text: None, from_bot: false });
    let event = hall.send(asked).await;
    hall.answer(event).await;
    assert_eq!(hall.engine.prompts()[0].messages[1].text, "> the old rule\n\nstill true?");
}
