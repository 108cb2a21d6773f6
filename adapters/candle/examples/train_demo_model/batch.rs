//! Shards of dialogues of similar length, padded to one rectangle.

use candle_core::{Device, Result, Tensor};

use super::dialogue::Dialogue;
use super::seeded::Seeded;
use super::vocabulary::END_OF_TEXT;

/// Padded positions of one shard; two shards make a step.
const SHARD_TOKENS: usize = 768;
/// Dialogues sorted by length together; fewer would pad more, more would order the epoch by length.
const WINDOW: usize = 160;

/// A rectangle of dialogues.
pub struct Shard {
    /// Token ids, `(rows, columns)`.
    pub ids: Tensor,
    /// Positions, counted through the whole rectangle, whose next token is to be predicted.
    pub positions: Tensor,
    /// The token that stands there.
    pub targets: Tensor,
    /// How much each counts.
    pub weights: Tensor,
}

/// Cuts an epoch into shards, in random order.
pub fn shards(mut dialogues: Vec<Dialogue>, seed: &mut Seeded) -> Result<Vec<Shard>> {
    seed.shuffle(&mut dialogues);
    let mut shards = Vec::new();
    for window in dialogues.chunks_mut(WINDOW) {
        window.sort_by_key(|dialogue| dialogue.ids.len());
        let mut from = 0;
        for to in 1..=window.len() {
            let full = to == window.len() || (to + 1 - from) * window[to].ids.len() > SHARD_TOKENS;
            if full {
                shards.push(shard(&window[from..to])?);
                from = to;
            }
        }
    }
    seed.shuffle(&mut shards);
    Ok(shards)
}

fn shard(dialogues: &[Dialogue]) -> Result<Shard> {
    let columns = dialogues.iter().map(|d| d.ids.len()).max().unwrap_or(0);
    let (mut ids, mut positions, mut targets, mut weights) = (vec![], vec![], vec![], vec![]);
    for (row, dialogue) in dialogues.iter().enumerate() {
        for (at, (id, weight)) in dialogue.ids.iter().zip(&dialogue.weights).enumerate() {
            if *weight > 0.0 {
                positions.push((row * columns + at - 1) as u32);
                targets.push(*id);
                weights.push(*weight);
            }
        }
        ids.extend_from_slice(&dialogue.ids);
        // Padding stands behind everything that counts, where causal attention never looks.
        ids.resize((row + 1) * columns, END_OF_TEXT);
    }
    let cpu = &Device::Cpu;
    Ok(Shard {
        ids: Tensor::from_vec(ids, (dialogues.len(), columns), cpu)?,
        positions: Tensor::new(positions, cpu)?,
        targets: Tensor::new(targets, cpu)?,
        weights: Tensor::new(weights, cpu)?,
    })
}
