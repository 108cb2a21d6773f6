//! Many answers at once from one network.
//!
//! Each [`Scheduler::step`] computes one ragged batch: the next token of every running answer and a part of the
//! prompts (`plan`). Between steps sequences come and go: prompts that wait are admitted in turn (`queue`) while there
//! is a place in the batch and memory for them; those that nobody wants any more are dropped; and when memory runs out
//! the youngest gives its pages back and is computed again later, with its text and its dice kept, so that it goes on as
//! if nothing had happened. A prompt that shares its beginning with one that is being computed waits for that, so that a
//! burst of questions under one system prompt computes it once.
//!
//! Nothing here waits or knows of threads: the caller decides when to step, and tests do so one by one.

mod measure;
mod plan;
mod queue;
mod rates;
mod sequence;
mod warm_up;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use magpie_core::engine::{EngineError, Finish};

use crate::cache::PageCache;
use crate::network::{Batch, Chunk, Network, NetworkLimits, PAGE_TOKENS, Wanted};
use crate::tokenizer::Tokenizer;
use plan::{Budget, Plan};
use queue::Queue;
pub(crate) use rates::{Outlook, Rates};
use sequence::{Awaited, Sequence, Step};
pub(crate) use sequence::{Item, Request};
pub(crate) use warm_up::{FirstSteps, warm_up};

/// Pages left over for each running answer to grow into when a prompt is admitted. Fewer would admit prompts only to
/// preempt them soon.
const SPARE_PAGES: usize = 2;

/// How many answers and how much of prompts a step takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pace {
    /// Answers at once.
    pub max_batch_size: usize,
    /// While no answer is going on. Only newcomers wait for the step to end.
    pub alone: Prompts,
    /// Beside answers, which all wait for it.
    pub beside: Prompts,
}

/// How much of prompts a step takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Prompts {
    /// As many rows as are computed in this time, as far as that is known,
    pub time: Duration,
    /// but no fewer than these, which it takes to use the machine well,
    pub least_rows: usize,
    /// and no more.
    pub most_rows: usize,
}

impl Pace {
    pub(crate) fn new(max_batch_size: usize) -> Self {
        Self {
            max_batch_size: max_batch_size.max(1),
            alone: Prompts { time: Duration::from_secs(1), least_rows: 128, most_rows: 512 },
            beside: Prompts { time: Duration::from_millis(200), least_rows: 32, most_rows: 256 },
        }
    }
}

impl Prompts {
    fn rows(self, rates: &Rates) -> usize {
        let rows = rates.prompt_rows_in(self.time).unwrap_or(self.least_rows);
        let whole_pages = rows / PAGE_TOKENS * PAGE_TOKENS;
        whole_pages.clamp(self.least_rows, self.most_rows)
    }
}

/// How a scheduler is doing, for other threads; clones share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Standing(Arc<Mutex<Reported>>);

#[derive(Debug, Clone, Copy, Default)]
struct Reported {
    outlook: Outlook,
    failures: u32,
    free_bytes: u64,
}

impl Standing {
    pub(crate) fn outlook(&self) -> Outlook {
        self.get().outlook
    }

    /// Steps in a row that failed.
    pub(crate) fn failures(&self) -> u32 {
        self.get().failures
    }

    /// Of its memory for keys and values, what holds none.
    pub(crate) fn free_bytes(&self) -> u64 {
        self.get().free_bytes
    }

    fn get(&self) -> Reported {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, reported: Reported) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = reported;
    }
}

/// Owner of a network and of everything that it computes.
pub(crate) struct Scheduler {
    network: Box<dyn Network>,
    limits: NetworkLimits,
    tokenizer: Arc<Tokenizer>,
    pace: Pace,
    cache: PageCache,
    queue: Queue,
    /// Oldest first.
    running: Vec<Sequence>,
    rates: Rates,
    standing: Standing,
    tickets: u64,
    failures: u32,
    evictions: u64,
    logits: Vec<f32>,
}

impl Scheduler {
    /// `rates`: what is known of the network's speed already.
    pub(crate) fn new(network: Box<dyn Network>, tokenizer: Arc<Tokenizer>, pace: Pace, rates: Rates) -> Self {
        let limits = network.limits();
        let mut scheduler = Self {
            network,
            limits,
            tokenizer,
            pace,
            cache: PageCache::new(limits.pages),
            queue: Queue::default(),
            running: Vec::new(),
            rates,
            standing: Standing::default(),
            tickets: 0,
            failures: 0,
            evictions: 0,
            logits: Vec::new(),
        };
        scheduler.report();
        scheduler
    }

    pub(crate) fn standing(&self) -> Standing {
        self.standing.clone()
    }

    /// Whether there is nothing to do.
    pub(crate) fn is_idle(&self) -> bool {
        self.running.is_empty() && self.queue.len() == 0
    }

