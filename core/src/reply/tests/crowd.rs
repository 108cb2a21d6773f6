//! Many cards at once on one budget.

use super::*;
use crate::budget::tests::most_in_a_second;

const CALLS_PER_SECOND: u32 = 40;
/// Each answer streams for so long.
const ANSWER: Duration = Duration::from_secs(20);

fn chat(calls_per_month: u64) -> Arc<Chat> {
    let settings = BudgetSettings {
        bot: "it".into(),
        app: "feishu/cli_a".into(),
        calls_per_second: CALLS_PER_SECOND,
        calls_per_month,
    };
    let budget = Budget::new(settings, Arc::new(StoppedClock));
    budget.connect(Arc::new(MemoryMeter::slow(Duration::from_millis(3))));
    Arc::new(Chat { budget: Some(budget), latency: Duration::from_millis(60), ..Chat::default() })
}

/// What became of one card.
struct Shown {
    /// Until it was visible.
    first_sign: Duration,
    /// From the last token to the final card.
    last_wait: Duration,
    updates: usize,
    /// The longest time that it stood still.
    longest_pause: Duration,
}

/// Streams one answer into a card of its own on a platform that `chat` stands for.
async fn answer(chat: Arc<Chat>) -> Shown {
    let budget = chat.budget.clone().unwrap();
    // One card's view of the platform; the budget and its calls are everybody's.
    let own = Arc::new(Chat { budget: Some(Arc::clone(&budget)), latency: chat.latency, ..Chat::default() });
    let shelf = Arc::new(Shelf::default());
    let mut draft = Draft::new(EventId(uuid::Uuid::nil()), "why?", Language::En);
    let asked = Instant::now();
    let desk = Desk { budget, ..desk(&own, &shelf) };
    let mut reply = Reply::begin(desk, &draft.opening_card()).await.unwrap();
    let first_sign = asked.elapsed();
    let words = words(400, ANSWER / 400);
    let deltas = stream::iter(words).then(|(pause, delta)| async move {
        tokio::time::sleep(pause).await;
        Ok::<_, EngineError>(delta)
    });
    let pace = Pace { interval: Duration::from_millis(400), max_silence: Duration::from_secs(60) };
    reply.stream(deltas.boxed(), &mut draft, pace).await.unwrap();
    let ended = Instant::now();
    reply.end_with(draft.final_card(CardState::Done, None));
    reply.finish().await.unwrap();

    let shown = own.shown.lock().unwrap();
    assert_eq!((shown.last().unwrap().0, shown.last().unwrap().2.as_str()), ("finish", draft.text()));
    assert!(draft.text().ends_with("w399"));
    assert_eq!(own.overlapped.load(Ordering::SeqCst), 0);
    let left = own.left.lock().unwrap();
    chat.left.lock().unwrap().extend(left.iter().copied());
    let frames: Vec<_> = left.iter().filter(|(class, _)| *class == CallClass::Streaming).map(|(_, at)| *at).collect();
    let longest_pause = frames.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or_default();
    let updates = shown.iter().filter(|call| call.0 == "update").count();
    Shown { first_sign, last_wait: ended.elapsed(), updates, longest_pause }
}

/// Answers `cards` questions at once, and gives what became of each and of all.
async fn answers(chat: &Arc<Chat>, cards: usize) -> (Vec<Shown>, usize) {
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..cards {
        tasks.spawn(answer(Arc::clone(chat)));
    }
    let shown = tasks.join_all().await;
    let left = chat.left.lock().unwrap();
    for class in CallClass::ALL {
        let at: Vec<_> = left.iter().filter(|(of, _)| *of == class).map(|(_, at)| *at).collect();
        let most = most_in_a_second(&at);
        assert!(most <= CALLS_PER_SECOND as usize, "{most} {class:?} calls in a second");
    }
    (shown, left.len())
}

#[tokio::test(start_paused = true)]
async fn open_cards_share_forty_calls_a_second_and_each_ends_whole() {
    let mut per_answer = Vec::new();
    for (cards, least_updates) in [(1, 40), (10, 35), (50, 10)] {
        let (shown, calls) = answers(&chat(0), cards).await;
        let worst = |of: fn(&Shown) -> Duration| shown.iter().map(of).max().unwrap();
        let (first, last) = (worst(|shown| shown.first_sign), worst(|shown| shown.last_wait));
        let pause = worst(|shown| shown.longest_pause);
        let fewest = shown.iter().map(|shown| shown.updates).min().unwrap();
        per_answer.push(calls / cards);
        println!(
            "{cards} cards: {} calls an answer, at least {fewest} updates, {pause:?} between two at most; visible after \
             {first:?}, final {last:?} after the last token, at most",
            calls / cards
        );
        assert!(first < Duration::from_secs(2), "the first sign of {cards} came after {first:?}");
        assert!(fewest >= least_updates, "a card of {cards} got {fewest} updates");
        assert!(pause < Duration::from_secs(4), "a card of {cards} stood still for {pause:?}");
        assert!(last < Duration::from_secs(5), "the last of {cards} was final after {last:?}");
    }
    assert!(per_answer.is_sorted_by(|fewer, more| fewer >= more), "more cards, fewer frames each: {per_answer:?}");
}

#[tokio::test(start_paused = true)]
async fn near_the_end_of_the_month_a_card_has_a_start_and_an_end_only() {
    let chat = chat(1_000);
    let budget = chat.budget.clone().unwrap();
    for _ in 0..900 {
        budget.permit(CallClass::Other).await;
    }
    assert!(budget.is_short());
    let (shown, _) = answers(&chat, 10).await;
    assert_eq!(shown.iter().map(|shown| shown.updates).max(), Some(0));
}
