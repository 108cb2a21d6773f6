//! Random numbers and blocks that stay the same for ever, whatever becomes of the crates for them.

use std::io::{self, Write};

use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{Device, Tensor};

use super::Spread;

/// Values that are copied from a pool in one piece, if the tensor consists of such pieces.
const PIECE_VALUES: usize = 256;

/// SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014).
pub(super) struct Noise(u64);

impl Noise {
    /// A sequence of its own for every name.
    pub(super) fn new(seed: u64, name: &str) -> Self {
        // FNV-1a.
        let hash = name
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
        Self(hash ^ seed.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Nearly normal with deviation 1: the sum of four uniform numbers, which needs no library function whose last bit
    /// differs between systems.
    fn normal(&mut self) -> f32 {
        let bits = self.next();
        let sum: u64 = (0..4).map(|place| bits >> (16 * place) & 0xffff).sum();
        // The sum's mean is 2 · 65535, its deviation 65536 / √3.
        (sum as f32 - 131_070.0) / 37_837.23
    }

    /// Blocks of random values.
    pub(super) fn quantised(
        &mut self,
        values: usize,
        format: GgmlDType,
        spread: Spread,
    ) -> candle_core::Result<Vec<u8>> {
        let values: Vec<f32> = (0..values).map(|_| spread.centre + spread.deviation * self.normal()).collect();
        let tensor = Tensor::new(values, &Device::Cpu)?;
        Ok(QTensor::quantize(&tensor, format)?.data()?.into_owned())
    }
}

/// Quantised random blocks to put tensors together from.
pub(super) struct Pool {
    bytes: Vec<u8>,
    format: GgmlDType,
}

impl Pool {
    pub(super) fn new(bytes: Vec<u8>, format: GgmlDType) -> Self {
        Self { bytes, format }
    }

    /// Writes a tensor of so many values and gives its bytes.
    pub(super) fn write(&self, noise: &mut Noise, values: usize, out: &mut impl Write) -> io::Result<usize> {
        let block = self.format.block_size();
        let piece = if values.is_multiple_of(PIECE_VALUES) { PIECE_VALUES } else { block };
        let piece_bytes = piece / block * self.format.type_size();
        let choice = (self.bytes.len() / piece_bytes) as u64;
        for _ in 0..values / piece {
            let place = (noise.next() % choice) as usize * piece_bytes;
            out.write_all(&self.bytes[place..place + piece_bytes])?;
        }
        Ok(values / piece * piece_bytes)
    }
}

/// The number that GGUF files name a format by.
///
/// Source: `enum ggml_type` in `ggml/include/ggml.h` (read 11/2026).
pub(super) fn number_of(format: GgmlDType) -> u32 {
    match format {
        GgmlDType::F32 => 0,
        GgmlDType::F16 => 1,
        GgmlDType::Q4_0 => 2,
        GgmlDType::Q4_1 => 3,
        GgmlDType::Q5_0 => 6,
        GgmlDType::Q5_1 => 7,
        GgmlDType::Q8_0 => 8,
        GgmlDType::Q8_1 => 9,
        GgmlDType::Q2K => 10,
        GgmlDType::Q3K => 11,
        GgmlDType::Q4K => 12,
        GgmlDType::Q5K => 13,
        GgmlDType::Q6K => 14,
        GgmlDType::Q8K => 15,
        GgmlDType::BF16 => 30,
    }
}
