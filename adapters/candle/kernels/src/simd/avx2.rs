//! x86-64 with AVX2, FMA and F16C: eight lanes in each of two registers, with or without the 256-bit dot product of bytes
//! (VNNI).

use std::arch::x86_64::*;

use super::{AHEAD_BYTES, Simd, Task};

/// Calls an intrinsic.
macro_rules! with {
    ($call:expr) => {
        // SAFETY: a `Ymm` proves that the processor has the instruction; pointers are into arrays with as many bytes left
        // as are loaded or stored.
        unsafe { $call }
    };
}

/// The same intrinsics for the first and the second register. (No closure: it would be compiled without them.)
macro_rules! both {
    ($i:ident => $call:expr) => {
        [
            {
                let $i = 0;
                with!($call)
            },
            {
                let $i = 1;
                with!($call)
            },
        ]
    };
}

mod products;

use products::{Products, TwoSteps, Vnni};

/// Proof that the processor has these instructions, and those of its products.
#[derive(Clone, Copy)]
pub(crate) struct Ymm<P>(std::marker::PhantomData<P>);

pub(crate) type Avx2 = Ymm<TwoSteps>;
pub(crate) type AvxVnni = Ymm<Vnni>;

type Lanes = [__m256i; 2];
type Floats = [__m256; 2];

impl<P: Products> Ymm<P> {
    pub(crate) fn new() -> Option<Self> {
        let found =
            is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") && is_x86_feature_detected!("f16c");
        (found && P::are_available()).then_some(Self(std::marker::PhantomData))
    }

    /// Bytes of 16 where the bit is set.
    #[inline(always)]
    fn spread_bits(self, bits: u32) -> __m256i {
        const WHICH_BIT: i64 = i64::from_le_bytes([1, 2, 4, 8, 16, 32, 64, 128]);
        with!({
            let byte_of_lane =
                _mm256_setr_epi64x(0, 0x0101_0101_0101_0101, 0x0202_0202_0202_0202, 0x0303_0303_0303_0303);
            let bytes = _mm256_shuffle_epi8(_mm256_set1_epi32(bits.cast_signed()), byte_of_lane);
            let which = _mm256_set1_epi64x(WHICH_BIT);
            let set = _mm256_cmpeq_epi8(_mm256_and_si256(bytes, which), which);
            _mm256_and_si256(set, _mm256_set1_epi8(16))
        })
    }
}

impl<P: Products> Simd for Ymm<P> {
    const WIDEST_PANEL: usize = 4;

    type Bytes = Lanes;
    type I32 = Lanes;
    type F32 = Floats;
    type Sum = P::Sum;

    #[inline(always)]
    fn call<T: Task>(self, task: T) -> T::Output {
        P::call(self, task)
    }

    #[inline(always)]
    fn expect_after(self, bytes: &[u8]) {
        for line in 0..bytes.len().div_ceil(64) {
            let line = bytes.as_ptr().wrapping_add(AHEAD_BYTES + 64 * line);
            with!(_mm_prefetch::<_MM_HINT_T0>(line.cast()));
        }
    }

    #[inline(always)]
    fn bytes(self, from: &[u8; 64]) -> Lanes {
        both!(i => _mm256_loadu_si256(from.as_ptr().add(32 * i).cast()))
    }

    #[inline(always)]
    fn low_nibbles(self, bytes: Lanes) -> Lanes {
        both!(i => _mm256_and_si256(bytes[i], _mm256_set1_epi8(15)))
    }

    #[inline(always)]
    fn high_nibbles(self, bytes: Lanes) -> Lanes {
        both!(i => _mm256_and_si256(_mm256_srli_epi16::<4>(bytes[i]), _mm256_set1_epi8(15)))
    }

    #[inline(always)]
    fn add_fifth_bits(self, codes: Lanes, bits: u64) -> Lanes {
        both!(i => _mm256_or_si256(codes[i], self.spread_bits((bits >> (32 * i)) as u32)))
    }

    #[inline(always)]
    fn add_high_pairs<const PAIR: u32>(self, codes: Lanes, pairs: Lanes) -> Lanes {
        let shifted = match PAIR {
            0 => both!(i => _mm256_slli_epi16::<4>(pairs[i])),
            1 => both!(i => _mm256_slli_epi16::<2>(pairs[i])),
            2 => pairs,
            _ => both!(i => _mm256_srli_epi16::<2>(pairs[i])),
        };
        both!(i => _mm256_or_si256(codes[i], _mm256_and_si256(shifted[i], _mm256_set1_epi8(0x30))))
    }

