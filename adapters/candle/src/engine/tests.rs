use std::sync::Mutex;

use magpie_core::clock::SystemClock;
use magpie_core::engine::{Completion, Finish, PromptMessage, ResponseFormat, Role, Sampling};
use magpie_core::testkit::engine_contract;

use super::*;
use crate::file::{ModelFile, Stage};
use crate::model::Loaded;
use crate::sampling::Grammars;
use crate::scheduler::Item;
use crate::scheduler::fake::{Diary, FakeNetwork, Mishap};
use crate::template::ChatTemplate;
use crate::template::TemplateOrigin;
use crate::testmodel::{self, CONTEXT_TOKENS, Kind};
use crate::tokenizer::Tokenizer;

/// A loader whose models compute nothing but digests. Loading is a file name: `missing` can't be loaded, `panic` makes
/// the loader panic, `slow` waits for a word.
#[derive(Clone, Default)]
struct Fakes {
    diaries: Arc<Mutex<Vec<Diary>>>,
    /// What each model was told of the memory that the one before it may yet take.
    promised: Arc<Mutex<Vec<u64>>>,
    gate: Arc<(Mutex<bool>, std::sync::Condvar)>,
}

impl Fakes {
    fn loader(&self) -> Loader {
        let fakes = self.clone();
        Arc::new(move |order: &Order| fakes.load(order))
    }

    fn load(&self, order: &Order) -> Result<Loaded, LoadError> {
        let path = order.config().path.clone();
        let name = path.to_string_lossy().into_owned();
        self.promised.lock().unwrap().push(order.promised_bytes());
        match name.as_str() {
            "missing" => return Err(LoadError::Unsupported { path, what: "there is no such thing".to_owned() }),
            "panic" => panic!("as planned"),
            "slow" => {
                order.reporter().report(Stage::Loading, 3, Some(4));
                let (open, opened) = &*self.gate;
                drop(opened.wait_while(open.lock().unwrap(), |open| !*open).unwrap());
            }
            _ => {}
        }
        let file = testmodel::write(Kind::Llama, &[]);
        let tokenizer = Arc::new(Tokenizer::open(file.path())?);
        let template = ChatTemplate::load(&ModelFile::open(file.path())?, None, &tokenizer, Arc::clone(&order.clock))?;
        let (network, diary) = FakeNetwork::new(tokenizer.vocabulary_size(), CONTEXT_TOKENS, 64);
        self.diaries.lock().unwrap().push(diary);
        let summary = ModelSummary {
            name,
            architecture: "llama".to_owned(),
            context_tokens: CONTEXT_TOKENS,
            vocabulary_size: tokenizer.vocabulary_size(),
            parameters: 0,
            tokenizer: tokenizer.kind().clone(),
            template: TemplateOrigin::Model,
        };
        let grammars = Grammars::new(Arc::clone(&tokenizer));
        Ok(Loaded { network: Box::new(network), tokenizer, grammars, template, summary })
    }

    fn diary(&self, number: usize) -> Diary {
        self.diaries.lock().unwrap()[number].clone()
    }

    fn open_gate(&self) {
        let (open, opened) = &*self.gate;
        *open.lock().unwrap() = true;
        opened.notify_all();
    }

    async fn engine(&self, config: CandleConfig) -> CandleEngine {
        let engine = CandleEngine::load_by(config, Arc::new(SystemClock), self.loader());
        engine.loaded().await;
        engine
    }
}

fn config(path: &str) -> CandleConfig {
    CandleConfig { max_tokens: 40, temperature: 0.0, ..CandleConfig::new(path) }
}

async fn fake() -> (CandleEngine, Fakes) {
    let fakes = Fakes::default();
    (fakes.engine(config("first")).await, fakes)
}

fn ask(text: &str, sampling: Sampling) -> Prompt {
    Prompt {
        messages: vec![PromptMessage { role: Role::User, text: text.to_owned() }],
        sampling,
        images: Vec::new(),
        conversation: None,
    }
}

fn hello() -> Prompt {
    ask("hello", Sampling::default())
}

