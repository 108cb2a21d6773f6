//! Attention of one layer, and what a region of the pool costs. Bytes are those of keys and values, elements the
//! multiplications of scores and sums (two operations each).
//!
//! `cargo bench -p magpie-kernels --bench attention`

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use magpie_kernels::{AttentionSpan, CacheKind, Compute, PAGE_TOKENS, PageShape, Pages, Place, Pool, Queries, Tier};

/// As in a model of 1.5 thousand million parameters.
const HEADS: usize = 12;
const KV_HEADS: usize = 2;
const HEAD_DIM: usize = 128;

/// Chats that lie at some depth, in pages of their own.
struct Chats {
    pages: Pages,
    tables: Vec<Vec<u32>>,
    layers: usize,
}

impl Chats {
    /// As many layers as it takes to be larger than the caches, which a model's weights sweep out in between.
    fn new(compute: &Compute, kind: CacheKind, (chats, tokens): (usize, usize)) -> Self {
        let layers = ((96 << 20) / (chats * tokens * KV_HEADS * HEAD_DIM * 4)).clamp(1, 24);
        let shape = PageShape { layers, kv_heads: KV_HEADS, head_dim: HEAD_DIM, kind };
        let each = tokens.div_ceil(PAGE_TOKENS);
        let mut pages = Pages::new(shape, chats * each).expect("there is memory");
        let places: Vec<Place> = (0..chats * each * PAGE_TOKENS)
            .map(|at| Place { page: (at / PAGE_TOKENS) as u32, slot: at % PAGE_TOKENS })
            .collect();
        let kept: Vec<f32> =
            (0..places.len() * KV_HEADS * HEAD_DIM).map(|at| (at % 251) as f32 / 125.0 - 1.0).collect();
        for layer in 0..layers {
            pages.store(compute, layer, &places, &kept, &kept);
        }
        // Interleaved, as chats that grow side by side get them.
        let tables = (0..chats).map(|chat| (0..each).map(|page| (page * chats + chat) as u32).collect()).collect();
        Self { pages, tables, layers }
    }

    /// All layers, with `rows` rows per chat.
    fn attend(&self, compute: &Compute, (position, rows): (usize, usize), values: &[f32], out: &mut [f32]) {
        let spans: Vec<AttentionSpan> = self
            .tables
            .iter()
            .enumerate()
            .map(|(chat, pages)| AttentionSpan { pages, row: chat * rows, rows, position })
            .collect();
        for layer in 0..self.layers {
            let queries = Queries { values, heads: HEADS, scale: 0.09 };
            compute.attend(&self.pages, layer, &spans, &queries, out);
        }
    }
}

fn compute(tier: Tier) -> Compute {
    Compute::new(0, tier).expect("threads can be started")
}

fn decode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decode");
    for tier in Tier::available() {
        if tier == Tier::AvxVnni {
            continue; // the code of AVX2
        }
        for (kind, chats, depth) in [
            (CacheKind::F16, 1, 512),
            (CacheKind::F16, 1, 2048),
            (CacheKind::F16, 1, 8192),
            (CacheKind::F16, 8, 2048),
            (CacheKind::Q8, 1, 2048),
        ] {
            let compute = compute(tier);
            let world = Chats::new(&compute, kind, (chats, depth));
            let values: Vec<f32> = (0..chats * HEADS * HEAD_DIM).map(|at| (at % 17) as f32 / 8.0 - 1.0).collect();
            let mut out = vec![0.0; values.len()];
            let page = world.pages.shape().page_bytes() * chats * depth / PAGE_TOKENS;
            group.throughput(Throughput::Bytes(page as u64));
            group.bench_function(format!("{}/{kind:?}/{chats} at {depth}", tier.name()), |bencher| {
                bencher.iter(|| world.attend(&compute, (depth - 1, 1), black_box(&values), &mut out));
            });
        }
    }
}

fn prefill(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("prefill");
    const ROWS: usize = 512;
    for tier in Tier::available() {
        if tier == Tier::AvxVnni {
            continue; // the code of AVX2
        }
        for (kind, depth) in [(CacheKind::F16, 0), (CacheKind::F16, 2048), (CacheKind::Q8, 2048)] {
            let compute = compute(tier);
            let world = Chats { layers: 1, ..Chats::new(&compute, kind, (1, depth + ROWS)) };
            let values: Vec<f32> = (0..ROWS * HEADS * HEAD_DIM).map(|at| (at % 17) as f32 / 8.0 - 1.0).collect();
            let mut out = vec![0.0; values.len()];
            let seen = ROWS * depth + ROWS * (ROWS + 1) / 2;
            group.throughput(Throughput::Elements((seen * HEADS * HEAD_DIM * 2) as u64));
            group.bench_function(format!("{}/{kind:?}/{ROWS} at {depth}", tier.name()), |bencher| {
                bencher.iter(|| world.attend(&compute, (depth, ROWS), black_box(&values), &mut out));
            });
        }
    }
}

fn region(criterion: &mut Criterion) {
    let pool = Pool::new(0).expect("threads can be started");
    criterion.bench_function("region of as many items as threads", |bencher| {
        bencher.iter(|| pool.run(pool.threads(), &|item| _ = black_box(item)));
    });
}

fn quick() -> Criterion {
    Criterion::default()
        .warm_up_time(Duration::from_millis(100))
        .measurement_time(Duration::from_millis(400))
        .sample_size(20)
}

criterion_group!(name = benches; config = quick(); targets = region, decode, prefill);
criterion_main!(benches);
