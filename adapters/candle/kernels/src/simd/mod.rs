//! The few vector operations that all kernels are written with, once per instruction set.
//!
//! A value of an implementing type proves that the processor has the instructions: it is only made after asking.

#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "instructions that not every processor has")]
mod avx2;
#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "instructions that not every processor has")]
mod avx512;
#[cfg(target_arch = "aarch64")]
#[expect(unsafe_code, reason = "instructions that not every processor has")]
mod neon;
mod portable;
mod prefetch;

#[cfg(target_arch = "x86_64")]
pub(crate) use avx2::{Avx2, AvxVnni};
#[cfg(target_arch = "x86_64")]
pub(crate) use avx512::Avx512Vnni;
#[cfg(target_arch = "aarch64")]
pub(crate) use neon::Neon;
pub(crate) use portable::Portable;
pub(crate) use prefetch::prefetch;

/// How far ahead weights are asked for: what is computed with in the time that memory takes to answer.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
const AHEAD_BYTES: usize = 6144;

/// Work that is compiled once for each instruction set. `run` and all that it calls must be `#[inline(always)]`, or it
/// is compiled without the instructions; closures can't be, so none of them may stand between `run` and an operation.
pub(crate) trait Task {
    type Output;

    fn run<S: Simd>(self, simd: S) -> Self::Output;
}

/// Sixteen lanes: the rows of a tile. All tiers give the same integers. Sums of floats may differ in rounding where the
/// plain tier has no fused multiplication.
pub(crate) trait Simd: Copy + Send + Sync {
    /// Most rows of input that one pass over a tile serves: as many as leave the sums in registers.
    const WIDEST_PANEL: usize;

    /// Four unsigned bytes in each lane.
    type Bytes: Copy;
    type I32: Copy;
    type F32: Copy;
    /// Sums of products of codes, under way: [`Simd::open`], [`Simd::dot`] …, [`Simd::close`].
    type Sum: Copy;

    /// Runs `task` with these instructions.
    fn call<T: Task>(self, task: T) -> T::Output;

    /// Asks for the bytes that lie [`AHEAD_BYTES`] after these, so that they come while others are computed with. Nothing
    /// is read: there need not be any.
    #[inline(always)]
    fn expect_after(self, _bytes: &[u8]) {}

    fn bytes(self, from: &[u8; 64]) -> Self::Bytes;
    fn low_nibbles(self, bytes: Self::Bytes) -> Self::Bytes;
    fn high_nibbles(self, bytes: Self::Bytes) -> Self::Bytes;
    /// Adds 16 to the bytes whose bit is set, the first byte's lowest.
    fn add_fifth_bits(self, codes: Self::Bytes, bits: u64) -> Self::Bytes;
    /// Adds 16 times two bits of each byte of `pairs`, the lowest but `2 * PAIR`.
    fn add_high_pairs<const PAIR: u32>(self, codes: Self::Bytes, pairs: Self::Bytes) -> Self::Bytes;

    fn splat_i32(self, value: i32) -> Self::I32;
    /// A sum that starts with these lanes.
    fn open(self, start: Self::I32) -> Self::Sum;
    /// Adds to each lane the products of its four codes with the four signed bytes of `x`, none of them -128. The largest
    /// codes that a sum meets without being settled in between add up to 128 at most.
    fn dot(self, sum: Self::Sum, codes: Self::Bytes, x: &i32) -> Self::Sum;
    /// Makes room for more products in a sum, where products are kept in 16 bits for a while.
    fn settle(self, sum: Self::Sum) -> Self::Sum;
    fn close(self, sum: Self::Sum) -> Self::I32;
    /// Where a sum of [`Simd::dot_signed`] starts, `x_sum` being the sum of all `x` it will meet.
    fn start_signed(self, x_sum: i32) -> Self::I32;
    /// Adds products of codes that stand for numbers 128 smaller; no byte of `x` is -128.
    fn dot_signed(self, sum: Self::I32, codes: Self::Bytes, x: &i32) -> Self::I32;

    fn splat(self, value: f32) -> Self::F32;
    fn to_f32(self, values: Self::I32) -> Self::F32;
    fn unsigned_bytes(self, from: &[u8; 16]) -> Self::F32;
    fn signed_bytes(self, from: &[u8; 16]) -> Self::F32;
    fn f16(self, from: &[u8; 32]) -> Self::F32;
    fn bf16(self, from: &[u8; 32]) -> Self::F32;
    fn f32(self, from: &[u8; 64]) -> Self::F32;
    fn mul(self, a: Self::F32, b: Self::F32) -> Self::F32;
    fn add(self, a: Self::F32, b: Self::F32) -> Self::F32;
    /// `a * b + c`
    fn mul_add(self, a: Self::F32, b: Self::F32, c: Self::F32) -> Self::F32;
    fn to_array(self, values: Self::F32) -> [f32; 16];

    /// Sums that stay in registers, with room for what is added to them.
    const SUMS: usize;

    fn load(self, from: &[f32; 16]) -> Self::F32;
    fn sub(self, a: Self::F32, b: Self::F32) -> Self::F32;
    /// The larger lanes; of `b` where one is no number.
    fn max(self, a: Self::F32, b: Self::F32) -> Self::F32;
    /// `values` where `of` is at least `least`, elsewhere zero.
    fn zero_under(self, values: Self::F32, of: Self::F32, least: f32) -> Self::F32;
    /// `values` times two to the power of the integer in the lowest nine bits of `power`.
    fn times_power(self, values: Self::F32, power: Self::F32) -> Self::F32;

    /// The lanes added up: the upper half to the lower, until one is left.
    #[inline(always)]
    fn sum(self, values: Self::F32) -> f32 {
        let mut lanes = self.to_array(values);
        let mut width = 8;
        while width > 0 {
            for lane in 0..width {
                lanes[lane] += lanes[lane + width];
            }
            width /= 2;
        }
        lanes[0]
    }
}
