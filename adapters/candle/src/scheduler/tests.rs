//! Schedulers on networks that compute digests; `native` has them on real ones.

mod native;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use magpie_core::cancel::CancelToken;
use magpie_core::engine::{Completion, Delta};
use magpie_core::ids::ConversationId;
use proptest::prelude::*;
use tokio::sync::mpsc;

use super::fake::{Diary, FakeNetwork, Mishap, logits_after};
use super::*;
use crate::decode::Decoder;
use crate::sampling::{Sampler, SamplingPlan};
use crate::testmodel;
use magpie_core::engine::Sampling;

const CONTEXT: usize = 4096;

static TOKENIZER: LazyLock<Arc<Tokenizer>> = LazyLock::new(|| Arc::new(testmodel::tokenizer()));

/// A scheduler on a fake network; or on a real one, with a diary that stays empty.
struct Bench {
    scheduler: Scheduler,
    diary: Diary,
}

/// What a test asks.
#[derive(Debug, Clone)]
struct Ask {
    prompt: Vec<u32>,
    answer_tokens: usize,
    temperature: f64,
    seed: u64,
    conversation: Option<ConversationId>,
}

/// The reading end of one answer.
struct Reader {
    items: mpsc::UnboundedReceiver<Item>,
    stop: CancelToken,
}

fn ask(prompt: Vec<u32>, answer_tokens: usize) -> Ask {
    Ask { prompt, answer_tokens, temperature: 0.0, seed: 1, conversation: None }
}

fn pace(max_batch_size: usize) -> Pace {
    Pace { max_batch_size, alone: rows(512), beside: rows(64) }
}

/// So many, however fast the machine is.
fn rows(rows: usize) -> Prompts {
    Prompts { time: Duration::ZERO, least_rows: rows, most_rows: rows }
}

fn bench(pages: usize, pace: Pace) -> Bench {
    bench_at(pages, pace, Rates::default())
}

fn bench_at(pages: usize, pace: Pace, rates: Rates) -> Bench {
    let (network, diary) = FakeNetwork::new(TOKENIZER.vocabulary_size(), CONTEXT, pages);
    Bench { scheduler: Scheduler::new(Box::new(network), Arc::clone(&TOKENIZER), pace, rates), diary }
}

fn sampler(ask: &Ask) -> Sampler {
    let sampling = Sampling { seed: Some(ask.seed), repetition_penalty: Some(1.2), ..Sampling::default() };
    Sampler::new(SamplingPlan::new(&sampling, ask.temperature, 0.9), &ask.prompt, None)
}

impl Bench {
    fn submit(&mut self, ask: &Ask) -> Reader {
        let (deltas, items) = mpsc::unbounded_channel();
        let stop = CancelToken::new();
        self.scheduler.submit(Request {
            prompt: ask.prompt.clone(),
            answer_tokens: ask.answer_tokens,
            conversation: ask.conversation,
            sampler: sampler(ask),
            decoder: Decoder::new(&[], false),
            stop: stop.clone(),
            deltas,
            place: None,
            asked: Instant::now(),
        });
        Reader { items, stop }
    }

    fn run(&mut self) {
        for _ in 0..100_000 {
            if self.scheduler.is_idle() {
                return;
            }
            self.scheduler.step();
        }
        panic!("it never ends");
    }

    fn steps(&mut self, count: usize) {
        for _ in 0..count {
            self.scheduler.step();
        }
    }

    fn running(&self) -> usize {
        self.scheduler.running.len()
    }

    fn assert_nothing_is_held(&self) {
        assert!(self.scheduler.is_idle());
        assert_eq!(self.scheduler.cache.counts().used, 0, "pages leaked");
    }
}

impl Reader {
    /// What has come so far: text, and the end if it has come.
    fn read(&mut self) -> (String, Option<Result<Completion, EngineError>>) {
        let mut text = String::new();
        while let Ok(item) = self.items.try_recv() {
            match item {
                Ok(Delta::Text(piece)) => text.push_str(&piece),
                Ok(Delta::Done(completion)) => return (text, Some(Ok(completion))),
                Ok(other) => panic!("unexpected {other:?}"),
                Err(error) => return (text, Some(Err(error))),
            }
        }
        (text, None)
    }

