//! Memory for keys and values, in pages of a few tokens.
//!
//! A layer's memory is one allocation: page after page, kv head after kv head, the keys `[head_dim][16]` and then the
//! values `[16][head_dim]` of one head. Eight-bit caches keep the scales beside it, in the same order,
//! `[head_dim / 32][16]` of the keys and of the values alike. What one head's keys (or values) take of one
//! page is a *plane*.

#![expect(unsafe_code, reason = "threads store different planes of one page")]

use std::collections::TryReserveError;

use half::f16;

use crate::compute::Compute;
use crate::memory::AlignedBytes;
use crate::parts::Parts;

/// Tokens of one page.
pub const PAGE_TOKENS: usize = 16;

/// Values that share a scale in [`CacheKind::Q8`].
pub(crate) const BLOCK: usize = 32;

/// Rows from which on it pays to wake the other threads for storing them.
const WORTH_SHARING: usize = 16;

/// How keys and values are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CacheKind {
    F16,
    /// Eight bits, with an f16 scale per token, head and 32 values.
    Q8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageShape {
    pub layers: usize,
    pub kv_heads: usize,
    /// A multiple of 32.
    pub head_dim: usize,
    pub kind: CacheKind,
}

impl PageShape {
    /// Bytes of one page: keys and values of [`PAGE_TOKENS`] tokens in all layers.
    #[must_use]
    pub fn page_bytes(&self) -> usize {
        let values = self.layers * self.kv_heads * 2 * self.plane();
        match self.kind {
            CacheKind::F16 => values * 2,
            CacheKind::Q8 => values + values / BLOCK * 2,
        }
    }

    /// Values of one plane.
    pub(crate) fn plane(&self) -> usize {
        self.head_dim * PAGE_TOKENS
    }
}

/// Where the key and value of one row go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    pub page: u32,
    /// Under [`PAGE_TOKENS`].
    pub slot: usize,
}

/// Keys and values of all layers. Keys lie transposed within a page (16 tokens side by side per dimension), so that a
/// query meets 16 keys at once.
pub struct Pages {
    shape: PageShape,
    count: usize,
    layers: Vec<Layer>,
}

/// One layer's memory; floats are f16, in the order of bytes that files have.
pub(crate) enum Layer {
    F16(AlignedBytes),
    Q8 { codes: AlignedBytes, scales: AlignedBytes },
}

impl Pages {
    /// Reserves `count` pages; the system gives the memory when they are first written.
    ///
    /// # Errors
    /// The address space can't be had.
    ///
    /// # Panics
    /// The shape's `head_dim` is no multiple of 32.
    pub fn new(shape: PageShape, count: usize) -> Result<Self, TryReserveError> {
        assert!(shape.head_dim.is_multiple_of(BLOCK), "heads have {} values, no multiple of {BLOCK}", shape.head_dim);
        let values = count.saturating_mul(shape.kv_heads * 2 * shape.plane());
        let layer = |_| match shape.kind {
            CacheKind::F16 => reserve(values.saturating_mul(2)).map(Layer::F16),
            CacheKind::Q8 => Ok(Layer::Q8 { codes: reserve(values)?, scales: reserve(values / BLOCK * 2)? }),
        };
        Ok(Self { shape, count, layers: (0..shape.layers).map(layer).collect::<Result<_, _>>()? })
    }

    #[must_use]
    pub fn shape(&self) -> PageShape {
        self.shape
    }

    #[must_use]
    pub fn count(&self) -> usize {
        self.count
    }

