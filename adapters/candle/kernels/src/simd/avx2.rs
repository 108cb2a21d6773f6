//! x86-64 with AVX2, FMA and F16C, with or without the 256-bit dot product of bytes (VNNI): eight lanes in each of two
//! registers.

use std::arch::x86_64::*;

use super::{AHEAD_BYTES, Simd, Task};

/// Proof that the processor has these instructions.
#[derive(Clone, Copy)]
pub(crate) struct Avx2(());

/// Proof that the processor has these instructions and the dot product.
#[derive(Clone, Copy)]
pub(crate) struct AvxVnni(Avx2);

impl Avx2 {
    pub(crate) fn new() -> Option<Self> {
        let found =
            is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") && is_x86_feature_detected!("f16c");
        found.then_some(Self(()))
    }
}

impl AvxVnni {
    pub(crate) fn new() -> Option<Self> {
        Avx2::new().filter(|_| is_x86_feature_detected!("avxvnni")).map(Self)
    }
}

/// Calls an intrinsic.
macro_rules! with {
    ($call:expr) => {
        // SAFETY: `self` proves that the processor has the instruction; pointers are into arrays with as many bytes left
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

impl Avx2 {
    /// Adds the four products of each lane, `unsigned` times `signed`: two fit a signed 16-bit number.
    #[inline(always)]
    fn add_products(self, sum: __m256i, unsigned: __m256i, signed: __m256i) -> __m256i {
        with!({
            let pairs = _mm256_maddubs_epi16(unsigned, signed);
            _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)))
        })
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

impl Simd for Avx2 {
    const WIDEST_PANEL: usize = 4;

    type Bytes = [__m256i; 2];
    type I32 = [__m256i; 2];
    type F32 = [__m256; 2];

    #[inline(always)]
    fn call<T: Task>(self, task: T) -> T::Output {
        #[target_feature(enable = "avx2,fma,f16c")]
        #[inline]
        fn compiled<T: Task>(simd: Avx2, task: T) -> T::Output {
            task.run(simd)
        }
        with!(compiled(self, task))
    }

    #[inline(always)]
    fn expect_after(self, bytes: &[u8]) {
        for offset in (0..bytes.len()).step_by(64) {
            let line = bytes.as_ptr().wrapping_add(AHEAD_BYTES + offset);
            with!(_mm_prefetch::<_MM_HINT_T0>(line.cast()));
        }
    }

    #[inline(always)]
    fn bytes(self, from: &[u8; 64]) -> [__m256i; 2] {
        both!(i => _mm256_loadu_si256(from.as_ptr().add(32 * i).cast()))
    }

    #[inline(always)]
    fn low_nibbles(self, bytes: [__m256i; 2]) -> [__m256i; 2] {
        both!(i => _mm256_and_si256(bytes[i], _mm256_set1_epi8(15)))
    }

    #[inline(always)]
    fn high_nibbles(self, bytes: [__m256i; 2]) -> [__m256i; 2] {
        both!(i => _mm256_and_si256(_mm256_srli_epi16::<4>(bytes[i]), _mm256_set1_epi8(15)))
    }

    #[inline(always)]
    fn add_fifth_bits(self, codes: [__m256i; 2], bits: u64) -> [__m256i; 2] {
        both!(i => _mm256_or_si256(codes[i], self.spread_bits((bits >> (32 * i)) as u32)))
    }

    #[inline(always)]
    fn add_high_pairs<const PAIR: u32>(self, codes: [__m256i; 2], pairs: [__m256i; 2]) -> [__m256i; 2] {
        let shifted = match PAIR {
            0 => both!(i => _mm256_slli_epi16::<4>(pairs[i])),
            1 => both!(i => _mm256_slli_epi16::<2>(pairs[i])),
            2 => pairs,
            _ => both!(i => _mm256_srli_epi16::<2>(pairs[i])),
        };
        both!(i => _mm256_or_si256(codes[i], _mm256_and_si256(shifted[i], _mm256_set1_epi8(0x30))))
    }

    #[inline(always)]
    fn splat_i32(self, value: i32) -> [__m256i; 2] {
        [with!(_mm256_set1_epi32(value)); 2]
    }

    #[inline(always)]
    fn dot(self, sum: [__m256i; 2], codes: [__m256i; 2], x: &i32) -> [__m256i; 2] {
        let x = with!(_mm256_set1_epi32(*x));
        [self.add_products(sum[0], codes[0], x), self.add_products(sum[1], codes[1], x)]
    }

    #[inline(always)]
    fn start_signed(self, _: i32) -> [__m256i; 2] {
        self.splat_i32(0)
    }

    /// Moves the codes' sign to `x`: pairs of products of magnitudes up to 128 and 127 fit 16 bits, those of codes up to
    /// 255 would not.
    #[inline(always)]
    fn dot_signed(self, sum: [__m256i; 2], codes: [__m256i; 2], x: &i32) -> [__m256i; 2] {
        let x = with!(_mm256_set1_epi32(*x));
        let weights = both!(i => _mm256_xor_si256(codes[i], _mm256_set1_epi8(-128)));
        let magnitudes = both!(i => _mm256_abs_epi8(weights[i]));
        let x = both!(i => _mm256_sign_epi8(x, weights[i]));
        [self.add_products(sum[0], magnitudes[0], x[0]), self.add_products(sum[1], magnitudes[1], x[1])]
    }

    #[inline(always)]
    fn splat(self, value: f32) -> [__m256; 2] {
        [with!(_mm256_set1_ps(value)); 2]
    }

    #[inline(always)]
    fn to_f32(self, values: [__m256i; 2]) -> [__m256; 2] {
        both!(i => _mm256_cvtepi32_ps(values[i]))
    }

    #[inline(always)]
    fn unsigned_bytes(self, from: &[u8; 16]) -> [__m256; 2] {
        both!(i => _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64(from.as_ptr().add(8 * i).cast()))))
    }

    #[inline(always)]
    fn signed_bytes(self, from: &[u8; 16]) -> [__m256; 2] {
        both!(i => _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64(from.as_ptr().add(8 * i).cast()))))
    }

    #[inline(always)]
    fn f16(self, from: &[u8; 32]) -> [__m256; 2] {
        both!(i => _mm256_cvtph_ps(_mm_loadu_si128(from.as_ptr().add(16 * i).cast())))
    }

    #[inline(always)]
    fn bf16(self, from: &[u8; 32]) -> [__m256; 2] {
        let halves = both!(i => _mm256_cvtepu16_epi32(_mm_loadu_si128(from.as_ptr().add(16 * i).cast())));
        both!(i => _mm256_castsi256_ps(_mm256_slli_epi32::<16>(halves[i])))
    }

    #[inline(always)]
    fn f32(self, from: &[u8; 64]) -> [__m256; 2] {
        both!(i => _mm256_loadu_ps(from.as_ptr().add(32 * i).cast()))
    }

    #[inline(always)]
    fn mul(self, a: [__m256; 2], b: [__m256; 2]) -> [__m256; 2] {
        both!(i => _mm256_mul_ps(a[i], b[i]))
    }

    #[inline(always)]
    fn add(self, a: [__m256; 2], b: [__m256; 2]) -> [__m256; 2] {
        both!(i => _mm256_add_ps(a[i], b[i]))
    }

    #[inline(always)]
    fn mul_add(self, a: [__m256; 2], b: [__m256; 2], c: [__m256; 2]) -> [__m256; 2] {
        both!(i => _mm256_fmadd_ps(a[i], b[i], c[i]))
    }

    #[inline(always)]
    fn to_array(self, values: [__m256; 2]) -> [f32; 16] {
        let mut array = [0.0; 16];
        both!(i => _mm256_storeu_ps(array.as_mut_ptr().add(8 * i), values[i]));
        array
    }

    const SUMS: usize = 6;

    #[inline(always)]
    fn load(self, from: &[f32; 16]) -> [__m256; 2] {
        with!([_mm256_loadu_ps(from.as_ptr()), _mm256_loadu_ps(from.as_ptr().add(8))])
    }

    #[inline(always)]
    fn sub(self, a: [__m256; 2], b: [__m256; 2]) -> [__m256; 2] {
        both!(i => _mm256_sub_ps(a[i], b[i]))
    }

    #[inline(always)]
    fn max(self, a: [__m256; 2], b: [__m256; 2]) -> [__m256; 2] {
        both!(i => _mm256_max_ps(a[i], b[i]))
    }

    #[inline(always)]
    fn zero_under(self, values: [__m256; 2], of: [__m256; 2], least: f32) -> [__m256; 2] {
        both!(i => _mm256_and_ps(_mm256_cmp_ps::<_CMP_GE_OQ>(of[i], _mm256_set1_ps(least)), values[i]))
    }

    #[inline(always)]
    fn times_power(self, values: [__m256; 2], power: [__m256; 2]) -> [__m256; 2] {
        both!(i => {
            let power = _mm256_slli_epi32::<23>(_mm256_castps_si256(power[i]));
            _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(values[i]), power))
        })
    }
}

