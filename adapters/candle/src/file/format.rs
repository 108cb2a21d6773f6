//! How tensors are encoded in model files: names and sizes of all encodings, those included that can't be run.
//!
//! Source: `enum ggml_type` in ggml's `ggml.h` and the blocks in `ggml-common.h` (read 11/2026).

use candle_core::quantized::GgmlDType;
use magpie_kernels::Format;

/// The encoding of one tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TensorFormat {
    /// One that matrices are packed from.
    Known(Format),
    /// One that this engine does not compute with, by its name.
    Other(&'static str),
}

/// What a file's number for an encoding means.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Encoding {
    pub format: TensorFormat,
    /// Values of one block.
    pub values: usize,
    /// Bytes of one block.
    pub bytes: usize,
}

impl TensorFormat {
    /// Its usual name, such as `Q4_K`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Other(name) => name,
            Self::Known(format) => match format {
                Format::F32 => "F32",
                Format::F16 => "F16",
                Format::BF16 => "BF16",
                Format::Q4_0 => "Q4_0",
                Format::Q4_1 => "Q4_1",
                Format::Q5_0 => "Q5_0",
                Format::Q5_1 => "Q5_1",
                Format::Q8_0 => "Q8_0",
                Format::Q4_K => "Q4_K",
                Format::Q5_K => "Q5_K",
                Format::Q6_K => "Q6_K",
            },
        }
    }

    /// The same encoding for candle, if candle can decode it.
    #[must_use]
    pub fn for_candle(self) -> Option<GgmlDType> {
        Some(match self {
            Self::Known(Format::F32) => GgmlDType::F32,
            Self::Known(Format::F16) => GgmlDType::F16,
            Self::Known(Format::BF16) => GgmlDType::BF16,
            Self::Known(Format::Q4_0) => GgmlDType::Q4_0,
            Self::Known(Format::Q4_1) => GgmlDType::Q4_1,
            Self::Known(Format::Q5_0) => GgmlDType::Q5_0,
            Self::Known(Format::Q5_1) => GgmlDType::Q5_1,
            Self::Known(Format::Q8_0) => GgmlDType::Q8_0,
            Self::Known(Format::Q4_K) => GgmlDType::Q4K,
            Self::Known(Format::Q5_K) => GgmlDType::Q5K,
            Self::Known(Format::Q6_K) => GgmlDType::Q6K,
            Self::Other("Q2_K") => GgmlDType::Q2K,
            Self::Other("Q3_K") => GgmlDType::Q3K,
            Self::Other(_) => return None,
        })
    }
}

impl Encoding {
    pub(crate) const F32: Self = Self::of(Format::F32);

    /// The sizes of a format.
    pub(crate) const fn of(format: Format) -> Self {
        let (values, bytes) = match format {
            Format::F32 => (1, 4),
            Format::F16 | Format::BF16 => (1, 2),
            Format::Q4_0 => (32, 18),
            Format::Q4_1 => (32, 20),
            Format::Q5_0 => (32, 22),
            Format::Q5_1 => (32, 24),
            Format::Q8_0 => (32, 34),
            Format::Q4_K => (256, 144),
            Format::Q5_K => (256, 176),
            Format::Q6_K => (256, 210),
        };
        Self { format: TensorFormat::Known(format), values, bytes }
    }

    /// The encoding behind a number in a GGUF file.
    pub(crate) fn of_gguf(number: u32) -> Option<Self> {
        let other = |name, values, bytes| Self { format: TensorFormat::Other(name), values, bytes };
        Some(match number {
            0 => Self::of(Format::F32),
            1 => Self::of(Format::F16),
            2 => Self::of(Format::Q4_0),
            3 => Self::of(Format::Q4_1),
            6 => Self::of(Format::Q5_0),
            7 => Self::of(Format::Q5_1),
            8 => Self::of(Format::Q8_0),
            9 => other("Q8_1", 32, 36),
            10 => other("Q2_K", 256, 84),
            11 => other("Q3_K", 256, 110),
            12 => Self::of(Format::Q4_K),
            13 => Self::of(Format::Q5_K),
            14 => Self::of(Format::Q6_K),
            15 => other("Q8_K", 256, 292),
            16 => other("IQ2_XXS", 256, 66),
            17 => other("IQ2_XS", 256, 74),
            18 => other("IQ3_XXS", 256, 98),
            19 => other("IQ1_S", 256, 50),
            20 => other("IQ4_NL", 32, 18),
            21 => other("IQ3_S", 256, 110),
            22 => other("IQ2_S", 256, 82),
            23 => other("IQ4_XS", 256, 136),
            24 => other("I8", 1, 1),
            25 => other("I16", 1, 2),
            26 => other("I32", 1, 4),
            27 => other("I64", 1, 8),
            28 => other("F64", 1, 8),
            29 => other("IQ1_M", 256, 56),
            30 => Self::of(Format::BF16),
            34 => other("TQ1_0", 256, 54),
            35 => other("TQ2_0", 256, 66),
            39 => other("MXFP4", 32, 17),
            40 => other("NVFP4", 64, 36),
            41 => other("Q1_0", 128, 18),
            42 => other("Q2_0", 64, 18),
            _ => return None,
        })
    }

    /// Bytes of a tensor whose rows are `cols` long; `None` if rows are no whole blocks or the size is no number.
    pub(crate) fn size(self, rows: usize, cols: usize) -> Option<usize> {
        if !cols.is_multiple_of(self.values) {
            return None;
        }
        (cols / self.values).checked_mul(self.bytes)?.checked_mul(rows)
    }
}