    /// Keeps the keys and values of one layer; `keys` and `values` are rows × `kv_heads` × `head_dim`, one place a row.
    /// What is beyond f16's largest value becomes that.
    ///
    /// # Panics
    /// A place is outside of the pages, or a length does not fit.
    pub fn store(&mut self, compute: &Compute, layer: usize, places: &[Place], keys: &[f32], values: &[f32]) {
        let shape = self.shape;
        for place in places {
            let within = (place.page as usize) < self.count && place.slot < PAGE_TOKENS;
            assert!(within, "{place:?} is outside of {} pages of {PAGE_TOKENS} tokens", self.count);
        }
        let width = shape.kv_heads * shape.head_dim;
        assert_eq!(keys.len(), places.len() * width, "one key per place and head");
        assert_eq!(values.len(), places.len() * width, "one value per place and head");
        // An item is the keys or the values of one head, of all rows: so no two items write the same memory, whatever
        // the places are.
        let planes = shape.kv_heads * 2;
        let parallel = places.len() >= WORTH_SHARING;
        let rows = |item: usize| {
            let source = if item.is_multiple_of(2) { keys } else { values };
            places.iter().enumerate().map(move |(row, place)| {
                let row = &source[row * width + item / 2 * shape.head_dim..][..shape.head_dim];
                (place.page as usize * planes + item, place.slot, row)
            })
        };
        let lane = |item: usize, slot: usize| match item % 2 {
            0 => Lane { start: slot, stride: PAGE_TOKENS },
            _ => Lane { start: slot * shape.head_dim, stride: 1 },
        };
        match &mut self.layers[layer] {
            Layer::F16(halves) => {
                let all = Parts::new(halves.get_mut().as_chunks_mut().0);
                compute.pool.run_if(parallel, planes, &|item| {
                    for (plane, slot, row) in rows(item) {
                        // SAFETY: of all planes of all pages, only this item writes its own.
                        let plane = unsafe { all.chunk(plane, shape.plane()) };
                        write_f16(row, plane, lane(item, slot));
                    }
                });
            }
            Layer::Q8 { codes, scales } => {
                let (codes, scales) = (Parts::new(codes.get_mut()), Parts::new(scales.get_mut().as_chunks_mut().0));
                compute.pool.run_if(parallel, planes, &|item| {
                    for (plane, slot, row) in rows(item) {
                        // SAFETY: of all planes of all pages, only this item writes its own.
                        let (codes, scales) =
                            unsafe { (codes.chunk(plane, shape.plane()), scales.chunk(plane, shape.plane() / BLOCK)) };
                        write_q8(row, (codes, lane(item, slot)), (scales, slot));
                    }
                });
            }
        }
    }

    /// Copies a whole page, in all layers.
    ///
    /// # Panics
    /// A page is outside of the pages.
    pub fn copy(&mut self, from: u32, to: u32) {
        let (from, to) = (from as usize, to as usize);
        assert!(from.max(to) < self.count, "page {from} or {to} is outside of {} pages", self.count);
        for layer in &mut self.layers {
            match layer {
                Layer::F16(halves) => copy_chunk(halves, (from, to), self.count),
                Layer::Q8 { codes, scales } => {
                    copy_chunk(codes, (from, to), self.count);
                    copy_chunk(scales, (from, to), self.count);
                }
            }
        }
    }

    pub(crate) fn layer(&self, layer: usize) -> &Layer {
        &self.layers[layer]
    }
}

/// Zeroed memory, which costs nothing until it is written.
fn reserve(bytes: usize) -> Result<AlignedBytes, TryReserveError> {
    // Memory that is zero is asked for without a way to refuse. So this asks whether there is any.
    Vec::<u8>::new().try_reserve_exact(bytes)?;
    Ok(AlignedBytes::zeroed(bytes))
}

/// Copies one of `count` chunks of equal size over another.
fn copy_chunk(bytes: &mut AlignedBytes, (from, to): (usize, usize), count: usize) {
    let bytes = bytes.get_mut();
    let size = bytes.len() / count;
    bytes.copy_within(from * size..(from + 1) * size, to * size);
}

/// Where the values of one token lie in a plane.
#[derive(Clone, Copy)]
struct Lane {
    start: usize,
    stride: usize,
}

impl Lane {
    fn at(self, index: usize) -> usize {
        self.start + index * self.stride
    }
}

fn write_f16(row: &[f32], plane: &mut [[u8; 2]], lane: Lane) {
    for (index, value) in row.iter().enumerate() {
        plane[lane.at(index)] = finite_f16(*value).to_le_bytes();
    }
}

fn write_q8(row: &[f32], (codes, lane): (&mut [u8], Lane), (scales, slot): (&mut [[u8; 2]], usize)) {
    for (block, values) in row.chunks_exact(BLOCK).enumerate() {
        let largest = values.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
        let scale = finite_f16(largest / 127.0);
        scales[block * PAGE_TOKENS + slot] = scale.to_le_bytes();
        // Of the scale as it is kept. A block that is too small for any scale is zero.
        let inverse = if scale.to_bits() == 0 { 0.0 } else { 1.0 / scale.to_f32() };
        for (index, value) in values.iter().enumerate() {
            let code = (value * inverse).round_ties_even().clamp(-127.0, 127.0);
            codes[lane.at(block * BLOCK + index)] = (code as i8).cast_unsigned();
        }
    }
}

