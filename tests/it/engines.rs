//! Which engine answers when some do not, and that the card says so.

use magpie_sim::view::{CardState, MessageView};

use crate::harness::endpoint::usual_answer;
use crate::harness::script::MODEL;
use crate::harness::service::free_port;
use crate::harness::{Backing, Endpoint, Gate, Plan, Script, Seat, Stage};

/// A world with two endpoints that are given half a second to their first token.
async fn two_endpoints() -> (Stage, Endpoint, Endpoint) {
    let (primary, backup) = (Endpoint::start().await, Endpoint::start().await);
    let plan = Plan::new(Backing::Sqlite).cloud("primary", &primary).cloud("backup", &backup);
    let stage = Stage::start(plan.set("model.request_timeout_ms", 500)).await;
    (stage, primary, backup)
}

/// Waits for the newest card to fail.
async fn failed(seat: &Seat) -> MessageView {
    seat.answer("a failed card", |answer| answer.state == CardState::Failed).await
}

#[tokio::test]
async fn local_first_without_a_local_model_is_answered_by_the_cloud() {
    let model = Endpoint::start().await;
    let plan = Plan::new(Backing::Sqlite).cloud("primary", &model).set("model.strategy", "local_first");
    let stage = Stage::start(plan).await;
    let answer = stage.feishu_group().ask("who answers", &usual_answer("who answers")).await;
    assert!(answer.note.contains("cloud") && answer.note.contains(MODEL), "{answer:?}");
    stage.tables.become_rows("SELECT engine FROM messages WHERE role = 'assistant'", &[&["primary"]]).await;
}

