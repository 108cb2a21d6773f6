//! How fast this machine reads memory, which is what a chat of its own waits for: each token reads every weight once.

use std::hint::black_box;
use std::time::Instant;

use crate::compute::Compute;
use crate::memory::AlignedBytes;
use crate::simd::{Simd, Task};

/// Below, caches would be measured; above, nothing is learnt.
const LEAST_BYTES: usize = 64 << 20;
const MOST_BYTES: usize = 512 << 20;

/// Bytes that a thread reads at a time.
const PIECE: usize = 128 << 10;

const PASSES: usize = 5;

/// Sums of their own, so that no read waits for the addition before it.
const SUMS: usize = 4;

/// What the memory is filled with, so that the system really gives it: four of these are a small but normal f32.
const FILLING: u8 = 0x20;

impl Compute {
    /// Bytes per second that all threads read together from memory of about this size, in the best of a few passes. It
    /// is read as the products read weights: from huge pages where there are any, and asked for ahead of time.
    #[must_use]
    pub fn read_bandwidth(&self, like_bytes: usize) -> f64 {
        let bytes = like_bytes.clamp(LEAST_BYTES, MOST_BYTES).next_multiple_of(PIECE);
        let mut memory = AlignedBytes::zeroed(bytes);
        memory.get_mut().fill(FILLING);
        let memory = memory.get();
        let pass = || {
            let begun = Instant::now();
            self.pool.run(bytes / PIECE, &|piece| {
                black_box(self.tier.run_floats(Sum { bytes: &memory[piece * PIECE..(piece + 1) * PIECE] }));
            });
            begun.elapsed().as_secs_f64()
        };
        let best = (0..PASSES).map(|_| pass()).fold(f64::INFINITY, f64::min);
        bytes as f64 / best
    }
}

/// Adds up all floats of whole cache lines.
struct Sum<'a> {
    bytes: &'a [u8],
}

impl Task for Sum<'_> {
    type Output = f32;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> f32 {
        let mut sums = [simd.splat(0.0); SUMS];
        for lines in self.bytes.as_chunks::<{ SUMS * 64 }>().0 {
            simd.expect_after(lines);
            for (sum, line) in sums.iter_mut().zip(lines.as_chunks::<64>().0) {
                *sum = simd.add(*sum, simd.f32(line));
            }
        }
        simd.sum(simd.add(simd.add(sums[0], sums[1]), simd.add(sums[2], sums[3])))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tier::Tier;

    #[test]
    fn every_byte_is_read_on_every_tier() {
        let values: Vec<u8> = (0..3 * 64_u16).flat_map(|value| f32::from(value).to_le_bytes()).collect();
        for tier in Tier::available() {
            assert_eq!(tier.run_floats(Sum { bytes: &values }), (0..3 * 64_u16).map(f32::from).sum::<f32>());
        }
    }
}