/// Always finite, so that attention may read what it does not see and give it no weight. (What is no number becomes zero; the
/// same row's query is none either, so that is not lost.)
fn finite_f16(value: f32) -> f16 {
    if value.is_nan() { f16::ZERO } else { f16::from_f32(value.clamp(f16::MIN.to_f32(), f16::MAX.to_f32())) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attention::tests::Noise;
    use crate::tier::Tier;

    fn shape(kind: CacheKind) -> PageShape {
        PageShape { layers: 2, kv_heads: 2, head_dim: 64, kind }
    }

    /// What is kept of one head's key (0) or value (1).
    fn kept(pages: &Pages, layer: usize, place: Place, head: usize, which: usize) -> Vec<f32> {
        let dim = pages.shape.head_dim;
        let plane = (place.page as usize * pages.shape.kv_heads + head) * 2 + which;
        let half = |bytes: &AlignedBytes, at: usize| f16::from_le_bytes(bytes.get().as_chunks().0[at]).to_f32();
        let at = |index: usize| match which {
            0 => plane * pages.shape.plane() + index * PAGE_TOKENS + place.slot,
            _ => plane * pages.shape.plane() + place.slot * dim + index,
        };
        let value = |index: usize| match &pages.layers[layer] {
            Layer::F16(halves) => half(halves, at(index)),
            Layer::Q8 { codes, scales } => {
                let scale = (plane * dim / BLOCK + index / BLOCK) * PAGE_TOKENS + place.slot;
                f32::from(codes.get()[at(index)].cast_signed()) * half(scales, scale)
            }
        };
        (0..dim).map(value).collect()
    }

    #[test]
    fn rows_are_kept_within_the_rounding_of_their_kind_in_any_order_of_places() {
        for kind in [CacheKind::F16, CacheKind::Q8] {
            for rows in [1, 5, 50] {
                let compute = Compute::new(2, Tier::best()).unwrap();
                let mut noise = Noise(rows as u64);
                let mut pages = Pages::new(shape(kind), 5).unwrap();
                // 7 and 80 have no common divisor, so no place comes twice.
                let places: Vec<Place> =
                    (0..rows).map(|row| row * 7 % 80).map(|at| Place { page: at as u32 / 16, slot: at % 16 }).collect();
                let (keys, values) = (noise.values(rows * 128, 3.0), noise.values(rows * 128, 300.0));
                pages.store(&compute, 1, &places, &keys, &values);
                for (row, place) in places.iter().enumerate() {
                    for (head, which) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
                        let exact = &[&keys, &values][which][row * 128 + head * 64..][..64];
                        let found = kept(&pages, 1, *place, head, which);
                        for (exact, found) in exact.chunks(BLOCK).zip(found.chunks(BLOCK)) {
                            let largest = exact.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
                            let unit = match kind {
                                CacheKind::F16 => 2.0_f32.powi(-11),
                                CacheKind::Q8 => 0.51 / 127.0,
                            };
                            for (exact, found) in exact.iter().zip(found) {
                                assert!((exact - found).abs() <= largest * unit, "{kind:?}: {found} for {exact}");
                            }
                        }
                        assert!(kept(&pages, 0, *place, head, which).iter().all(|value| *value == 0.0));
                    }
                }
            }
        }
    }

    #[test]
    fn a_page_is_copied_in_all_layers() {
        for kind in [CacheKind::F16, CacheKind::Q8] {
            let compute = Compute::new(1, Tier::best()).unwrap();
            let mut pages = Pages::new(shape(kind), 3).unwrap();
            let places = [Place { page: 0, slot: 3 }];
            for layer in 0..2 {
                let values = Noise(layer as u64).values(256, 1.0);
                pages.store(&compute, layer, &places, &values[..128], &values[128..]);
            }
            pages.copy(0, 2);
            for (layer, which) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
                let first = kept(&pages, layer, places[0], 1, which);
                assert_eq!(kept(&pages, layer, Place { page: 2, slot: 3 }, 1, which), first);
                assert!(first.iter().any(|value| *value != 0.0));
                assert!(kept(&pages, layer, Place { page: 1, slot: 3 }, 1, which).iter().all(|value| *value == 0.0));
            }
        }
    }

    #[test]
    fn what_a_page_takes_is_what_is_reserved() {
        for kind in [CacheKind::F16, CacheKind::Q8] {
            let pages = Pages::new(shape(kind), 4).unwrap();
            let reserved = pages.layers.iter().map(|layer| match layer {
                Layer::F16(halves) => halves.get().len(),
                Layer::Q8 { codes, scales } => codes.get().len() + scales.get().len(),
            });
            assert_eq!(reserved.sum::<usize>(), 4 * shape(kind).page_bytes());
        }
    }

    #[test]
    fn more_pages_than_addresses_are_refused() {
        assert!(Pages::new(shape(CacheKind::F16), usize::MAX / 2).is_err());
    }

    #[test]
    #[should_panic(expected = "outside of 3 pages")]
    fn a_place_outside_is_refused() {
        let mut pages = Pages::new(shape(CacheKind::F16), 3).unwrap();
        let compute = Compute::new(1, Tier::Portable).unwrap();
        pages.store(&compute, 0, &[Place { page: 3, slot: 0 }], &[0.0; 128], &[0.0; 128]);
    }
}
