use proptest::prelude::*;

use super::*;
use crate::pages::{CacheKind, Place};
use crate::tier::Tier;

/// A small generator, so that a case is its seed.
pub(crate) struct Noise(pub u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 33
    }

    fn below(&mut self, bound: usize) -> usize {
        self.next() as usize % bound
    }

    /// Between -1 and 1.
    fn value(&mut self) -> f32 {
        self.next() as f32 / (1_u64 << 30) as f32 - 1.0
    }

    pub(crate) fn values(&mut self, count: usize, largest: f32) -> Vec<f32> {
        (0..count).map(|_| self.value() * largest).collect()
    }
}

/// One chat: queries, keys and values of all its tokens, and shuffled pages for them.
struct Chat {
    queries: Vec<f32>,
    keys: Vec<f32>,
    values: Vec<f32>,
    pages: Vec<u32>,
    tokens: usize,
}

struct World {
    shape: PageShape,
    heads: usize,
    chats: Vec<Chat>,
    page_count: usize,
}

impl World {
    fn new(seed: u64, shape: PageShape, group: usize, tokens: &[usize]) -> Self {
        let mut noise = Noise(seed);
        let page_count = tokens.iter().map(|tokens| tokens.div_ceil(PAGE_TOKENS)).sum::<usize>() + 3;
        let mut free: Vec<u32> = (0..page_count as u32).collect();
        for index in 1..free.len() {
            free.swap(index, noise.below(index + 1));
        }
        let (heads, dim) = (shape.kv_heads * group, shape.head_dim);
        let chats = tokens.iter().map(|tokens| Chat {
            queries: noise.values(tokens * heads * dim, 2.0),
            keys: noise.values(tokens * shape.kv_heads * dim, 2.0),
            values: noise.values(tokens * shape.kv_heads * dim, 3.0),
            pages: free.split_off(free.len() - tokens.div_ceil(PAGE_TOKENS)),
            tokens: *tokens,
        });
        Self { shape, heads, chats: chats.collect(), page_count }
    }

    fn scale(&self) -> f32 {
        (self.shape.head_dim as f32).sqrt().recip()
    }

    /// Pages that nobody has written yet, but filled with what another sequence left there.
    fn dirty_pages(&self, compute: &Compute) -> Pages {
        let mut pages = Pages::new(self.shape, self.page_count).unwrap();
        let places: Vec<Place> = (0..self.page_count as u32)
            .flat_map(|page| (0..PAGE_TOKENS).map(move |slot| Place { page, slot }))
            .collect();
        let values = Noise(7).values(places.len() * self.shape.kv_heads * self.shape.head_dim, 60_000.0);
        for layer in 0..self.shape.layers {
            pages.store(compute, layer, &places, &values, &values);
        }
        pages
    }

    /// Runs steps, each a list of (chat, rows), and returns each chat's results.
    fn run(&self, compute: &Compute, pages: &mut Pages, steps: &[Vec<(usize, usize)>]) -> Vec<Vec<f32>> {
        let row = self.heads * self.shape.head_dim;
        let kv_row = self.shape.kv_heads * self.shape.head_dim;
        let layer = self.shape.layers - 1;
        let mut results: Vec<Vec<f32>> = self.chats.iter().map(|_| Vec::new()).collect();
        for step in steps {
            let (mut spans, mut queries, mut total) = (Vec::new(), Vec::new(), 0);
            for (chat, rows) in step {
                let (position, chat) = (results[*chat].len() / row, &self.chats[*chat]);
                let places: Vec<Place> = (position..position + rows)
                    .map(|at| Place { page: chat.pages[at / PAGE_TOKENS], slot: at % PAGE_TOKENS })
                    .collect();
                let kept = position * kv_row..(position + rows) * kv_row;
                pages.store(compute, layer, &places, &chat.keys[kept.clone()], &chat.values[kept]);
                queries.extend_from_slice(&chat.queries[position * row..(position + rows) * row]);
                spans.push(AttentionSpan { pages: &chat.pages, row: total, rows: *rows, position });
                total += rows;
            }
            let mut out = vec![f32::NAN; queries.len()];
            let queries = Queries { values: &queries, heads: self.heads, scale: self.scale() };
            compute.attend(pages, layer, &spans, &queries, &mut out);
            let mut rest = &out[..];
            for (chat, rows) in step {
                let (mine, others) = rest.split_at(rows * row);
                results[*chat].extend_from_slice(mine);
                rest = others;
            }
        }
        results
    }

