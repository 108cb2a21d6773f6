//! The exponential function, of sixteen numbers at once.

use crate::math::ROUND;
use crate::simd::Simd;

/// Under this, [`exp`] is zero: nothing besides 1, and what is not zero can be multiplied with any f16 value without
/// becoming subnormal.
const LEAST: f32 = -69.0;

/// ln 2 as two floats; the first has few enough bits that any multiple of it up to a hundred is exact.
const LN_2: [f32; 2] = [0.693_359_4, -2.121_944_4e-4];

/// 1/n! for n from 6 to 2, slightly moved to spread the error over ±ln 2 / 2 (relative error under 2e-7).
const TERMS: [f32; 5] = [1.987_569_1e-4, 1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1];

/// e to the power of each lane, each at most 88.
///
/// Source: Cephes' `expf` (S. Moshier) for the reduction by two parts of ln 2 and the polynomial's coefficients.
#[inline(always)]
pub(crate) fn exp<S: Simd>(simd: S, x: S::F32) -> S::F32 {
    let shifted = simd.mul_add(x, simd.splat(std::f32::consts::LOG2_E), simd.splat(ROUND));
    let power = simd.sub(shifted, simd.splat(ROUND));
    let rest = simd.mul_add(power, simd.splat(-LN_2[0]), x);
    let rest = simd.mul_add(power, simd.splat(-LN_2[1]), rest);
    let mut sum = simd.splat(TERMS[0]);
    for term in &TERMS[1..] {
        sum = simd.mul_add(sum, rest, simd.splat(*term));
    }
    sum = simd.mul_add(sum, rest, simd.splat(0.5));
    let square = simd.mul(rest, rest);
    sum = simd.add(simd.mul_add(sum, square, rest), simd.splat(1.0));
    simd.zero_under(simd.times_power(sum, shifted), x, LEAST)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::Task;
    use crate::tier::Tier;

    struct All<'a>(&'a mut [[f32; 16]]);

    impl Task for All<'_> {
        type Output = ();

        #[inline(always)]
        fn run<S: Simd>(self, simd: S) {
            for x in self.0 {
                *x = simd.to_array(exp(simd, simd.load(x)));
            }
        }
    }

    fn exp_of(tier: Tier, x: &[f32]) -> Vec<f32> {
        let mut x = x.to_vec();
        x.resize(x.len().next_multiple_of(16), 0.0);
        tier.run_floats(All(x.as_chunks_mut().0));
        x
    }

    #[test]
    fn it_is_within_a_millionth_down_to_where_it_is_zero() {
        let x: Vec<f32> =
            (0..=690_000).map(|step| step as f32 * -1e-4).chain((0..88_000).map(|step| step as f32 * 1e-3)).collect();
        for tier in Tier::available() {
            let mut worst = 0.0_f64;
            for (x, found) in x.iter().zip(exp_of(tier, &x)) {
                let exact = f64::from(*x).exp();
                worst = worst.max((f64::from(found) - exact).abs() / exact);
            }
            assert!(worst < 3e-7, "{tier:?}: {worst:e}");
        }
    }

    #[test]
    fn its_corners_are_exact() {
        for tier in Tier::available() {
            let found = exp_of(tier, &[0.0, -0.0, f32::NEG_INFINITY, f32::MIN, -69.1, -1e30]);
            assert_eq!(found[..6], [1.0, 1.0, 0.0, 0.0, 0.0, 0.0], "{tier:?}");
        }
    }
}
