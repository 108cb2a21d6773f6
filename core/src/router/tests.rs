use std::sync::Arc;
use std::time::Duration;

use futures::{FutureExt, StreamExt};
use tokio::time::{Instant, sleep};

use super::*;
use crate::engine::{Backlog, Choice, Completion, EngineKind, Finish, Image, PromptMessage, Role};
use crate::testkit::engine::{Failure, ScriptedEngine, Step};
use crate::testkit::engine_contract;

type Items = Vec<Result<Delta, EngineError>>;

const SECOND: Duration = Duration::from_secs(1);

fn settings(strategy: Strategy) -> RouterSettings {
    RouterSettings { strategy, ..RouterSettings::default() }
}

fn router(strategy: Strategy, engines: &[&Arc<ScriptedEngine>]) -> Router {
    router_with(settings(strategy), engines)
}

fn router_with(settings: RouterSettings, engines: &[&Arc<ScriptedEngine>]) -> Router {
    let engines = engines.iter().map(|&engine| Arc::clone(engine) as Arc<dyn Engine>).collect();
    Router::new(engines, settings)
}

fn local(script: Vec<Step>) -> Arc<ScriptedEngine> {
    ScriptedEngine::new("local", EngineKind::Local, vec![script])
}

fn cloud(script: Vec<Step>) -> Arc<ScriptedEngine> {
    ScriptedEngine::new("cloud", EngineKind::Cloud, vec![script])
}

fn answering(kind: EngineKind) -> Arc<ScriptedEngine> {
    ScriptedEngine::answering(kind, &["from ", kind.as_str()])
}

async fn ask(router: &Router) -> Items {
    router.answer(engine_contract::prompt(), &ModelChoice::Auto, CancelToken::new()).collect().await
}

/// The items in short: `>engine(fallback)`, texts, `restart`, `done`, `!reason`.
fn short(items: &Items) -> String {
    let one = |item: &Result<Delta, EngineError>| match item {
        Ok(Delta::Engine(Choice { engine, fallback: None })) => format!(">{}", engine.name),
        Ok(Delta::Engine(Choice { engine, fallback: Some(Fallback { from, reason }) })) => {
            format!(">{}({from} {reason})", engine.name)
        }
        Ok(Delta::Text(text)) => text.trim().to_owned(),
        Ok(Delta::Reasoning(text)) => format!("<{text}>"),
        Ok(Delta::Restart) => "restart".to_owned(),
        Ok(Delta::Done(Completion { finish: Finish::Cancelled, .. })) => "cancelled".to_owned(),
        Ok(Delta::Done(_)) => "done".to_owned(),
        Err(error) => format!("!{}", error.reason()),
    };
    items.iter().map(one).collect::<Vec<_>>().join(" ")
}

#[tokio::test(start_paused = true)]
async fn the_first_engine_of_the_strategy_answers() {
    let (local, cloud) = (answering(EngineKind::Local), answering(EngineKind::Cloud));
    for (strategy, first) in [
        (Strategy::LocalFirst, "local"),
        (Strategy::CloudFirst, "cloud"),
        (Strategy::LocalOnly, "local"),
        (Strategy::CloudOnly, "cloud"),
    ] {
        let items = ask(&router(strategy, &[&cloud, &local])).await;
        assert_eq!(short(&items), format!(">{first} from {first} done"));
    }
}

#[tokio::test(start_paused = true)]
async fn images_are_shown_to_engines_with_vision_only() {
    let (local, cloud) = (answering(EngineKind::Local), answering(EngineKind::Cloud));
    let router = router(Strategy::LocalFirst, &[&local, &cloud]);
    let images = vec![Image::new(b"GIF89a".as_slice().into()).expect("a picture")];
    let show = async |choice: &ModelChoice| {
        let prompt = Prompt { images: images.clone(), ..engine_contract::prompt() };
        short(&router.answer(prompt, choice, CancelToken::new()).collect().await)
    };
    let named = ModelChoice::Named("local".into());
    assert!(!router.sees(&ModelChoice::Auto));
    assert_eq!(show(&ModelChoice::Auto).await, "!unavailable");

    cloud.set_vision(true);
    assert!(router.sees(&ModelChoice::Auto) && router.sees(&named));
    assert_eq!(show(&ModelChoice::Auto).await, ">cloud from cloud done");
    assert_eq!(show(&named).await, ">cloud(local no_vision) from cloud done");
    assert_eq!(cloud.prompts()[0].images, images);
    assert!(local.prompts().is_empty());
}

