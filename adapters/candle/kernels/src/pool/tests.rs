use std::collections::HashSet;
use std::sync::atomic::AtomicU32;
use std::sync::{Barrier, Mutex};

use super::*;

#[test]
fn every_item_is_worked_on_once_in_tens_of_thousands_of_tiny_regions() {
    for threads in 1..=4 {
        let pool = Pool::new(threads).unwrap();
        assert_eq!(pool.threads(), threads);
        for region in 0..10_000_usize {
            let items = region % 9;
            let counts: [AtomicU32; 9] = std::array::from_fn(|_| AtomicU32::new(0));
            pool.run(items, &|item| {
                counts[item].fetch_add(1, Relaxed);
            });
            for (item, count) in counts.iter().enumerate() {
                assert_eq!(count.load(Relaxed), u32::from(item < items), "item {item} of {items} on {threads} threads");
            }
        }
    }
}

#[test]
fn what_workers_write_is_seen_by_the_caller() {
    let pool = Pool::new(3).unwrap();
    let mut sums = vec![0_usize; 100];
    for round in 1..=200 {
        crate::parts::each_chunk(&pool, &mut sums, 7, &|chunk, values| {
            for (offset, value) in values.iter_mut().enumerate() {
                *value += chunk * 7 + offset;
            }
        });
        assert!(sums.iter().enumerate().all(|(index, sum)| *sum == index * round));
    }
}

#[test]
fn a_region_is_shared_by_all_threads_even_when_they_slept() {
    let pool = Pool::new(3).unwrap();
    for _ in 0..20 {
        // Only three different threads can get over the barrier, so this ends only if the sleepers are woken.
        let barrier = Barrier::new(3);
        let seen = Mutex::new(HashSet::new());
        pool.run(3, &|_| {
            barrier.wait();
            seen.lock().unwrap().insert(thread::current().id());
        });
        assert_eq!(seen.lock().unwrap().len(), 3);
        while pool.shared.asleep.iter().any(|asleep| !asleep.0.load(Relaxed)) {
            thread::yield_now();
        }
    }
}

#[test]
fn a_panic_comes_out_on_the_caller_and_the_pool_lives_on() {
    let pool = Pool::new(3).unwrap();
    for round in 0..100 {
        let left = AtomicU32::new(0);
        let caught = catch_unwind(AssertUnwindSafe(|| {
            pool.run(8, &|item| {
                struct Leave<'a>(&'a AtomicU32);
                impl Drop for Leave<'_> {
                    fn drop(&mut self) {
                        self.0.fetch_add(1, Relaxed);
                    }
                }
                let _leave = Leave(&left);
                // Without the hook's message on the terminal.
                if item == round % 8 {
                    resume_unwind(Box::new(format!("item {item}")));
                }
            });
        }));
        let left_before = left.load(Relaxed);
        assert_eq!(caught.unwrap_err().downcast_ref::<String>(), Some(&format!("item {}", round % 8)));
        let sum = AtomicUsize::new(0);
        pool.run(10, &|item| {
            sum.fetch_add(item, Relaxed);
        });
        assert_eq!(sum.load(Relaxed), 45);
        assert_eq!(left.load(Relaxed), left_before, "somebody was still inside when the panic came out");
    }
}

#[test]
fn a_region_within_a_region_runs_on_its_own_thread() {
    let pool = Pool::new(2).unwrap();
    let sum = AtomicUsize::new(0);
    pool.run(4, &|outer| {
        let thread = thread::current().id();
        pool.run(4, &|inner| {
            assert_eq!(thread::current().id(), thread);
            sum.fetch_add(outer * 4 + inner, Relaxed);
        });
    });
    assert_eq!(sum.load(Relaxed), 120);
}

#[test]
fn two_threads_may_use_one_pool() {
    let pool = Pool::new(2).unwrap();
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                for _ in 0..2_000 {
                    let sum = AtomicUsize::new(0);
                    pool.run(10, &|item| {
                        sum.fetch_add(item, Relaxed);
                    });
                    assert_eq!(sum.load(Relaxed), 45);
                }
            });
        }
    });
}

#[test]
fn zero_threads_means_the_cores_of_the_machine() {
    assert_eq!(Pool::new(0).unwrap().threads(), cores::physical());
}
