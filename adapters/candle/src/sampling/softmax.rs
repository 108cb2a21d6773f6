//! The passes over a whole vocabulary. They touch 150,000 numbers for each token of each answer, so they are written
//! as straight loops that compile to vector instructions.

/// Logits whose weights are summed together.
pub(super) const BLOCK: usize = 256;

const LANES: usize = 16;

/// The highest logit; those that are not numbers do not count.
pub(super) fn highest(logits: &[f32]) -> Option<f32> {
    let (chunks, rest) = logits.as_chunks::<LANES>();
    let mut lanes = [f32::NEG_INFINITY; LANES];
    for chunk in chunks {
        for (lane, &logit) in lanes.iter_mut().zip(chunk) {
            *lane = if logit > *lane { logit } else { *lane };
        }
    }
    lanes.iter().chain(rest).copied().filter(|logit| !logit.is_nan()).reduce(f32::max)
}

/// Whether any logit is at least `floor`.
pub(super) fn any_from(logits: &[f32], floor: f32) -> bool {
    let (chunks, rest) = logits.as_chunks::<LANES>();
    let mut found = [false; LANES];
    for chunk in chunks {
        for (found, &logit) in found.iter_mut().zip(chunk) {
            *found |= logit >= floor;
        }
    }
    found.iter().any(|&found| found) || rest.iter().any(|&logit| logit >= floor)
}

/// Which weights are summed: e^((logit − highest) · scale) of every logit that is at least `floor`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Weighing {
    pub highest: f32,
    pub scale: f32,
    pub floor: f32,
}

impl Weighing {
    /// The plain softmax. Tokens that are impossible, or whose logit is not a number, weigh nothing.
    pub(super) fn all(highest: f32) -> Self {
        Self { highest, scale: 1.0, floor: f32::MIN }
    }

    #[inline]
    pub(super) fn weight(self, logit: f32) -> f32 {
        let weight = weight((logit - self.highest) * self.scale);
        if logit >= self.floor { weight } else { 0.0 }
    }

    /// Writes the sum of each [`BLOCK`] and gives the sum of all.
    pub(super) fn mass(self, logits: &[f32], blocks: &mut Vec<f64>) -> f64 {
        blocks.clear();
        blocks.extend(logits.chunks(BLOCK).map(|block| f64::from(self.block_mass(block))));
        blocks.iter().sum()
    }

    fn block_mass(self, block: &[f32]) -> f32 {
        let (chunks, rest) = block.as_chunks::<LANES>();
        let mut lanes = [0.0_f32; LANES];
        for chunk in chunks {
            for (lane, &logit) in lanes.iter_mut().zip(chunk) {
                *lane += self.weight(logit);
            }
        }
        lanes.iter().sum::<f32>() + rest.iter().map(|&logit| self.weight(logit)).sum::<f32>()
    }
}

/// e^x for x of at most 0, exact to 4 in a million; whatever is under −87 or not a number counts as −87, whose weight
/// 150,000 times over is still nothing.
///
/// The standard one is a call per number, which would make a sum over the vocabulary five times as slow.
#[inline]
fn weight(x: f32) -> f32 {
    // Adding this leaves the nearest whole number in the lowest bits.
    const ROUND: f32 = 12_582_912.0;
    // ln 2 in two parts, the first so short that multiples of it are exact.
    const LN_2_HIGH: f32 = 0.693_359_4;
    const LN_2_LOW: f32 = -2.121_944_4e-4;
    let x = if x > -87.0 { x } else { -87.0 };
    let rounded = x * std::f32::consts::LOG2_E + ROUND;
    let twos = rounded - ROUND;
    let rest = (x - twos * LN_2_HIGH) - twos * LN_2_LOW;
    // The Taylor series: |rest| is at most ln 2 / 2.
    let series = 1.0 / 120.0;
    let series = series * rest + 1.0 / 24.0;
    let series = series * rest + 1.0 / 6.0;
    let series = series * rest + 0.5;
    let series = series * rest + 1.0;
    let series = series * rest + 1.0;
    series * f32::from_bits(rounded.to_bits().wrapping_add(127) << 23)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_those_of_the_standard_exponential() {
        for step in 0..=87_000 {
            let x = -(step as f32) / 1000.0;
            let (ours, exact) = (f64::from(weight(x)), f64::from(x).exp());
            assert!((ours / exact - 1.0).abs() < 4e-6, "e^{x} is {exact}, not {ours}");
        }
        for nothing in [f32::NEG_INFINITY, f32::NAN, -1000.0] {
            assert!(weight(nothing) < 1.7e-38);
        }
    }

    #[test]
    fn sums_and_the_highest_cover_every_logit_of_any_length() {
        let logits: Vec<f32> = (0..1000).map(|i| ((i * 37) % 101) as f32 / 10.0).collect();
        let mut blocks = Vec::new();
        for length in [0, 1, 15, 16, 17, 255, 256, 257, 1000] {
            let logits = &logits[..length];
            let expected = logits.iter().copied().reduce(f32::max);
            assert_eq!(highest(logits).filter(|logit| logit.is_finite()), expected);
            let kept = logits.iter().filter(|&&logit| logit >= 2.0);
            let exact: f64 = kept.map(|&logit| (f64::from(logit - 10.0) * 0.5).exp()).sum();
            let sum = Weighing { highest: 10.0, scale: 0.5, floor: 2.0 }.mass(logits, &mut blocks);
            assert!((sum - exact).abs() <= exact * 4e-6, "{length}: {sum}, not {exact}");
            assert_eq!(blocks.len(), length.div_ceil(BLOCK));
            assert_eq!(any_from(logits, 9.0), logits.iter().any(|&logit| logit >= 9.0));
        }
    }
}
