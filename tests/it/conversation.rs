//! One message all the way, on both platforms: card, stream, end, rows, history, commands.

use magpie_sim::view::{CardState, SimulatedPlatform as _};
use serde_json::json;

use crate::harness::endpoint::usual_answer;
use crate::harness::script::MODEL;
use crate::harness::stage::{DINGTALK, FEISHU};
use crate::harness::{Backing, Endpoint, Gate, Plan, Script, Seat, Stage};

/// A world with one cloud endpoint.
async fn stage_on(backing: Backing) -> (Stage, Endpoint) {
    let model = Endpoint::start().await;
    let stage = Stage::start(Plan::new(backing).cloud("primary", &model)).await;
    (stage, model)
}

/// A card appears, grows, and ends with the whole answer and the engine's name.
async fn answer_streams_into_one_card(seat: &Seat, model: &Endpoint) {
    let gate = Gate::closed();
    model.next(Script::gated("Once upon a time ", &gate, "there was a bridge of birds."));
    seat.say_acknowledged("Tell me a story").await;
    let growing = seat.streaming("Once upon a time").await;
    assert!(growing.card && growing.title.contains("Tell me a story"), "{growing:?}");
    gate.open();
    let told = seat.finished("Once upon a time there was a bridge of birds.").await;
    assert_eq!(told.id, growing.id, "the answer ends in the card it began in");
    assert!(told.note.contains(MODEL) && told.note.contains("cloud"), "the footer names the engine: {:?}", told.note);
    assert_eq!(seat.answers().len(), 1, "one message: {}", seat.described());
}

#[tokio::test]
async fn feishu_messages_are_answered_in_a_card_that_streams() {
    let (stage, model) = stage_on(Backing::Sqlite).await;
    for seat in [stage.feishu_direct(), stage.feishu_group()] {
        answer_streams_into_one_card(&seat, &model).await;
        let report = stage.feishu.card_report(&seat.answers()[0].id).expect("the answer is a card");
        assert!(report.max_in_flight <= 1, "one update at a time: {report:?}");
        assert_eq!((report.refused, report.streaming, report.timed_out), (0, false, false), "{report:?}");
    }
    assert_rows(&stage, FEISHU, "feishu").await;
}

#[tokio::test]
async fn dingtalk_messages_are_answered_in_a_card_that_streams() {
    let (stage, model) = stage_on(Backing::Sqlite).await;
    for seat in [stage.dingtalk_direct(), stage.dingtalk_group()] {
        answer_streams_into_one_card(&seat, &model).await;
        let report = stage.dingtalk.card_report(&seat.answers()[0].id).expect("the answer is a card");
        assert!(report.finished && report.concurrency_violations == 0, "{report:?}");
        assert!(report.oddities.is_empty() && report.refused == 0, "{report:?}");
    }
    assert_rows(&stage, DINGTALK, "dingtalk").await;
}

#[tokio::test]
async fn both_platforms_are_answered_on_postgres() {
    let Some(backing) = Backing::postgres().await else { return };
    let (stage, model) = stage_on(backing).await;
    for seat in [stage.feishu_direct(), stage.feishu_group()] {
        answer_streams_into_one_card(&seat, &model).await;
    }
    assert_rows(&stage, FEISHU, "feishu").await;
    let seat = stage.dingtalk_group();
    answer_streams_into_one_card(&seat, &model).await;
}

/// What two answered messages of two chats leave in the tables.
async fn assert_rows(stage: &Stage, bot: &str, platform: &str) {
    let tables = &stage.tables;
    let events = format!("SELECT kind, state, reason FROM events WHERE bot = '{bot}' ORDER BY id");
    tables.become_rows(&events, &[&["message", "done", "-"], &["message", "done", "-"]]).await;
    let conversations = format!("conversations WHERE bot = '{bot}' AND platform = '{platform}'");
    assert_eq!(tables.count(&conversations).await, 2);
    let messages = "SELECT role, text, engine, model FROM messages ORDER BY event_id, role DESC";
    let question = ["user", "Tell me a story", "-", "-"];
    let answer = ["assistant", "Once upon a time there was a bridge of birds.", "primary", MODEL];
    tables.become_rows(messages, &[&question, &answer, &question, &answer]).await;
    let deliveries = format!("deliveries WHERE bot = '{bot}' AND state = 'final' AND kind = 'answer'");
    assert_eq!(tables.count(&deliveries).await, 2);
    assert_eq!(tables.count("deliveries").await, 2);
}

#[tokio::test]
async fn a_second_turn_knows_the_first_until_a_new_topic_begins() {
    let (stage, model) = stage_on(Backing::Sqlite).await;
    for seat in stage.groups() {
        let name = seat.platform.name();
        let (first, second, third) =
            (format!("I am {name}-fan number one"), format!("Who am I on {name}"), format!("And now on {name}"));
        seat.ask(&first, &usual_answer(&first)).await;
        seat.ask(&second, &usual_answer(&second)).await;
        let prompt = model.asked(&second).await;
        assert!(prompt.remembers(&first) && prompt.remembers(&usual_answer(&first)), "{prompt:?}");
        let roles: Vec<&str> = prompt.messages.iter().map(|(role, _)| role.as_str()).collect();
        assert_eq!(roles, ["system", "user", "assistant", "user"], "{prompt:?}");
        seat.ask("/new", "fresh start").await;
        seat.ask(&third, &usual_answer(&third)).await;
        let prompt = model.asked(&third).await;
        assert!(!prompt.remembers(&first) && !prompt.remembers(&second), "{prompt:?}");
    }
}

