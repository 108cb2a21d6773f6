//! The network as it is trained: llama's architecture in f32, with tied embeddings.

use candle_core::{D, Device, Result, Tensor, Var};

use super::batch::Shard;
use super::fused::{CausalSoftmax, Normalise, Rotary};
use super::seeded::Seeded;

pub const WIDTH: usize = 256;
pub const HEADS: usize = 4;
pub const LAYERS: usize = 4;
pub const FEED_FORWARD: usize = 768;
pub const ROPE_BASE: f32 = 10_000.0;
pub const EPSILON: f32 = 1e-5;
/// Share of the activations that are zeroed while training, against learning by heart.
const DROPOUT: f32 = 0.15;

/// A parameter and the name that llama files give it.
pub struct Parameter {
    pub name: String,
    pub var: Var,
}

struct Layer {
    attention_norm: Var,
    query: Var,
    key: Var,
    value: Var,
    output: Var,
    feed_forward_norm: Var,
    gate: Var,
    up: Var,
    down: Var,
}

/// The network.
pub struct Net {
    embedding: Var,
    layers: Vec<Layer>,
    norm: Var,
}

impl Net {
    /// With random weights drawn from `seed`.
    pub fn new(vocabulary: usize, seed: &mut Seeded) -> Result<Self> {
        let deviation = 0.02;
        // What is added to the residual stream starts smaller, the more layers add to it.
        let added = deviation / (2.0 * LAYERS as f32).sqrt();
        let embedding = random((vocabulary, WIDTH), deviation, seed)?;
        let mut layers = Vec::with_capacity(LAYERS);
        for _ in 0..LAYERS {
            layers.push(Layer {
                attention_norm: ones()?,
                query: random((WIDTH, WIDTH), deviation, seed)?,
                key: random((WIDTH, WIDTH), deviation, seed)?,
                value: random((WIDTH, WIDTH), deviation, seed)?,
                output: random((WIDTH, WIDTH), added, seed)?,
                feed_forward_norm: ones()?,
                gate: random((FEED_FORWARD, WIDTH), deviation, seed)?,
                up: random((FEED_FORWARD, WIDTH), deviation, seed)?,
                down: random((WIDTH, FEED_FORWARD), added, seed)?,
            });
        }
        Ok(Self { embedding, layers, norm: ones()? })
    }

    /// All parameters, in the order and under the names of a llama GGUF file.
    pub fn parameters(&self) -> Vec<Parameter> {
        let mut all = vec![("token_embd".to_owned(), &self.embedding)];
        for (at, layer) in self.layers.iter().enumerate() {
            let named = [
                ("attn_norm", &layer.attention_norm),
                ("attn_q", &layer.query),
                ("attn_k", &layer.key),
                ("attn_v", &layer.value),
                ("attn_output", &layer.output),
                ("ffn_norm", &layer.feed_forward_norm),
                ("ffn_gate", &layer.gate),
                ("ffn_up", &layer.up),
                ("ffn_down", &layer.down),
            ];
            all.extend(named.map(|(name, var)| (format!("blk.{at}.{name}"), var)));
        }
        all.push(("output_norm".to_owned(), &self.norm));
        let named = all.into_iter();
        named.map(|(name, var)| Parameter { name: format!("{name}.weight"), var: var.clone() }).collect()
    }

    /// Sum of the weighted losses of a shard's predictions (natural logarithm), as a scalar.
    pub fn loss(&self, shard: &Shard, seed: &mut Seeded) -> Result<Tensor> {
        let (rows, columns) = shard.ids.dims2()?;
        let mut stream = self.embedding.index_select(&shard.ids.flatten_all()?, 0)?;
        stream = dropout(&stream, seed)?;
        for layer in &self.layers {
            let attended = layer.attend(&normalise(&stream, &layer.attention_norm)?, rows, columns)?;
            stream = (stream + dropout(&attended, seed)?)?;
            let fed = layer.feed(&normalise(&stream, &layer.feed_forward_norm)?)?;
            stream = (stream + dropout(&fed, seed)?)?;
        }
        let predicting = normalise(&stream.index_select(&shard.positions, 0)?, &self.norm)?;
        let logits = predicting.matmul(&self.embedding.t()?)?;
        let likelihoods = candle_nn::ops::log_softmax(&logits, D::Minus1)?;
        let targets = shard.targets.unsqueeze(1)?;
        let losses = likelihoods.gather(&targets, 1)?.squeeze(1)?.neg()?;
        (losses * &shard.weights)?.sum_all()
    }
}

impl Layer {
    fn attend(&self, input: &Tensor, rows: usize, columns: usize) -> Result<Tensor> {
        let width = WIDTH / HEADS;
        let heads = |projected: Tensor| projected.reshape((rows, columns, HEADS, width))?.transpose(1, 2)?.contiguous();
        let query = heads(project(input, &self.query)?)?.apply_op1(Rotary::new(ROPE_BASE))?;
        let key = heads(project(input, &self.key)?)?.apply_op1(Rotary::new(ROPE_BASE))?;
        let value = heads(project(input, &self.value)?)?;
        let scale = 1.0 / (width as f32).sqrt();
        let shares = query.matmul(&key.t()?)?.apply_op1(CausalSoftmax { scale })?;
        let seen = shares.matmul(&value)?.transpose(1, 2)?.contiguous()?;
        project(&seen.reshape((rows * columns, WIDTH))?, &self.output)
    }

    fn feed(&self, input: &Tensor) -> Result<Tensor> {
        let gate = project(input, &self.gate)?.silu()?;
        project(&(gate * project(input, &self.up)?)?, &self.down)
    }
}

fn project(input: &Tensor, weight: &Var) -> Result<Tensor> {
    input.matmul(&weight.t()?)
}

fn normalise(input: &Tensor, factor: &Var) -> Result<Tensor> {
    input.apply_op1(Normalise { epsilon: EPSILON })?.broadcast_mul(factor)
}

/// candle's own dropout draws from an unseeded generator on the CPU; this one repeats.
fn dropout(input: &Tensor, seed: &mut Seeded) -> Result<Tensor> {
    let kept = 1.0 / (1.0 - DROPOUT);
    let limit = (DROPOUT * 65_536.0) as u64;
    let count = input.elem_count();
    let mut mask = Vec::with_capacity(count);
    while mask.len() < count {
        let bits = seed.bits();
        let lanes = (0..4).map(|lane| (bits >> (16 * lane)) & 0xFFFF);
        mask.extend(lanes.map(|lane| if lane < limit { 0.0 } else { kept }));
    }
    mask.truncate(count);
    input.mul(&Tensor::from_vec(mask, input.shape(), &Device::Cpu)?)
}

fn random(shape: (usize, usize), deviation: f32, seed: &mut Seeded) -> Result<Var> {
    let values: Vec<f32> = (0..shape.0 * shape.1).map(|_| seed.normal() * deviation).collect();
    Var::from_tensor(&Tensor::from_vec(values, shape, &Device::Cpu)?)
}

fn ones() -> Result<Var> {
    Var::ones(WIDTH, candle_core::DType::F32, &Device::Cpu)
}