    fn answer(&mut self) -> (String, Completion) {
        let (text, end) = self.read();
        (text, end.expect("the answer has ended").expect("it was answered"))
    }

    fn error(&mut self) -> EngineError {
        self.read().1.expect("the answer has ended").expect_err("it failed")
    }
}

/// The answer as it is without any scheduler.
fn solo(ask: &Ask, longest: usize) -> (String, Completion) {
    let (mut sampler, mut decoder) = (sampler(ask), Decoder::new(&[], false));
    let (mut tokens, mut deltas) = (ask.prompt.clone(), Vec::new());
    let limit = ask.answer_tokens.min(longest - ask.prompt.len());
    let mut finish = Finish::Length;
    while tokens.len() - ask.prompt.len() < limit {
        let token = sampler.choose(&mut logits_after(tokens.iter().copied(), TOKENIZER.vocabulary_size())).unwrap();
        tokens.push(token);
        if TOKENIZER.is_stop(token) {
            finish = Finish::Stop;
            break;
        }
        assert!(sampler.accept(token));
        decoder.push(TOKENIZER.bytes_of(token), &mut deltas);
    }
    decoder.finish(&mut deltas);
    let piece = |delta: &Delta| if let Delta::Text(text) = delta { text.clone() } else { panic!("{delta:?}") };
    let text = deltas.iter().map(piece).collect();
    let count = |tokens: usize| u32::try_from(tokens).unwrap();
    let (prompt_tokens, completion_tokens) = (count(ask.prompt.len()), count(tokens.len() - ask.prompt.len()));
    (text, Completion { prompt_tokens, completion_tokens, finish })
}

fn text(from: u32, length: u32) -> Vec<u32> {
    (0..length).map(|place| (from * 31 + place) % 250).collect()
}

#[test]
fn an_answer_alone_is_what_the_network_says() {
    for (seed, temperature) in [(1, 0.0), (2, 0.8)] {
        let ask = Ask { seed, temperature, ..ask(text(1, 40), 60) };
        let mut bench = bench(64, pace(4));
        let mut reader = bench.submit(&ask);
        bench.run();
        assert_eq!(reader.answer(), solo(&ask, CONTEXT));
        bench.assert_nothing_is_held();
    }
}

#[derive(Debug, Clone)]
enum Event {
    Ask(Ask),
    Cancel(usize),
    Drop(usize),
    Steps(usize),
    Mishap(Mishap),
}

/// What people do.
fn chatter() -> impl Strategy<Value = Event> {
    // Some answers grow far beyond what was left over for them when they were admitted, so that they lose their pages.
    let answer_tokens = prop_oneof![3 => 0usize..30, 1 => 60usize..120];
    let asks = (0usize..60, 1usize..60, 0u32..4, answer_tokens, any::<bool>(), 0usize..4).prop_map(
        |(same, length, then, answer_tokens, warm, conversation)| {
            let prompt = (0..length).map(|place| if place < same { (place % 7) as u32 } else { 20 + then });
            let temperature = if warm { 1.0 } else { 0.0 };
            let conversation = CONVERSATIONS.get(conversation).copied();
            Event::Ask(Ask { prompt: prompt.collect(), answer_tokens, temperature, seed: 5, conversation })
        },
    );
    prop_oneof![
        8 => asks,
        1 => any::<usize>().prop_map(Event::Cancel),
        1 => any::<usize>().prop_map(Event::Drop),
        6 => (1usize..8).prop_map(Event::Steps),
    ]
}

fn event() -> impl Strategy<Value = Event> {
    let mishap = prop_oneof![Just(Mishap::Fail), Just(Mishap::Noise)];
    prop_oneof![16 => chatter(), 1 => mishap.prop_map(Event::Mishap)]
}

static CONVERSATIONS: LazyLock<Vec<ConversationId>> = LazyLock::new(|| (0..3).map(|_| ConversationId::new()).collect());

