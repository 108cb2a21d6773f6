//! Any interleaving of accepting, claiming, showing places, ending and dying workers, against a simple model: never two
//! of a scope at once, order kept, nothing lost.

#[expect(dead_code, reason = "shared by several test binaries")]
mod support;

use std::time::Duration;

use magpie_core::clock::UnixMillis;
use magpie_core::inbox::{Fence, Outcome};
use magpie_core::testkit::samples::message_entry;
use magpie_core::testkit::stores::{Fixture, LEASE};
use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};

/// What may happen next. Numbers choose among what is there.
#[derive(Debug, Clone)]
enum Step {
    Accept { scope: u8 },
    AcceptAgain { which: usize },
    Claim { worker: u8, limit: u32 },
    ClaimWaiting { worker: u8, limit: u32 },
    Waits { which: usize, ahead: u32 },
    Done { which: usize },
    Retry { which: usize, after_seconds: u64 },
    Dead { which: usize },
    Renew { which: usize },
    Release { worker: u8 },
    Pass { seconds: u64 },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..3_u8).prop_map(|scope| Step::Accept { scope }),
        1 => any::<usize>().prop_map(|which| Step::AcceptAgain { which }),
        4 => (0..2_u8, 1..4_u32).prop_map(|(worker, limit)| Step::Claim { worker, limit }),
        3 => (0..2_u8, 1..4_u32).prop_map(|(worker, limit)| Step::ClaimWaiting { worker, limit }),
        3 => (any::<usize>(), 0..3_u32).prop_map(|(which, ahead)| Step::Waits { which, ahead }),
        3 => any::<usize>().prop_map(|which| Step::Done { which }),
        2 => (any::<usize>(), 0..40_u64).prop_map(|(which, after_seconds)| Step::Retry { which, after_seconds }),
        1 => any::<usize>().prop_map(|which| Step::Dead { which }),
        2 => any::<usize>().prop_map(|which| Step::Renew { which }),
        1 => (0..2_u8).prop_map(|worker| Step::Release { worker }),
        2 => (0..40_u64).prop_map(|seconds| Step::Pass { seconds }),
    ]
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum State {
    Received,
    Failed {
        retry_at: UnixMillis,
    },
    Running {
        worker: u8,
        lease_until: UnixMillis,
    },
    /// Its place in the queue is being shown.
    Shown {
        worker: u8,
        lease_until: UnixMillis,
    },
    Ended,
}

#[derive(Debug, Clone)]
struct Known {
    name: String,
    scope: u8,
    fence: Fence,
    attempts: u32,
    shown: u32,
    ahead: Option<u32>,
    state: State,
}

/// What should be in the inbox, in order, and every claim that was ever handed out.
#[derive(Default)]
struct Model {
    events: Vec<Known>,
    handed_out: Vec<Fence>,
}

impl Model {
    /// The rule itself, in its plainest form.
    fn claim(&mut self, worker: u8, limit: u32, now: UnixMillis) -> Vec<Fence> {
        let due = |event: &Known| match event.state {
            State::Received => true,
            State::Failed { retry_at } => retry_at <= now,
            State::Running { lease_until, .. } | State::Shown { lease_until, .. } => lease_until <= now,
            State::Ended => false,
        };
        let mut seen = Vec::new();
        let mut claimed = Vec::new();
        for event in &mut self.events {
            if event.state == State::Ended || seen.contains(&event.scope) {
                continue;
            }
            seen.push(event.scope);
            if due(event) && claimed.len() < limit as usize {
                event.attempts += 1;
                event.fence.attempt = event.attempts;
                event.state = State::Running { worker, lease_until: now + LEASE };
                claimed.push(event.fence);
            }
        }
        self.handed_out.extend(&claimed);
        claimed
    }

    /// The same for messages whose turn has not come, with the number that each has before it.
    fn claim_waiting(&mut self, worker: u8, limit: u32, now: UnixMillis) -> Vec<(Fence, u32)> {
        let mut before = [0; 3];
        let mut claimed = Vec::new();
        for event in self.events.iter_mut().filter(|event| event.state != State::Ended) {
            let place = before[usize::from(event.scope)];
            before[usize::from(event.scope)] += 1;
            let due = match event.state {
                State::Received => event.ahead != Some(place),
                State::Shown { lease_until, .. } => lease_until <= now,
                _ => false,
            };
            if place > 0 && due && claimed.len() < limit as usize {
                event.fence.attempt = Fence::WAITING + event.shown;
                event.shown += 1;
                event.ahead = Some(place);
                event.state = State::Shown { worker, lease_until: now + LEASE };
                claimed.push((event.fence, place));
            }
        }
        self.handed_out.extend(claimed.iter().map(|(fence, _)| fence));
        claimed
    }

    /// The event that a claim, perhaps a stale one, still holds.
    fn held(&mut self, fence: Fence) -> Option<&mut Known> {
        let is_held = |state| matches!(state, State::Running { .. } | State::Shown { .. });
        self.events.iter_mut().find(|event| event.fence == fence && is_held(event.state))
    }

    fn pick(&self, which: usize) -> Option<Fence> {
        (!self.handed_out.is_empty()).then(|| self.handed_out[which % self.handed_out.len()])
    }
}

