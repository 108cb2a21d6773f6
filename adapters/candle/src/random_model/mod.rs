//! Model files with random weights, for tests and measurements: what they say is noise, but they load, run and cost like
//! real ones.
//!
//! A file depends on its [`RandomModel`] alone, byte for byte. Spreads are chosen so that the numbers look like those of
//! trained models: logits with a standard deviation of about 2.5, attention that prefers some positions, and a residual
//! stream in which the layers outweigh the embedding.

mod noise;
mod quantisation;
mod references;
mod shape;
mod vocabulary;
mod writer;

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use candle_core::quantized::GgmlDType;
use candle_core::quantized::gguf_file::Value;

pub use self::quantisation::Quantisation;
pub use self::shape::{Family, Scaling, Shape};
pub use self::vocabulary::Vocabulary;

use self::noise::{Noise, Pool};
use self::writer::{Header, TensorHeader};

const WRITE_BYTES: usize = 1 << 20;
/// Larger tensors are put together from blocks of a pool, because quantising takes long.
const POOL_VALUES: usize = 1 << 18;

/// A model file to be.
#[derive(Debug, Clone)]
pub struct RandomModel {
    pub name: String,
    pub family: Family,
    pub shape: Shape,
    pub quantisation: Quantisation,
    pub vocabulary: Vocabulary,
    /// Metadata that is put in place of what the other fields give, or added.
    pub metadata: Vec<(String, Value)>,
    pub seed: u64,
}

/// Values around `centre`.
#[derive(Debug, Clone, Copy)]
struct Spread {
    centre: f32,
    deviation: f32,
}

struct Tensor {
    name: String,
    /// Outermost first.
    shape: Vec<usize>,
    format: GgmlDType,
    spread: Spread,
}

impl RandomModel {
    /// Writes the file, in seconds even for models of gigabytes, and with little memory.
    ///
    /// # Errors
    /// The file can't be written, or the shape does not fit the quantisation.
    pub fn write(&self, path: &Path) -> candle_core::Result<()> {
        let tensors = self.tensors();
        let mut file = BufWriter::with_capacity(WRITE_BYTES, File::create(path)?);
        let header = Header {
            metadata: self.all_metadata(),
            tensors: tensors
                .iter()
                .map(|tensor| TensorHeader { name: &tensor.name, shape: &tensor.shape, format: tensor.format })
                .collect(),
        };
        header.write(&mut file)?;
        let mut pools = HashMap::new();
        for tensor in &tensors {
            let bytes = self.write_tensor(tensor, &mut pools, &mut file)?;
            writer::pad(&mut file, bytes)?;
        }
        file.flush()?;
        Ok(())
    }

    fn all_metadata(&self) -> Vec<(String, Value)> {
        let mut all = vec![
            ("general.architecture".to_owned(), Value::String(self.family.name().to_owned())),
            ("general.name".to_owned(), Value::String(self.name.clone())),
            ("general.quantization_version".to_owned(), Value::U32(2)),
        ];
        all.extend(self.shape.metadata(self.family));
        all.extend(self.vocabulary.metadata.iter().cloned());
        for (key, value) in &self.metadata {
            all.retain(|(existing, _)| existing != key);
            all.push((key.clone(), value.clone()));
        }
        all
    }

    /// Writes one tensor and gives its bytes.
    fn write_tensor(
        &self,
        tensor: &Tensor,
        pools: &mut HashMap<(u32, u32), Pool>,
        out: &mut impl Write,
    ) -> candle_core::Result<usize> {
        let values: usize = tensor.shape.iter().product();
        let Spread { deviation, .. } = tensor.spread;
        if values <= POOL_VALUES {
            let mut noise = Noise::new(self.seed, &tensor.name);
            let bytes = noise.quantised(values, tensor.format, tensor.spread)?;
            out.write_all(&bytes)?;
            return Ok(bytes.len());
        }
        let pool = match pools.entry((noise::number_of(tensor.format), deviation.to_bits())) {
            std::collections::hash_map::Entry::Occupied(entry) => entry.into_mut(),
            std::collections::hash_map::Entry::Vacant(entry) => {
                let name = format!("{:?} {deviation}", tensor.format);
                let bytes = Noise::new(self.seed, &name).quantised(POOL_VALUES, tensor.format, tensor.spread)?;
                entry.insert(Pool::new(bytes, tensor.format))
            }
        };
        pool.write(&mut Noise::new(self.seed, &tensor.name), values, out).map_err(io::Error::into)
    }