    fn in_one_go(&self, compute: &Compute) -> Vec<Vec<f32>> {
        let step = self.chats.iter().enumerate().map(|(chat, of)| (chat, of.tokens)).collect();
        self.run(compute, &mut self.dirty_pages(compute), &[step])
    }

    /// One query's attention in f64.
    fn exact(&self, chat: usize, row: usize, head: usize) -> Vec<f64> {
        let (dim, chat) = (self.shape.head_dim, &self.chats[chat]);
        let kv_head = head / (self.heads / self.shape.kv_heads);
        let query = &chat.queries[(row * self.heads + head) * dim..][..dim];
        let of = |all: &'_ [f32], at: usize| all[(at * self.shape.kv_heads + kv_head) * dim..][..dim].to_vec();
        let dot = |key: Vec<f32>| query.iter().zip(&key).map(|(q, k)| f64::from(*q) * f64::from(*k)).sum::<f64>();
        let scores: Vec<f64> = (0..=row).map(|at| dot(of(&chat.keys, at)) * f64::from(self.scale())).collect();
        let peak = scores.iter().copied().fold(f64::MIN, f64::max);
        let weights: Vec<f64> = scores.iter().map(|score| (score - peak).exp()).collect();
        let mut out = vec![0.0; dim];
        for (at, weight) in weights.iter().enumerate() {
            for (out, value) in out.iter_mut().zip(of(&chat.values, at)) {
                *out += weight * f64::from(value);
            }
        }
        let sum: f64 = weights.iter().sum();
        out.iter().map(|out| out / sum).collect()
    }

    /// Largest difference to the exact results, over some rows of all chats.
    fn error(&self, results: &[Vec<f32>]) -> f64 {
        let dim = self.shape.head_dim;
        let mut error = 0.0_f64;
        for (chat, of) in self.chats.iter().enumerate() {
            assert_eq!(results[chat].len(), of.tokens * self.heads * dim);
            for row in (0..of.tokens).step_by(1 + of.tokens / 9).chain([of.tokens - 1]) {
                for head in 0..self.heads {
                    let result = &results[chat][(row * self.heads + head) * dim..][..dim];
                    for (result, exact) in result.iter().zip(self.exact(chat, row, head)) {
                        assert!(result.is_finite());
                        error = error.max((f64::from(*result) - exact).abs());
                    }
                }
            }
        }
        error
    }
}

fn shape(kv_heads: usize, head_dim: usize, kind: CacheKind) -> PageShape {
    PageShape { layers: 2, kv_heads, head_dim, kind }
}

fn compute(threads: usize, tier: Tier) -> Compute {
    Compute::new(threads, tier).unwrap()
}

/// The error that rounding keys and values to what pages keep can cause, here with keys under 2, queries under 2 and
/// values under 3.
///
/// A score is the mean-free sum of `dim` products over √dim, so its error is that of one product times what a sum of
/// independent ones strays: six standard deviations of uniform errors with uniform queries. It moves a weight by that factor,
/// and so a result by at most that times the range of the values; their own error comes on top.
fn bound(kind: CacheKind) -> f64 {
    // Relative to the largest of a block: half a unit of f16's eleven bits; for codes half a step, and the scale's own.
    let unit = match kind {
        CacheKind::F16 => 2.0_f64.powi(-12),
        CacheKind::Q8 => 0.5 / 127.0 + 2.0_f64.powi(-12),
    };
    let (key, query, value) = (2.0 * unit, 2.0, 3.0);
    let score = 6.0 * (key / 3.0_f64.sqrt()) * (query / 3.0_f64.sqrt());
    2.0 * value * score + value * unit
}