/// Forwards to the tier without the dot product.
macro_rules! forward {
    ($($name:ident($($argument:ident: $of:ty),*) -> $output:ty;)*) => {
        $(
            #[inline(always)]
            fn $name(self, $($argument: $of),*) -> $output {
                self.0.$name($($argument),*)
            }
        )*
    };
}

impl Simd for AvxVnni {
    const WIDEST_PANEL: usize = 4;

    type Bytes = [__m256i; 2];
    type I32 = [__m256i; 2];
    type F32 = [__m256; 2];

    #[inline(always)]
    fn call<T: Task>(self, task: T) -> T::Output {
        #[target_feature(enable = "avx2,fma,f16c,avxvnni")]
        #[inline]
        fn compiled<T: Task>(simd: AvxVnni, task: T) -> T::Output {
            task.run(simd)
        }
        with!(compiled(self, task))
    }

    #[inline(always)]
    fn expect_after(self, bytes: &[u8]) {
        self.0.expect_after(bytes);
    }

    #[inline(always)]
    fn add_high_pairs<const PAIR: u32>(self, codes: [__m256i; 2], pairs: [__m256i; 2]) -> [__m256i; 2] {
        self.0.add_high_pairs::<PAIR>(codes, pairs)
    }

    #[inline(always)]
    fn dot(self, sum: [__m256i; 2], codes: [__m256i; 2], x: &i32) -> [__m256i; 2] {
        let x = with!(_mm256_set1_epi32(*x));
        both!(i => _mm256_dpbusd_avx_epi32(sum[i], codes[i], x))
    }

