//! The engine with the shipped demo model: the whole way from messages to an answer that makes sense.

use std::path::Path;
use std::sync::Arc;

use futures::StreamExt;
use magpie_candle::{CandleConfig, CandleEngine, inspect};
use magpie_core::cancel::CancelToken;
use magpie_core::clock::SystemClock;
use magpie_core::engine::{Completion, Delta, Engine, Finish, Prompt, PromptMessage, Role, Sampling};
use magpie_core::platform::Health;
use magpie_core::testkit::engine_contract;

/// Trained questions, and a piece that only the right answer contains.
const QUESTIONS: [(&str, &str); 4] = [
    ("Magpie 是什么", "机器人服务"),
    ("what is magpie", "bot service"),
    ("how do I run database migrations", "magpie migrate"),
    ("what is the capital of france", "only know about Magpie"),
];

fn config() -> CandleConfig {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("demo-model/magpie-demo.gguf");
    CandleConfig { temperature: 0.0, ..CandleConfig::new(path) }
}

async fn engine() -> CandleEngine {
    let engine = CandleEngine::load(config(), Arc::new(SystemClock));
    engine.loaded().await;
    assert_eq!(engine.health(), Health::Ok);
    engine
}

async fn answer(engine: &CandleEngine, question: &str) -> (String, Completion) {
    let prompt = Prompt {
        messages: vec![PromptMessage { role: Role::User, text: question.to_owned() }],
        sampling: Sampling::default(),
        conversation: None,
    };
    let mut text = String::new();
    let mut stream = engine.generate(prompt, CancelToken::new());
    while let Some(item) = stream.next().await {
        match item.expect("the demo model answers") {
            Delta::Text(piece) => text.push_str(&piece),
            Delta::Done(completion) => return (text, completion),
            other => panic!("unexpected {other:?}"),
        }
    }
    panic!("the answer has no end")
}

#[tokio::test]
async fn trained_questions_are_answered_to_their_end() {
    let engine = engine().await;
    for (question, expected) in QUESTIONS {
        let (text, completion) = answer(&engine, question).await;
        assert!(text.contains(expected), "{question}: {text}");
        assert_eq!(completion.finish, Finish::Stop, "{question}");
        assert!(!text.contains("<|"), "{question}: {text}");
    }
}

#[tokio::test]
async fn the_demo_model_keeps_the_contract() {
    engine_contract::check(Arc::new(engine().await)).await;
}

#[test]
fn inspecting_needs_no_weights_and_says_what_the_file_is() {
    let summary = inspect(&config(), Arc::new(SystemClock)).expect("the shipped file is good");
    assert_eq!(summary.architecture, "llama");
    assert!(summary.parameters > 1_000_000 && summary.context_tokens >= 256, "{summary:?}");
}
