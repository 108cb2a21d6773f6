//! aarch64 with the dot product of bytes (optional in ARMv8.2, there from ARMv8.4 on): four lanes in each of four
//! registers.

use std::arch::aarch64::*;
use std::arch::{asm, is_aarch64_feature_detected};

use super::prefetch::prefetch_line;
use super::{AHEAD_BYTES, Simd, Task};

/// Proof that the processor has these instructions, and reads numbers in the order of bytes that files have.
#[derive(Clone, Copy)]
pub(crate) struct Neon(());

impl Neon {
    pub(crate) fn new() -> Option<Self> {
        let found = is_aarch64_feature_detected!("neon") && is_aarch64_feature_detected!("dotprod");
        (found && cfg!(target_endian = "little")).then_some(Self(()))
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

/// The same intrinsics for each of the four registers. (No closure: it would be compiled without them.)
macro_rules! each {
    ($i:ident => $call:expr) => {
        each!($i => $call, 0, 1, 2, 3)
    };
    ($i:ident => $call:expr, $($register:literal),*) => {
        [$({
            let $i = $register;
            with!($call)
        }),*]
    };
}

impl Simd for Neon {
    /// Sixteen registers of sums leave sixteen for codes and input.
    const WIDEST_PANEL: usize = 4;

    type Bytes = [uint8x16_t; 4];
    type I32 = [int32x4_t; 4];
    type F32 = [float32x4_t; 4];
    type Sum = [int32x4_t; 4];

    #[inline(always)]
    fn call<T: Task>(self, task: T) -> T::Output {
        #[target_feature(enable = "neon,dotprod")]
        #[inline]
        fn compiled<T: Task>(simd: Neon, task: T) -> T::Output {
            task.run(simd)
        }
        with!(compiled(self, task))
    }

    #[inline(always)]
    fn expect_after(self, bytes: &[u8]) {
        for line in 0..bytes.len().div_ceil(64) {
            prefetch_line(bytes.as_ptr().wrapping_add(AHEAD_BYTES + 64 * line));
        }
    }

    #[inline(always)]
    fn bytes(self, from: &[u8; 64]) -> [uint8x16_t; 4] {
        each!(i => vld1q_u8(from.as_ptr().add(16 * i)))
    }

    #[inline(always)]
    fn low_nibbles(self, bytes: [uint8x16_t; 4]) -> [uint8x16_t; 4] {
        each!(i => vandq_u8(bytes[i], vdupq_n_u8(15)))
    }

    #[inline(always)]
    fn high_nibbles(self, bytes: [uint8x16_t; 4]) -> [uint8x16_t; 4] {
        each!(i => vshrq_n_u8::<4>(bytes[i]))
    }

    #[inline(always)]
    fn add_fifth_bits(self, codes: [uint8x16_t; 4], bits: u64) -> [uint8x16_t; 4] {
        const WHICH_BIT: u64 = u64::from_le_bytes([1, 2, 4, 8, 16, 32, 64, 128]);
        const EIGHT_TIMES: u64 = 0x0101_0101_0101_0101;
        let bits = with!(vreinterpretq_u8_u64(vdupq_n_u64(bits)));
        let which = with!(vreinterpretq_u8_u64(vdupq_n_u64(WHICH_BIT)));
        each!(i => {
            let first = 2 * i as u64 * EIGHT_TIMES;
            let byte_of_code = vcombine_u8(vcreate_u8(first), vcreate_u8(first + EIGHT_TIMES));
            let set = vtstq_u8(vqtbl1q_u8(bits, byte_of_code), which);
            vorrq_u8(codes[i], vandq_u8(set, vdupq_n_u8(16)))
        })
    }

    #[inline(always)]
    fn add_high_pairs<const PAIR: u32>(self, codes: [uint8x16_t; 4], pairs: [uint8x16_t; 4]) -> [uint8x16_t; 4] {
        let shifted = match PAIR {
            0 => each!(i => vshlq_n_u8::<4>(pairs[i])),
            1 => each!(i => vshlq_n_u8::<2>(pairs[i])),
            2 => pairs,
            _ => each!(i => vshrq_n_u8::<2>(pairs[i])),
        };
        each!(i => vorrq_u8(codes[i], vandq_u8(shifted[i], vdupq_n_u8(0x30))))
    }

    #[inline(always)]
    fn splat_i32(self, value: i32) -> [int32x4_t; 4] {
        [with!(vdupq_n_s32(value)); 4]
    }

    #[inline(always)]
    fn open(self, start: [int32x4_t; 4]) -> [int32x4_t; 4] {
        start
    }

    #[inline(always)]
    fn dot(self, sum: [int32x4_t; 4], codes: [uint8x16_t; 4], x: &i32) -> [int32x4_t; 4] {
        each!(i => add_products(sum[i], vreinterpretq_s8_u8(codes[i]), *x))
    }

    #[inline(always)]
    fn settle(self, sum: [int32x4_t; 4]) -> [int32x4_t; 4] {
        sum
    }

    #[inline(always)]
    fn close(self, sum: [int32x4_t; 4]) -> [int32x4_t; 4] {
        sum
    }

    #[inline(always)]
    fn start_signed(self, _: i32) -> [int32x4_t; 4] {
        self.splat_i32(0)
    }

    #[inline(always)]
    fn dot_signed(self, sum: [int32x4_t; 4], codes: [uint8x16_t; 4], x: &i32) -> [int32x4_t; 4] {
        self.dot(sum, each!(i => veorq_u8(codes[i], vdupq_n_u8(0x80))), x)
    }

    #[inline(always)]
    fn splat(self, value: f32) -> [float32x4_t; 4] {
        [with!(vdupq_n_f32(value)); 4]
    }

    #[inline(always)]
    fn to_f32(self, values: [int32x4_t; 4]) -> [float32x4_t; 4] {
        each!(i => vcvtq_f32_s32(values[i]))
    }

    #[inline(always)]
    fn unsigned_bytes(self, from: &[u8; 16]) -> [float32x4_t; 4] {
        with!({
            let bytes = vld1q_u8(from.as_ptr());
            let (low, high) = (vmovl_u8(vget_low_u8(bytes)), vmovl_high_u8(bytes));
            [
                vcvtq_f32_u32(vmovl_u16(vget_low_u16(low))),
                vcvtq_f32_u32(vmovl_high_u16(low)),
                vcvtq_f32_u32(vmovl_u16(vget_low_u16(high))),
                vcvtq_f32_u32(vmovl_high_u16(high)),
            ]
        })
    }

    #[inline(always)]
    fn signed_bytes(self, from: &[u8; 16]) -> [float32x4_t; 4] {
        with!({
            let bytes = vld1q_s8(from.as_ptr().cast());
            let (low, high) = (vmovl_s8(vget_low_s8(bytes)), vmovl_high_s8(bytes));
            [
                vcvtq_f32_s32(vmovl_s16(vget_low_s16(low))),
                vcvtq_f32_s32(vmovl_high_s16(low)),
                vcvtq_f32_s32(vmovl_s16(vget_low_s16(high))),
                vcvtq_f32_s32(vmovl_high_s16(high)),
            ]
        })
    }

    #[inline(always)]
    fn f16(self, from: &[u8; 32]) -> [float32x4_t; 4] {
        with!({
            let low = vreinterpretq_f16_u8(vld1q_u8(from.as_ptr()));
            let high = vreinterpretq_f16_u8(vld1q_u8(from.as_ptr().add(16)));
            [
                vcvt_f32_f16(vget_low_f16(low)),
                vcvt_high_f32_f16(low),
                vcvt_f32_f16(vget_low_f16(high)),
                vcvt_high_f32_f16(high),
            ]
        })
    }

    #[inline(always)]
    fn bf16(self, from: &[u8; 32]) -> [float32x4_t; 4] {
        let words = with!({
            let low = vreinterpretq_u16_u8(vld1q_u8(from.as_ptr()));
            let high = vreinterpretq_u16_u8(vld1q_u8(from.as_ptr().add(16)));
            [
                vshll_n_u16::<16>(vget_low_u16(low)),
                vshll_high_n_u16::<16>(low),
                vshll_n_u16::<16>(vget_low_u16(high)),
                vshll_high_n_u16::<16>(high),
            ]
        });
        each!(i => vreinterpretq_f32_u32(words[i]))
    }

    #[inline(always)]
    fn f32(self, from: &[u8; 64]) -> [float32x4_t; 4] {
        each!(i => vreinterpretq_f32_u8(vld1q_u8(from.as_ptr().add(16 * i))))
    }

    #[inline(always)]
    fn mul(self, a: [float32x4_t; 4], b: [float32x4_t; 4]) -> [float32x4_t; 4] {
        each!(i => vmulq_f32(a[i], b[i]))
    }

    #[inline(always)]
    fn add(self, a: [float32x4_t; 4], b: [float32x4_t; 4]) -> [float32x4_t; 4] {
        each!(i => vaddq_f32(a[i], b[i]))
    }

    #[inline(always)]
    fn mul_add(self, a: [float32x4_t; 4], b: [float32x4_t; 4], c: [float32x4_t; 4]) -> [float32x4_t; 4] {
        each!(i => vfmaq_f32(c[i], a[i], b[i]))
    }

    #[inline(always)]
    fn to_array(self, values: [float32x4_t; 4]) -> [f32; 16] {
        let mut array = [0.0; 16];
        each!(i => vst1q_f32(array.as_mut_ptr().add(4 * i), values[i]));
        array
    }

    const SUMS: usize = 6;

    #[inline(always)]
    fn load(self, from: &[f32; 16]) -> [float32x4_t; 4] {
        each!(i => vld1q_f32(from.as_ptr().add(4 * i)))
    }

    #[inline(always)]
    fn sub(self, a: [float32x4_t; 4], b: [float32x4_t; 4]) -> [float32x4_t; 4] {
        each!(i => vsubq_f32(a[i], b[i]))
    }

    /// By comparison: the instruction for it gives NaN if either is.
    #[inline(always)]
    fn max(self, a: [float32x4_t; 4], b: [float32x4_t; 4]) -> [float32x4_t; 4] {
        each!(i => vbslq_f32(vcgtq_f32(a[i], b[i]), a[i], b[i]))
    }

    #[inline(always)]
    fn zero_under(self, values: [float32x4_t; 4], of: [float32x4_t; 4], least: f32) -> [float32x4_t; 4] {
        each!(i => {
            let enough = vcgeq_f32(of[i], vdupq_n_f32(least));
            vreinterpretq_f32_u32(vandq_u32(enough, vreinterpretq_u32_f32(values[i])))
        })
    }

    #[inline(always)]
    fn times_power(self, values: [float32x4_t; 4], power: [float32x4_t; 4]) -> [float32x4_t; 4] {
        each!(i => {
            let power = vshlq_n_s32::<23>(vreinterpretq_s32_f32(power[i]));
            vreinterpretq_f32_s32(vaddq_s32(vreinterpretq_s32_f32(values[i]), power))
        })
    }
}

/// Adds the four products of each lane. Written out because the intrinsic is not stable yet. `x` comes as the lowest lane
/// of a register, which the instruction spreads by itself: a plain load puts it there, without another instruction on the
/// units that multiply.
#[target_feature(enable = "neon,dotprod")]
#[inline]
fn add_products(mut sum: int32x4_t, codes: int8x16_t, x: i32) -> int32x4_t {
    // SAFETY: the instruction is enabled here, and touches registers only.
    unsafe {
        asm!(
            "sdot {sum:v}.4s, {codes:v}.16b, {x:v}.4b[0]",
            sum = inout(vreg) sum,
            codes = in(vreg) codes,
            x = in(vreg) x,
            options(pure, nomem, nostack, preserves_flags),
        );
    }
    sum
}
