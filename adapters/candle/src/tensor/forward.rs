//! One step: a batch of rows through all layers.

use candle_core::{Device, Result, Tensor};
use candle_nn::ops::{rms_norm, silu, softmax_last_dim};
use candle_nn::rotary_emb::{rope_i, rope_thd};
use magpie_kernels::RotationStyle;

use super::TensorNetwork;
use super::pages::{Run, runs, slot};
use super::weights::Layer;
use crate::arch::Spec;
use crate::network::{Batch, Chunk, Wanted};

/// The logits of all rows that want them, one after the other.
pub(super) fn step(network: &TensorNetwork, batch: &Batch<'_>) -> Result<Vec<f32>> {
    let TensorNetwork { spec, device, weights, .. } = network;
    if batch.tokens.is_empty() {
        return Ok(Vec::new());
    }
    let plan = Plan::new(spec, batch, device)?;
    let mut stream = weights.embedding.rows(&Tensor::new(batch.tokens.as_slice(), device)?)?;
    for (index, layer) in weights.layers.iter().enumerate() {
        let attended = attend(network, index, layer, &plan, &stream)?;
        stream = (stream + layer.attention_output.forward(&attended)?)?;
        stream = (&stream + feed_forward(layer, &stream, spec.epsilon)?)?;
    }
    let Some(wanted) = plan.wanted else { return Ok(Vec::new()) };
    let rows = rms_norm(&stream.index_select(&wanted, 0)?, &weights.norm, spec.epsilon)?;
    weights.logits(&rows)?.flatten_all()?.to_vec1()
}

/// What all layers of a step share.
struct Plan {
    angles: Angles,
    runs: Vec<Run>,
    spans: Vec<Span>,
    /// Numbers of the rows that want logits; `None` if none does.
    wanted: Option<Tensor>,
}

/// The rows of one sequence.
struct Span {
    row: usize,
    rows: usize,
    /// Of all tokens that the last row sees.
    slots: Tensor,
    /// Rows × tokens: what is added to scores, so that no row sees tokens after it. `None` for a single row.
    mask: Option<Tensor>,
}

/// Cosines and sines, rows × half the rotated dimensions.
struct Angles {
    style: RotationStyle,
    dimensions: usize,
    cos: Tensor,
    sin: Tensor,
}

impl Plan {
    fn new(spec: &Spec, batch: &Batch<'_>, device: &Device) -> Result<Self> {
        let mut plan = Self { angles: Angles::new(spec, batch, device)?, runs: vec![], spans: vec![], wanted: None };
        let (mut row, mut wanted) = (0, Vec::new());
        for chunk in batch.chunks.iter().filter(|chunk| chunk.rows > 0) {
            plan.runs.extend(runs(chunk.pages, chunk.position, row, chunk.rows));
            plan.spans.push(Span::new(chunk, row, device)?);
            let end = row + chunk.rows;
            let first = match chunk.logits {
                Wanted::Nothing => end,
                Wanted::Last => end - 1,
                Wanted::All => row,
            };
            wanted.extend((first..end).map(|row| row as u32));
            row = end;
        }
        if !wanted.is_empty() {
            plan.wanted = Some(Tensor::new(wanted, device)?);
        }
        Ok(plan)
    }
}

impl Span {
    fn new(chunk: &Chunk<'_>, row: usize, device: &Device) -> Result<Self> {
        let (rows, end) = (chunk.rows, chunk.position + chunk.rows);
        let slots: Vec<u32> = (0..end).map(|position| slot(chunk.pages, position) as u32).collect();
        let unseen = |row: usize| {
            let seen = chunk.position + row + 1;
            (0..end).map(move |position| if position < seen { 0.0 } else { f32::NEG_INFINITY })
        };
        let mask = if rows > 1 {
            let values: Vec<f32> = (0..rows).flat_map(unseen).collect();
            Some(Tensor::from_vec(values, (rows, end), device)?)
        } else {
            None
        };
        Ok(Self { row, rows, slots: Tensor::new(slots, device)?, mask })
    }
}

impl Angles {
    fn new(spec: &Spec, batch: &Batch<'_>, device: &Device) -> Result<Self> {
        let mut rotation = spec.rotation.empty();
        for chunk in &batch.chunks {
            for position in chunk.position..chunk.position + chunk.rows {
                spec.rotation.push(position, &mut rotation);
            }
        }
        let shape = (batch.tokens.len(), rotation.dimensions / 2);
        let cos = Tensor::from_vec(rotation.cos, shape, device)?;
        let sin = Tensor::from_vec(rotation.sin, shape, device)?;
        Ok(Self { style: rotation.style, dimensions: rotation.dimensions, cos, sin })
    }