    fn tensors(&self) -> Vec<Tensor> {
        let Shape { width, head_dim, layers, tied, .. } = self.shape;
        let vocabulary = self.vocabulary.size();
        let head_spread = 2.5 / root(width);
        let mut tensors = vec![
            self.matrix("token_embd", (vocabulary, width), if tied { head_spread } else { 0.5 }),
            factors("output_norm", width, 1.0),
        ];
        if !tied {
            tensors.push(self.matrix("output", (vocabulary, width), head_spread));
        }
        if self.shape.scaling == Scaling::Factors {
            let spread = Spread { centre: 4.0, deviation: 0.5 };
            tensors.push(vector("rope_freqs.weight".to_owned(), head_dim / 2, spread));
        }
        for layer in 0..layers {
            self.add_layer(layer, &mut tensors);
        }
        tensors
    }

    fn add_layer(&self, layer: usize, tensors: &mut Vec<Tensor>) {
        let Shape { width, heads, kv_heads, head_dim, feed_forward, .. } = self.shape;
        let name = |part: &str| format!("blk.{layer}.{part}");
        let (query, key) = (heads * head_dim, kv_heads * head_dim);
        // Scores of queries and keys this wide have a deviation of about 2.
        let sharp = 1.4;
        tensors.push(factors(&name("attn_norm"), width, 1.0));
        for (part, rows, columns, gain) in [
            ("attn_q", query, width, sharp),
            ("attn_k", key, width, sharp),
            ("attn_v", key, width, 1.0),
            ("attn_output", width, query, 1.0),
            ("ffn_gate", feed_forward, width, 1.0),
            ("ffn_up", feed_forward, width, 1.0),
            ("ffn_down", width, feed_forward, 1.0),
        ] {
            tensors.push(self.matrix(&name(part), (rows, columns), gain / root(columns)));
            if self.family == Family::Qwen2 && ["attn_q", "attn_k", "attn_v"].contains(&part) {
                let spread = Spread { centre: 0.0, deviation: 0.3 };
                tensors.push(vector(name(&format!("{part}.bias")), rows, spread));
            }
        }
        if self.family == Family::Qwen3 {
            for part in ["attn_q_norm", "attn_k_norm"] {
                tensors.push(factors(&name(part), head_dim, sharp));
            }
        }
        tensors.push(factors(&name("ffn_norm"), width, 1.0));
    }

    fn matrix(&self, name: &str, (rows, columns): (usize, usize), deviation: f32) -> Tensor {
        Tensor {
            name: format!("{name}.weight"),
            shape: vec![rows, columns],
            format: self.quantisation.format_of(name, columns, &self.shape),
            spread: Spread { centre: 0.0, deviation },
        }
    }
}

/// Weights of a norm.
fn factors(name: &str, length: usize, centre: f32) -> Tensor {
    vector(format!("{name}.weight"), length, Spread { centre, deviation: 0.1 })
}

fn vector(name: String, length: usize, spread: Spread) -> Tensor {
    Tensor { name, shape: vec![length], format: GgmlDType::F32, spread }
}

fn root(columns: usize) -> f32 {
    (columns as f32).sqrt()
}

#[cfg(test)]
mod tests {
    use candle_core::quantized::gguf_file::Content;

    use super::*;

    fn small(family: Family, quantisation: &str) -> RandomModel {
        RandomModel {
            name: "small".to_owned(),
            family,
            shape: Shape::small(),
            quantisation: quantisation.parse().unwrap(),
            vocabulary: Vocabulary::tiny(),
            metadata: Vec::new(),
            seed: 1,
        }
    }

    fn written(model: &RandomModel) -> Vec<u8> {
        let file = tempfile::NamedTempFile::new().unwrap();
        model.write(file.path()).unwrap();
        std::fs::read(file.path()).unwrap()
    }

    #[test]
    fn a_file_depends_on_its_model_alone() {
        let model = small(Family::Qwen2, "q4_k");
        assert!(written(&model) == written(&model));
        assert!(written(&model) != written(&RandomModel { seed: 2, ..model.clone() }));
    }

    #[test]
    fn large_tensors_are_as_spread_as_small_ones() {
        let mut model = small(Family::Llama, "pure-f32");
        model.shape.feed_forward = 2048;
        let bytes = written(&model);
        let mut reader = std::io::Cursor::new(&bytes);
        let content = Content::read(&mut reader).unwrap();
        for (name, deviation) in [("blk.0.ffn_gate.weight", 1.0 / 16.0), ("blk.1.attn_v.weight", 1.0 / 16.0)] {
            let tensor = content.tensor(&mut reader, name, &candle_core::Device::Cpu).unwrap();
            let values = tensor.dequantize(&candle_core::Device::Cpu).unwrap().flatten_all().unwrap();
            let values: Vec<f32> = values.to_vec1().unwrap();
            let variance = values.iter().map(|value| value * value).sum::<f32>() / values.len() as f32;
            assert!((variance.sqrt() / deviation - 1.0).abs() < 0.02, "{name}: {}", variance.sqrt());
        }
    }
}
