//! Two ways to multiply bytes and add the four products of each lane.

use std::arch::asm;
use std::arch::x86_64::*;

use super::{Lanes, Ymm};
use crate::simd::{Simd, Task};

/// See the methods of [`Simd`] with the same names.
pub(crate) trait Products: Copy + Send + Sync {
    type Sum: Copy;

    fn are_available() -> bool;
    fn call<T: Task>(simd: Ymm<Self>, task: T) -> T::Output;
    fn open(simd: Ymm<Self>, start: Lanes) -> Self::Sum;
    fn dot(simd: Ymm<Self>, sum: Self::Sum, codes: Lanes, x: &i32) -> Self::Sum;
    fn settle(simd: Ymm<Self>, sum: Self::Sum) -> Self::Sum;
    fn close(simd: Ymm<Self>, sum: Self::Sum) -> Lanes;
    fn start_signed(simd: Ymm<Self>, x_sum: i32) -> Lanes;
    fn dot_signed(simd: Ymm<Self>, sum: Lanes, codes: Lanes, x: &i32) -> Lanes;
}

/// What every processor with AVX2 can do: pairs of products in 16 bits first, then pairs of those in 32.
#[derive(Clone, Copy)]
pub(crate) struct TwoSteps;

/// The second step costs as much as the first, so it is made once for several products.
#[derive(Clone, Copy)]
pub(crate) struct Sum {
    lanes: Lanes,
    /// Two signed 16-bit numbers of each lane.
    pairs: Lanes,
}

impl Products for TwoSteps {
    type Sum = Sum;

    fn are_available() -> bool {
        true
    }

    #[inline(always)]
    fn call<T: Task>(simd: Ymm<Self>, task: T) -> T::Output {
        #[target_feature(enable = "avx2,fma,f16c")]
        #[inline]
        fn compiled<T: Task>(simd: Ymm<TwoSteps>, task: T) -> T::Output {
            task.run(simd)
        }
        with!(compiled(simd, task))
    }

    #[inline(always)]
    fn open(simd: Ymm<Self>, start: Lanes) -> Sum {
        Sum { lanes: start, pairs: simd.splat_i32(0) }
    }

    #[inline(always)]
    fn dot(_: Ymm<Self>, sum: Sum, codes: Lanes, x: &i32) -> Sum {
        let x = with!(_mm256_set1_epi32(*x));
        let pairs = both!(i => _mm256_add_epi16(sum.pairs[i], _mm256_maddubs_epi16(codes[i], x)));
        Sum { pairs: with!(in_order(pairs)), ..sum }
    }

    #[inline(always)]
    fn settle(simd: Ymm<Self>, sum: Sum) -> Sum {
        Self::open(simd, Self::close(simd, sum))
    }

    #[inline(always)]
    fn close(_: Ymm<Self>, sum: Sum) -> Lanes {
        both!(i => _mm256_add_epi32(sum.lanes[i], _mm256_madd_epi16(sum.pairs[i], _mm256_set1_epi16(1))))
    }

    #[inline(always)]
    fn start_signed(simd: Ymm<Self>, _: i32) -> Lanes {
        simd.splat_i32(0)
    }

    /// Moves the codes' sign to `x`: pairs of products of magnitudes up to 128 and 127 fit 16 bits, those of codes up to
    /// 255 would not.
    #[inline(always)]
    fn dot_signed(_: Ymm<Self>, sum: Lanes, codes: Lanes, x: &i32) -> Lanes {
        let x = with!(_mm256_set1_epi32(*x));
        let weights = both!(i => _mm256_xor_si256(codes[i], _mm256_set1_epi8(-128)));
        let magnitudes = both!(i => _mm256_abs_epi8(weights[i]));
        let x = both!(i => _mm256_sign_epi8(x, weights[i]));
        let pairs = both!(i => _mm256_maddubs_epi16(magnitudes[i], x[i]));
        let sum = both!(i => _mm256_add_epi32(sum[i], _mm256_madd_epi16(pairs[i], _mm256_set1_epi16(1))));
        with!(in_order(sum))
    }
}

/// Makes the compiler compute one sum after the other, as it is written. Left alone it unrolls everything and computes row
/// after row, with all codes of a unit on the stack in between: half as many instructions again.
#[target_feature(enable = "avx2")]
#[inline]
fn in_order(mut sum: Lanes) -> Lanes {
    // SAFETY: there are no instructions.
    unsafe {
        asm!("/* {} {} */", inout(ymm_reg) sum[0], inout(ymm_reg) sum[1], options(nomem, nostack, preserves_flags));
    }
    sum
}

/// The dot product of bytes in one instruction.
#[derive(Clone, Copy)]
pub(crate) struct Vnni;

impl Products for Vnni {
    type Sum = Lanes;

    fn are_available() -> bool {
        is_x86_feature_detected!("avxvnni")
    }

    #[inline(always)]
    fn call<T: Task>(simd: Ymm<Self>, task: T) -> T::Output {
        #[target_feature(enable = "avx2,fma,f16c,avxvnni")]
        #[inline]
        fn compiled<T: Task>(simd: Ymm<Vnni>, task: T) -> T::Output {
            task.run(simd)
        }
        with!(compiled(simd, task))
    }

    #[inline(always)]
    fn open(_: Ymm<Self>, start: Lanes) -> Lanes {
        start
    }

    #[inline(always)]
    fn dot(_: Ymm<Self>, sum: Lanes, codes: Lanes, x: &i32) -> Lanes {
        let x = with!(_mm256_set1_epi32(*x));
        both!(i => _mm256_dpbusd_avx_epi32(sum[i], codes[i], x))
    }

    #[inline(always)]
    fn settle(_: Ymm<Self>, sum: Lanes) -> Lanes {
        sum
    }

    #[inline(always)]
    fn close(_: Ymm<Self>, sum: Lanes) -> Lanes {
        sum
    }

    #[inline(always)]
    fn start_signed(simd: Ymm<Self>, x_sum: i32) -> Lanes {
        simd.splat_i32(-128 * x_sum)
    }

    #[inline(always)]
    fn dot_signed(simd: Ymm<Self>, sum: Lanes, codes: Lanes, x: &i32) -> Lanes {
        Self::dot(simd, sum, codes, x)
    }
}
