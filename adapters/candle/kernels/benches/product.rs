//! Products of the shapes of a small model: bytes of weights a second with one row of input, beside a plain read of as
//! many bytes, and multiplications with many rows; all formats on the best tier, three on the others; and packing.

use std::hint::black_box;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use magpie_kernels::{Activations, Compute, Format, Matrix, Pool, Product, Tier, Write};

/// Outputs and inputs: the larger does not fit any cache.
const NARROW: (usize, usize) = (1536, 8960);
const VOCABULARY: (usize, usize) = (151_936, 1536);
const COMMON: [Format; 4] = [Format::Q8_0, Format::Q4_0, Format::Q4_K, Format::Q6_K];

fn file(format: Format, (rows, cols): (usize, usize)) -> Vec<u8> {
    // Small numbers in every encoding: no scale is infinite.
    (0..format.file_bytes(rows, cols)).map(|i| (i.wrapping_mul(0x9e37_79b1) >> 13) as u8 & 0x3b).collect()
}

fn multiply(compute: &Compute, matrix: &Matrix, rows: usize) -> impl FnMut() {
    let mut x = Activations::new(matrix.cols());
    x.resize(rows);
    x.values_mut().iter_mut().enumerate().for_each(|(i, value)| *value = (i % 97) as f32 - 48.0);
    x.encode(compute);
    let mut out = vec![0.0; rows * matrix.rows()];
    move || {
        let product = Product { weights: matrix, bias: None, out: &mut out, write: Write::Replace };
        compute.multiply(&x, &mut [product]);
        black_box(&out);
    }
}

/// Reads as much memory as the weights take, on all threads.
fn read(pool: &Pool, bytes: usize) -> impl FnMut() {
    const PART: usize = 64 << 10;
    let words = vec![1u64; bytes / 8];
    move || {
        pool.run(words.len().div_ceil(PART), &|part| {
            let part = &words[part * PART..words.len().min((part + 1) * PART)];
            black_box(part.iter().fold(0, |sum, word| sum | word));
        });
    }
}

fn decode(c: &mut Criterion) {
    let compute = Compute::new(0, Tier::best()).expect("threads start");
    let mut group = c.benchmark_group("decode");
    let bytes = Format::Q4_0.packed_bytes(VOCABULARY.0, VOCABULARY.1);
    let pool = Pool::new(0).expect("threads start");
    group.throughput(Throughput::Bytes(bytes as u64));
    let mut once = read(&pool, bytes);
    group.bench_function("plain read", |b| b.iter(&mut once));
    for format in Format::ALL {
        one_row(&mut group, &compute, format, VOCABULARY);
    }
    for tier in Tier::available().into_iter().filter(|tier| *tier != Tier::best()) {
        one_row(&mut group, &Compute::new(0, tier).expect("threads start"), Format::Q4_K, VOCABULARY);
    }
}

fn one_row(group: &mut BenchmarkGroup<'_, WallTime>, compute: &Compute, format: Format, shape: (usize, usize)) {
    let matrix = Matrix::pack(compute, format, &file(format, shape), shape).expect("the shape fits");
    group.throughput(Throughput::Bytes(matrix.bytes() as u64));
    let name = BenchmarkId::new(compute.tier().name(), format!("{format:?}"));
    let mut once = multiply(compute, &matrix, 1);
    group.bench_function(name, |b| b.iter(&mut once));
}

fn many_rows(c: &mut Criterion) {
    let mut group = c.benchmark_group("multiplications");
    for tier in Tier::available() {
        let compute = Compute::new(0, tier).expect("threads start");
        for format in if tier == Tier::best() { &Format::ALL[..] } else { &COMMON } {
            let matrix = Matrix::pack(&compute, *format, &file(*format, NARROW), NARROW).expect("the shape fits");
            for rows in [8, 16, 512] {
                group.throughput(Throughput::Elements((rows * NARROW.0 * NARROW.1) as u64));
                let name = BenchmarkId::new(tier.name(), format!("{format:?}/{rows}"));
                let mut once = multiply(&compute, &matrix, rows);
                group.bench_function(name, |b| b.iter(&mut once));
            }
        }
    }
}

fn pack(c: &mut Criterion) {
    let compute = Compute::new(1, Tier::best()).expect("threads start");
    let mut group = c.benchmark_group("pack on one thread");
    for format in Format::ALL {
        let raw = file(format, NARROW);
        group.throughput(Throughput::Bytes(raw.len() as u64));
        group.bench_function(format!("{format:?}"), |b| b.iter(|| Matrix::pack(&compute, format, &raw, NARROW)));
    }
}

criterion_group! {
    name = products;
    config = Criterion::default()
        .sample_size(10)
        .warm_up_time(std::time::Duration::from_millis(100))
        .measurement_time(std::time::Duration::from_millis(300));
    targets = decode, many_rows, pack
}
criterion_main!(products);