#[test]
fn results_are_those_of_plain_attention_in_double_precision() {
    for tier in Tier::available() {
        let compute = compute(2, tier);
        for (seed, (group, head_dim)) in
            [(1, 64), (2, 128), (6, 96), (7, 64), (7, 32), (3, 160)].into_iter().enumerate()
        {
            for kind in [CacheKind::F16, CacheKind::Q8] {
                let world = World::new(seed as u64, shape(2, head_dim, kind), group, &[1, 300, 17, 530, 256]);
                let (error, bound) = (world.error(&world.in_one_go(&compute)), bound(kind));
                assert!(error < bound, "{tier:?} {kind:?} group {group} dim {head_dim}: {error:e}, over {bound:e}");
            }
        }
    }
}

#[test]
fn one_query_far_in_is_exact_for_any_number_of_threads() {
    let world = World::new(3, shape(2, 64, CacheKind::F16), 7, &[1500]);
    let mut before: Option<Vec<Vec<f32>>> = None;
    for threads in [1, 2, 3, 7] {
        let compute = compute(threads, Tier::best());
        let steps = [vec![(0, 1499)], vec![(0, 1)]];
        let results = world.run(&compute, &mut world.dirty_pages(&compute), &steps);
        assert!(world.error(&results) < bound(CacheKind::F16));
        assert_eq!(*before.get_or_insert_with(|| results.clone()), results, "{threads} threads");
    }
}

#[test]
fn tiers_differ_by_rounding_only() {
    for kind in [CacheKind::F16, CacheKind::Q8] {
        let world = World::new(11, shape(1, 96, kind), 6, &[400, 33]);
        let plain = world.in_one_go(&compute(1, Tier::Portable));
        for tier in Tier::available() {
            let results = world.in_one_go(&compute(1, tier));
            for (plain, result) in plain.iter().flatten().zip(results.iter().flatten()) {
                // Scores of sums of 96 products, each rounded once more: some hundred times f32's unit, times the values.
                assert!((plain - result).abs() < 3.0 * 300.0 * f32::EPSILON, "{tier:?} {kind:?}: {result} for {plain}");
            }
        }
    }
}

#[test]
fn avx2_and_its_sister_are_equal() {
    let tiers = Tier::available();
    if tiers.contains(&Tier::AvxVnni) {
        let world = World::new(5, shape(2, 64, CacheKind::F16), 2, &[77]);
        assert_eq!(world.in_one_go(&compute(1, Tier::Avx2)), world.in_one_go(&compute(1, Tier::AvxVnni)));
    }
}

#[test]
fn a_copied_page_serves_as_well_as_the_first_one() {
    for kind in [CacheKind::F16, CacheKind::Q8] {
        let compute = compute(2, Tier::best());
        let mut world = World::new(9, shape(2, 64, kind), 2, &[40]);
        let mut pages = world.dirty_pages(&compute);
        let first = world.run(&compute, &mut pages, &[vec![(0, 40)]]);
        // The last page moves to one that nobody has used.
        let (last, free) = (world.chats[0].pages[2], (0..6).find(|page| !world.chats[0].pages.contains(page)).unwrap());
        pages.copy(last, free);
        world.chats[0].pages[2] = free;
        let span = AttentionSpan { pages: &world.chats[0].pages, row: 0, rows: 40, position: 0 };
        let queries = Queries { values: &world.chats[0].queries, heads: world.heads, scale: world.scale() };
        let mut out = vec![f32::NAN; queries.values.len()];
        compute.attend(&pages, 1, &[span], &queries, &mut out);
        assert_eq!(first[0], out);
    }
}

#[test]
fn rows_of_no_span_stay_as_they_are() {
    let compute = compute(2, Tier::best());
    let pages = Pages::new(shape(1, 32, CacheKind::F16), 1).unwrap();
    let values = [0.5; 96];
    let spans = [AttentionSpan { pages: &[0], row: 1, rows: 1, position: 0 }];
    let mut out = [7.0; 96];
    compute.attend(&pages, 0, &spans, &Queries { values: &values, heads: 1, scale: 1.0 }, &mut out);
    assert_eq!((&out[..32], &out[64..]), (&[7.0; 32][..], &[7.0; 32][..]));
    assert_eq!(out[32..64], [0.0; 32]);
}

