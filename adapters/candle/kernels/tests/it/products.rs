//! Products, against sums in f64 and against one another.

use magpie_kernels::{Activations, Compute, Format, Matrix, Product, Tier, Write};

use crate::blocks::{self, Random};

/// A packed matrix beside its values.
struct Weights {
    matrix: Matrix,
    values: Vec<f32>,
}

fn weights(compute: &Compute, format: Format, shape: (usize, usize), seed: u64) -> Weights {
    let raw = blocks::random(format, shape, seed);
    Weights {
        matrix: Matrix::pack(compute, format, &raw, shape).expect("the blocks fit the shape"),
        values: blocks::decode(format, &raw),
    }
}

fn input(compute: &Compute, values: &[f32], width: usize) -> Activations {
    let mut x = Activations::new(width);
    x.resize(values.len() / width);
    x.values_mut().copy_from_slice(values);
    x.encode(compute);
    x
}

fn multiply(compute: &Compute, values: &[f32], matrix: &Matrix) -> Vec<f32> {
    let x = input(compute, values, matrix.cols());
    let mut out = vec![f32::NAN; x.rows() * matrix.rows()];
    compute.multiply(&x, &mut [Product { weights: matrix, bias: None, out: &mut out, write: Write::Replace }]);
    out
}

/// What a row is multiplied as: its values, or its codes times their scale.
fn as_multiplied(format: Format, x: &[f32]) -> Vec<f32> {
    if matches!(format, Format::F32 | Format::F16 | Format::BF16) {
        return x.to_vec();
    }
    let encode = |block: &[f32]| {
        let largest = block.iter().fold(0f32, |largest, value| largest.max(value.abs()));
        let (scale, factor) = if largest == 0.0 { (0.0, 0.0) } else { (largest / 127.0, 127.0 / largest) };
        block.iter().map(|value| (value * factor).round_ties_even() * scale).collect::<Vec<_>>()
    };
    x.chunks(32).flat_map(encode).collect()
}

/// The sum in f64, and a bound of how far a sum in f32 may be from it: each of its operations errs by half a unit in the
/// last place of numbers no greater than the sums of magnitudes, codes counted without their offset or minimum.
fn exact(weights: &[f32], x: &[f32]) -> (f64, f64) {
    let sum = weights.iter().zip(x).map(|(w, x)| f64::from(*w) * f64::from(*x)).sum();
    let magnitude: f64 = weights
        .chunks(32)
        .zip(x.chunks(32))
        .map(|(w, x)| {
            let largest = w.iter().fold(0f32, |largest, w| largest.max(w.abs()));
            f64::from(4.0 * largest) * x.iter().map(|x| f64::from(x.abs())).sum::<f64>()
        })
        .sum();
    let operations = (weights.len() / 16 + 40) as f64;
    (sum, operations * magnitude * f64::from(f32::EPSILON) / 2.0)
}

fn columns_of(format: Format) -> &'static [usize] {
    if format.block_values() == 256 { &[256, 512, 1280] } else { &[32, 96, 256, 288, 512, 896] }
}

