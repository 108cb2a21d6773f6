use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use super::scope::{Frame, calls, counted};
use super::*;
use crate::testkit::ManualClock;
use crate::testkit::meter::MemoryMeter;

const SECOND: Duration = Duration::from_secs(1);

fn budget(calls_per_second: u32, calls_per_month: u64) -> Arc<Budget> {
    with_clock(calls_per_second, calls_per_month, &Arc::default())
}

fn with_clock(calls_per_second: u32, calls_per_month: u64, clock: &Arc<ManualClock>) -> Arc<Budget> {
    let settings = BudgetSettings { bot: "it".into(), app: "feishu/cli_a".into(), calls_per_second, calls_per_month };
    Budget::new(settings, Arc::clone(clock) as _)
}

fn connected(calls_per_second: u32, meter: &Arc<MemoryMeter>) -> Arc<Budget> {
    let budget = budget(calls_per_second, 0);
    budget.connect(Arc::clone(meter) as _);
    budget
}

fn meter(latency_ms: u64) -> Arc<MemoryMeter> {
    Arc::new(MemoryMeter::slow(Duration::from_millis(latency_ms)))
}

/// The most calls of any second.
pub(crate) fn most_in_a_second(at: &[Instant]) -> usize {
    at.iter().map(|start| at.iter().filter(|t| **t >= *start && **t < *start + SECOND).count()).max().unwrap_or(0)
}

/// When each of `count` callers left, who all came at once.
async fn crowd(budgets: &[Arc<Budget>], count: usize) -> Vec<Instant> {
    let mut tasks = JoinSet::new();
    for n in 0..count {
        let budget = Arc::clone(&budgets[n % budgets.len()]);
        tasks.spawn(async move {
            budget.permit(CallClass::Streaming).await;
            Instant::now()
        });
    }
    tasks.join_all().await
}

