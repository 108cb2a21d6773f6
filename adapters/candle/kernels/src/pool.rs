//! The engine's own threads.
//!
//! # Why this is sound
//!
//! A region lends workers a closure that lives on the caller's stack. Everything hangs on one word, [`Shared::state`]:
//! an *open* bit and the number of workers *inside*.
//!
//! 1. The caller writes the region's cell while the word is zero (closed, nobody inside), then opens it (`Release`).
//! 2. A worker gets inside only by a compare-and-swap from an open word to the same word with one more inside
//!    (`Acquire`: it sees the cell). Only inside does it read the cell or call the closure.
//! 3. A worker leaves by subtracting one (`Release`: whatever it did happened before).
//! 4. The caller closes the word, from then on no swap of 2. can succeed, and waits until nobody is inside (`Acquire`).
//!    Only then does it return, unwind, or write the cell again.
//!
//! So between 4. and the next 1. nobody but the caller holds the cell or the closure: a worker that comes late, even many
//! regions late, finds the word closed or a newer region open, never the old one. The next region's opening may be mistaken
//! for that of the region a worker has looked at before; that is harmless, as nothing is read before the swap.
//!
//! Falling asleep is a store (`asleep`) and then a load (the word), waking a store (the word) and then a load (`asleep`),
//! with a sequentially consistent fence in between on both sides: at least one of the two sees the other's store, so a worker
//! never sleeps through a region unseen; and even then the caller would finish the region alone.

#![expect(unsafe_code, reason = "a region lends a closure of the caller's stack to other threads")]

mod cores;
#[cfg(test)]
mod tests;

use std::any::Any;
use std::cell::UnsafeCell;
use std::hint;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, fence};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// How long a worker looks out for the next region before it sleeps: longer than what lies between the regions of one
/// step, far shorter than a step.
const SPIN: Duration = Duration::from_micros(50);

/// Looks at the word between two looks at the clock.
const LOOKS: u32 = 32;

/// In [`Shared::state`]: workers may come in. The bits below count who is inside, those above the regions so far.
const OPEN: u64 = 1 << 16;
const INSIDE: u64 = OPEN - 1;
const REGION: u64 = OPEN << 1;

/// Threads of a pool, at most: well under what the count of those inside can hold.
const MOST_THREADS: usize = 1024;

/// A fixed number of threads that run the items of one region after the other. Between regions the workers spin for
/// some microseconds, then sleep. Dropping the pool ends them.
pub struct Pool {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
    /// Held during a region: the pool has one at a time.
    turn: Mutex<()>,
}

impl Pool {
    /// `threads` in all, the caller of [`Pool::run`] included; 0 means the physical cores that this process may use.
    ///
    /// # Errors
    /// A thread can't be started.
    pub fn new(threads: usize) -> io::Result<Self> {
        let threads = if threads == 0 { cores::physical() } else { threads }.min(MOST_THREADS);
        let shared = Arc::new(Shared {
            state: Line(AtomicU64::new(0)),
            next: Line(AtomicUsize::new(0)),
            region: UnsafeCell::new(None),
            panic: Mutex::new(None),
            stop: AtomicBool::new(false),
            asleep: (1..threads).map(|_| Line(AtomicBool::new(false))).collect(),
        });
        let mut pool = Self { shared, workers: Vec::new(), turn: Mutex::new(()) };
        for index in 0..threads - 1 {
            let shared = Arc::clone(&pool.shared);
            let worker = thread::Builder::new().name(format!("magpie-compute-{}", index + 1));
            pool.workers.push(worker.spawn(move || shared.serve(index))?);
        }
        Ok(pool)
    }

    #[must_use]
    pub fn threads(&self) -> usize {
        self.workers.len() + 1
    }

