//! Plain Rust.

use half::bf16;

use super::{Simd, Task};

/// Two to the power of what f16's exponent lacks to f32's.
const REBIAS: f32 = f32::from_bits((127 + 127 - 15) << 23);

#[derive(Clone, Copy)]
pub(crate) struct Portable;

impl Simd for Portable {
    const WIDEST_PANEL: usize = 4;

    type Bytes = [u8; 64];
    type I32 = [i32; 16];
    type F32 = [f32; 16];
    type Sum = [i32; 16];

    #[inline(always)]
    fn call<T: Task>(self, task: T) -> T::Output {
        task.run(self)
    }

    #[inline(always)]
    fn bytes(self, from: &[u8; 64]) -> [u8; 64] {
        *from
    }

    #[inline(always)]
    fn low_nibbles(self, bytes: [u8; 64]) -> [u8; 64] {
        bytes.map(|byte| byte & 15)
    }

    #[inline(always)]
    fn high_nibbles(self, bytes: [u8; 64]) -> [u8; 64] {
        bytes.map(|byte| byte >> 4)
    }

    #[inline(always)]
    fn add_fifth_bits(self, codes: [u8; 64], bits: u64) -> [u8; 64] {
        std::array::from_fn(|i| codes[i] + ((bits >> i & 1) << 4) as u8)
    }

    #[inline(always)]
    fn add_high_pairs<const PAIR: u32>(self, codes: [u8; 64], pairs: [u8; 64]) -> [u8; 64] {
        std::array::from_fn(|i| codes[i] + ((pairs[i] >> (2 * PAIR) & 3) << 4))
    }

    #[inline(always)]
    fn splat_i32(self, value: i32) -> [i32; 16] {
        [value; 16]
    }

    #[inline(always)]
    fn open(self, start: [i32; 16]) -> [i32; 16] {
        start
    }

    #[inline(always)]
    fn dot(self, sum: [i32; 16], codes: [u8; 64], x: &i32) -> [i32; 16] {
        let x = x.to_le_bytes().map(u8::cast_signed);
        std::array::from_fn(|lane| {
            (0..4).fold(sum[lane], |sum, i| sum + i32::from(codes[4 * lane + i]) * i32::from(x[i]))
        })
    }

    #[inline(always)]
    fn settle(self, sum: [i32; 16]) -> [i32; 16] {
        sum
    }

    #[inline(always)]
    fn close(self, sum: [i32; 16]) -> [i32; 16] {
        sum
    }

    #[inline(always)]
    fn start_signed(self, x_sum: i32) -> [i32; 16] {
        [-128 * x_sum; 16]
    }

    #[inline(always)]
    fn dot_signed(self, sum: [i32; 16], codes: [u8; 64], x: &i32) -> [i32; 16] {
        self.dot(sum, codes, x)
    }

    #[inline(always)]
    fn splat(self, value: f32) -> [f32; 16] {
        [value; 16]
    }

    #[inline(always)]
    fn to_f32(self, values: [i32; 16]) -> [f32; 16] {
        values.map(|value| value as f32)
    }

    #[inline(always)]
    fn unsigned_bytes(self, from: &[u8; 16]) -> [f32; 16] {
        from.map(f32::from)
    }

    #[inline(always)]
    fn signed_bytes(self, from: &[u8; 16]) -> [f32; 16] {
        from.map(|byte| f32::from(byte.cast_signed()))
    }

    #[inline(always)]
    fn f16(self, from: &[u8; 32]) -> [f32; 16] {
        std::array::from_fn(|i| {
            // In a form that becomes vectors: the exponent is shifted into place and what it lacks multiplied, which does
            // subnormal values too.
            let bits = u32::from(u16::from_le_bytes([from[2 * i], from[2 * i + 1]]));
            let magnitude = (f32::from_bits((bits & 0x7fff) << 13) * REBIAS).to_bits();
            let endless = if bits & 0x7c00 == 0x7c00 { 0x7f80_0000 } else { 0 };
            f32::from_bits(magnitude | endless | (bits & 0x8000) << 16)
        })
    }

    #[inline(always)]
    fn bf16(self, from: &[u8; 32]) -> [f32; 16] {
        std::array::from_fn(|i| bf16::from_le_bytes([from[2 * i], from[2 * i + 1]]).to_f32_const())
    }

    #[inline(always)]
    fn f32(self, from: &[u8; 64]) -> [f32; 16] {
        let (words, _) = from.as_chunks::<4>();
        std::array::from_fn(|i| f32::from_le_bytes(words[i]))
    }

    #[inline(always)]
    fn mul(self, a: [f32; 16], b: [f32; 16]) -> [f32; 16] {
        std::array::from_fn(|i| a[i] * b[i])
    }

    #[inline(always)]
    fn add(self, a: [f32; 16], b: [f32; 16]) -> [f32; 16] {
        std::array::from_fn(|i| a[i] + b[i])
    }

    /// Fused only where the processor is sure to do that: a call of the C library for each lane is far too slow.
    #[inline(always)]
    fn mul_add(self, a: [f32; 16], b: [f32; 16], c: [f32; 16]) -> [f32; 16] {
        if cfg!(any(target_arch = "aarch64", target_feature = "fma")) {
            std::array::from_fn(|i| a[i].mul_add(b[i], c[i]))
        } else {
            std::array::from_fn(|i| a[i] * b[i] + c[i])
        }
    }

    #[inline(always)]
    fn to_array(self, values: [f32; 16]) -> [f32; 16] {
        values
    }

    const SUMS: usize = 4;

    #[inline(always)]
    fn load(self, from: &[f32; 16]) -> [f32; 16] {
        *from
    }

    #[inline(always)]
    fn sub(self, a: [f32; 16], b: [f32; 16]) -> [f32; 16] {
        std::array::from_fn(|i| a[i] - b[i])
    }

    #[inline(always)]
    fn max(self, a: [f32; 16], b: [f32; 16]) -> [f32; 16] {
        std::array::from_fn(|i| if a[i] > b[i] { a[i] } else { b[i] })
    }

    #[inline(always)]
    fn zero_under(self, values: [f32; 16], of: [f32; 16], least: f32) -> [f32; 16] {
        std::array::from_fn(|i| if of[i] >= least { values[i] } else { 0.0 })
    }

    #[inline(always)]
    fn times_power(self, values: [f32; 16], power: [f32; 16]) -> [f32; 16] {
        std::array::from_fn(|i| f32::from_bits(values[i].to_bits().wrapping_add(power[i].to_bits() << 23)))
    }
}
