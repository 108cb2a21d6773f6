//! How fast this machine reads memory, which is what a chat of its own waits for: each token reads every weight once.

use std::hint::black_box;
use std::time::Instant;

use crate::compute::Compute;

/// Below, caches would be measured; above, nothing is learnt.
const LEAST_BYTES: usize = 64 << 20;
const MOST_BYTES: usize = 512 << 20;

/// Words that a thread reads at a time.
const PIECE: usize = 1 << 17;

const PASSES: usize = 5;
const LANES: usize = 16;

impl Compute {
    /// Bytes per second that all threads read together from memory of about this size, in the best of a few passes.
    #[must_use]
    pub fn read_bandwidth(&self, like_bytes: usize) -> f64 {
        let words = like_bytes.clamp(LEAST_BYTES, MOST_BYTES) / size_of::<u64>();
        // Written, so that the system really gives it.
        let memory: Vec<u64> = (0..words as u64).collect();
        let pieces = words.div_ceil(PIECE);
        let pass = || {
            let begun = Instant::now();
            self.pool.run(pieces, &|piece| {
                let from = piece * PIECE;
                black_box(sum(&memory[from..(from + PIECE).min(words)]));
            });
            begun.elapsed().as_secs_f64()
        };
        let best = (0..PASSES).map(|_| pass()).fold(f64::INFINITY, f64::min);
        (words * size_of::<u64>()) as f64 / best
    }
}

fn sum(words: &[u64]) -> u64 {
    let (chunks, rest) = words.as_chunks::<LANES>();
    let mut lanes = [0_u64; LANES];
    for chunk in chunks {
        for (lane, word) in lanes.iter_mut().zip(chunk) {
            *lane = lane.wrapping_add(*word);
        }
    }
    lanes.iter().chain(rest).fold(0, |sum, word| sum.wrapping_add(*word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_read() {
        for length in [0, 1, LANES, 3 * LANES + 5] {
            let words: Vec<u64> = (1..=length as u64).collect();
            assert_eq!(sum(&words), words.iter().sum::<u64>());
        }
    }
}