#[tokio::test]
async fn the_next_endpoint_answers_for_one_that_does_not() {
    let (stage, primary, backup) = two_endpoints().await;
    let cases = [
        ("status 500", Script::status("500 Internal Server Error"), "not available"),
        ("status 429", Script::status("429 Too Many Requests"), "busy"),
        ("status 401", Script::status("401 Unauthorized"), "set up wrongly"),
        ("silence", Script::silent(), "too slow"),
        ("no first token", Script::no_token(), "too slow"),
        ("nonsense", Script::malformed(), "broke off"),
    ];
    let seats = stage.groups();
    for (seat, (case, script, reason)) in seats.iter().cycle().zip(cases) {
        // A success in between, else the endpoint would be left alone after so many failures.
        let calm = format!("calm before {case}");
        let answer = seat.ask(&calm, &usual_answer(&calm)).await;
        assert!(!answer.note.contains("fell back"), "{case}: {answer:?}");
        let asked = backup.prompts().len();
        primary.next(script);
        let question = format!("what about {case}");
        let answer = seat.ask(&question, &usual_answer(&question)).await;
        assert!(answer.note.contains("primary") && answer.note.contains(reason), "{case}: {answer:?}");
        assert_eq!(backup.prompts().len(), asked + 1, "{case}");
    }
    let fallbacks = stage.service.metric("magpie_fallback_total", &[r#"from="primary""#, r#"to="backup""#]).await;
    assert!((fallbacks - 6.0).abs() < 0.5, "{fallbacks} fallbacks are counted");
}

#[tokio::test]
async fn an_answer_that_dies_is_begun_anew_in_the_same_card() {
    let (stage, primary, _backup) = two_endpoints().await;
    for seat in stage.groups() {
        let gate = Gate::closed();
        primary.next(Script::dies_after("Half of an ans", &gate));
        seat.say_acknowledged("will it end").await;
        let half = seat.streaming("Half of an ans").await;
        gate.open();
        let whole = seat.finished(&usual_answer("will it end")).await;
        assert_eq!((whole.id.as_str(), seat.answers().len()), (half.id.as_str(), 1), "{}", seat.described());
        assert!(!whole.markdown.contains("Half of"), "the old text is gone: {whole:?}");
        assert!(whole.note.contains("primary: broke off"), "the footer says why: {whole:?}");
    }
}

#[tokio::test]
async fn with_every_engine_down_the_card_fails_with_one_sentence() {
    let nobody = format!("http://127.0.0.1:{}/v1", free_port());
    let stage = Stage::start(Plan::new(Backing::Sqlite).cloud_at("primary", &nobody).cooldown(30)).await;
    for seat in stage.groups() {
        seat.say_acknowledged("anybody there").await;
        let card = failed(&seat).await;
        let shown = format!("{}{}", card.markdown, card.note);
        assert!(shown.contains("The model failed. Please try again later."), "{card:?}");
        assert_eq!(seat.answers().len(), 1, "{}", seat.described());
    }
    let ends = "SELECT state, reason FROM events ORDER BY id";
    stage.tables.become_rows(ends, &[&["done", "unavailable"], &["done", "unavailable"]]).await;
    let errors = "SELECT error_code, bot FROM bot_error_logs ORDER BY bot";
    stage.tables.become_rows(errors, &[&["unavailable", "helpdesk"], &["unavailable", "it"]]).await;
    assert_eq!(stage.service.get("/health/ready").await.map(|(status, _)| status), Some(200));
    // One more failure, and the endpoint is known to be down.
    stage.feishu_group().say_acknowledged("and now").await;
    stage.tables.settled().await;
    let (status, health) = stage.service.get("/health").await.expect("health is served");
    assert_eq!((status, &health["status"]), (200, &"degraded".into()), "{health}");
}

#[tokio::test]
async fn an_answer_that_nobody_can_finish_ends_honestly() {
    let model = Endpoint::start().await;
    let stage = Stage::start(Plan::new(Backing::Sqlite).cloud("primary", &model)).await;
    for seat in stage.groups() {
        let gate = Gate::closed();
        model.next(Script::dies_after("The beginning of ", &gate));
        seat.say_acknowledged("tell me all").await;
        seat.streaming("The beginning of").await;
        gate.open();
        let card = failed(&seat).await;
        let shown = format!("{}{}", card.markdown, card.note);
        assert!(shown.contains("The beginning of") && shown.contains("broke off"), "{card:?}");
        assert_eq!(seat.answers().len(), 1, "{}", seat.described());
    }
}

#[tokio::test]
async fn without_any_engine_people_get_one_sentence() {
    let stage = Stage::start(Plan::new(Backing::Sqlite).set("model.strategy", "local_only")).await;
    for seat in stage.groups() {
        seat.ask("hello", "No model is set up").await;
    }
    let ends = "SELECT state, reason FROM events ORDER BY id";
    stage.tables.become_rows(ends, &[&["done", "no_engine"], &["done", "no_engine"]]).await;
    let (status, health) = stage.service.get("/health").await.expect("health is served");
    assert_eq!((status, &health["status"]), (200, &"degraded".into()), "{health}");
}

#[tokio::test]
async fn health_tells_that_the_strategy_leaves_out_the_only_engine() {
    let model = Endpoint::start().await;
    let plan = Plan::new(Backing::Sqlite).cloud("primary", &model).set("model.strategy", "local_only");
    let stage = Stage::start(plan).await;
    let (status, health) = stage.service.get("/health").await.expect("health is served");
    let check = &health["checks"]["model"];
    assert_eq!((status, &check["status"]), (200, &"degraded".into()), "{health}");
    assert!(check["detail"].as_str().is_some_and(|detail| detail.contains("model.strategy")), "{health}");
}

#[cfg(feature = "candle")]
mod with_a_local_model {
    use super::*;
    use crate::harness::eventually;
    use crate::harness::seat::is_finished;

    /// The model that is shipped with the project.
    const DEMO_MODEL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/adapters/candle/demo-model/magpie-demo.gguf");

    /// A world whose local model has been read.
    async fn loaded(plan: Plan) -> Stage {
        let stage = Stage::start(plan.set("model.local.path", DEMO_MODEL)).await;
        eventually("the local model to be loaded", async || {
            let (_, health) = stage.service.get("/health").await.ok_or("no answer")?;
            let local = &health["checks"]["model"]["parts"]["local"];
            if local["status"] == "ok" { Ok(()) } else { Err(format!("{local}")) }
        })
        .await;
        stage
    }

    #[tokio::test]
    async fn cloud_first_falls_to_the_local_model_and_says_so() {
        let model = Endpoint::start().await;
        model.usually(|_| Script::status("500 Internal Server Error"));
        let plan = Plan::new(Backing::Sqlite).cloud("primary", &model);
        let plan = plan.set("model.strategy", "cloud_first");
        let stage = loaded(plan).await;
        for seat in stage.groups() {
            seat.say_acknowledged("What is Magpie?").await;
            let answer = seat.answer("a finished answer", is_finished).await;
            assert!(answer.markdown.len() > 10, "{answer:?}");
            assert!(answer.note.contains("local") && answer.note.contains("primary: not available"), "{answer:?}");
        }
        let engines = "SELECT engine, fallback_from FROM messages WHERE role = 'assistant'";
        stage.tables.become_rows(engines, &[&["local", "primary"], &["local", "primary"]]).await;
    }

    #[tokio::test]
    async fn the_local_model_answers_without_any_network() {
        let plan = Plan::new(Backing::Sqlite).set("model.strategy", "local_only");
        let stage = loaded(plan).await;
        let seat = stage.dingtalk_direct();
        seat.say_acknowledged("你是谁？").await;
        let answer = seat.answer("a finished answer", is_finished).await;
        assert!(answer.note.contains("本地") && !answer.markdown.is_empty(), "{answer:?}");
    }

    #[tokio::test]
    async fn a_question_asked_before_a_kill_waits_for_the_local_model_to_load_again() {
        let plan = Plan::new(Backing::Sqlite).set("model.strategy", "local_only").set("model.local.path", DEMO_MODEL);
        let mut stage = Stage::start(plan).await;
        let seats = stage.groups();
        for seat in &seats {
            seat.say_acknowledged("What is Magpie?").await;
        }
        stage.service.crash_and_restart().await;
        for seat in &seats {
            let answer = seat.answer("a finished answer", is_finished).await;
            assert!(answer.note.contains("local") && seat.answers().len() == 1, "{}", seat.described());
        }
    }
}