    /// Takes a request in. One that could never be computed is refused at once.
    pub(crate) fn submit(&mut self, mut request: Request) {
        let longest = longest_sequence(&self.limits);
        let room = longest.saturating_sub(request.prompt.len());
        let refused = request.prompt.is_empty() || room == 0;
        request.answer_tokens = request.answer_tokens.min(room);
        self.tickets += 1;
        let sequence = Sequence::new(self.tickets, request);
        if refused {
            let tokens = sequence.prompt_tokens;
            return sequence.end(Err(too_long(tokens, longest)));
        }
        match sequence.limit_reached() {
            Some(finish) => sequence.end(Ok(finish)),
            None => self.queue.push(sequence),
        }
        self.report();
    }

    /// Computes one batch and tells what comes of it.
    pub(crate) fn step(&mut self) {
        self.drop_unwanted();
        self.admit();
        self.make_room();
        let plan = Plan::of(&self.running, self.budget());
        if !plan.shares.is_empty() {
            let began = Instant::now();
            match self.compute(&plan) {
                Ok(()) => self.advance(&plan, began),
                Err(what) => self.interrupt(&plan, what),
            }
        }
        self.report();
    }

    fn drop_unwanted(&mut self) {
        for sequence in self.queue.take_unwanted() {
            sequence.end(Ok(Finish::Cancelled));
        }
        for sequence in self.running.extract_if(.., |sequence| !sequence.is_wanted()).collect::<Vec<_>>() {
            self.retire(sequence, Ok(Finish::Cancelled));
        }
    }

    /// Lets as many prompts begin as there are places and memory for. One that lacks memory is not passed by others, or
    /// it might wait for ever.
    fn admit(&mut self) {
        let mut turn = 0;
        while self.running.len() < self.pace.max_batch_size {
            let Some(next) = self.queue.peek(turn) else { return };
            let spare = SPARE_PAGES * self.running.len();
            let fits = self.cache.fits(&next.tokens, next.tokens.len(), spare);
            next.awaits = awaited(next, &self.running, &self.cache);
            if next.awaits.is_some() {
                turn += 1;
            } else if fits {
                let Some(sequence) = self.queue.take(turn) else { return };
                self.begin(sequence);
            } else {
                return;
            }
        }
    }

    fn begin(&mut self, mut sequence: Sequence) {
        let (mut table, copy) = self.cache.begin(&sequence.tokens);
        if let Some(copy) = copy {
            self.network.copy_page(copy.from, copy.to);
        }
        let cached = table.tokens();
        let fits = self.cache.extend(&mut table, sequence.tokens.len() - cached);
        sequence.table = table;
        sequence.work = 0;
        if fits.is_err() {
            // It was asked before whether it fits, so this is not expected; the next step asks again.
            return self.put_back(sequence);
        }
        if !sequence.preempted {
            measure::hit(cached);
            self.rates.began(sequence.due());
        }
        let place = self.running.partition_point(|other| other.ticket < sequence.ticket);
        self.running.insert(place, sequence);
    }

    /// Gives every running sequence pages for what it will compute next, the oldest first; the youngest pay for it.
    fn make_room(&mut self) {
        let mut place = 0;
        while place < self.running.len() {
            let sequence = &mut self.running[place];
            let due = sequence.due();
            if self.cache.extend(&mut sequence.table, due).is_ok() {
                place += 1;
                continue;
            }
            let Some(mut youngest) = self.running.pop() else { return };
            tracing::debug!(
                tokens = youngest.tokens.len(),
                "out of pages; the youngest answer is computed again later"
            );
            measure::preempted();
            youngest.preempted = true;
            self.put_back(youngest);
        }
    }

    fn put_back(&mut self, mut sequence: Sequence) {
        self.cache.release(std::mem::take(&mut sequence.table));
        self.queue.push_first(sequence);
    }

    fn budget(&self) -> Budget {
        Budget { alone: self.pace.alone.rows(&self.rates), beside: self.pace.beside.rows(&self.rates) }
    }

