//! Keys and values on the device.

use candle_core::{DType, Device, Result, Tensor};

use crate::arch::Spec;
use crate::network::{PAGE_TOKENS, PageId};

/// The pages of all layers, one after the other in two tensors a layer: tokens × key heads × head width.
pub(super) struct Pages {
    layers: Vec<(Tensor, Tensor)>,
}

/// Rows of a batch that go to neighbouring slots.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Run {
    /// Of the batch.
    pub row: usize,
    /// Slots are numbered through all pages.
    pub slot: usize,
    pub rows: usize,
}

impl Pages {
    /// Bytes of one page: keys and values of all layers.
    pub(super) fn page_bytes(spec: &Spec, kept: DType) -> usize {
        2 * spec.layers * PAGE_TOKENS * spec.kv_heads * spec.head_dim * kept.size_in_bytes()
    }

    pub(super) fn new(spec: &Spec, count: usize, kept: DType, device: &Device) -> Result<Self> {
        let shape = (count * PAGE_TOKENS, spec.kv_heads, spec.head_dim);
        let layer = |_| Ok((Tensor::zeros(shape, kept, device)?, Tensor::zeros(shape, kept, device)?));
        Ok(Self { layers: (0..spec.layers).map(layer).collect::<Result<_>>()? })
    }

    /// Keeps the keys and values of one layer; both are rows × key heads × head width.
    pub(super) fn store(&self, layer: usize, runs: &[Run], keys: &Tensor, values: &Tensor) -> Result<()> {
        let (kept_keys, kept_values) = &self.layers[layer];
        for (kept, new) in [(kept_keys, keys), (kept_values, values)] {
            let new = new.to_dtype(kept.dtype())?.contiguous()?;
            for run in runs {
                kept.slice_set(&new.narrow(0, run.row, run.rows)?, 0, run.slot)?;
            }
        }
        Ok(())
    }

    /// Keys and values of one layer in these slots, in 32 bits: tokens × key heads × head width.
    pub(super) fn gather(&self, layer: usize, slots: &Tensor) -> Result<(Tensor, Tensor)> {
        let (keys, values) = &self.layers[layer];
        let found = |kept: &Tensor| kept.index_select(slots, 0)?.to_dtype(DType::F32);
        Ok((found(keys)?, found(values)?))
    }

    /// Copies a whole page, in all layers.
    pub(super) fn copy(&self, from: PageId, to: PageId) -> Result<()> {
        let first_slot = |page: PageId| page as usize * PAGE_TOKENS;
        for (keys, values) in &self.layers {
            for kept in [keys, values] {
                // A tensor can't be written from itself.
                let page = kept.narrow(0, first_slot(from), PAGE_TOKENS)?.copy()?;
                kept.slice_set(&page, 0, first_slot(to))?;
            }
        }
        Ok(())
    }
}

/// The runs of a sequence's rows, from `position` on, of a batch in which they begin at `row`.
pub(super) fn runs(pages: &[PageId], position: usize, row: usize, rows: usize) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for (row, position) in (row..row + rows).zip(position..) {
        let slot = slot(pages, position);
        match runs.last_mut().filter(|run| run.slot + run.rows == slot) {
            Some(run) => run.rows += 1,
            None => runs.push(Run { row, slot, rows: 1 }),
        }
    }
    runs
}

/// Where a sequence keeps the token at a position.
pub(super) fn slot(pages: &[PageId], position: usize) -> usize {
    pages[position / PAGE_TOKENS] as usize * PAGE_TOKENS + position % PAGE_TOKENS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbouring_pages_are_written_in_one_run() {
        let run = |row, slot, rows| Run { row, slot, rows };
        assert_eq!(runs(&[4, 5, 2], 10, 100, 24), [run(100, 74, 22), run(122, 32, 2)]);
        assert_eq!(runs(&[1], 3, 0, 1), [run(0, 19, 1)]);
        assert_eq!(runs(&[1], 3, 0, 0), []);
    }
}
