//! Blocks of every format: random ones, and what they mean, read value by value as ggml does.

use half::{bf16, f16};
use magpie_kernels::Format;

/// A small generator (xorshift), so that every run sees the same weights.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// From -1 to 1.
    pub(crate) fn value(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1 << 23) as f32 - 1.0
    }

    pub(crate) fn values(&mut self, count: usize) -> Vec<f32> {
        (0..count).map(|_| self.value()).collect()
    }
}

/// The bytes of a matrix: random codes, and scales from -1 to 1.
pub(crate) fn random(format: Format, (rows, cols): (usize, usize), seed: u64) -> Vec<u8> {
    let mut random = Random::new(seed);
    let bytes = (0..format.file_bytes(rows, cols)).map(|_| (random.next() >> 32) as u8).collect();
    with_finite_scales(format, bytes, &mut random)
}

/// Replaces the numbers of all blocks that could be infinite or NaN.
pub(crate) fn with_finite_scales(format: Format, mut bytes: Vec<u8>, random: &mut Random) -> Vec<u8> {
    for block in bytes.chunks_exact_mut(format.block_bytes()) {
        let scales: &[usize] = match format {
            Format::F32 => {
                block.copy_from_slice(&random.value().to_le_bytes());
                &[]
            }
            Format::BF16 => {
                block.copy_from_slice(&bf16::from_f32(random.value()).to_le_bytes());
                &[]
            }
            Format::F16 | Format::Q4_0 | Format::Q5_0 | Format::Q8_0 => &[0],
            Format::Q4_1 | Format::Q5_1 | Format::Q4_K | Format::Q5_K => &[0, 2],
            Format::Q6_K => &[208],
        };
        for at in scales {
            block[*at..at + 2].copy_from_slice(&f16::from_f32(random.value()).to_le_bytes());
        }
    }
    bytes
}

/// All values of a matrix, in the arithmetic of ggml's `dequantize_row_…`.
pub(crate) fn decode(format: Format, bytes: &[u8]) -> Vec<f32> {
    bytes.chunks_exact(format.block_bytes()).flat_map(|block| decode_block(format, block)).collect()
}

fn decode_block(format: Format, block: &[u8]) -> Vec<f32> {
    let half = |at: usize| f16::from_le_bytes([block[at], block[at + 1]]).to_f32();
    // Nibbles of 32 values: the low ones first.
    let nibble = |start: usize, i: usize| {
        let byte = block[start + i % 16];
        i32::from(if i < 16 { byte & 15 } else { byte >> 4 })
    };
    let fifth = |start: usize, i: usize| i32::from(block[start + i / 8] >> (i % 8) & 1) << 4;
    let each = |value: &dyn Fn(usize) -> f32| (0..32).map(value).collect();
    match format {
        Format::F32 => vec![f32::from_le_bytes([block[0], block[1], block[2], block[3]])],
        Format::F16 => vec![half(0)],
        Format::BF16 => vec![bf16::from_le_bytes([block[0], block[1]]).to_f32()],
        Format::Q4_0 => each(&|i| (nibble(2, i) - 8) as f32 * half(0)),
        Format::Q4_1 => each(&|i| nibble(4, i) as f32 * half(0) + half(2)),
        Format::Q5_0 => each(&|i| (nibble(6, i) + fifth(2, i) - 16) as f32 * half(0)),
        Format::Q5_1 => each(&|i| (nibble(8, i) + fifth(4, i)) as f32 * half(0) + half(2)),
        Format::Q8_0 => each(&|i| f32::from(block[2 + i].cast_signed()) * half(0)),
        Format::Q4_K => (0..256).map(|i| super_block(block, 16, i, 0)).collect(),
        Format::Q5_K => (0..256).map(|i| super_block(block, 48, i, block[16 + i % 32] >> (i / 32) & 1)).collect(),
        Format::Q6_K => (0..256).map(|i| six_bits(block, i)).collect(),
    }
}

/// A value of Q4_K or Q5_K; its nibble lies from `nibbles` on.
fn super_block(block: &[u8], nibbles: usize, i: usize, fifth: u8) -> f32 {
    let half = |at: usize| f16::from_le_bytes([block[at], block[at + 1]]).to_f32();
    let packed = &block[4..16];
    let (scale, minimum) = match i / 32 {
        part @ 0..4 => (packed[part] & 63, packed[part + 4] & 63),
        part => (packed[part + 4] & 15 | packed[part - 4] >> 6 << 4, packed[part + 4] >> 4 | packed[part] >> 6 << 4),
    };
    let byte = block[nibbles + i / 64 * 32 + i % 32];
    let code = if i % 64 < 32 { byte & 15 } else { byte >> 4 } + 16 * fifth;
    half(0) * f32::from(scale) * f32::from(code) - half(2) * f32::from(minimum)
}

fn six_bits(block: &[u8], i: usize) -> f32 {
    let (half, quarter, column) = (i / 128, i % 128 / 32, i % 32);
    let byte = block[64 * half + 32 * (quarter % 2) + column];
    let low = if quarter < 2 { byte & 15 } else { byte >> 4 };
    let high = block[128 + 32 * half + column] >> (2 * quarter) & 3;
    let scale = f16::from_le_bytes([block[208], block[209]]).to_f32() * f32::from(block[192 + i / 16].cast_signed());
    scale * (f32::from(low | high << 4) - 32.0)
}
