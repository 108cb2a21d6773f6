//! What every engine promises, as checks that any engine can be put through.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::future::join_all;
use futures::stream::BoxStream;
use tokio::time::timeout;

use crate::cancel::CancelToken;
use crate::engine::{Delta, Engine, EngineError, Finish, Prompt, PromptMessage, Role, Sampling};

/// Longest time an item may take before the engine counts as hanging.
const PATIENCE: Duration = Duration::from_secs(60);

/// Deltas that an engine may still give out after it was cancelled: what was under way already.
const DELTAS_AFTER_CANCEL: usize = 16;

type Answer = BoxStream<'static, Result<Delta, EngineError>>;

/// Runs all checks. The engine must be ready and able to answer [`prompt`] any number of times.
///
/// # Panics
/// When the engine breaks a promise.
pub async fn check(engine: Arc<dyn Engine>) {
    an_answer_ends_with_done(&*engine).await;
    cancelling_before_the_start_ends_the_answer(&*engine).await;
    cancelling_in_mid_answer_ends_it(&*engine).await;
    dropping_an_answer_is_harmless(&*engine).await;
    concurrent_requests_are_all_answered(&*engine).await;
    longer_texts_have_no_fewer_tokens(&*engine);
}

/// A prompt that any model can be asked.
#[must_use]
pub fn prompt() -> Prompt {
    let message = |role, text: &str| PromptMessage { role, text: text.to_owned() };
    Prompt {
        messages: vec![message(Role::System, "Answer briefly."), message(Role::User, "Hello, who are you?")],
        sampling: Sampling { max_tokens: Some(24), seed: Some(7), ..Sampling::default() },
        images: Vec::new(),
        conversation: None,
    }
}

async fn an_answer_ends_with_done(engine: &dyn Engine) {
    let items = rest_of(engine.generate(prompt(), CancelToken::new())).await;
    assert_well_formed(&items);
    let Some(Ok(Delta::Done(completion))) = items.last() else { panic!("no good end: {:?}", items.last()) };
    assert_ne!(completion.finish, Finish::Cancelled, "nobody cancelled");
    assert!(completion.prompt_tokens > 0, "a prompt has tokens");
}

async fn cancelling_before_the_start_ends_the_answer(engine: &dyn Engine) {
    let stop = CancelToken::new();
    stop.cancel();
    let items = rest_of(engine.generate(prompt(), stop)).await;
    assert_well_formed(&items);
    assert!(items.len() <= DELTAS_AFTER_CANCEL, "{} items although cancelled", items.len());
}

async fn cancelling_in_mid_answer_ends_it(engine: &dyn Engine) {
    let stop = CancelToken::new();
    let mut answer = engine.generate(prompt(), stop.clone());
    let first = next_of(&mut answer).await;
    assert!(first.is_some(), "an answer has at least its end");
    stop.cancel();
    let rest = rest_of(answer).await;
    assert!(rest.len() <= DELTAS_AFTER_CANCEL, "{} items after cancelling", rest.len());
}

async fn dropping_an_answer_is_harmless(engine: &dyn Engine) {
    drop(engine.generate(prompt(), CancelToken::new()));
    let mut answer = engine.generate(prompt(), CancelToken::new());
    next_of(&mut answer).await;
    drop(answer);
    an_answer_ends_with_done(engine).await;
}

async fn concurrent_requests_are_all_answered(engine: &dyn Engine) {
    let answers = (0..4).map(|_| rest_of(engine.generate(prompt(), CancelToken::new())));
    for items in join_all(answers).await {
        assert_well_formed(&items);
        assert!(matches!(items.last(), Some(Ok(Delta::Done(_)))), "not answered: {:?}", items.last());
    }
}

fn longer_texts_have_no_fewer_tokens(engine: &dyn Engine) {
    assert_eq!(engine.count_tokens(""), 0, "nothing has no tokens");
    let mut text = String::new();
    let mut tokens = 0;
    for piece in ["Hello", " world", "\n\n", "你好，鹊桥", " 🐦", " 12345"] {
        text.push_str(piece);
        let longer = engine.count_tokens(&text);
        assert!(longer >= tokens, "{text:?} has {longer} tokens, its beginning {tokens}");
        tokens = longer;
    }
}

/// Text and reasoning are never empty, one end, nothing after it, and nothing that only the router may send.
fn assert_well_formed(items: &[Result<Delta, EngineError>]) {
    let Some((last, before)) = items.split_last() else { panic!("an answer has at least its end") };
    assert!(matches!(last, Ok(Delta::Done(_)) | Err(_)), "ends with {last:?}");
    for item in before {
        match item {
            Ok(Delta::Text(text) | Delta::Reasoning(text)) => assert!(!text.is_empty(), "an empty delta"),
            other => panic!("{other:?} before the end"),
        }
    }
}

async fn next_of(answer: &mut Answer) -> Option<Result<Delta, EngineError>> {
    timeout(PATIENCE, answer.next()).await.expect("an engine never hangs")
}

async fn rest_of(mut answer: Answer) -> Vec<Result<Delta, EngineError>> {
    let mut items = Vec::new();
    while let Some(item) = next_of(&mut answer).await {
        items.push(item);
    }
    items
}
