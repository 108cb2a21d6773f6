use magpie_core::clock::SystemClock;
use magpie_core::engine::{PromptMessage, Role, Sampling};
use magpie_core::testkit::engine_contract;
use tempfile::NamedTempFile;

use super::*;
use crate::model::ModelSummary;
use crate::testmodel::{self, CONTEXT_TOKENS, Kind};

/// An engine that has finished loading, well or badly.
async fn loaded(config: CandleConfig) -> CandleEngine {
    let engine = CandleEngine::load(config, Arc::new(SystemClock));
    engine.loaded().await;
    engine
}

fn config(file: &NamedTempFile) -> CandleConfig {
    CandleConfig { max_tokens: 40, temperature: 0.0, ..CandleConfig::new(file.path()) }
}

async fn tiny(kind: Kind) -> (CandleEngine, NamedTempFile) {
    let file = testmodel::write(kind, &[]);
    (loaded(config(&file)).await, file)
}

fn ask(text: &str, sampling: Sampling) -> Prompt {
    Prompt { messages: vec![PromptMessage { role: Role::User, text: text.to_owned() }], sampling, conversation: None }
}

async fn collect(engine: &CandleEngine, prompt: Prompt) -> (String, Result<Completion, EngineError>) {
    let items: Vec<Item> = engine.generate(prompt, CancelToken::new()).collect().await;
    let mut text = String::new();
    for item in items {
        match item {
            Ok(Delta::Text(piece)) => text.push_str(&piece),
            Ok(Delta::Done(completion)) => return (text, Ok(completion)),
            Ok(other) => panic!("unexpected {other:?}"),
            Err(error) => return (text, Err(error)),
        }
    }
    panic!("the answer has no end")
}

#[tokio::test]
async fn every_architecture_keeps_the_contract() {
    for kind in Kind::ALL {
        let (engine, _file) = tiny(kind).await;
        assert_eq!(engine.health(), Health::Ok);
        engine_contract::check(Arc::new(engine)).await;
    }
}

#[tokio::test]
async fn equal_seeds_give_equal_answers_whatever_came_between() {
    let (engine, _file) = tiny(Kind::Qwen3).await;
    let sampling = Sampling { temperature: Some(1.0), seed: Some(3), max_tokens: Some(20), ..Sampling::default() };
    let (first, _) = collect(&engine, ask("hello", sampling.clone())).await;
    collect(&engine, ask("something else entirely", Sampling::default())).await.1.unwrap();
    let (again, _) = collect(&engine, ask("hello", sampling.clone())).await;
    assert_eq!(first, again);
    let (other, _) = collect(&engine, ask("hello", Sampling { seed: Some(4), ..sampling })).await;
    assert_ne!(first, other);
}

#[tokio::test]
async fn an_answer_ends_at_its_limit_and_at_the_end_of_the_context() {
    let (engine, _file) = tiny(Kind::Llama).await;
    let limited = |max_tokens| Sampling { max_tokens: Some(max_tokens), ..Sampling::default() };
    let completion = collect(&engine, ask("hello", limited(5))).await.1.unwrap();
    assert!(completion.completion_tokens <= 5, "{completion:?}");
    // Sampling from noise rarely ends by itself; a stop token before the context's end would do no harm either.
    let completion = collect(&engine, ask(&"x".repeat(200), limited(10_000))).await.1.unwrap();
    let total = completion.prompt_tokens + completion.completion_tokens;
    assert!(total as usize <= CONTEXT_TOKENS, "{completion:?}");
}

#[tokio::test]
async fn a_prompt_beyond_the_context_is_refused_with_both_numbers() {
    let (engine, _file) = tiny(Kind::Llama).await;
    let error = collect(&engine, ask(&"x".repeat(400), Sampling::default())).await.1.unwrap_err();
    let EngineError::Rejected { what, .. } = &error else { panic!("{error}") };
    assert!(what.contains("256") && what.contains("4"), "{what}");
}

#[tokio::test]
async fn a_stop_string_ends_the_answer_and_is_not_part_of_it() {
    let (engine, _file) = tiny(Kind::Llama).await;
    let (whole, _) = collect(&engine, ask("hello", Sampling::default())).await;
    let stop: String = whole.chars().skip(2).take(2).collect();
    let expected = whole.split(stop.as_str()).next().unwrap().to_owned();
    let sampling = Sampling { stop: vec![stop], ..Sampling::default() };
    let (cut, completion) = collect(&engine, ask("hello", sampling)).await;
    assert_eq!((cut, completion.unwrap().finish), (expected, Finish::Stop));
}

/// An engine whose prompts stay in the queue, and the far end of that queue.
fn idle(queue_limit: usize) -> (CandleEngine, mpsc::Receiver<Job>) {
    let summary = ModelSummary {
        name: "idle".to_owned(),
        architecture: "llama".to_owned(),
        context_tokens: CONTEXT_TOKENS,
        vocabulary_size: 0,
        parameters: 0,
    };
    let phase = SharedPhase::new();
    phase.set(Phase::Ready { summary, tokenizer: Arc::new(testmodel::tokenizer()) });
    let (jobs, queue) = mpsc::channel(queue_limit);
    (CandleEngine { config: CandleConfig::new("idle.gguf"), phase, jobs }, queue)
}

#[tokio::test]
async fn beyond_the_queue_prompts_are_refused_and_cancelled_ones_do_not_wait() {
    let (engine, _queue) = idle(1);
    let stop = CancelToken::new();
    let waiting = engine.generate(ask("hello", Sampling::default()), stop.clone());
    let error = collect(&engine, ask("hello", Sampling::default())).await.1.unwrap_err();
    assert_eq!(error.reason(), "overloaded");
    stop.cancel();
    let items: Vec<Item> = waiting.collect().await;
    assert!(matches!(items[..], [Ok(Delta::Done(Completion { finish: Finish::Cancelled, .. }))]), "{items:?}");
}

#[tokio::test]
async fn a_dead_engine_thread_is_an_error_and_never_a_hang() {
    let (engine, queue) = idle(1);
    let waiting = engine.generate(ask("hello", Sampling::default()), CancelToken::new());
    drop(queue);
    let items: Vec<Item> = waiting.collect().await;
    assert!(matches!(items[..], [Err(EngineError::Interrupted { .. })]), "{items:?}");
    let error = collect(&engine, ask("hello", Sampling::default())).await.1.unwrap_err();
    assert_eq!(error.reason(), "unavailable");
    assert!(matches!(engine.health(), Health::Degraded { .. }));
}

#[tokio::test]
async fn a_model_that_can_not_be_loaded_says_why_and_answers_nothing() {
    let file = testmodel::write(Kind::Llama, &[("general.architecture", "mamba".into())]);
    let engine = loaded(config(&file)).await;
    assert!(matches!(engine.health(), Health::Degraded { detail } if detail.contains("mamba")));
    let error = collect(&engine, ask("hello", Sampling::default())).await.1.unwrap_err();
    assert_eq!(error.reason(), "unavailable");
}

#[tokio::test]
async fn tokens_are_counted_exactly_once_the_model_is_there() {
    let (engine, _file) = tiny(Kind::Llama).await;
    assert_eq!(engine.count_tokens("hell"), 1);
    assert_eq!(engine.count_tokens("<|im_end|>"), 10);
    assert_eq!(engine.info().context_tokens, Some(CONTEXT_TOKENS));
}
