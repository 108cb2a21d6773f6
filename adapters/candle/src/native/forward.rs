//! One step: a batch of rows through all layers.
//!
//! Rows are neighbours in every buffer, whichever sequence they belong to; only attention looks at sequences. All
//! operations treat each row by itself, so a row's result does not depend on its neighbours.

use magpie_kernels::{Activations, AttentionSpan, HeadNorm, Matrix, Place, Product, Queries, Rotation, Write};

use super::NativeNetwork;
use super::weights::{Layer, Linear};
use crate::arch::Spec;
use crate::network::{Batch, Chunk, NetworkError, PAGE_TOKENS, Wanted};

/// Memory for the rows of a step; kept, so that a steady load allocates nothing for them.
pub(super) struct Buffers {
    /// What flows from layer to layer: rows × width.
    stream: Vec<f32>,
    /// The input of a layer's next matrices.
    normed: Activations,
    query: Vec<f32>,
    key: Vec<f32>,
    value: Vec<f32>,
    attended: Activations,
    gated: Activations,
    rotation: Rotation,
    places: Vec<Place>,
}

impl Buffers {
    pub(super) fn new(spec: &Spec) -> Self {
        Self {
            stream: Vec::new(),
            normed: Activations::new(spec.width),
            query: Vec::new(),
            key: Vec::new(),
            value: Vec::new(),
            attended: Activations::new(spec.heads * spec.head_dim),
            gated: Activations::new(spec.feed_forward),
            rotation: spec.rotation.empty(),
            places: Vec::new(),
        }
    }
}

/// See [`crate::network::Network::step`].
pub(super) fn step(network: &mut NativeNetwork, batch: &Batch<'_>, logits: &mut Vec<f32>) -> Result<(), NetworkError> {
    batch.check(&network.limits)?;
    begin(network, batch);
    let spans = spans(batch);
    let last = network.weights.layers.len() - 1;
    for index in 0..last {
        let mut layer = Step::new(network, index);
        layer.prepare();
        layer.attend(&spans);
        layer.feed_forward();
    }
    // Rows without logits end with their keys and values in the last layer.
    Step::new(network, last).prepare();
    let spans = keep_wanted(network, batch, spans);
    if spans.is_empty() {
        logits.clear();
        return Ok(());
    }
    let mut layer = Step::new(network, last);
    layer.attend(&spans);
    layer.feed_forward();
    let NativeNetwork { spec, compute, weights, buffers, .. } = network;
    compute.rms_norm(&buffers.stream, &weights.norm, spec.epsilon, &mut buffers.normed);
    let rows = buffers.stream.len() / spec.width;
    // What is in it already is overwritten, so that the same size as before costs nothing.
    logits.resize(rows * spec.vocabulary, 0.0);
    let bias = weights.output_bias.as_deref();
    let product = Product { weights: weights.output(), bias, out: logits, write: Write::Replace };
    compute.multiply(&buffers.normed, &mut [product]);
    Ok(())
}

/// Fills the stream with embeddings, and finds the angles and places of all rows.
fn begin(network: &mut NativeNetwork, batch: &Batch<'_>) {
    let NativeNetwork { spec, weights, buffers, .. } = network;
    buffers.stream.resize(batch.tokens.len() * spec.width, 0.0);
    for (row, token) in buffers.stream.chunks_exact_mut(spec.width).zip(&batch.tokens) {
        weights.embedding.copy_row(*token as usize, row);
    }
    buffers.places.clear();
    buffers.rotation.cos.clear();
    buffers.rotation.sin.clear();
    for chunk in &batch.chunks {
        for position in chunk.position..chunk.position + chunk.rows {
            let page = chunk.pages[position / PAGE_TOKENS];
            buffers.places.push(Place { page, slot: position % PAGE_TOKENS });
            spec.rotation.push(position, &mut buffers.rotation);
        }
    }
}

fn spans<'a>(batch: &Batch<'a>) -> Vec<AttentionSpan<'a>> {
    let mut row = 0;
    let span = |chunk: &Chunk<'a>| {
        let span = AttentionSpan { pages: chunk.pages, row, rows: chunk.rows, position: chunk.position };
        row += chunk.rows;
        span
    };
    batch.chunks.iter().map(span).collect()
}