#[tokio::test(start_paused = true)]
async fn every_failure_before_the_first_token_moves_on_and_says_why() {
    for failure in Failure::ALL {
        let reason = failure.error("x").reason();
        let engines = [local(vec![Step::Fail(failure)]), answering(EngineKind::Cloud)];
        let items = ask(&router(Strategy::LocalFirst, &[&engines[0], &engines[1]])).await;
        assert_eq!(short(&items), format!(">cloud(local {reason}) from cloud done"));

        let engines = [answering(EngineKind::Local), cloud(vec![Step::Fail(failure)])];
        let items = ask(&router(Strategy::CloudFirst, &[&engines[0], &engines[1]])).await;
        assert_eq!(short(&items), format!(">local(cloud {reason}) from local done"));
    }
}

#[tokio::test(start_paused = true)]
async fn an_only_strategy_ends_with_the_error_of_its_last_engine() {
    for failure in Failure::ALL {
        let reason = failure.error("x").reason();
        let engines = [local(vec![Step::Fail(failure)]), cloud(vec![Step::Fail(failure)])];
        for strategy in [Strategy::LocalOnly, Strategy::CloudOnly, Strategy::LocalFirst] {
            let items = ask(&router(strategy, &[&engines[0], &engines[1]])).await;
            assert_eq!(short(&items), format!("!{reason}"));
        }
        assert_eq!((engines[0].prompts().len(), engines[1].prompts().len()), (2, 2));
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_local_engine_the_cloud_is_no_fallback() {
    let cloud = answering(EngineKind::Cloud);
    assert_eq!(short(&ask(&router(Strategy::LocalFirst, &[&cloud])).await), ">cloud from cloud done");
}

#[tokio::test(start_paused = true)]
async fn without_any_engine_the_answer_is_unavailable() {
    let cloud = answering(EngineKind::Cloud);
    assert_eq!(short(&ask(&router(Strategy::LocalFirst, &[])).await), "!unavailable");
    let router = router(Strategy::LocalOnly, &[&cloud]);
    assert_eq!(short(&ask(&router).await), "!unavailable");
    assert!(router.candidates(&ModelChoice::Auto).is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_named_engine_is_asked_first_and_a_name_nobody_has_is_reported() {
    let (local, cloud) = (answering(EngineKind::Local), answering(EngineKind::Cloud));
    let router = router(Strategy::LocalFirst, &[&local, &cloud]);
    for (name, expected) in [
        ("cloud", ">cloud from cloud done"),
        ("local", ">local from local done"),
        ("gone", ">local(gone missing) from local done"),
    ] {
        let choice = ModelChoice::Named(name.into());
        let items: Items = router.answer(engine_contract::prompt(), &choice, CancelToken::new()).collect().await;
        assert_eq!(short(&items), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn no_first_token_by_the_deadline_moves_on() {
    let (local, cloud) = (local(vec![Step::Hang]), answering(EngineKind::Cloud));
    let began = Instant::now();
    let items = ask(&router(Strategy::LocalFirst, &[&local, &cloud])).await;
    assert_eq!(short(&items), ">cloud(local timeout) from cloud done");
    assert_eq!(began.elapsed(), 30 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_dies_in_mid_answer_is_followed_by_a_restart() {
    let deaths = [
        (vec![Step::Fail(Failure::Interrupted)], "interrupted"),
        (vec![Step::Break], "interrupted"),
        (vec![Step::Hang], "timeout"),
    ];
    for (death, reason) in deaths {
        let script = [vec![Step::Reasoning("hm".into()), Step::text("half")], death].concat();
        let (local, cloud) = (local(script), answering(EngineKind::Cloud));
        let items = ask(&router(Strategy::LocalFirst, &[&local, &cloud])).await;
        assert_eq!(short(&items), format!(">local <hm> half restart >cloud(local {reason}) from cloud done"));
    }
}

#[tokio::test(start_paused = true)]
async fn with_no_engine_left_in_mid_answer_what_was_shown_stays() {
    let local = local(vec![Step::text("half"), Step::Fail(Failure::Interrupted)]);
    let cloud = cloud(vec![Step::Fail(Failure::Unavailable)]);
    let items = ask(&router(Strategy::LocalFirst, &[&local, &cloud])).await;
    assert_eq!(short(&items), ">local half !unavailable");
}

#[tokio::test(start_paused = true)]
async fn slow_but_steady_engines_are_waited_for_until_the_total_timeout() {
    let steady = [Step::Wait(20 * SECOND), Step::text("a"), Step::Wait(50 * SECOND), Step::text("b")];
    let (local, cloud) = (local([&steady[..], &[Step::Done]].concat()), answering(EngineKind::Cloud));
    let router = router(Strategy::LocalFirst, &[&local, &cloud]);
    assert_eq!(short(&ask(&router).await), ">local a b done");

    local.script(vec![[&steady[..], &[Step::Wait(55 * SECOND), Step::text("c"), Step::Done]].concat()]);
    let began = Instant::now();
    let items = ask(&router).await;
    assert_eq!(short(&items), ">local a b !timeout");
    assert_eq!(began.elapsed(), 120 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn an_open_breaker_skips_the_engine_until_a_probe_works() {
    let (local, cloud) = (local(vec![Step::Fail(Failure::Unavailable)]), answering(EngineKind::Cloud));
    let router = router(Strategy::LocalFirst, &[&local, &cloud]);
    for _ in 0..5 {
        assert_eq!(short(&ask(&router).await), ">cloud(local unavailable) from cloud done");
    }
    assert_eq!(short(&ask(&router).await), ">cloud(local breaker_open) from cloud done");
    assert_eq!(local.prompts().len(), 5);
    assert!(matches!(router.engines()[0].health, Health::Degraded { .. }));

    local.script(vec![vec![Step::text("back"), Step::Done]]);
    sleep(30 * SECOND).await;
    assert_eq!(short(&ask(&router).await), ">local back done");
    assert_eq!(router.engines()[0].health, Health::Ok);
}

#[tokio::test(start_paused = true)]
async fn a_busy_engine_that_still_speaks_does_not_open_its_breaker() {
    let ticks = std::iter::repeat_n([Step::Wait(5 * SECOND), Step::text("tick")], 20).flatten().collect();
    let scripts = [vec![ticks], vec![vec![Step::Hang]; 6], vec![vec![Step::text("free"), Step::Done]]].concat();
    let local = ScriptedEngine::new("local", EngineKind::Local, scripts);
    let router = router(Strategy::LocalOnly, &[&local]);
    let long = ask(&router);
    let waiting = async {
        sleep(SECOND).await;
        futures::future::join_all((0..6).map(|_| ask(&router))).await
    };
    let free = async {
        sleep(60 * SECOND).await;
        ask(&router).await
    };
    let (_, waiting, free) = tokio::join!(long, waiting, free);
    assert!(waiting.iter().all(|items| short(items) == "!timeout"));
    assert_eq!(short(&free), ">local free done");
}

#[tokio::test(start_paused = true)]
async fn cancelling_ends_the_answer_without_another_engine() {
    for script in [vec![Step::Hang], vec![Step::text("a"), Step::Hang]] {
        let (local, cloud) = (local(script), answering(EngineKind::Cloud));
        let router = router(Strategy::LocalFirst, &[&local, &cloud]);
        let stop = CancelToken::new();
        let answer = router.answer(engine_contract::prompt(), &ModelChoice::Auto, stop.clone());
        let cancel = async {
            sleep(SECOND).await;
            stop.cancel();
        };
        let (items, ()) = tokio::join!(answer.collect::<Items>(), cancel);
        assert!(short(&items).ends_with("cancelled"), "{}", short(&items));
        assert!(cloud.prompts().is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn an_engine_deaf_to_cancellation_does_not_hold_the_answer_up() {
    let local = local(vec![Step::text("a"), Step::Hang]);
    let stop = CancelToken::new();
    struct Deaf(Arc<ScriptedEngine>);
    impl Engine for Deaf {
        fn info(&self) -> EngineInfo {
            self.0.info()
        }
        fn generate(&self, prompt: Prompt, _: CancelToken) -> BoxStream<'static, Result<Delta, EngineError>> {
            self.0.generate(prompt, CancelToken::new())
        }
        fn health(&self) -> Health {
            Health::Ok
        }
    }
    let router = Router::new(vec![Arc::new(Deaf(local))], settings(Strategy::LocalFirst));
    let mut answer = router.answer(engine_contract::prompt(), &ModelChoice::Auto, stop.clone());
    assert!(matches!(answer.next().await, Some(Ok(Delta::Engine(_)))));
    stop.cancel();
    assert_eq!(short(&answer.collect().await), "a cancelled");
}

#[tokio::test(start_paused = true)]
async fn answers_beyond_the_queue_are_refused_at_once_and_the_queue_is_served_in_order() {
    let local = local(vec![Step::Wait(SECOND), Step::text("a"), Step::Done]);
    let limits = RouterSettings { max_concurrent: 1, queue_limit: 1, ..settings(Strategy::LocalFirst) };
    let router = router_with(limits, &[&local]);
    let began = Instant::now();
    let (first, second, third) = tokio::join!(ask(&router), ask(&router), async {
        let items = ask(&router).await;
        (items, began.elapsed())
    });
    assert_eq!((short(&first).as_str(), short(&second).as_str()), (">local a done", ">local a done"));
    assert_eq!((short(&third.0).as_str(), third.1), ("!overloaded", Duration::ZERO));
    assert_eq!(began.elapsed(), 2 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_dropped_answer_gives_its_place_back() {
    let local = local(vec![Step::text("a"), Step::Hang]);
    let limits = RouterSettings { max_concurrent: 1, queue_limit: 0, ..settings(Strategy::LocalFirst) };
    let router = router_with(limits, &[&local]);
    let mut answer = router.answer(engine_contract::prompt(), &ModelChoice::Auto, CancelToken::new());
    answer.next().await;
    assert_eq!(short(&ask(&router).await), "!overloaded");
    drop(answer);
    let mut answer = router.answer(engine_contract::prompt(), &ModelChoice::Auto, CancelToken::new());
    assert!(matches!(answer.next().now_or_never(), Some(Some(Ok(Delta::Engine(_))))));
}

#[tokio::test(start_paused = true)]
async fn waiting_for_a_place_ends_with_the_total_timeout() {
    let local = local(vec![Step::text("a"), Step::Hang]);
    let limits = RouterSettings { max_concurrent: 1, total_timeout: 10 * SECOND, ..settings(Strategy::LocalFirst) };
    let router = router_with(limits, &[&local]);
    let mut holding = router.answer(engine_contract::prompt(), &ModelChoice::Auto, CancelToken::new());
    holding.next().await;
    let began = Instant::now();
    assert_eq!(short(&ask(&router).await), "!overloaded");
    assert_eq!(began.elapsed(), 10 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn scripted_engines_keep_the_contract() {
    engine_contract::check(answering(EngineKind::Local)).await;
}

#[tokio::test(start_paused = true)]
async fn each_engine_reads_as_much_of_the_history_as_fits_its_context() {
    let engine = answering(EngineKind::Local);
    let turn = |role, text: &str| PromptMessage { role, text: text.repeat(1_000) };
    let mut prompt = engine_contract::prompt();
    let question = prompt.messages.pop().unwrap();
    for _ in 0..10 {
        prompt.messages.extend([turn(Role::User, "why "), turn(Role::Assistant, "so ")]);
    }
    prompt.messages.push(question.clone());
    let _: Items =
        router(Strategy::LocalOnly, &[&engine]).answer(prompt, &ModelChoice::Auto, CancelToken::new()).collect().await;
    let read = &engine.prompts()[0].messages;
    let tokens: usize = read.iter().map(|message| engine.count_tokens(&message.text)).sum();
    assert!(tokens <= 4096 * 3 / 4 && read.len() >= 2, "{tokens} tokens in {} messages", read.len());
    assert_eq!(read.last(), Some(&question));
}

#[tokio::test(start_paused = true)]
async fn a_question_too_long_for_one_engine_goes_to_the_next_without_being_asked() {
    let (small, large) = (answering(EngineKind::Local), answering(EngineKind::Cloud));
    large.set_context(None);
    let mut prompt = engine_contract::prompt();
    prompt.messages.last_mut().unwrap().text = "为什么".repeat(4_000);
    let items: Items = router(Strategy::LocalFirst, &[&small, &large])
        .answer(prompt, &ModelChoice::Auto, CancelToken::new())
        .collect()
        .await;
    assert_eq!(short(&items), ">cloud(local rejected) from cloud done");
    assert!(small.prompts().is_empty());
}

fn busy(seconds: u32) -> Backlog {
    Backlog { running: 4, waiting: 3, expected_wait: Some(SECOND * seconds) }
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_would_answer_too_late_is_passed_over_while_another_can_be_asked() {
    let (local, cloud) = (answering(EngineKind::Local), answering(EngineKind::Cloud));
    let router = router(Strategy::LocalFirst, &[&local, &cloud]);
    local.set_backlog(busy(30));
    assert_eq!(short(&ask(&router).await), ">local from local done");
    local.set_backlog(busy(31));
    assert_eq!(short(&ask(&router).await), ">cloud(local overloaded) from cloud done");
    assert_eq!(local.prompts().len(), 1, "it was not asked");
    assert_eq!(router.engines()[0].health, Health::Ok, "and is not broken");
}

#[tokio::test(start_paused = true)]
async fn a_busy_engine_is_asked_all_the_same_when_there_is_no_other() {
    let local = answering(EngineKind::Local);
    local.set_backlog(busy(300));
    assert_eq!(short(&ask(&router(Strategy::LocalFirst, &[&local])).await), ">local from local done");

    let cloud = cloud(vec![Step::Fail(Failure::Unavailable)]);
    let router = router(Strategy::CloudFirst, &[&local, &cloud]);
    assert_eq!(short(&ask(&router).await), ">local(cloud unavailable) from local done");
    // With its breaker open, the other one is none.
    let named = ModelChoice::Named("local".into());
    for _ in 0..5 {
        ask(&router).await;
    }
    let items: Items = router.answer(engine_contract::prompt(), &named, CancelToken::new()).collect().await;
    assert_eq!(short(&items), ">local from local done");
}

#[tokio::test(start_paused = true)]
async fn the_backlog_is_that_of_the_engine_whose_turn_it_would_be_and_of_the_queue() {
    let (local, cloud) = (answering(EngineKind::Local), cloud(vec![Step::text("a"), Step::Hang]));
    let limits = RouterSettings { max_concurrent: 1, ..settings(Strategy::LocalFirst) };
    let router = router_with(limits, &[&local, &cloud]);
    local.set_backlog(busy(20));
    assert_eq!(router.backlog(&ModelChoice::Auto), busy(20));
    local.set_backlog(busy(40));
    assert_eq!(router.backlog(&ModelChoice::Auto), Backlog::default());

    let mut holding = router.answer(engine_contract::prompt(), &ModelChoice::Auto, CancelToken::new());
    holding.next().await;
    let mut waiting = router.answer(engine_contract::prompt(), &ModelChoice::Auto, CancelToken::new());
    assert!(waiting.next().now_or_never().is_none());
    assert_eq!(router.backlog(&ModelChoice::Auto).waiting, 1);
}
