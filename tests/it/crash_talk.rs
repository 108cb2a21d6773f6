//! `kill -9` around what is not a first answer: a regenerated one, a waiting card, messages that became one question.

use magpie_sim::view::CardState;

use crate::harness::endpoint::usual_answer;
use crate::harness::{Backing, Endpoint, Gate, Plan, Script, Stage};

/// On SQLite, and on Postgres where there is a server, at the same time.
async fn on_both_stores(test: impl AsyncFn(Backing)) {
    let on_postgres = async {
        if let Some(backing) = Backing::postgres().await {
            test(backing).await;
        }
    };
    futures::join!(test(Backing::Sqlite), on_postgres);
}

async fn stage_on(backing: Backing, settings: &[(&str, toml::Value)]) -> (Stage, Endpoint) {
    let model = Endpoint::start().await;
    let plan = Plan::new(backing).cloud("primary", &model);
    let plan = settings.iter().fold(plan, |plan, (key, value)| plan.set(key, value.clone()));
    (Stage::start(plan).await, model)
}

#[tokio::test]
async fn killed_while_an_answer_is_regenerated_it_is_regenerated_once_in_the_same_card() {
    on_both_stores(killed_while_it_is_regenerated).await;
}

async fn killed_while_it_is_regenerated(backing: Backing) {
    let (mut stage, model) = stage_on(backing, &[]).await;
    let mut cards = Vec::new();
    for seat in stage.groups() {
        model.next(Script::answer("The first answer."));
        let first = seat.ask("will this survive", "The first answer.").await;
        model.next(Script::gated("Half of ", &Gate::closed(), "nothing."));
        seat.press(&first, "Regenerate").await;
        seat.streaming("Half of").await;
        cards.push((seat, first));
    }
    stage.service.kill();
    model.usually(|_| Script::answer("The second answer."));
    stage.service.start().await;
    for (seat, first) in &cards {
        let second = seat.finished("The second answer.").await;
        assert!(second.id == first.id && second.note.contains("2/2"), "{second:?}");
        assert_eq!(seat.answers().len(), 1, "{}", seat.described());
    }
    stage.tables.settled().await;
    assert_eq!(stage.tables.count("answer_versions").await, 4);
    assert_eq!(stage.tables.count("messages WHERE text = 'The second answer.'").await, 2);
    assert_eq!(stage.tables.count("messages").await, 4);
    assert_eq!(stage.tables.count("deliveries WHERE state = 'final'").await, 2);
    for (seat, first) in &cards {
        let second = seat.finished("The second answer.").await;
        seat.press(&second, "‹").await;
        seat.changed(first, "the first version", |card| card.markdown.contains("The first answer.")).await;
    }
    stage.tables.settled().await;
}

#[tokio::test]
async fn killed_right_after_the_press_it_is_still_done() {
    let (mut stage, model) = stage_on(Backing::Sqlite, &[]).await;
    for seat in stage.groups() {
        let first = seat.ask("will this survive", &usual_answer("will this survive")).await;
        model.usually(|_| Script::silent());
        assert_eq!(seat.press(&first, "Regenerate").await.status, 200);
        stage.service.kill();
        model.usually(|_| Script::answer("The second answer."));
        stage.service.start().await;
        let second = seat.finished("The second answer.").await;
        assert!(second.id == first.id && second.note.contains("2/2"), "{second:?}");
        model.usually(|question| Script::answer(&usual_answer(question)));
        stage.tables.settled().await;
    }
}

#[tokio::test]
async fn killed_while_a_card_waits_both_questions_are_answered_in_their_cards() {
    on_both_stores(killed_while_a_card_waits).await;
}

async fn killed_while_a_card_waits(backing: Backing) {
    let (mut stage, model) = stage_on(backing, &[]).await;
    let gate = Gate::closed();
    model.usually(move |_| Script::gated("", &gate, "Never."));
    let mut waiting = Vec::new();
    for seat in stage.groups() {
        seat.say_acknowledged("the first question").await;
        let first = seat.streaming("").await;
        seat.say_acknowledged("the second question").await;
        let second = seat.answer("a second card", |card| card.id != first.id).await;
        assert!(second.state == CardState::Streaming && second.markdown.contains("before yours"), "{second:?}");
        waiting.push((seat, [first.id, second.id]));
    }
    stage.service.kill();
    model.usually(|question| Script::answer(&usual_answer(question)));
    stage.service.start().await;
    for (seat, cards) in waiting {
        let first = seat.finished(&usual_answer("the first question")).await;
        let second = seat.finished(&usual_answer("the second question")).await;
        assert_eq!([first.id, second.id], cards, "the same cards: {}", seat.described());
        assert_eq!(seat.answers().len(), 2, "{}", seat.described());
    }
    stage.tables.settled().await;
    let asked_second = model.prompts().into_iter().filter(|prompt| prompt.question() == "the second question");
    for prompt in asked_second {
        assert!(prompt.remembers(&usual_answer("the first question")), "in order: {prompt:?}");
    }
}

#[tokio::test]
async fn killed_between_merge_and_answer_the_messages_stay_one_question() {
    on_both_stores(killed_between_merge_and_answer).await;
}

async fn killed_between_merge_and_answer(backing: Backing) {
    let merge = [("chat.busy_policy", "merge".into()), ("chat.debounce_ms", 400.into())];
    let (mut stage, model) = stage_on(backing, &merge).await;
    let gate = Gate::closed();
    model.usually(move |_| Script::gated("", &gate, "Never."));
    let mut cards = Vec::new();
    for seat in stage.groups() {
        let name = seat.platform.name();
        seat.say_acknowledged(&format!("the first half on {name}")).await;
        seat.say_acknowledged(&format!("the second half on {name}")).await;
        let prompt = model.asked(&format!("the second half on {name}")).await;
        assert_eq!(prompt.question(), format!("the first half on {name}\nthe second half on {name}"));
        cards.push((seat.streaming("").await, seat));
    }
    stage.service.kill();
    model.usually(|question| Script::answer(&usual_answer(question)));
    stage.service.start().await;
    for (card, seat) in cards {
        let name = seat.platform.name();
        let answer = seat.finished(&format!("the second half on {name}")).await;
        assert!(answer.markdown.contains(&format!("the first half on {name}")), "{answer:?}");
        assert_eq!((answer.id, seat.answers().len()), (card.id, 1), "{}", seat.described());
    }
    stage.tables.settled().await;
    assert_eq!(stage.tables.count("messages WHERE role = 'user'").await, 2, "one question on each platform");
}