#[tokio::test]
async fn people_do_not_share_what_was_said_in_a_group() {
    let (stage, model) = stage_on(Backing::Sqlite).await;
    let one = stage.feishu_group();
    let other = one.with_user(&stage.feishu.people()[1].0);
    one.ask("My secret word is larch", "larch").await;
    other.ask("Which word is it", &usual_answer("Which word is it")).await;
    assert!(!model.asked("Which word is it").await.remembers("larch"));
}

#[tokio::test]
async fn help_and_status_are_answered_without_asking_a_model() {
    let (stage, model) = stage_on(Backing::Sqlite).await;
    for seat in stage.groups() {
        seat.ask("/help", "/status").await;
        seat.ask("/帮助", "开始新话题").await;
        seat.ask("/status", "primary").await;
        seat.ask("/frobnicate", "no such command").await;
    }
    assert!(model.prompts().is_empty());
}

#[tokio::test]
async fn a_group_message_without_a_mention_is_kept_and_not_answered() {
    let (stage, model) = stage_on(Backing::Sqlite).await;
    let seat = stage.feishu_group();
    assert_eq!(seat.say_without_mention("Lunch, anybody?").await.status, 200);
    let events = "SELECT state, reason FROM events ORDER BY id";
    stage.tables.become_rows(events, &[&["done", "not_mentioned"]]).await;
    // Whoever is addressed afterwards is answered, so nothing was merely late.
    seat.ask("Are you there", "Are you there").await;
    assert_eq!((seat.answers().len(), model.prompts().len()), (1, 1), "{}", seat.described());
    assert!(!model.prompts()[0].remembers("Lunch"));
}

#[tokio::test]
async fn bots_are_kept_and_not_answered() {
    let (stage, model) = stage_on(Backing::Sqlite).await;
    let seat = stage.feishu_group();
    let said = seat.say_without_mention("a template for the forgery below").await;
    let mut from_bot = stage.feishu.event_of(&said.id)["event"].clone();
    from_bot["sender"]["sender_type"] = json!("app");
    from_bot["message"]["message_id"] = json!("om_00000000000000000000000000000b07");
    from_bot["message"]["mentions"] = json!([{
        "key": "@_user_1",
        "id": {"open_id": stage.feishu.config().bot_open_id, "union_id": "on_b07", "user_id": ""},
        "mentioned_type": "bot",
        "name": stage.feishu.config().bot_name,
        "tenant_key": stage.feishu.config().tenant_key,
    }]);
    from_bot["message"]["content"] = json!(r#"{"text":"@_user_1 shall we talk for ever?"}"#);
    assert_eq!(stage.feishu.push_event("im.message.receive_v1", from_bot).await.status, 200);
    let events = "SELECT state, reason FROM events ORDER BY id";
    stage.tables.become_rows(events, &[&["done", "not_mentioned"], &["done", "from_bot"]]).await;
    assert!(seat.answers().is_empty() && model.prompts().is_empty());
}

#[tokio::test]
async fn blanks_alone_are_no_question_in_a_direct_chat() {
    let (stage, model) = stage_on(Backing::Sqlite).await;
    let seat = stage.feishu_direct();
    seat.say("  \n ").await;
    stage.tables.become_rows("SELECT state, reason FROM events", &[&["done", "no_text"]]).await;
    assert!(seat.answers().is_empty() && model.prompts().is_empty());
}

#[tokio::test]
async fn conversations_do_not_wait_for_each_other_and_one_conversation_keeps_its_order() {
    let (stage, model) = stage_on(Backing::Sqlite).await;
    let (slow, quick) = (stage.feishu_group(), stage.dingtalk_group());
    let gate = Gate::closed();
    model.next(Script::gated("Patience ", &gate, "pays."));
    slow.say_acknowledged("the slow one").await;
    slow.streaming("Patience").await;
    slow.say_acknowledged("the one behind").await;
    quick.ask("the quick one", &usual_answer("the quick one")).await;
    assert_eq!(model.prompts().len(), 2, "the one behind has to wait: {:?}", model.prompts());
    gate.open();
    slow.finished(&usual_answer("the one behind")).await;
    assert!(model.asked("the one behind").await.remembers("Patience pays."));
    assert_eq!(model.most_running(), 2);
    let states: Vec<CardState> = slow.answers().iter().map(|answer| answer.state).collect();
    assert_eq!(states, [CardState::Final, CardState::Final]);
}

#[tokio::test]
async fn a_question_that_is_taken_back_is_not_answered_any_more() {
    let (stage, model) = stage_on(Backing::Sqlite).await;
    let seat = stage.feishu_group();
    let gate = Gate::closed();
    model.next(Script::gated("This goes on and ", &gate, "on."));
    let question = seat.say_acknowledged("better forget it").await;
    let card = seat.streaming("This goes on and").await;
    assert_eq!(stage.feishu.recall(&question).await.status, 200);
    let ended = seat.finished("taken back").await;
    assert_eq!((ended.id, model.hung_up()), (card.id, 1));
    assert!(!ended.markdown.contains("This goes on"), "{}", seat.described());
    stage.tables.become_rows("SELECT state, reason FROM events WHERE kind = 'message'", &[&["done", "recalled"]]).await;
}

#[tokio::test]
async fn a_disabled_bot_keeps_what_it_hears_and_says_nothing() {
    let model = Endpoint::start().await;
    let plan = Plan::new(Backing::Sqlite).cloud("primary", &model).set(&format!("bots.{FEISHU}.enabled"), false);
    let stage = Stage::start(plan).await;
    let seat = stage.feishu_group();
    seat.say_acknowledged("anybody").await;
    stage.tables.become_rows("SELECT state, reason FROM events", &[&["done", "bot_disabled"]]).await;
    // The other bot is not touched by that.
    stage.dingtalk_group().ask("and you", &usual_answer("and you")).await;
    assert!(seat.answers().is_empty(), "{}", seat.described());
}