#[tokio::test(start_paused = true)]
async fn no_second_sees_more_calls_than_allowed() {
    for calls_per_second in [1, 2, 3, 5, 20, 40, 333] {
        for meter in [None, Some(meter(0)), Some(meter(30))] {
            let budget = budget(calls_per_second, 0);
            if let Some(meter) = meter {
                budget.connect(meter as _);
            }
            let (began, rate) = (Instant::now(), calls_per_second as usize);
            let left = crowd(&[budget], rate * 5).await;
            assert!(most_in_a_second(&left) <= rate, "{} at {rate}", most_in_a_second(&left));
            let share = began.elapsed().as_secs_f64() / 5.0;
            assert!(share < 1.0 / 0.6, "{rate} a second: {share} times as long as could be");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn instances_share_the_rate() {
    let meter = meter(5);
    let budgets: Vec<_> = (0..3).map(|_| connected(40, &meter)).collect();
    let began = Instant::now();
    let left = crowd(&budgets, 300).await;
    assert!(most_in_a_second(&left) <= 40, "{}", most_in_a_second(&left));
    assert!(began.elapsed() < 12 * SECOND, "{:?} for 300 calls", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_crowd_shares_transactions_and_one_is_open_at_a_time() {
    let meter = meter(20);
    let budget = connected(40, &meter);
    crowd(&[budget], 200).await;
    assert!(meter.transactions() <= 22, "{} transactions for 200 calls", meter.transactions());
    assert_eq!(meter.most_open(), 1);
}

#[tokio::test(start_paused = true)]
async fn classes_do_not_wait_for_each_other() {
    let (budget, began) = (budget(1, 0), Instant::now());
    for class in CallClass::ALL {
        budget.permit(class).await;
    }
    budget.permit(CallClass::Other).await;
    assert_eq!(began.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn calls_leave_in_the_order_in_which_they_came() {
    let (budget, order) = (budget(8, 0), Arc::new(Mutex::new(Vec::new())));
    let mut tasks = JoinSet::new();
    for n in 0..30 {
        let (budget, order) = (Arc::clone(&budget), Arc::clone(&order));
        tasks.spawn(async move {
            budget.permit(CallClass::Cards).await;
            order.lock().unwrap().push(n);
        });
    }
    tasks.join_all().await;
    assert!(order.lock().unwrap().is_sorted());
}

#[tokio::test(start_paused = true)]
async fn a_last_update_overtakes_frames_that_came_before() {
    let budget = connected(4, &meter(5));
    for _ in 0..100 {
        let budget = Arc::clone(&budget);
        tokio::spawn(async move { Frame::default().run(budget.permit(CallClass::Streaming)).await });
    }
    sleep(SECOND).await;
    let asked = Instant::now();
    budget.permit(CallClass::Streaming).await;
    assert!(asked.elapsed() < SECOND, "it waited {:?}", asked.elapsed());
}

#[tokio::test(start_paused = true)]
async fn whoever_gives_up_takes_nothing() {
    let meter = meter(5);
    let budget = connected(4, &meter);
    budget.permit(CallClass::Cards).await;
    for _ in 0..50 {
        let patience = Duration::from_millis(1);
        assert!(timeout(patience, budget.permit(CallClass::Cards)).await.is_err());
    }
    let asked = Instant::now();
    budget.permit(CallClass::Cards).await;
    assert!(asked.elapsed() < SECOND, "it waited {:?}", asked.elapsed());
    assert!(budget.spent().calls < 10, "{:?}", budget.spent());
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_away_holds_nobody_up_and_hears_of_every_call_later() {
    let meter = meter(5);
    let budget = connected(20, &meter);
    budget.permit(CallClass::Cards).await;
    meter.set_away(true);
    let (began, left) = (Instant::now(), crowd(&[Arc::clone(&budget)], 60).await);
    assert!(most_in_a_second(&left) <= 20);
    assert!(began.elapsed() < 5 * SECOND, "{:?}", began.elapsed());
    meter.set_away(false);
    sleep(10 * SECOND).await;
    budget.refresh().await;
    assert_eq!(budget.spent().calls, 61);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_does_not_answer_is_waited_for_once() {
    let budget = connected(20, &meter(3_600_000));
    let began = Instant::now();
    crowd(&[budget], 20).await;
    assert!(began.elapsed() < 4 * SECOND, "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn without_a_rate_nobody_waits_and_calls_are_counted_together() {
    let meter = meter(20);
    let (budget, began) = (budget(0, 100), Instant::now());
    for n in 0..1_000 {
        if n == 500 {
            budget.connect(Arc::clone(&meter) as _);
        }
        budget.permit(CallClass::Streaming).await;
    }
    assert_eq!(began.elapsed(), Duration::ZERO);
    assert_eq!(budget.spent().calls, 1_000);
    sleep(3 * SECOND).await;
    assert_eq!((budget.spent().calls, meter.transactions()), (1_000, 1));
}

#[tokio::test(start_paused = true)]
async fn a_months_last_tenth_is_short_and_the_next_month_is_not() {
    let (meter, clock) = (meter(0), Arc::new(ManualClock::default()));
    let (one, other) = (with_clock(0, 100, &clock), with_clock(0, 100, &clock));
    for budget in [&one, &other] {
        budget.connect(Arc::clone(&meter) as _);
    }
    for _ in 0..89 {
        one.permit(CallClass::Cards).await;
    }
    assert!(!one.is_short() && !other.is_short());
    other.permit(CallClass::Other).await;
    for budget in [&one, &other, &one] {
        budget.refresh().await;
    }
    assert!(one.is_short() && other.is_short(), "the calls of all instances count");
    assert!(!one.spent().is_used_up());
    for _ in 0..10 {
        one.permit(CallClass::Cards).await;
    }
    assert!(one.spent().is_used_up());
    one.permit(CallClass::Cards).await;
    assert_eq!((one.is_first_to_tell().await.unwrap(), other.is_first_to_tell().await.unwrap()), (true, false));
    clock.advance(31 * 24 * 3_600 * SECOND);
    assert!(!one.is_short() && !other.is_short());
    assert!(!Budget::unlimited().is_short());
}

#[tokio::test(start_paused = true)]
async fn the_calls_of_each_answer_are_counted_apart() {
    let budget = Budget::unlimited();
    let answer = |count: u32| {
        let budget = &budget;
        counted(async move {
            for _ in 0..count {
                budget.permit(CallClass::Cards).await;
                tokio::task::yield_now().await;
            }
            calls()
        })
    };
    assert_eq!(tokio::join!(answer(3), answer(5)), (3, 5));
    assert_eq!(calls(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_frame_is_unsent_while_it_stands_in_line_for_its_first_call() {
    let (budget, frame, answered) = (budget(1, 0), Frame::default(), Arc::new(AtomicU32::new(0)));
    budget.permit(CallClass::Streaming).await;
    let (its, count) = (frame.clone(), Arc::clone(&answered));
    tokio::spawn(async move {
        let update = async {
            for _ in 0..2 {
                budget.permit(CallClass::Streaming).await;
                count.fetch_add(1, Ordering::SeqCst);
            }
        };
        its.run(update).await;
    });
    assert!(!frame.is_unsent(), "it has not begun");
    sleep(Duration::from_millis(100)).await;
    assert!(frame.is_unsent());
    sleep(2 * SECOND).await;
    assert_eq!(answered.load(Ordering::SeqCst), 1);
    assert!(!frame.is_unsent(), "it stands in line for its second");
}