#[test]
fn products_are_exact_but_for_rounding_on_every_tier() {
    for tier in Tier::available() {
        let compute = Compute::new(2, tier).unwrap();
        for format in Format::ALL {
            for (&cols, outputs) in columns_of(format).iter().zip([16, 1, 33, 47, 24, 64]) {
                let weights = weights(&compute, format, (outputs, cols), 3);
                let values = Random::new(cols as u64).values(17 * cols);
                for rows in 1..=17 {
                    let values = &values[..rows * cols];
                    let out = multiply(&compute, values, &weights.matrix);
                    for (x, out) in values.chunks(cols).zip(out.chunks(outputs)) {
                        let x = as_multiplied(format, x);
                        for (weights, out) in weights.values.chunks(cols).zip(out) {
                            let (sum, bound) = exact(weights, &x);
                            let error = (f64::from(*out) - sum).abs();
                            assert!(
                                error <= bound,
                                "{tier:?} {format:?} {cols} × {outputs}: {out}, not {sum} ± {bound}"
                            );
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn encoding_adds_half_a_code_of_error_a_value_at_most() {
    let compute = Compute::new(1, Tier::best()).unwrap();
    let (cols, outputs) = (512, 32);
    for format in Format::ALL {
        let weights = weights(&compute, format, (outputs, cols), 5);
        let x = Random::new(6).values(cols);
        let out = multiply(&compute, &x, &weights.matrix);
        for (weights, out) in weights.values.chunks(cols).zip(&out) {
            let (sum, rounding) = exact(weights, &x);
            let half_codes: f64 = weights
                .chunks(32)
                .zip(x.chunks(32))
                .map(|(w, x)| {
                    let largest = x.iter().fold(0f32, |largest, x| largest.max(x.abs()));
                    f64::from(largest / 254.0 * 1.001) * w.iter().map(|w| f64::from(w.abs())).sum::<f64>()
                })
                .sum();
            assert!((f64::from(*out) - sum).abs() <= half_codes + rounding, "{format:?}");
        }
    }
}

#[test]
fn tiers_with_fused_operations_agree_to_the_bit() {
    // The plain one only has them where every processor does.
    let fused = |tier: &Tier| *tier != Tier::Portable || cfg!(target_arch = "aarch64");
    let tiers: Vec<Tier> = Tier::available().into_iter().filter(fused).collect();
    for format in Format::ALL {
        for &cols in columns_of(format) {
            let values = Random::new(9).values(13 * cols);
            let results = tiers.iter().map(|tier| {
                let compute = Compute::new(2, *tier).unwrap();
                multiply(&compute, &values, &weights(&compute, format, (37, cols), 2).matrix)
            });
            let results: Vec<Vec<f32>> = results.collect();
            assert!(results.windows(2).all(|pair| pair[0] == pair[1]), "{format:?} {cols}");
        }
    }
}

#[test]
fn the_largest_codes_do_not_saturate() {
    let (cols, outputs) = (256, 16);
    for tier in Tier::available() {
        let compute = Compute::new(1, tier).unwrap();
        for (byte, value) in [(0x80u8, -128.0), (0x7f, 127.0), (0xff, -1.0)] {
            let block: Vec<u8> = [0, 0x3c].into_iter().chain([byte; 32]).collect();
            let raw = block.repeat(outputs * cols / 32);
            let matrix = Matrix::pack(&compute, Format::Q8_0, &raw, (outputs, cols)).unwrap();
            for x in [127.0, -127.0] {
                let out = multiply(&compute, &vec![x; cols], &matrix);
                assert_eq!(out, vec![value * x * cols as f32; outputs], "{tier:?}");
            }
        }
    }
}

#[test]
fn a_row_alone_is_the_row_among_others_on_any_number_of_threads() {
    for tier in Tier::available() {
        for format in Format::ALL {
            let (cols, outputs) = (512, 90);
            let compute = Compute::new(1, tier).unwrap();
            let weights = weights(&compute, format, (outputs, cols), 11);
            let values = Random::new(12).values(150 * cols);
            let all = multiply(&Compute::new(3, tier).unwrap(), &values, &weights.matrix);
            assert!(multiply(&compute, &values, &weights.matrix) == all, "{tier:?} {format:?}: threads");
            for row in [0, 1, 7, 8, 63, 64, 142, 145, 149] {
                let alone = multiply(&compute, &values[row * cols..(row + 1) * cols], &weights.matrix);
                assert!(alone == all[row * outputs..(row + 1) * outputs], "{tier:?} {format:?}: row {row}");
            }
        }
    }
}

#[test]
fn a_region_writes_and_adds_with_bias_as_asked() {
    let compute = Compute::new(2, Tier::best()).unwrap();
    let cols = 256;
    let values = Random::new(1).values(5 * cols);
    let x = input(&compute, &values, cols);
    let first = weights(&compute, Format::Q8_0, (50, cols), 2);
    let second = weights(&compute, Format::Q4_K, (7, cols), 3);
    let bias = Random::new(4).values(50);
    let (mut biased, mut added) = (vec![f32::NAN; 5 * 50], vec![2.0; 5 * 7]);
    compute.multiply(
        &x,
        &mut [
            Product { weights: &first.matrix, bias: Some(&bias), out: &mut biased, write: Write::Replace },
            Product { weights: &second.matrix, bias: None, out: &mut added, write: Write::Add },
        ],
    );
    let plain = multiply(&compute, &values, &first.matrix);
    let expected: Vec<f32> = plain.iter().zip(bias.iter().cycle()).map(|(value, bias)| value + bias).collect();
    assert_eq!(biased, expected);
    let plain = multiply(&compute, &values, &second.matrix);
    assert_eq!(added, plain.iter().map(|value| 2.0 + value).collect::<Vec<_>>());
}

#[test]
fn a_gated_product_is_its_parts() {
    for tier in Tier::available() {
        let compute = Compute::new(2, tier).unwrap();
        let (cols, outputs) = (256, 40);
        let gate = weights(&compute, Format::Q4_K, (outputs, cols), 21);
        let up = weights(&compute, Format::Q6_K, (outputs, cols), 22);
        let values = Random::new(23).values(9 * cols);
        let x = input(&compute, &values, cols);
        let mut out = vec![f32::NAN; 9 * outputs];
        compute.multiply_gated(&x, &gate.matrix, &up.matrix, &mut out);
        let (gates, ups) = (multiply(&compute, &values, &gate.matrix), multiply(&compute, &values, &up.matrix));
        for ((gate, up), out) in gates.iter().zip(&ups).zip(&out) {
            let exact = f64::from(*gate) / (1.0 + (-f64::from(*gate)).exp()) * f64::from(*up);
            assert!((f64::from(*out) - exact).abs() <= exact.abs() * 1e-6 + 1e-30, "{tier:?}: {out}, not {exact}");
        }
    }
}

#[test]
fn floats_need_no_encoding() {
    let compute = Compute::new(2, Tier::best()).unwrap();
    let weights = weights(&compute, Format::F16, (20, 64), 1);
    let values = Random::new(2).values(3 * 64);
    let mut x = Activations::new(64);
    x.resize(3);
    x.values_mut().copy_from_slice(&values);
    let mut out = vec![f32::NAN; 60];
    compute.multiply(&x, &mut [Product { weights: &weights.matrix, bias: None, out: &mut out, write: Write::Replace }]);
    assert_eq!(out, multiply(&compute, &values, &weights.matrix));
}

#[test]
fn a_value_that_is_no_number_reaches_the_output() {
    let compute = Compute::new(1, Tier::best()).unwrap();
    let weights = weights(&compute, Format::Q8_0, (16, 64), 1);
    for poison in [f32::NAN, f32::INFINITY] {
        let mut values = vec![1.0; 64];
        values[40] = poison;
        assert!(multiply(&compute, &values, &weights.matrix).iter().all(|value| !value.is_finite()));
    }
}

#[test]
fn tiny_and_zero_values_give_finite_products() {
    let compute = Compute::new(1, Tier::best()).unwrap();
    let weights = weights(&compute, Format::Q4_1, (16, 64), 1);
    for value in [0.0, -0.0, f32::MIN_POSITIVE, 1e-45, 1e-38] {
        assert!(multiply(&compute, &[value; 64], &weights.matrix).iter().all(|out| out.abs() < 1e-30));
    }
}