    /// Calls `work` once for each of `0..items`, on all threads, and returns when all are done. Items are claimed one by
    /// one, in order. A single item, or a pool of one thread, runs on the caller's thread without waking anybody; so does a
    /// region that is begun while another one runs, be it from a second thread or from within `work`.
    ///
    /// # Panics
    /// If `work` panicked on any thread, after all threads have left it. Items that nobody had claimed by then are left out.
    pub fn run(&self, items: usize, work: &(dyn Fn(usize) + Sync)) {
        let alone = items <= 1 || self.workers.is_empty();
        let Some(turn) = (if alone { None } else { self.turn.try_lock().ok() }) else {
            (0..items).for_each(work);
            return;
        };
        // SAFETY: only the lifetime changes, of a pointer. `Opened` closes the region on every way out, unwinding included,
        // before the borrow of `work` ends.
        let work = unsafe { std::mem::transmute::<*const (dyn Fn(usize) + Sync + '_), *const Work>(work) };
        let region = Region { work, items };
        let opened = self.shared.open(region);
        self.wake(items - 1);
        // SAFETY: open until the next line.
        unsafe { self.shared.claim(region) };
        drop(opened);
        let panic = self.shared.panic.lock().unwrap_or_else(PoisonError::into_inner).take();
        drop(turn);
        if let Some(panic) = panic {
            resume_unwind(panic);
        }
    }

    /// The same, on the caller's thread alone unless the work is worth more than waking the others.
    pub(crate) fn run_if(&self, worth_it: bool, items: usize, work: &(dyn Fn(usize) + Sync)) {
        if worth_it { self.run(items, work) } else { (0..items).for_each(work) }
    }

    /// Wakes sleeping workers, no more than there is work for.
    fn wake(&self, most: usize) {
        fence(SeqCst);
        let sleeping = self.shared.asleep.iter().zip(&self.workers).filter(|(asleep, _)| asleep.0.load(Relaxed));
        for (asleep, worker) in sleeping.take(most) {
            asleep.0.store(false, Relaxed);
            worker.thread().unpark();
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.stop.store(true, SeqCst);
        for worker in self.workers.drain(..) {
            worker.thread().unpark();
            // A worker can't have panicked: it catches what its work throws.
            let _ = worker.join();
        }
    }
}

/// Keeps what different threads write on different cache lines.
#[repr(align(128))]
struct Line<T>(T);

struct Shared {
    state: Line<AtomicU64>,
    /// The next item that nobody has claimed.
    next: Line<AtomicUsize>,
    /// Written by the caller while the word is closed and nobody is inside, read by those inside.
    region: UnsafeCell<Option<Region>>,
    /// What the first panic of a region threw.
    panic: Mutex<Option<Box<dyn Any + Send>>>,
    stop: AtomicBool,
    /// Whether each worker sleeps, or is about to.
    asleep: Vec<Line<AtomicBool>>,
}

// SAFETY: all but `region` is `Sync` by itself; `region` is accessed as the module's reasoning says, never by two threads
// of which one writes, and what it points to is `Sync`, so all may use it.
unsafe impl Sync for Shared {}

// SAFETY: what a region points to is `Sync`, so the pointer may be sent; all other fields are `Send`.
unsafe impl Send for Shared {}

type Work = dyn Fn(usize) + Sync + 'static;

#[derive(Clone, Copy)]
struct Region {
    /// Lives as long as the `Opened` of this region.
    work: *const Work,
    items: usize,
}

/// An open region; dropping it waits until everybody has left.
struct Opened<'a>(&'a Shared);

impl Drop for Opened<'_> {
    fn drop(&mut self) {
        let state = &self.0.state.0;
        state.fetch_and(!OPEN, Relaxed);
        let mut looks = 0_u32;
        while state.load(Acquire) & INSIDE != 0 {
            looks = looks.saturating_add(1);
            // Normally the others finish an item each. Where they are not even scheduled, let them.
            if looks < 1 << 12 { hint::spin_loop() } else { thread::yield_now() }
        }
    }
}

impl Shared {
    /// Begins a region; only the holder of [`Pool::turn`] does.
    fn open(&self, region: Region) -> Opened<'_> {
        let state = self.state.0.load(Relaxed);
        assert_eq!(state & (OPEN | INSIDE), 0, "the last region is over");
        // SAFETY: closed, and nobody inside: see the module's reasoning.
        unsafe { *self.region.get() = Some(region) };
        self.next.0.store(0, Relaxed);
        self.state.0.store(state.wrapping_add(REGION) | OPEN, Release);
        Opened(self)
    }

    /// Works on the items of a region until there are none left.
    ///
    /// # Safety
    /// The region does not end before this returns.
    unsafe fn claim(&self, region: Region) {
        // SAFETY: by the contract.
        let item_work = unsafe { &*region.work };
        let work = || loop {
            let item = self.next.0.fetch_add(1, Relaxed);
            if item >= region.items {
                return;
            }
            item_work(item);
        };
        if let Err(panic) = catch_unwind(AssertUnwindSafe(work)) {
            self.next.0.store(region.items, Relaxed);
            self.panic.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(panic);
        }
    }

    /// A worker's life.
    fn serve(&self, index: usize) {
        let mut done = 0;
        while let Some(state) = self.wait(index, done) {
            if self.state.0.compare_exchange_weak(state, state + 1, Acquire, Relaxed).is_err() {
                continue;
            }
            // SAFETY: inside, so the cell is not written and the region does not end: see the module's reasoning.
            unsafe {
                if let Some(region) = *self.region.get() {
                    self.claim(region);
                }
            }
            self.state.0.fetch_sub(1, Release);
            done = state & !INSIDE;
        }
    }

    /// Waits for an open region that is not `done`; `None` when the pool ends.
    fn wait(&self, index: usize, done: u64) -> Option<u64> {
        let asleep = &self.asleep[index].0;
        let fresh = || Some(self.state.0.load(Relaxed)).filter(|state| state & OPEN != 0 && state & !INSIDE != done);
        loop {
            let since = Instant::now();
            while since.elapsed() < SPIN {
                for _ in 0..LOOKS {
                    if let Some(state) = fresh() {
                        return Some(state);
                    }
                    hint::spin_loop();
                }
            }
            asleep.store(true, Relaxed);
            fence(SeqCst);
            while asleep.load(Relaxed) && fresh().is_none() {
                if self.stop.load(SeqCst) {
                    return None;
                }
                thread::park();
            }
            asleep.store(false, Relaxed);
        }
    }
}
