//! x86-64 with AVX-512 and the dot product of bytes (VNNI): sixteen lanes in one register.

use std::arch::asm;
use std::arch::x86_64::*;

use super::{AHEAD_BYTES, Simd, Task};

/// Proof that the processor has these instructions.
#[derive(Clone, Copy)]
pub(crate) struct Avx512Vnni(());

impl Avx512Vnni {
    pub(crate) fn new() -> Option<Self> {
        let found = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vnni")
            && is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("fma")
            && is_x86_feature_detected!("f16c");
        found.then_some(Self(()))
    }
}

/// Calls an intrinsic.
macro_rules! with {
    ($call:expr) => {
        // SAFETY: `self` proves that the processor has the instruction; pointers come from arrays of the loaded size.
        unsafe { $call }
    };
}

impl Simd for Avx512Vnni {
    const WIDEST_PANEL: usize = 8;

    type Bytes = __m512i;
    type I32 = __m512i;
    type F32 = __m512;
    type Sum = __m512i;

    #[inline(always)]
    fn call<T: Task>(self, task: T) -> T::Output {
        #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,fma,f16c")]
        #[inline]
        fn compiled<T: Task>(simd: Avx512Vnni, task: T) -> T::Output {
            task.run(simd)
        }
        with!(compiled(self, task))
    }

    #[inline(always)]
    fn expect_after(self, bytes: &[u8]) {
        for line in 0..bytes.len().div_ceil(64) {
            let line = bytes.as_ptr().wrapping_add(AHEAD_BYTES + 64 * line);
            with!(_mm_prefetch::<_MM_HINT_T0>(line.cast()));
        }
    }

    #[inline(always)]
    fn bytes(self, from: &[u8; 64]) -> __m512i {
        with!(_mm512_loadu_si512(from.as_ptr().cast()))
    }

    #[inline(always)]
    fn low_nibbles(self, bytes: __m512i) -> __m512i {
        with!(_mm512_and_si512(bytes, _mm512_set1_epi8(15)))
    }

    #[inline(always)]
    fn high_nibbles(self, bytes: __m512i) -> __m512i {
        with!(_mm512_and_si512(_mm512_srli_epi16::<4>(bytes), _mm512_set1_epi8(15)))
    }

    #[inline(always)]
    fn add_fifth_bits(self, codes: __m512i, bits: u64) -> __m512i {
        with!(_mm512_mask_add_epi8(codes, bits, codes, _mm512_set1_epi8(16)))
    }

    #[inline(always)]
    fn add_high_pairs<const PAIR: u32>(self, codes: __m512i, pairs: __m512i) -> __m512i {
        let shifted = match PAIR {
            0 => with!(_mm512_slli_epi16::<4>(pairs)),
            1 => with!(_mm512_slli_epi16::<2>(pairs)),
            2 => pairs,
            _ => with!(_mm512_srli_epi16::<2>(pairs)),
        };
        with!(_mm512_or_si512(codes, _mm512_and_si512(shifted, _mm512_set1_epi8(0x30))))
    }

    #[inline(always)]
    fn splat_i32(self, value: i32) -> __m512i {
        with!(_mm512_set1_epi32(value))
    }

    #[inline(always)]
    fn open(self, start: __m512i) -> __m512i {
        start
    }

    #[inline(always)]
    fn dot(self, sum: __m512i, codes: __m512i, x: &i32) -> __m512i {
        with!(dot_in_memory(sum, codes, x))
    }

    #[inline(always)]
    fn settle(self, sum: __m512i) -> __m512i {
        sum
    }

    #[inline(always)]
    fn close(self, sum: __m512i) -> __m512i {
        sum
    }

    #[inline(always)]
    fn start_signed(self, x_sum: i32) -> __m512i {
        self.splat_i32(-128 * x_sum)
    }

    #[inline(always)]
    fn dot_signed(self, sum: __m512i, codes: __m512i, x: &i32) -> __m512i {
        self.dot(sum, codes, x)
    }

