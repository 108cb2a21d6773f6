//! Buttons: who may press which, and what it does.

use std::time::{Duration, Instant};

use magpie_sim::feishu::{FeishuConfig, FeishuSim};
use magpie_sim::view::{CardState, SimulatedPlatform as _};
use serde_json::json;

use crate::harness::endpoint::usual_answer;
use crate::harness::{Backing, Endpoint, Gate, Plan, Script, Seat, Stage, eventually};

const ACTIONS: &str = "SELECT state, reason FROM events WHERE kind = 'action' ORDER BY id";

/// The button that ends an answer, in English.
const STOP: &str = "Stop";

async fn stage() -> (Stage, Endpoint) {
    let model = Endpoint::start().await;
    let stage = Stage::start(Plan::new(Backing::Sqlite).cloud("primary", &model)).await;
    (stage, model)
}

/// A card that has begun and will not end by itself.
async fn endless(seat: &Seat, model: &Endpoint) -> magpie_sim::view::MessageView {
    model.next(Script::gated("On and on ", &Gate::closed(), "and on."));
    seat.say_acknowledged("never stop").await;
    seat.streaming("On and on").await
}

#[tokio::test]
async fn stop_ends_the_generation_within_a_second() {
    let (stage, model) = stage().await;
    for (number, seat) in stage.groups().iter().enumerate() {
        let card = endless(seat, &model).await;
        let pressed_at = Instant::now();
        assert_eq!(seat.press(&card, STOP).await.status, 200);
        eventually("the endpoint to be hung up on", async || match model.hung_up() > number {
            true => Ok(()),
            false => Err(format!("{} closed connections", model.hung_up())),
        })
        .await;
        assert!(pressed_at.elapsed() < Duration::from_secs(1), "it took {:?}", pressed_at.elapsed());
        let stopped = seat.finished("On and on").await;
        assert_eq!(stopped.id, card.id);
        assert!(format!("{}{}", stopped.markdown, stopped.note).contains("Stopped."), "{stopped:?}");
        assert_eq!(seat.answers().len(), 1, "{}", seat.described());
        // The conversation goes on.
        seat.ask("what now", &usual_answer("what now")).await;
    }
    let stopped = "SELECT reason FROM events WHERE kind = 'message' AND reason IS NOT NULL";
    stage.tables.become_rows(stopped, &[&["cancelled"], &["cancelled"]]).await;
}

#[tokio::test]
async fn only_the_asker_and_administrators_may_stop() {
    let model = Endpoint::start().await;
    let plan = Plan::new(Backing::Sqlite).cloud("primary", &model);
    // The third of the people that every simulated Feishu begins with.
    let admin =
        FeishuSim::start(FeishuConfig::default()).expect("a simulated Feishu can be started").people()[2].0.clone();
    let stage = Stage::start(plan.set("chat.admin_users", vec![admin.clone()])).await;
    let seat = stage.feishu_group();
    let card = endless(&seat, &model).await;
    let stranger = seat.with_user(&stage.feishu.people()[1].0);
    let toast = || stage.feishu.last_toast().map(|toast| (toast.kind, toast.content));
    assert_eq!(stranger.press(&card, STOP).await.status, 200);
    assert_eq!(toast(), Some(("error".to_owned(), "Only the person who asked can do this".to_owned())));
    stage.tables.become_rows(ACTIONS, &[&["done", "denied"]]).await;
    assert_eq!((model.hung_up(), seat.streaming("On and on").await.id), (0, card.id.clone()));
    assert_eq!(seat.with_user(&admin).press(&card, STOP).await.status, 200);
    assert_eq!(toast(), Some(("success".to_owned(), "Stopping".to_owned())));
    stage.tables.become_rows(ACTIONS, &[&["done", "denied"], &["done", "-"]]).await;
    seat.finished("On and on").await;
    assert_eq!(model.hung_up(), 1);
}

#[tokio::test]
async fn a_vote_is_one_row_that_a_repeat_replaces() {
    let (stage, _model) = stage().await;
    for seat in stage.groups() {
        let bot = if seat.platform.name() == "feishu" { "helpdesk" } else { "it" };
        let card = seat.ask("rate me", &usual_answer("rate me")).await;
        let votes = format!("SELECT value, user_id FROM feedback WHERE bot = '{bot}'");
        assert_eq!(seat.press(&card, "👍").await.status, 200);
        stage.tables.become_rows(&votes, &[&["up", &seat.user]]).await;
        assert_eq!(seat.press(&card, "👎").await.status, 200);
        stage.tables.become_rows(&votes, &[&["down", &seat.user]]).await;
        let card = seat.finished(&usual_answer("rate me")).await;
        assert_eq!(card.state, CardState::Final);
    }
    assert!(stage.feishu.last_toast().is_some_and(|toast| toast.client_error.is_none()));
}

#[tokio::test]
async fn a_new_topic_by_button_forgets_the_old_one() {
    let (stage, model) = stage().await;
    for seat in stage.groups() {
        let first = format!("remember {}", seat.platform.name());
        let card = seat.ask(&first, &usual_answer(&first)).await;
        assert_eq!(seat.press(&card, "New topic").await.status, 200);
        stage.tables.settled().await;
        let second = format!("what of {}", seat.platform.name());
        seat.ask(&second, &usual_answer(&second)).await;
        assert!(!model.asked(&second).await.remembers(&first));
    }
}

#[tokio::test]
async fn a_press_on_another_bots_card_does_nothing() {
    let model = Endpoint::start().await;
    let other_app = FeishuConfig { app_id: "cli_0f0f0f0f0f0f0f0f".into(), ..FeishuConfig::default() };
    let other = FeishuSim::start(other_app).expect("a simulated Feishu can be started");
    let plan = Plan::new(Backing::Sqlite).cloud("primary", &model);
    let plan = crate::harness::stage::with_feishu_bot(plan, "intruder", &other);
    let stage = Stage::start(plan).await;
    other.set_webhook_url(&stage.service.webhook("intruder"));

    let seat = stage.feishu_group();
    let card = endless(&seat, &model).await;
    let json = stage.feishu.card_json(&card.id).expect("the answer is a card");
    let value = callback_value(&json).expect("a running card has a button that calls back");
    let press = json!({
        "operator": {"tenant_key": "t", "open_id": seat.user, "union_id": "on_x", "user_id": "x"},
        "token": "c-forged",
        "action": {"tag": "button", "value": value},
        "host": "im_message",
        "context": {"open_message_id": card.id, "open_chat_id": seat.chat},
    });
    let forged = other.envelope("card.action.trigger", press.clone());
    assert_eq!(other.push_body(&forged).await.status, 200, "it is rightly signed by the other bot");
    stage.tables.become_rows(ACTIONS, &[&["done", "unknown_card"]]).await;
    assert_eq!((model.hung_up(), seat.streaming("On and on").await.id), (0, card.id.clone()));
    // The very same press by the card's own bot does what it says.
    let genuine = stage.feishu.envelope("card.action.trigger", press);
    assert_eq!(stage.feishu.push_body(&genuine).await.status, 200);
    seat.finished("On and on").await;
}

/// What the first button found in a card sends back.
fn callback_value(card: &serde_json::Value) -> Option<serde_json::Value> {
    match card {
        serde_json::Value::Object(fields) if fields.get("type").is_some_and(|kind| kind == "callback") => {
            fields.get("value").cloned()
        }
        serde_json::Value::Object(fields) => fields.values().find_map(callback_value),
        serde_json::Value::Array(items) => items.iter().find_map(callback_value),
        _ => None,
    }
}
