//! Keys and values as pages keep them, read as floats.

use crate::pages::{BLOCK, PAGE_TOKENS};
use crate::simd::Simd;

/// Of the same block of 16 tokens: bytes of f16 values.
pub(super) type Scales = [u8; 2 * PAGE_TOKENS];

/// One layer of one kind of pages.
pub(super) trait Kept<'a>: Copy {
    /// Sixteen values as they are kept.
    type Codes: Copy + 'a;
    /// Whether codes are multiplied with a scale.
    const SCALED: bool;

    /// Codes and scales of one plane.
    fn plane(self, plane: usize, dim: usize) -> (&'a [Self::Codes], &'a [Scales]);
    fn decode<S: Simd>(simd: S, codes: &Self::Codes) -> S::F32;
    /// Scales of the 16 tokens of a plane in one block of dimensions; ones if there are none.
    fn scales<S: Simd>(simd: S, scales: &[Scales], block: usize) -> S::F32;
}

/// Bytes of f16 values.
#[derive(Clone, Copy)]
pub(super) struct Halves<'a>(pub &'a [u8]);

impl<'a> Kept<'a> for Halves<'a> {
    type Codes = [u8; 32];
    const SCALED: bool = false;

    #[inline(always)]
    fn plane(self, plane: usize, dim: usize) -> (&'a [[u8; 32]], &'a [Scales]) {
        (&self.0.as_chunks().0[plane * dim..][..dim], &[])
    }

    #[inline(always)]
    fn decode<S: Simd>(simd: S, codes: &[u8; 32]) -> S::F32 {
        simd.f16(codes)
    }

    #[inline(always)]
    fn scales<S: Simd>(simd: S, _: &[Scales], _: usize) -> S::F32 {
        simd.splat(1.0)
    }
}

/// Signed bytes, and those of f16 scales.
#[derive(Clone, Copy)]
pub(super) struct Scaled<'a> {
    pub codes: &'a [u8],
    pub scales: &'a [u8],
}

impl<'a> Kept<'a> for Scaled<'a> {
    type Codes = [u8; 16];
    const SCALED: bool = true;

    #[inline(always)]
    fn plane(self, plane: usize, dim: usize) -> (&'a [[u8; 16]], &'a [Scales]) {
        let blocks = dim / BLOCK;
        (&self.codes.as_chunks().0[plane * dim..][..dim], &self.scales.as_chunks().0[plane * blocks..][..blocks])
    }

    #[inline(always)]
    fn decode<S: Simd>(simd: S, codes: &[u8; 16]) -> S::F32 {
        simd.signed_bytes(codes)
    }

    #[inline(always)]
    fn scales<S: Simd>(simd: S, scales: &[Scales], block: usize) -> S::F32 {
        simd.f16(&scales[block])
    }
}