async fn collect(engine: &CandleEngine, prompt: Prompt) -> (String, Result<Completion, EngineError>) {
    read(engine.generate(prompt, CancelToken::new())).await
}

async fn read(answer: BoxStream<'static, Item>) -> (String, Result<Completion, EngineError>) {
    let items: Vec<Item> = answer.collect().await;
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

fn detail(engine: &CandleEngine) -> String {
    match engine.health() {
        Health::Ok => String::new(),
        Health::Degraded { detail } => detail,
    }
}

#[tokio::test]
async fn the_engine_keeps_the_contract() {
    let (engine, _fakes) = fake().await;
    assert_eq!(engine.health(), Health::Ok);
    engine_contract::check(Arc::new(engine)).await;
}

#[tokio::test]
async fn every_architecture_keeps_the_contract_on_the_real_network() {
    for kind in Kind::ALL {
        let file = testmodel::write(kind, &[]);
        let small = CandleConfig { cache_bytes: 1 << 20, threads: 1, ..config(&file.path().to_string_lossy()) };
        let engine = CandleEngine::load(small, Arc::new(SystemClock));
        engine.loaded().await;
        assert_eq!((engine.health(), engine.info().context_tokens), (Health::Ok, Some(CONTEXT_TOKENS)));
        engine_contract::check(Arc::new(engine)).await;
    }
}

#[tokio::test]
async fn equal_seeds_give_equal_answers_whatever_goes_on_beside_them() {
    let (engine, _fakes) = fake().await;
    let sampling = Sampling { temperature: Some(1.0), seed: Some(3), max_tokens: Some(20), ..Sampling::default() };
    let (first, _) = collect(&engine, ask("hello", sampling.clone())).await;
    let others = futures::future::join_all((0..5).map(|n| collect(&engine, ask(&"x".repeat(n), Sampling::default()))));
    let ((again, _), _) = tokio::join!(collect(&engine, ask("hello", sampling.clone())), others);
    assert_eq!(first, again);
    let (other, _) = collect(&engine, ask("hello", Sampling { seed: Some(4), ..sampling })).await;
    assert_ne!(first, other);
}

#[tokio::test]
async fn an_answer_ends_at_its_limit_and_at_the_end_of_the_context() {
    let (engine, _fakes) = fake().await;
    let limited = |max_tokens| Sampling { max_tokens: Some(max_tokens), ..Sampling::default() };
    let completion = collect(&engine, ask("hello", limited(5))).await.1.unwrap();
    assert!(completion.completion_tokens <= 5, "{completion:?}");
    let completion = collect(&engine, ask("hello", limited(0))).await.1.unwrap();
    assert_eq!((completion.completion_tokens, completion.finish), (0, Finish::Length));
    // Noise may end by itself before the context does.
    let completion = collect(&engine, ask(&"x".repeat(200), limited(10_000))).await.1.unwrap();
    let total = completion.prompt_tokens + completion.completion_tokens;
    assert!(total as usize <= CONTEXT_TOKENS, "{completion:?}");
}

#[tokio::test]
async fn a_prompt_beyond_the_context_is_refused_with_both_numbers() {
    let (engine, _fakes) = fake().await;
    let error = collect(&engine, ask(&"x".repeat(400), Sampling::default())).await.1.unwrap_err();
    let EngineError::Rejected { what, .. } = &error else { panic!("{error}") };
    assert!(what.contains("256") && what.contains("4"), "{what}");
}

#[tokio::test]
async fn a_stop_string_ends_the_answer_and_is_not_part_of_it() {
    let (engine, _fakes) = fake().await;
    let (whole, _) = collect(&engine, hello()).await;
    let stop: String = whole.chars().skip(2).take(2).collect();
    let expected = whole.split(stop.as_str()).next().unwrap().to_owned();
    let sampling = Sampling { stop: vec![stop], ..Sampling::default() };
    let (cut, completion) = collect(&engine, ask("hello", sampling)).await;
    assert_eq!((cut, completion.unwrap().finish), (expected, Finish::Stop));
}

#[tokio::test]
async fn others_are_answered_while_the_vocabulary_is_prepared_for_json() {
    let (engine, _fakes) = fake().await;
    let language = Arc::clone(&engine.running().unwrap().language);
    let (begun, has_begun) = std::sync::mpsc::channel();
    let (open, gate) = std::sync::mpsc::channel();
    let preparing = std::thread::spawn(move || {
        language.grammars.prepare_behind(|| {
            begun.send(()).unwrap();
            gate.recv().unwrap();
        });
    });
    has_begun.recv().unwrap();
    let json = Sampling { response_format: ResponseFormat::Json, ..Sampling::default() };
    let mut held = engine.generate(ask("hello", json), CancelToken::new());
    // All of this runs on one thread: it would stand still if that one waited for the vocabulary.
    assert!(futures::poll!(held.next()).is_pending());
    collect(&engine, hello()).await.1.unwrap();
    assert!(futures::poll!(held.next()).is_pending(), "the vocabulary is not there yet");
    open.send(()).unwrap();
    let (text, end) = read(held).await;
    assert!(text.starts_with('{') && end.is_ok(), "{text}");
    preparing.join().unwrap();
}

#[tokio::test]
async fn beyond_its_places_prompts_are_refused_and_cancelled_ones_do_not_wait() {
    let fakes = Fakes::default();
    let narrow = CandleConfig { max_batch_size: 1, queue_limit: 1, ..config("slow") };
    let engine = CandleEngine::load_by(narrow, Arc::new(SystemClock), fakes.loader());
    let stop = CancelToken::new();
    let waiting: Vec<_> = (0..2).map(|_| engine.generate(hello(), stop.clone())).collect();
    assert_eq!(engine.backlog().waiting, 2);
    assert_eq!(collect(&engine, hello()).await.1.unwrap_err().reason(), "overloaded");
    stop.cancel();
    for answer in waiting {
        assert_eq!(read(answer).await.1.unwrap().finish, Finish::Cancelled);
    }
    fakes.open_gate();
    engine.loaded().await;
    collect(&engine, hello()).await.1.unwrap();
    assert_eq!(engine.backlog().waiting, 0);
}

#[tokio::test]
async fn while_it_loads_health_says_how_far_it_is_and_prompts_wait() {
    let fakes = Fakes::default();
    let engine = CandleEngine::load_by(config("slow"), Arc::new(SystemClock), fakes.loader());
    while engine.progress().is_some_and(|progress| progress.stage == Stage::Starting) {
        tokio::task::yield_now().await;
    }
    assert_eq!(detail(&engine), "the model is still loading: loading (75 %)");
    let answer = collect(&engine, hello());
    let open = async { fakes.open_gate() };
    let ((_, end), ()) = tokio::join!(answer, open);
    end.unwrap();
    assert_eq!((engine.health(), engine.progress()), (Health::Ok, None));
}

#[tokio::test]
async fn a_model_that_can_not_be_loaded_says_why_and_answers_nothing() {
    for (path, why) in [("missing", "there is no such thing"), ("panic", "made the loader panic")] {
        let engine = Fakes::default().engine(config(path)).await;
        assert!(detail(&engine).contains(why), "{}", detail(&engine));
        assert_eq!(collect(&engine, hello()).await.1.unwrap_err().reason(), "unavailable");
        engine.reload(config("better")).await.unwrap();
        collect(&engine, hello()).await.1.unwrap();
        assert_eq!(engine.info().model, "better");
    }
}

#[tokio::test]
async fn running_answers_finish_on_the_old_model_and_its_memory_is_given_back() {
    let (engine, fakes) = fake().await;
    let (expected, _) = collect(&engine, hello()).await;
    let mut running = engine.generate(hello(), CancelToken::new());
    let Some(Ok(Delta::Text(mut text))) = running.next().await else { panic!("an answer begins") };
    let traffic = async { futures::future::join_all((0..20).map(|_| collect(&engine, hello()))).await };
    let (reloaded, answers) = tokio::join!(engine.reload(config("second")), traffic);
    assert_eq!(reloaded.unwrap().name, "second");
    assert!(answers.into_iter().all(|(text, end)| text == expected && end.is_ok()));
    let (rest, end) = read(running).await;
    text.push_str(&rest);
    assert_eq!((text, end.is_ok()), (expected, true));
    while !fakes.diary(0).is_dropped() {
        tokio::task::yield_now().await;
    }
    assert!(!fakes.diary(1).is_dropped());
}

#[tokio::test]
async fn a_model_that_is_loaded_beside_another_knows_what_memory_that_may_yet_take() {
    let (engine, fakes) = fake().await;
    collect(&engine, hello()).await.1.unwrap();
    engine.reload(config("second")).await.unwrap();
    engine.unload();
    engine.reload(config("third")).await.unwrap();
    let promised = fakes.promised.lock().unwrap().clone();
    let [0, beside_the_first, 0] = promised[..] else { panic!("{promised:?}") };
    assert!((1..64 * 1024).contains(&beside_the_first), "all pages but those of the answer: {beside_the_first}");
}

#[tokio::test]
async fn a_failed_reload_keeps_the_old_model_and_says_why() {
    let (engine, _fakes) = fake().await;
    for path in ["missing", "panic"] {
        assert!(engine.reload(config(path)).await.is_err());
        assert_eq!((engine.health(), engine.info().model.as_str()), (Health::Ok, "first"));
    }
    collect(&engine, hello()).await.1.unwrap();
}

#[tokio::test]
async fn the_latest_word_wins_over_a_model_that_is_on_its_way() {
    let fakes = Fakes::default();
    let engine = fakes.engine(config("first")).await;
    let slow = engine.reload(config("slow"));
    let unload = async {
        while engine.progress().is_none_or(|progress| progress.stage != Stage::Loading) {
            tokio::task::yield_now().await;
        }
        engine.unload();
        fakes.open_gate();
    };
    let (reloaded, ()) = tokio::join!(slow, unload);
    assert!(matches!(reloaded, Err(LoadError::Cancelled)));
    assert_eq!(detail(&engine), "the model is unloaded");
    assert_eq!(collect(&engine, hello()).await.1.unwrap_err().reason(), "unavailable");
    while !(fakes.diary(0).is_dropped() && fakes.diary(1).is_dropped()) {
        tokio::task::yield_now().await;
    }
    engine.reload(config("third")).await.unwrap();
    collect(&engine, hello()).await.1.unwrap();
}

#[tokio::test]
async fn repeated_failures_show_in_health_until_a_step_works_again() {
    let (engine, fakes) = fake().await;
    let steps = fakes.diary(0).steps().len();
    for step in 0..3 {
        fakes.diary(0).plan(steps + step, if step == 1 { Mishap::Panic } else { Mishap::Fail });
        assert_eq!(engine.health(), Health::Ok);
        assert_eq!(collect(&engine, hello()).await.1.unwrap_err().reason(), "interrupted");
    }
    while engine.health() == Health::Ok {
        tokio::task::yield_now().await;
    }
    assert!(detail(&engine).contains("3 steps failed"), "{}", detail(&engine));
    collect(&engine, hello()).await.1.unwrap();
    assert_eq!(engine.health(), Health::Ok);
}

#[tokio::test]
async fn dropping_the_engine_ends_its_thread_after_the_answers_under_way() {
    let (engine, fakes) = fake().await;
    let mut running = engine.generate(hello(), CancelToken::new());
    running.next().await.unwrap().unwrap();
    drop(engine);
    read(running).await.1.unwrap();
    while !fakes.diary(0).is_dropped() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn tokens_are_counted_exactly_once_the_model_is_there() {
    let (engine, _fakes) = fake().await;
    assert_eq!(engine.count_tokens("hell"), 1);
    assert_eq!(engine.count_tokens("<|im_end|>"), 10);
    assert_eq!(engine.info().context_tokens, Some(CONTEXT_TOKENS));
}
