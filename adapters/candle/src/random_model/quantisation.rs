//! Which tensor gets which format.

use std::str::FromStr;

use candle_core::quantized::GgmlDType;

use super::Shape;

/// How the matrices of a model are encoded. Parsed from `f32`, `f16`, `bf16`, `q4_0`, `q4_1`, `q5_0`, `q5_1`, `q8_0`,
/// `q3_k`, `q4_k`, `q5_k`, `q6_k` or `q8_k` (which this engine refuses): the mixture that `llama-quantize` makes of it (for the K formats the "medium" one), with
/// more bits for the output and some other matrices; `pure-q4_k` and so on: that format wherever it fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quantisation {
    format: GgmlDType,
    pure: bool,
}

impl Quantisation {
    /// The format of a matrix, for example `blk.3.ffn_down`.
    pub(super) fn format_of(self, name: &str, columns: usize, shape: &Shape) -> GgmlDType {
        let wanted = if self.pure { self.format } else { self.mixed(name, shape) };
        if columns.is_multiple_of(wanted.block_size()) {
            return wanted;
        }
        match wanted {
            GgmlDType::Q4K => GgmlDType::Q5_0,
            GgmlDType::Q5K => GgmlDType::Q5_1,
            _ => GgmlDType::Q8_0,
        }
    }

    /// Source: `llama_tensor_get_type_impl` in llama.cpp's `src/llama-quant.cpp` (read 11/2026).
    fn mixed(self, name: &str, shape: &Shape) -> GgmlDType {
        if matches!(self.format, GgmlDType::F32 | GgmlDType::F16 | GgmlDType::BF16 | GgmlDType::Q8_0) {
            return self.format;
        }
        if name == "output" || (shape.tied && name == "token_embd") {
            return GgmlDType::Q6K;
        }
        let medium = matches!(self.format, GgmlDType::Q4K | GgmlDType::Q5K);
        let (layer, part) = layer_of(name);
        let eighth = shape.layers / 8;
        let sensitive = layer < eighth || layer >= 7 * shape.layers / 8 || (layer - eighth) % 3 == 2;
        if medium && sensitive && ["attn_v", "ffn_down"].contains(&part) { GgmlDType::Q6K } else { self.format }
    }
}

impl FromStr for Quantisation {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, pure) = text.strip_prefix("pure-").map_or((text, false), |name| (name, true));
        let format = match name {
            "f32" => GgmlDType::F32,
            "f16" => GgmlDType::F16,
            "bf16" => GgmlDType::BF16,
            "q4_0" => GgmlDType::Q4_0,
            "q4_1" => GgmlDType::Q4_1,
            "q5_0" => GgmlDType::Q5_0,
            "q5_1" => GgmlDType::Q5_1,
            "q8_0" => GgmlDType::Q8_0,
            "q3_k" => GgmlDType::Q3K,
            "q4_k" => GgmlDType::Q4K,
            "q5_k" => GgmlDType::Q5K,
            "q6_k" => GgmlDType::Q6K,
            "q8_k" => GgmlDType::Q8K,
            other => return Err(format!("{other:?} is no quantisation; say for example q8_0, q4_k or pure-q4_0")),
        };
        Ok(Self { format, pure })
    }
}

/// The number of the layer (0 outside of layers) and the matrix in it.
fn layer_of(name: &str) -> (usize, &str) {
    let in_layer = name.strip_prefix("blk.").and_then(|rest| rest.split_once('.'));
    in_layer.and_then(|(layer, part)| Some((layer.parse().ok()?, part))).unwrap_or((0, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medium_mixtures_give_more_bits_to_some_layers_and_the_head() {
        let quantisation: Quantisation = "q4_k".parse().unwrap();
        let shape = Shape { layers: 28, tied: true, ..Shape::small() };
        let format = |name: &str| quantisation.format_of(name, 1536, &shape);
        assert_eq!(format("token_embd"), GgmlDType::Q6K);
        assert_eq!(format("blk.0.ffn_down"), GgmlDType::Q6K);
        assert_eq!(format("blk.3.ffn_down"), GgmlDType::Q4K);
        assert_eq!(format("blk.5.attn_v"), GgmlDType::Q6K);
        assert_eq!(format("blk.5.attn_q"), GgmlDType::Q4K);
    }

    #[test]
    fn rows_that_are_no_whole_blocks_get_a_format_with_smaller_ones() {
        let quantisation: Quantisation = "q4_k".parse().unwrap();
        let shape = Shape { layers: 24, tied: true, ..Shape::small() };
        let format = |name: &str| quantisation.format_of(name, 896, &shape);
        assert_eq!((format("token_embd"), format("blk.3.attn_q")), (GgmlDType::Q8_0, GgmlDType::Q5_0));
    }
}