    /// Rotates the first dimensions of each head; `x` is rows × heads × head width.
    fn rotate(&self, x: &Tensor) -> Result<Tensor> {
        let width = x.dim(2)?;
        if self.dimensions == width {
            return self.rotate_all(x);
        }
        let rotated = self.rotate_all(&x.narrow(2, 0, self.dimensions)?.contiguous()?)?;
        Tensor::cat(&[&rotated, &x.narrow(2, self.dimensions, width - self.dimensions)?], 2)
    }

    fn rotate_all(&self, x: &Tensor) -> Result<Tensor> {
        let x = x.unsqueeze(0)?;
        let rotated = match self.style {
            RotationStyle::Halves => rope_thd(&x, &self.cos, &self.sin)?,
            RotationStyle::Neighbours => {
                let heads_first = x.transpose(1, 2)?.contiguous()?;
                rope_i(&heads_first, &self.cos, &self.sin)?.transpose(1, 2)?.contiguous()?
            }
        };
        rotated.squeeze(0)
    }
}

/// Stores the keys and values of all rows, and gives what their queries find: rows × (heads × head width).
fn attend(network: &TensorNetwork, index: usize, layer: &Layer, plan: &Plan, stream: &Tensor) -> Result<Tensor> {
    let spec = &network.spec;
    let normed = rms_norm(stream, &layer.attention_norm, spec.epsilon)?;
    let heads = |x: Tensor, count: usize| x.reshape(((), count, spec.head_dim));
    let mut query = heads(layer.query.forward(&normed)?, spec.heads)?;
    let mut key = heads(layer.key.forward(&normed)?, spec.kv_heads)?;
    let value = heads(layer.value.forward(&normed)?, spec.kv_heads)?;
    if let Some((query_norm, key_norm)) = &layer.head_norms {
        query = rms_norm(&query, query_norm, spec.epsilon)?;
        key = rms_norm(&key, key_norm, spec.epsilon)?;
    }
    let query = (plan.angles.rotate(&query)? * f64::from(spec.attention_scale))?;
    network.pages.store(index, &plan.runs, &plan.angles.rotate(&key)?, &value)?;
    let found = |span: &Span| {
        let (keys, values) = network.pages.gather(index, &span.slots)?;
        look_up(spec, &query.narrow(0, span.row, span.rows)?, (&keys, &values), span.mask.as_ref())
    };
    let found: Vec<Tensor> = plan.spans.iter().map(found).collect::<Result<_>>()?;
    Tensor::cat(&found, 0)
}

/// Attention of the rows of one sequence. Heads that share a key are laid one after the other, as further rows.
fn look_up(spec: &Spec, query: &Tensor, (keys, values): (&Tensor, &Tensor), mask: Option<&Tensor>) -> Result<Tensor> {
    let Spec { heads, kv_heads, head_dim, .. } = *spec;
    let (rows, tokens) = (query.dim(0)?, keys.dim(0)?);
    let shared = heads / kv_heads * rows;
    let query = query.transpose(0, 1)?.contiguous()?.reshape((kv_heads, shared, head_dim))?;
    let keys = keys.transpose(0, 1)?.contiguous()?;
    let values = values.transpose(0, 1)?.contiguous()?;
    let mut scores = query.matmul(&keys.t()?)?.reshape((heads, rows, tokens))?;
    if let Some(mask) = mask {
        scores = scores.broadcast_add(mask)?;
    }
    let shares = softmax_last_dim(&scores)?.reshape((kv_heads, shared, tokens))?;
    let found = shares.matmul(&values)?.reshape((heads, rows, head_dim))?;
    found.transpose(0, 1)?.contiguous()?.reshape((rows, heads * head_dim))
}

fn feed_forward(layer: &Layer, stream: &Tensor, epsilon: f32) -> Result<Tensor> {
    let normed = rms_norm(stream, &layer.feed_forward_norm, epsilon)?;
    let gated = (silu(&layer.gate.multiply(&normed)?)? * layer.up.multiply(&normed)?)?;
    layer.down.multiply(&gated)
}