    #[inline(always)]
    fn splat(self, value: f32) -> __m512 {
        with!(_mm512_set1_ps(value))
    }

    #[inline(always)]
    fn to_f32(self, values: __m512i) -> __m512 {
        with!(_mm512_cvtepi32_ps(values))
    }

    #[inline(always)]
    fn unsigned_bytes(self, from: &[u8; 16]) -> __m512 {
        with!(_mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128(from.as_ptr().cast()))))
    }

    #[inline(always)]
    fn signed_bytes(self, from: &[u8; 16]) -> __m512 {
        with!(_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(from.as_ptr().cast()))))
    }

    #[inline(always)]
    fn f16(self, from: &[u8; 32]) -> __m512 {
        with!(_mm512_cvtph_ps(_mm256_loadu_si256(from.as_ptr().cast())))
    }

    #[inline(always)]
    fn bf16(self, from: &[u8; 32]) -> __m512 {
        with!({
            let halves = _mm512_cvtepu16_epi32(_mm256_loadu_si256(from.as_ptr().cast()));
            _mm512_castsi512_ps(_mm512_slli_epi32::<16>(halves))
        })
    }

    #[inline(always)]
    fn f32(self, from: &[u8; 64]) -> __m512 {
        with!(_mm512_loadu_ps(from.as_ptr().cast()))
    }

    #[inline(always)]
    fn mul(self, a: __m512, b: __m512) -> __m512 {
        with!(_mm512_mul_ps(a, b))
    }

    #[inline(always)]
    fn add(self, a: __m512, b: __m512) -> __m512 {
        with!(_mm512_add_ps(a, b))
    }

    #[inline(always)]
    fn mul_add(self, a: __m512, b: __m512, c: __m512) -> __m512 {
        with!(_mm512_fmadd_ps(a, b, c))
    }

    #[inline(always)]
    fn to_array(self, values: __m512) -> [f32; 16] {
        let mut array = [0.0; 16];
        with!(_mm512_storeu_ps(array.as_mut_ptr(), values));
        array
    }

    const SUMS: usize = 24;

    #[inline(always)]
    fn load(self, from: &[f32; 16]) -> __m512 {
        with!(_mm512_loadu_ps(from.as_ptr()))
    }

    #[inline(always)]
    fn sub(self, a: __m512, b: __m512) -> __m512 {
        with!(_mm512_sub_ps(a, b))
    }

    #[inline(always)]
    fn max(self, a: __m512, b: __m512) -> __m512 {
        with!(_mm512_max_ps(a, b))
    }

    #[inline(always)]
    fn zero_under(self, values: __m512, of: __m512, least: f32) -> __m512 {
        with!(_mm512_maskz_mov_ps(_mm512_cmp_ps_mask::<_CMP_GE_OQ>(of, _mm512_set1_ps(least)), values))
    }

    #[inline(always)]
    fn times_power(self, values: __m512, power: __m512) -> __m512 {
        with!({
            let power = _mm512_slli_epi32::<23>(_mm512_castps_si512(power));
            _mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(values), power))
        })
    }
}

/// `_mm512_dpbusd_epi32` with its last factor taken from memory into all lanes. Written out because the compiler gathers
/// neighbouring factors in one register and takes them out again one by one, which costs more than the products.
#[target_feature(enable = "avx512f,avx512vnni")]
#[inline]
fn dot_in_memory(mut sum: __m512i, codes: __m512i, x: &i32) -> __m512i {
    // SAFETY: the instruction is enabled here, and reads no more than `x`.
    unsafe {
        asm!(
            "vpdpbusd {sum}, {codes}, dword ptr [{x}]{{1to16}}",
            sum = inout(zmm_reg) sum,
            codes = in(zmm_reg) codes,
            x = in(reg) x,
            options(pure, readonly, nostack, preserves_flags),
        );
    }
    sum
}
