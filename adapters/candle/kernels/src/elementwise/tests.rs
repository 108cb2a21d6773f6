use proptest::prelude::*;

use super::*;
use crate::attention::tests::Noise;
use crate::tier::Tier;

fn compute(threads: usize, tier: Tier) -> Compute {
    Compute::new(threads, tier).unwrap()
}

fn normed(x: &[f32], weight: &[f32], epsilon: f32) -> Vec<f64> {
    let mean = x.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>() / x.len() as f64;
    let scale = 1.0 / (mean + f64::from(epsilon)).sqrt();
    x.iter().zip(weight).map(|(x, weight)| f64::from(*x) * scale * f64::from(*weight)).collect()
}

fn rotation(noise: &mut Noise, style: RotationStyle, (rows, dimensions): (usize, usize)) -> Rotation {
    let angles = noise.values(rows * dimensions / 2, 3.0);
    let (sin, cos) = angles.iter().map(|angle| angle.sin_cos()).unzip();
    Rotation { style, dimensions, cos, sin }
}

/// What [`Compute::rotate`] should do to one head of a row.
fn rotated(head: &[f64], row: usize, by: &Rotation) -> Vec<f64> {
    let pairs = by.dimensions / 2;
    let mut out = head.to_vec();
    for pair in 0..pairs {
        let (cos, sin) = (f64::from(by.cos[row * pairs + pair]), f64::from(by.sin[row * pairs + pair]));
        let (a, b) = match by.style {
            RotationStyle::Neighbours => (2 * pair, 2 * pair + 1),
            RotationStyle::Halves => (pair, pair + pairs),
        };
        (out[a], out[b]) = (head[a] * cos - head[b] * sin, head[a] * sin + head[b] * cos);
    }
    out
}

#[track_caller]
fn assert_near(found: &[f32], exact: &[f64], what: &str) {
    assert_eq!(found.len(), exact.len());
    let largest = exact.iter().fold(0.0_f64, |largest, exact| largest.max(exact.abs()));
    for (index, (found, exact)) in found.iter().zip(exact).enumerate() {
        // Some roundings, relative to the largest: a rotation may cancel.
        let error = (f64::from(*found) - exact).abs();
        assert!(error <= largest * 8.0 * f64::from(f32::EPSILON), "{what}: {found} for {exact} at {index}");
    }
}

#[test]
fn rows_are_normed_as_in_double_precision_and_encoded() {
    for tier in Tier::available() {
        for (rows, width) in [(1, 32), (3, 96), (5, 896), (40, 1536), (2, 4096)] {
            let mut noise = Noise(rows as u64);
            let (x, weight) = (noise.values(rows * width, 5.0), noise.values(width, 2.0));
            let mut out = Activations::new(width);
            compute(2, tier).rms_norm(&x, &weight, 1e-6, &mut out);
            assert_eq!(out.rows(), rows);
            for (x, out) in x.chunks(width).zip(out.values().chunks(width)) {
                assert_near(out, &normed(x, &weight, 1e-6), &format!("{tier:?}, rows of {width}"));
            }
        }
    }
}

#[test]
fn a_row_of_zeros_stays_zero() {
    let mut out = Activations::new(64);
    compute(1, Tier::best()).rms_norm(&[0.0; 64], &[1.0; 64], 1e-6, &mut out);
    assert!(out.values().iter().all(|out| *out == 0.0));
}

#[test]
fn no_rows_are_no_work() {
    let mut out = Activations::new(64);
    let compute = compute(2, Tier::best());
    compute.rms_norm(&[], &[1.0; 64], 1e-6, &mut out);
    let none = Rotation { style: RotationStyle::Halves, dimensions: 64, cos: Vec::new(), sin: Vec::new() };
    compute.rotate(&mut [], 64, None, &none);
    assert_eq!(out.rows(), 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn heads_are_normed_and_then_rotated(
        seed: u64,
        rows in 1..40_usize,
        heads in 1..5_usize,
        head_dim in prop::sample::select(vec![32, 64, 96, 128]),
        part in prop::sample::select(vec![2, 1]),
        neighbours: bool,
        with_norm: bool,
    ) {
        let mut noise = Noise(seed);
        let style = if neighbours { RotationStyle::Neighbours } else { RotationStyle::Halves };
        let by = rotation(&mut noise, style, (rows, head_dim / part));
        let (x, weight) = (noise.values(rows * heads * head_dim, 4.0), noise.values(head_dim, 2.0));
        for tier in Tier::available() {
            let mut out = x.clone();
            let norm = with_norm.then_some(HeadNorm { weight: &weight, epsilon: 1e-5 });
            compute(2, tier).rotate(&mut out, head_dim, norm, &by);
            for (index, (x, out)) in x.chunks(head_dim).zip(out.chunks(head_dim)).enumerate() {
                let x = match norm {
                    Some(_) => normed(x, &weight, 1e-5),
                    None => x.iter().map(|x| f64::from(*x)).collect(),
                };
                assert_near(out, &rotated(&x, index / heads, &by), &format!("{tier:?} {style:?}"));
            }
        }
    }

    #[test]
    fn a_row_comes_out_the_same_whoever_is_beside_it(seed: u64, rows in 2..60_usize, threads in 1..4_usize) {
        let mut noise = Noise(seed);
        let (x, weight) = (noise.values(rows * 96, 4.0), noise.values(96, 2.0));
        let by = rotation(&mut noise, RotationStyle::Halves, (rows, 32));
        let norm = HeadNorm { weight: &weight[..32], epsilon: 1e-5 };
        for tier in Tier::available() {
            let (all, alone) = (compute(threads, tier), compute(1, tier));
            let (mut together, mut single) = (Activations::new(96), Activations::new(96));
            all.rms_norm(&x, &weight, 1e-6, &mut together);
            let mut heads = x.clone();
            all.rotate(&mut heads, 32, Some(norm), &by);
            for (row, x) in x.chunks(96).enumerate() {
                alone.rms_norm(x, &weight, 1e-6, &mut single);
                prop_assert_eq!(single.values(), &together.values()[row * 96..][..96]);
                let own = Rotation { cos: by.cos[row * 16..][..16].into(), sin: by.sin[row * 16..][..16].into(), ..by };
                let mut x = x.to_vec();
                alone.rotate(&mut x, 32, Some(norm), &own);
                prop_assert_eq!(&x, &heads[row * 96..][..96]);
            }
        }
    }
}