#[test]
fn huge_scores_and_values_stay_finite() {
    let shape = shape(1, 32, CacheKind::F16);
    for tier in Tier::available() {
        let compute = compute(1, tier);
        let mut pages = Pages::new(shape, 1).unwrap();
        let places = [Place { page: 0, slot: 0 }, Place { page: 0, slot: 1 }];
        let (mut keys, values) = (vec![1e6; 64], vec![1e9; 64]);
        keys[32..].fill(-1e6);
        pages.store(&compute, 1, &places, &keys, &values);
        let mut out = [0.0; 64];
        let spans = [AttentionSpan { pages: &[0], row: 0, rows: 2, position: 0 }];
        compute.attend(&pages, 1, &spans, &Queries { values: &[100.0; 64], heads: 1, scale: 1.0 }, &mut out);
        assert_eq!(out, [65504.0; 64], "{tier:?}");
    }
}

#[test]
#[should_panic(expected = "spans overlap")]
fn spans_that_overlap_are_refused() {
    let pages = Pages::new(shape(1, 32, CacheKind::F16), 1).unwrap();
    let span = || AttentionSpan { pages: &[0], row: 0, rows: 1, position: 0 };
    let queries = Queries { values: &[0.0; 64], heads: 1, scale: 1.0 };
    compute(1, Tier::Portable).attend(&pages, 0, &[span(), span()], &queries, &mut [0.0; 64]);
}

#[test]
#[should_panic(expected = "outside of 1 pages")]
fn a_page_that_is_not_there_is_refused() {
    let pages = Pages::new(shape(1, 32, CacheKind::F16), 1).unwrap();
    let spans = [AttentionSpan { pages: &[1], row: 0, rows: 1, position: 0 }];
    let queries = Queries { values: &[0.0; 32], heads: 1, scale: 1.0 };
    compute(1, Tier::Portable).attend(&pages, 0, &spans, &queries, &mut [0.0; 32]);
}

/// Cuts the chats into steps at random: any number of rows of any number of chats at a time.
fn random_steps(noise: &mut Noise, world: &World) -> Vec<Vec<(usize, usize)>> {
    let mut left: Vec<usize> = world.chats.iter().map(|chat| chat.tokens).collect();
    let mut steps = Vec::new();
    while left.iter().any(|left| *left > 0) {
        let mut step = Vec::new();
        for (chat, left) in left.iter_mut().enumerate() {
            let most = [1, 3, 40, 300][noise.below(4)];
            let rows = (1 + noise.below(most)).min(*left);
            if rows > 0 && noise.below(3) > 0 {
                *left -= rows;
                step.push((chat, rows));
            }
        }
        steps.push(step);
    }
    steps
}

#[test]
fn token_by_token_gives_the_bits_of_one_go() {
    for kind in [CacheKind::F16, CacheKind::Q8] {
        for tier in Tier::available() {
            let world = World::new(21, shape(2, 64, kind), 3, &[290]);
            let single: Vec<_> = (0..290).map(|_| vec![(0, 1)]).collect();
            let compute = compute(2, tier);
            let stepped = world.run(&compute, &mut world.dirty_pages(&compute), &single);
            assert_eq!(stepped, world.in_one_go(&compute), "{tier:?} {kind:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn results_do_not_depend_on_steps_company_or_threads(
        seed: u64,
        kv_heads in 1..3_usize,
        group in prop::sample::select(vec![1, 2, 6, 7]),
        head_dim in prop::sample::select(vec![32, 64, 96, 128]),
        q8: bool,
        tokens in prop::collection::vec(1..600_usize, 1..4),
        threads in 1..4_usize,
    ) {
        let kind = if q8 { CacheKind::Q8 } else { CacheKind::F16 };
        let world = World::new(seed, shape(kv_heads, head_dim, kind), group, &tokens);
        let steps = random_steps(&mut Noise(seed ^ 1), &world);
        for tier in [Tier::best(), Tier::Avx2] {
            if !Tier::available().contains(&tier) {
                continue;
            }
            let alone = world.in_one_go(&compute(1, tier));
            let compute = compute(threads, tier);
            let together = world.run(&compute, &mut world.dirty_pages(&compute), &steps);
            prop_assert!(alone == together, "{:?}, steps {:?}", tier, steps);
            prop_assert!(world.error(&together) < bound(kind));
        }
    }
}