    #[inline(always)]
    fn splat_i32(self, value: i32) -> Lanes {
        [with!(_mm256_set1_epi32(value)); 2]
    }

    #[inline(always)]
    fn open(self, start: Lanes) -> P::Sum {
        P::open(self, start)
    }

    #[inline(always)]
    fn dot(self, sum: P::Sum, codes: Lanes, x: &i32) -> P::Sum {
        P::dot(self, sum, codes, x)
    }

    #[inline(always)]
    fn settle(self, sum: P::Sum) -> P::Sum {
        P::settle(self, sum)
    }

    #[inline(always)]
    fn close(self, sum: P::Sum) -> Lanes {
        P::close(self, sum)
    }

    #[inline(always)]
    fn start_signed(self, x_sum: i32) -> Lanes {
        P::start_signed(self, x_sum)
    }

    #[inline(always)]
    fn dot_signed(self, sum: Lanes, codes: Lanes, x: &i32) -> Lanes {
        P::dot_signed(self, sum, codes, x)
    }

    #[inline(always)]
    fn splat(self, value: f32) -> Floats {
        [with!(_mm256_set1_ps(value)); 2]
    }

    #[inline(always)]
    fn to_f32(self, values: Lanes) -> Floats {
        both!(i => _mm256_cvtepi32_ps(values[i]))
    }

    #[inline(always)]
    fn unsigned_bytes(self, from: &[u8; 16]) -> Floats {
        both!(i => _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64(from.as_ptr().add(8 * i).cast()))))
    }

    #[inline(always)]
    fn signed_bytes(self, from: &[u8; 16]) -> Floats {
        both!(i => _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64(from.as_ptr().add(8 * i).cast()))))
    }

    #[inline(always)]
    fn f16(self, from: &[u8; 32]) -> Floats {
        both!(i => _mm256_cvtph_ps(_mm_loadu_si128(from.as_ptr().add(16 * i).cast())))
    }

    #[inline(always)]
    fn bf16(self, from: &[u8; 32]) -> Floats {
        let halves = both!(i => _mm256_cvtepu16_epi32(_mm_loadu_si128(from.as_ptr().add(16 * i).cast())));
        both!(i => _mm256_castsi256_ps(_mm256_slli_epi32::<16>(halves[i])))
    }

    #[inline(always)]
    fn f32(self, from: &[u8; 64]) -> Floats {
        both!(i => _mm256_loadu_ps(from.as_ptr().add(32 * i).cast()))
    }

    #[inline(always)]
    fn mul(self, a: Floats, b: Floats) -> Floats {
        both!(i => _mm256_mul_ps(a[i], b[i]))
    }

    #[inline(always)]
    fn add(self, a: Floats, b: Floats) -> Floats {
        both!(i => _mm256_add_ps(a[i], b[i]))
    }

    #[inline(always)]
    fn mul_add(self, a: Floats, b: Floats, c: Floats) -> Floats {
        both!(i => _mm256_fmadd_ps(a[i], b[i], c[i]))
    }

    #[inline(always)]
    fn to_array(self, values: Floats) -> [f32; 16] {
        let mut array = [0.0; 16];
        both!(i => _mm256_storeu_ps(array.as_mut_ptr().add(8 * i), values[i]));
        array
    }

    const SUMS: usize = 6;

    #[inline(always)]
    fn load(self, from: &[f32; 16]) -> Floats {
        with!([_mm256_loadu_ps(from.as_ptr()), _mm256_loadu_ps(from.as_ptr().add(8))])
    }

    #[inline(always)]
    fn sub(self, a: Floats, b: Floats) -> Floats {
        both!(i => _mm256_sub_ps(a[i], b[i]))
    }

    #[inline(always)]
    fn max(self, a: Floats, b: Floats) -> Floats {
        both!(i => _mm256_max_ps(a[i], b[i]))
    }

    #[inline(always)]
    fn zero_under(self, values: Floats, of: Floats, least: f32) -> Floats {
        both!(i => _mm256_and_ps(_mm256_cmp_ps::<_CMP_GE_OQ>(of[i], _mm256_set1_ps(least)), values[i]))
    }

    #[inline(always)]
    fn times_power(self, values: Floats, power: Floats) -> Floats {
        both!(i => {
            let power = _mm256_slli_epi32::<23>(_mm256_castps_si256(power[i]));
            _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(values[i]), power))
        })
    }
}