/// All that was asked, with the readers that nobody dropped.
#[derive(Default)]
struct Played {
    readers: Vec<(Ask, Option<Reader>)>,
    /// What is answered to each if nobody else asks anything, as far as it is known.
    alone: BTreeMap<usize, (String, Completion)>,
    cancelled: BTreeSet<usize>,
    mishaps: bool,
}

impl Played {
    fn play(bench: &mut Bench, events: Vec<Event>) -> Self {
        let mut played = Self::default();
        for event in events {
            let count = played.readers.len();
            match event {
                Event::Ask(ask) => {
                    let reader = bench.submit(&ask);
                    played.readers.push((ask, Some(reader)));
                }
                Event::Steps(steps) => bench.steps(steps),
                Event::Mishap(mishap) => {
                    played.mishaps = true;
                    bench.diary.plan(bench.diary.steps().len() + 1, mishap);
                }
                _ if count == 0 => {}
                Event::Cancel(which) => {
                    if let Some(reader) = &played.readers[which % count].1 {
                        reader.stop.cancel();
                        played.cancelled.insert(which % count);
                    }
                }
                Event::Drop(which) => played.readers[which % count].1 = None,
            }
        }
        bench.run();
        bench.assert_nothing_is_held();
        played
    }

    /// Every answer is the one that `solo` gives, or it ended for a reason.
    fn check(
        &mut self,
        longest: usize,
        solo: &mut dyn FnMut(&Ask) -> (String, Completion),
    ) -> Result<(), TestCaseError> {
        for (which, (ask, reader)) in self.readers.iter_mut().enumerate() {
            let Some(reader) = reader else { continue };
            let (text, end) = reader.read();
            let end = end.expect("every answer ends");
            if ask.prompt.len() >= longest {
                prop_assert_eq!(end.unwrap_err().reason(), "rejected");
                continue;
            }
            let alone = self.alone.entry(which).or_insert_with(|| solo(ask)).clone();
            match end {
                Ok(done) if done.finish == Finish::Cancelled => {
                    prop_assert!(self.cancelled.contains(&which));
                    prop_assert!(alone.0.starts_with(&text));
                }
                Ok(done) => prop_assert_eq!((text, done), alone),
                Err(error) => {
                    prop_assert!(self.mishaps && error.reason() == "interrupted", "{}", error);
                    prop_assert!(alone.0.starts_with(&text));
                }
            }
        }
        Ok(())
    }