/// Moves the stream and the queries of the rows that want logits together, and forgets the others.
fn keep_wanted<'a>(
    network: &mut NativeNetwork,
    batch: &Batch<'a>,
    spans: Vec<AttentionSpan<'a>>,
) -> Vec<AttentionSpan<'a>> {
    let Buffers { stream, query, .. } = &mut network.buffers;
    let Spec { width, heads, head_dim, .. } = network.spec;
    let mut kept = 0;
    let mut keep = |span: AttentionSpan<'a>, wanted: Wanted| {
        let rows = match wanted {
            Wanted::Nothing => 0,
            Wanted::Last => span.rows.min(1),
            Wanted::All => span.rows,
        };
        let skipped = span.rows - rows;
        let first = span.row + skipped;
        for (buffer, width) in [(&mut *stream, width), (&mut *query, heads * head_dim)] {
            buffer.copy_within(first * width..(first + rows) * width, kept * width);
        }
        let moved = AttentionSpan { row: kept, rows, position: span.position + skipped, ..span };
        kept += rows;
        (rows > 0).then_some(moved)
    };
    let wanted = batch.chunks.iter().map(|chunk| chunk.logits);
    let spans = spans.into_iter().zip(wanted).filter_map(|(span, wanted)| keep(span, wanted)).collect();
    stream.truncate(kept * width);
    query.truncate(kept * heads * head_dim);
    spans
}

/// One layer's part of a step.
struct Step<'a> {
    network: &'a mut NativeNetwork,
    index: usize,
}

impl<'a> Step<'a> {
    fn new(network: &'a mut NativeNetwork, index: usize) -> Self {
        Self { network, index }
    }

    /// Makes queries, keys and values of the stream, and stores the latter two.
    fn prepare(&mut self) {
        let NativeNetwork { spec, compute, weights, pages, buffers, .. } = &mut *self.network;
        let layer: &Layer = &weights.layers[self.index];
        let Buffers { stream, normed, query, key, value, rotation, places, .. } = buffers;
        compute.rms_norm(stream, &layer.attention_norm, spec.epsilon, normed);
        compute.multiply(
            normed,
            &mut [
                product(&layer.query, query, places.len()),
                product(&layer.key, key, places.len()),
                product(&layer.value, value, places.len()),
            ],
        );
        let epsilon = spec.epsilon;
        let norms = layer.head_norms.as_ref();
        let norm = |weight| HeadNorm { weight, epsilon };
        compute.rotate(query, spec.head_dim, norms.map(|norms| norm(&norms.0)), rotation);
        compute.rotate(key, spec.head_dim, norms.map(|norms| norm(&norms.1)), rotation);
        pages.store(compute, self.index, places, key, value);
    }

    /// Adds to the stream what the queries find in the pages.
    fn attend(&mut self, spans: &[AttentionSpan<'_>]) {
        let NativeNetwork { spec, compute, weights, pages, buffers, .. } = &mut *self.network;
        let Buffers { stream, query, attended, .. } = buffers;
        attended.resize(stream.len() / spec.width);
        let queries = Queries { values: query, heads: spec.heads, scale: spec.attention_scale };
        compute.attend(pages, self.index, spans, &queries, attended.values_mut());
        attended.encode(compute);
        let Linear { matrix, bias } = &weights.layers[self.index].attention_output;
        compute.multiply(attended, &mut [added(matrix, bias.as_deref(), stream)]);
    }

    /// Adds to the stream what the feed-forward matrices make of it.
    fn feed_forward(&mut self) {
        let NativeNetwork { spec, compute, weights, buffers, .. } = &mut *self.network;
        let Buffers { stream, normed, gated, .. } = buffers;
        let layer = &weights.layers[self.index];
        compute.rms_norm(stream, &layer.feed_forward_norm, spec.epsilon, normed);
        gated.resize(normed.rows());
        compute.multiply_gated(normed, &layer.gate, &layer.up, gated.values_mut());
        gated.encode(compute);
        compute.multiply(gated, &mut [added(&layer.down, None, stream)]);
    }
}

fn product<'a>(linear: &'a Linear, out: &'a mut Vec<f32>, rows: usize) -> Product<'a> {
    out.resize(rows * linear.matrix.rows(), 0.0);
    Product { weights: &linear.matrix, bias: linear.bias.as_deref(), out, write: Write::Replace }
}

fn added<'a>(weights: &'a Matrix, bias: Option<&'a [f32]>, out: &'a mut [f32]) -> Product<'a> {
    Product { weights, bias, out, write: Write::Add }
}