    #[inline(always)]
    fn start_signed(self, x_sum: i32) -> [__m256i; 2] {
        self.splat_i32(-128 * x_sum)
    }

    #[inline(always)]
    fn dot_signed(self, sum: [__m256i; 2], codes: [__m256i; 2], x: &i32) -> [__m256i; 2] {
        self.dot(sum, codes, x)
    }

    forward! {
        bytes(from: &[u8; 64]) -> [__m256i; 2];
        low_nibbles(bytes: [__m256i; 2]) -> [__m256i; 2];
        high_nibbles(bytes: [__m256i; 2]) -> [__m256i; 2];
        add_fifth_bits(codes: [__m256i; 2], bits: u64) -> [__m256i; 2];
        splat_i32(value: i32) -> [__m256i; 2];
        splat(value: f32) -> [__m256; 2];
        to_f32(values: [__m256i; 2]) -> [__m256; 2];
        unsigned_bytes(from: &[u8; 16]) -> [__m256; 2];
        signed_bytes(from: &[u8; 16]) -> [__m256; 2];
        f16(from: &[u8; 32]) -> [__m256; 2];
        bf16(from: &[u8; 32]) -> [__m256; 2];
        f32(from: &[u8; 64]) -> [__m256; 2];
        mul(a: [__m256; 2], b: [__m256; 2]) -> [__m256; 2];
        add(a: [__m256; 2], b: [__m256; 2]) -> [__m256; 2];
        mul_add(a: [__m256; 2], b: [__m256; 2], c: [__m256; 2]) -> [__m256; 2];
        to_array(values: [__m256; 2]) -> [f32; 16];
        load(from: &[f32; 16]) -> [__m256; 2];
        sub(a: [__m256; 2], b: [__m256; 2]) -> [__m256; 2];
        max(a: [__m256; 2], b: [__m256; 2]) -> [__m256; 2];
        zero_under(values: [__m256; 2], of: [__m256; 2], least: f32) -> [__m256; 2];
        times_power(values: [__m256; 2], power: [__m256; 2]) -> [__m256; 2];
    }

    const SUMS: usize = Avx2::SUMS;
}
