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
        images: Vec::new(),
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

/// A prompt with a history, so that prompts share beginnings, and with dice, so that a slip shows.
fn chat(question: &str, seed: u64) -> Prompt {
    let message = |role, text: &str| PromptMessage { role, text: text.to_owned() };
    let messages = vec![
        message(Role::System, "You are a helpful assistant."),
        message(Role::User, "what is magpie"),
        message(Role::Assistant, "Magpie is a bot service."),
        message(Role::User, question),
    ];
    let sampling = Sampling { temperature: Some(1.0), seed: Some(seed), max_tokens: Some(40), ..Sampling::default() };
    Prompt { messages, sampling, images: Vec::new(), conversation: None }
}

async fn collect(engine: &CandleEngine, prompt: Prompt) -> Vec<Delta> {
    let items: Vec<_> = engine.generate(prompt, CancelToken::new()).collect().await;
    items.into_iter().map(|item| item.expect("the demo model answers")).collect()
}

fn text(deltas: &[Delta]) -> String {
    deltas.iter().map(|delta| if let Delta::Text(text) = delta { text.as_str() } else { "" }).collect()
}

/// The same bits, whatever is computed beside them: alone, in a batch, over cached pages and, with a cache that holds
/// two and a half of the chats, after preemptions.
#[tokio::test]
async fn answers_are_the_same_alone_in_a_batch_and_out_of_a_tiny_cache() {
    let roomy = engine().await;
    let prompts: Vec<Prompt> = QUESTIONS
        .iter()
        .zip(1..)
        .flat_map(|((question, _), seed)| [chat(question, seed), chat(question, seed + 10)])
        .collect();
    let mut alone = Vec::new();
    for prompt in &prompts {
        alone.push(text(&collect(&roomy, prompt.clone()).await));
    }
    for cache_bytes in [1 << 30, 1_500_000] {
        let engine = CandleEngine::load(CandleConfig { cache_bytes, ..config() }, Arc::new(SystemClock));
        engine.loaded().await;
        let batch = prompts.iter().map(|prompt| collect(&engine, prompt.clone()));
        let batch: Vec<String> = futures::future::join_all(batch).await.iter().map(|deltas| text(deltas)).collect();
        assert_eq!(batch, alone, "with a cache of {cache_bytes} bytes");
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