async fn settle(fixture: &Fixture, model: &mut Model, which: usize, outcome: Outcome) {
    let Some(fence) = model.pick(which) else { return };
    let settled = fixture.inbox.settle(fence, outcome.clone()).await;
    let held = model.held(fence);
    assert_eq!(settled.is_ok(), held.is_some(), "only a claim that still holds can be ended");
    if let Some(event) = held {
        event.state = match outcome {
            Outcome::Waits { ahead } => {
                event.ahead = Some(ahead);
                State::Received
            }
            Outcome::Retry { .. } if matches!(event.state, State::Shown { .. }) => State::Received,
            Outcome::Retry { at, .. } => State::Failed { retry_at: at },
            Outcome::Done(_) | Outcome::Dead { .. } => State::Ended,
        };
    }
}

async fn take(fixture: &Fixture, model: &mut Model, step: Step) {
    let now = fixture.now();
    match step {
        Step::Accept { scope } => {
            let name = model.events.len().to_string();
            let entry = fixture.message(&name, &format!("scope {scope}")).await;
            let fence = Fence { event: entry.id, attempt: 0 };
            let state = State::Received;
            model.events.push(Known { name, scope, fence, attempts: 0, shown: 0, ahead: None, state });
        }
        Step::AcceptAgain { which } if !model.events.is_empty() => {
            let name = &model.events[which % model.events.len()].name;
            let again = fixture.other_inbox.accept(message_entry(name, "elsewhere", now)).await;
            assert_eq!(again.expect("it is looked up"), magpie_core::inbox::Acceptance::Duplicate);
        }
        Step::AcceptAgain { .. } => {}
        Step::Claim { worker, limit } => {
            let claims = fixture.claim(&format!("worker {worker}"), limit).await;
            let fences: Vec<_> = claims.iter().map(|claim| claim.fence).collect();
            assert_eq!(fences, model.claim(worker, limit, now));
        }
        Step::ClaimWaiting { worker, limit } => {
            let claims = fixture.waiting(&format!("worker {worker}"), limit).await;
            let places: Vec<_> = claims.iter().map(|claim| (claim.fence, claim.ahead)).collect();
            assert_eq!(places, model.claim_waiting(worker, limit, now));
        }
        Step::Waits { which, ahead } => settle(fixture, model, which, Outcome::Waits { ahead }).await,
        Step::Done { which } => settle(fixture, model, which, Outcome::Done(None)).await,
        Step::Dead { which } => settle(fixture, model, which, Outcome::Dead { reason: "dead".to_owned() }).await,
        Step::Retry { which, after_seconds } => {
            let at = now + Duration::from_secs(after_seconds);
            settle(fixture, model, which, Outcome::Retry { at, reason: "retry".to_owned() }).await;
        }
        Step::Renew { which } => {
            let Some(fence) = model.pick(which) else { return };
            let renewed = fixture.inbox.renew(fence, LEASE).await;
            let held = model.held(fence);
            assert_eq!(renewed.is_ok(), held.is_some());
            if let Some(event) = held
                && let State::Running { lease_until, .. } | State::Shown { lease_until, .. } = &mut event.state
            {
                *lease_until = now + LEASE;
            }
        }
        Step::Release { worker } => {
            fixture.inbox.release(&format!("worker {worker}").into()).await.expect("it releases");
            for event in &mut model.events {
                let (State::Running { worker: of, .. } | State::Shown { worker: of, .. }) = event.state else {
                    continue;
                };
                if of == worker {
                    event.state = State::Received;
                    event.ahead = None;
                }
            }
        }
        Step::Pass { seconds } => fixture.clock.advance(Duration::from_secs(seconds)),
    }
}

/// Works everything off; then every event must have ended.
async fn drain(fixture: &Fixture, model: &mut Model) {
    for _ in 0..=model.events.len() {
        fixture.clock.advance(Duration::from_secs(60));
        let claims = fixture.claim("last", 100).await;
        let fences: Vec<_> = claims.iter().map(|claim| claim.fence).collect();
        assert_eq!(fences, model.claim(9, 100, fixture.now()));
        for fence in fences {
            fixture.inbox.settle(fence, Outcome::Done(None)).await.expect("it ends");
            model.held(fence).expect("the model holds it").state = State::Ended;
        }
    }
    assert!(model.events.iter().all(|event| event.state == State::Ended));
    let depth = fixture.inbox.depth().await.expect("it counts");
    assert_eq!((depth.received, depth.running, depth.failed), (0, 0, 0));
}

fn check<F: Future<Output = Option<Fixture>>>(cases: u32, open: impl Fn() -> F) {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let outcome = runner.run(&prop::collection::vec(step(), 1..60), |steps| {
        runtime.block_on(async {
            let Some(fixture) = open().await else { return };
            let mut model = Model::default();
            for step in steps {
                take(&fixture, &mut model, step).await;
            }
            drain(&fixture, &mut model).await;
        });
        Ok(())
    });
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
}

#[test]
fn any_interleaving_keeps_order_in_sqlite() {
    check(24, || support::sqlite_fixture("any_interleaving_keeps_order_in_sqlite"));
}

#[test]
fn any_interleaving_keeps_order_in_postgres() {
    if std::env::var_os("TEST_DATABASE_URL").is_some() || std::env::var_os("CI").is_some() {
        check(12, || support::postgres_fixture("any_interleaving_keeps_order_in_postgres"));
    } else {
        eprintln!("SKIPPED any_interleaving_keeps_order_in_postgres: TEST_DATABASE_URL is not set");
    }
}