    /// The same questions once more, out of what all of that has left in the cache.
    fn ask_again(self, bench: &mut Bench) -> Self {
        let asks = self.readers.into_iter().map(|(ask, _)| Event::Ask(ask)).collect();
        Self { alone: self.alone, ..Self::play(bench, asks) }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Whatever comes and goes beside it, an answer is the one that it would be alone, or it ended for a reason. And what
    /// it leaves behind in the cache serves whoever asks next.
    #[test]
    fn answers_do_not_depend_on_what_else_is_going_on(
        pages in 2usize..16,
        max_batch_size in 1usize..6,
        (alone, beside) in (1usize..40, 1usize..40),
        events in prop::collection::vec(event(), 1..40),
    ) {
        let pace = Pace { alone: rows(alone), beside: rows(beside), ..pace(max_batch_size) };
        let mut bench = bench(pages, pace);
        let longest = pages * PAGE_TOKENS;
        let mut played = Played::play(&mut bench, events);
        played.check(longest, &mut |ask| solo(ask, longest))?;
        bench.diary.forget_plans();
        played.ask_again(&mut bench).check(longest, &mut |ask| solo(ask, longest))?;
    }
}

#[test]
fn one_system_prompt_is_computed_once_for_a_burst_of_questions() {
    let mut bench = bench(256, pace(8));
    let asks: Vec<Ask> = (0..8).map(|which| ask([text(1, 320), text(100 + which, 20)].concat(), 4)).collect();
    let mut readers: Vec<Reader> = asks.iter().map(|ask| bench.submit(ask)).collect();
    bench.run();
    for (ask, reader) in asks.iter().zip(&mut readers) {
        assert_eq!(reader.answer(), solo(ask, CONTEXT));
    }
    let answers: u32 = asks.iter().map(|ask| solo(ask, CONTEXT).1.completion_tokens).sum();
    assert!(bench.diary.rows() <= 320 + 8 * 20 + answers as usize, "{} rows", bench.diary.rows());
}

#[test]
fn the_next_turn_computes_only_what_is_new() {
    let mut bench = bench(64, pace(4));
    let first = ask(text(1, 300), 20);
    let mut reader = bench.submit(&first);
    bench.run();
    let (_, done) = reader.answer();
    let before = bench.diary.rows();
    assert_eq!(before, 300 + done.completion_tokens as usize - 1);
    let second = ask([text(1, 300), text(9, 30)].concat(), 1);
    let mut reader = bench.submit(&second);
    bench.run();
    assert_eq!(bench.diary.rows() - before, 30);
    assert_eq!(reader.answer(), solo(&second, CONTEXT));
}

#[test]
fn a_long_prompt_does_not_freeze_an_answer_under_way() {
    let mut bench = bench(512, pace(4));
    let mut chat = bench.submit(&ask(text(1, 10), 1000));
    bench.steps(2);
    chat.read();
    bench.submit(&ask(text(2, 3000), 2));
    let before = bench.diary.steps().len();
    while bench.scheduler.running.len() == 1 || !bench.scheduler.running[1].is_decoding() {
        let answered = bench.scheduler.running[0].answered_tokens();
        bench.scheduler.step();
        if bench.running() == 0 || bench.scheduler.running[0].prompt_tokens != 10 {
            return;
        }
        assert_eq!(bench.scheduler.running[0].answered_tokens(), answered + 1, "a step without a token for the chat");
    }
    let steps = bench.diary.steps();
    assert!(steps[before..].iter().all(|chunks| chunks.iter().sum::<usize>() <= 65), "{steps:?}");
    assert!(steps.len() - before >= 3000 / 64);
}

#[test]
fn short_prompts_pass_a_long_one_and_do_not_starve_it() {
    let mut bench = bench(1024, Pace { alone: rows(64), ..pace(3) });
    let mut long = bench.submit(&ask(text(1, 1600), 1));
    bench.steps(2);
    let mut short = bench.submit(&ask(text(2, 40), 1));
    bench.steps(1);
    assert!(short.read().1.is_some(), "a short prompt goes first");
    assert!(long.read().1.is_none());
    // From now on there is always another short prompt; a quarter of each step remains for the long one.
    for which in 0..100 {
        bench.submit(&ask(text(3 + which, 60), 1));
        bench.steps(1);
    }
    assert!(long.read().1.is_some(), "the long prompt starved");
}

#[test]
fn conversations_take_turns() {
    let mut bench = bench(256, pace(1));
    let of =
        |conversation: ConversationId, from: u32| Ask { conversation: Some(conversation), ..ask(text(from, 20), 2) };
    let (greedy, modest) = (ConversationId::new(), ConversationId::new());
    let mut first: Vec<Reader> = (0..6).map(|which| bench.submit(&of(greedy, which))).collect();
    let mut second = bench.submit(&of(modest, 50));
    while second.read().1.is_none() {
        bench.scheduler.step();
    }
    let ended = first.iter_mut().filter_map(|reader| reader.read().1).count();
    assert_eq!(ended, 1, "the other conversation's turn came after one question, not after six");
}

#[test]
fn cancelled_and_abandoned_answers_free_their_pages_at_the_next_step() {
    let mut bench = bench(64, pace(2));
    let mut cancelled = bench.submit(&ask(text(1, 100), 1000));
    let abandoned = bench.submit(&ask(text(2, 100), 1000));
    let mut waiting = bench.submit(&ask(text(3, 100), 1000));
    bench.steps(4);
    assert!(bench.scheduler.cache.counts().used >= 14);
    cancelled.stop.cancel();
    waiting.stop.cancel();
    drop(abandoned);
    bench.steps(1);
    assert_eq!(cancelled.answer().1.finish, Finish::Cancelled);
    assert_eq!(waiting.answer().1, Completion { prompt_tokens: 100, completion_tokens: 0, finish: Finish::Cancelled });
    bench.assert_nothing_is_held();
}

#[test]
fn out_of_pages_the_youngest_is_computed_again_and_says_the_same() {
    let mut bench = bench(12, pace(3));
    let asks: Vec<Ask> = (0..3).map(|which| Ask { temperature: 1.0, ..ask(text(which, 30), 100) }).collect();
    let mut readers: Vec<Reader> = asks.iter().map(|ask| bench.submit(ask)).collect();
    bench.run();
    let mut rows = 0;
    for (ask, reader) in asks.iter().zip(&mut readers) {
        let (text, done) = reader.answer();
        assert_eq!((text, done), solo(ask, 12 * PAGE_TOKENS));
        rows += (done.prompt_tokens + done.completion_tokens - 1) as usize;
    }
    assert!(bench.diary.rows() > rows, "nothing was computed twice, so nobody was preempted");
    bench.assert_nothing_is_held();
}

#[test]
fn a_prompt_that_can_never_fit_is_refused_with_the_numbers() {
    let mut bench = bench(4, pace(2));
    let EngineError::Rejected { what, .. } = bench.submit(&ask(text(1, 64), 5)).error() else { panic!("refused") };
    assert!(what.contains("64 tokens") && what.contains("holds 64"), "{what}");
    let mut fitting = bench.submit(&ask(text(1, 60), 50));
    bench.run();
    assert_eq!(fitting.answer(), solo(&ask(text(1, 60), 50), 64));
}

#[test]
fn a_failed_step_ends_its_own_answers_and_no_others() {
    for mishap in [Mishap::Fail, Mishap::Panic] {
        let mut bench = bench(64, pace(1));
        let mut first = bench.submit(&ask(text(1, 40), 500));
        let second = ask(text(1, 50), 20);
        let mut reader = bench.submit(&second);
        bench.diary.plan(3, mishap);
        bench.steps(4);
        assert_eq!(first.error().reason(), "interrupted");
        assert_eq!(bench.scheduler.standing().failures(), 1);
        bench.run();
        assert_eq!(reader.answer(), solo(&second, CONTEXT), "what the failed step wrote was not reused");
        assert_eq!(bench.scheduler.standing().failures(), 0);
    }
}

#[test]
fn logits_that_are_not_numbers_end_the_answer() {
    let mut bench = bench(64, pace(2));
    let mut reader = bench.submit(&ask(text(1, 40), 500));
    bench.diary.plan(2, Mishap::Noise);
    bench.run();
    assert_eq!(reader.error().reason(), "interrupted");
    assert_eq!((bench.scheduler.standing().failures(), bench.scheduler.cache.counts().cached), (1, 0));
    bench.assert_nothing_is_held();
}

#[test]
fn the_outlook_counts_who_runs_who_waits_and_what_is_to_be_computed() {
    let mut bench = bench(64, pace(1));
    for which in 0..3 {
        // The readers are kept out of reach, but not dropped.
        std::mem::forget(bench.submit(&ask(text(which, 40), 500)));
    }
    bench.steps(1);
    let outlook = bench.scheduler.standing().outlook();
    assert_eq!((outlook.running, outlook.waiting, outlook.rows_ahead), (1, 2, 80));
}

#[test]
fn the_first_who_wait_are_told_for_how_long_though_no_answer_has_ended_yet() {
    let first = FirstSteps { prompt_rows: 16, prompt: Duration::from_millis(160), decode: Duration::from_millis(100) };
    let mut bench = bench_at(64, pace(1), Rates::rough(&first, 50));
    std::mem::forget(bench.submit(&ask(text(1, 40), 500)));
    // Nothing was computed yet: two prompts of 40 rows at 10 ms, and an answer of 50 tokens that has to end.
    std::mem::forget(bench.submit(&ask(text(2, 40), 500)));
    let wait = bench.scheduler.standing().outlook().expected_wait(0).unwrap();
    assert!((wait.as_secs_f64() - (0.8 + 2.56 + 2.0 * 5.0)).abs() < 1e-6, "{wait:?}");
}