    fn compute(&mut self, plan: &Plan) -> Result<(), Breakdown> {
        let mut batch = Batch::default();
        for share in &plan.shares {
            let sequence = &self.running[share.place];
            let position = sequence.table.tokens();
            let end = position + share.rows;
            batch.tokens.extend_from_slice(&sequence.tokens[position..end]);
            batch.chunks.push(Chunk {
                pages: &sequence.table.pages()[..end.div_ceil(PAGE_TOKENS)],
                position,
                rows: share.rows,
                logits: if share.completes { Wanted::Last } else { Wanted::Nothing },
            });
        }
        self.logits.clear();
        let (network, logits) = (&mut self.network, &mut self.logits);
        // Whatever a panic leaves behind in the pages of this batch was not committed, and nobody will read it.
        match catch_unwind(AssertUnwindSafe(|| network.step(&batch, logits))) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(Breakdown { what: error.what, source: error.source }),
            Err(_) => Err(Breakdown { what: "the computation panicked".to_owned(), source: None }),
        }
    }

    /// Notes what was computed, and chooses the next token wherever that is possible now.
    fn advance(&mut self, plan: &Plan, began: Instant) {
        let now = Instant::now();
        self.rates.stepped(plan.answer_rows, plan.prompt_rows, now - began);
        measure::step(plan, now - began);
        let mut logits = std::mem::take(&mut self.logits);
        let mut rows = logits.chunks_exact_mut(self.limits.vocabulary);
        let mut steps = Vec::with_capacity(plan.shares.len());
        for share in &plan.shares {
            let sequence = &mut self.running[share.place];
            let position = sequence.table.tokens();
            if !sequence.is_decoding() {
                sequence.work += share.rows;
            }
            self.cache.commit(&mut sequence.table, &sequence.tokens[position..position + share.rows]);
            if !share.completes {
                continue;
            }
            let Some(row) = rows.next() else { break };
            // A sampler that panics, over a strange grammar perhaps, costs its own answer only.
            let step = catch_unwind(AssertUnwindSafe(|| sequence.go_on(row, &self.tokenizer, now)));
            steps.push((share.place, step.unwrap_or(Step::NoToken)));
        }
        self.logits = logits;
        let is_sound = steps.iter().all(|(_, step)| *step != Step::NotNumbers);
        self.failures = if is_sound { 0 } else { self.failures.saturating_add(1) };
        // From the back, so that places stay what they are.
        for (place, step) in steps.into_iter().rev() {
            match step {
                Step::GoesOn => {}
                Step::Ends(finish) => {
                    let sequence = self.running.remove(place);
                    self.rates.answered(sequence.answered_tokens());
                    self.retire(sequence, Ok(finish));
                }
                Step::NoToken => {
                    let sequence = self.running.remove(place);
                    let what = "no token can follow in the format that was asked for".to_owned();
                    self.retire(sequence, Err(interrupted(what, None)));
                }
                Step::NotNumbers => {
                    let mut sequence = self.running.remove(place);
                    // Whatever made them so may be in its keys and values, and nobody else shall read it there.
                    self.cache.discard(std::mem::take(&mut sequence.table));
                    sequence.end(Err(interrupted("the model computed no numbers".to_owned(), None)));
                }
            }
        }
    }

    /// Ends all answers that took part in a step that failed; the others never notice.
    fn interrupt(&mut self, plan: &Plan, breakdown: Breakdown) {
        self.failures = self.failures.saturating_add(1);
        let Breakdown { what, source } = breakdown;
        tracing::error!(
            answers = plan.shares.len(),
            what,
            source = source.as_deref().map(tracing::field::display),
            "a step of the local model failed"
        );
        let mut source = source;
        for share in plan.shares.iter().rev() {
            let sequence = self.running.remove(share.place);
            self.retire(sequence, Err(interrupted(what.clone(), source.take())));
        }
    }

    fn retire(&mut self, mut sequence: Sequence, end: Result<Finish, EngineError>) {
        self.cache.release(std::mem::take(&mut sequence.table));
        sequence.end(end);
    }

    fn report(&mut self) {
        let due: usize = self.running.iter().map(|sequence| sequence.due() - 1).sum();
        let outlook = Outlook {
            rates: self.rates,
            running: self.running.len(),
            waiting: self.queue.len(),
            max_batch_size: self.pace.max_batch_size,
            rows_ahead: due + self.queue.tokens(),
        };
        let counts = self.cache.counts();
        let free_bytes = (counts.free * self.limits.page_bytes) as u64;
        self.standing.set(Reported { outlook, failures: self.failures, free_bytes });
        measure::queue(outlook.waiting, outlook.running);
        measure::pages(counts, counts.evictions - self.evictions);
        self.evictions = counts.evictions;
    }
}

/// Why a step failed.
struct Breakdown {
    what: String,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// Tokens of the longest sequence that can be computed, by context and by memory.
pub(crate) fn longest_sequence(limits: &NetworkLimits) -> usize {
    limits.context_tokens.min(limits.pages * PAGE_TOKENS)
}

/// The beginning that `next` shares with a prompt under way, as far as it is neither cached nor computed yet.
fn awaited(next: &Sequence, running: &[Sequence], cache: &PageCache) -> Option<Awaited> {
    if let Some(Awaited { ticket, tokens }) = next.awaits {
        let other = running.iter().find(|other| other.ticket == ticket);
        return other.filter(|other| other.table.tokens() < tokens).and(next.awaits);
    }
    let reusable = &next.tokens[..next.tokens.len() - 1];
    let shared = |other: &Sequence| {
        let same = reusable.iter().zip(&other.tokens).take_while(|(mine, theirs)| mine == theirs).count();
        let tokens = same / PAGE_TOKENS * PAGE_TOKENS;
        (other.table.tokens() < tokens).then_some(Awaited { ticket: other.ticket, tokens })
    };
    let longest = running.iter().filter_map(shared).max_by_key(|awaited| awaited.tokens)?;
    (cache.cached_tokens(&next.tokens) < longest.tokens).then_some(longest)
}

fn too_long(tokens: usize, longest: usize) -> EngineError {
    let what = format!("the prompt has {tokens} tokens, the context holds {longest} with the answer");
    EngineError::Rejected { engine: crate::engine::NAME.to_owned(), what }
}

fn interrupted(what: String, source: Option<Box<dyn std::error::Error + Send + Sync>>) -> EngineError {
    EngineError::Interrupted { engine: crate::engine::NAME.to_owned(), what, source }
}

#[cfg(test)]
pub(crate) mod fake;
#[cfg(test)]
mod tests;
