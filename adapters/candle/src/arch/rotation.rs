//! By which angles positions rotate queries and keys.
//!
//! All ways to stretch a model's positions over a longer context come down to another frequency per pair of dimensions,
//! and a magnitude: angle = position × frequency.
//!
//! Source: "YaRN" (Peng et al., 2023); `ggml_rope_yarn_corr_dims` in ggml's `ggml.c`, `rope_yarn` in `ggml-cpu/ops.cpp`
//! and the set-up of `yarn_attn_factor` in llama.cpp's `src/llama-context.cpp` (read 11/2026), whose defaults are kept.

use std::f64::consts::TAU;

use magpie_kernels::{Rotation, RotationStyle};

use super::Keys;
use super::tensors::{FACTORS, vector};
use crate::error::LoadError;

/// Turns of a dimension within the original context: with more of them YaRN leaves it as it is, …
const FAST_TURNS: f64 = 32.0;
/// … with fewer it stretches it wholly.
const SLOW_TURNS: f64 = 1.0;

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct RotationSpec {
    pub style: RotationStyle,
    /// Radians per position, one for each pair of rotated dimensions.
    pub frequencies: Vec<f64>,
    /// What rotated values are multiplied with.
    pub magnitude: f64,
}

impl RotationSpec {
    pub(super) fn of(keys: &Keys<'_>, head_dim: usize, factors_allowed: bool) -> Result<Self, LoadError> {
        let file = keys.file;
        let dimensions = keys.number("rope.dimension_count").unwrap_or(head_dim);
        if dimensions == 0 || dimensions > head_dim || !dimensions.is_multiple_of(2) {
            return Err(file.broken(format!("{dimensions} of its heads' {head_dim} dimensions can't be rotated")));
        }
        let base = f64::from(keys.float("rope.freq_base").unwrap_or(10_000.0));
        if !base.is_finite() || base <= 1.0 {
            return Err(file.broken(format!("its rope.freq_base is {base}")));
        }
        let pairs = dimensions / 2;
        let mut frequencies: Vec<f64> =
            (0..pairs).map(|pair| base.powf(-2.0 * pair as f64 / dimensions as f64)).collect();
        if let Some(factors) = file.tensor(FACTORS).filter(|_| factors_allowed) {
            let factors = vector(file, &factors, pairs)?;
            for (frequency, factor) in frequencies.iter_mut().zip(factors) {
                *frequency /= f64::from(factor);
            }
        }
        let mut magnitude = f64::from(keys.float("rope.scaling.attn_factor").unwrap_or(1.0));
        let factor = keys.float("rope.scaling.factor").or_else(|| keys.float("rope.scale_linear"));
        let factor = f64::from(factor.filter(|factor| *factor != 0.0).unwrap_or(1.0));
        if !factor.is_finite() || factor <= 0.0 {
            return Err(file.broken(format!("its rope.scaling.factor is {factor}")));
        }
        match keys.text("rope.scaling.type").unwrap_or("linear") {
            "none" => {}
            "linear" => frequencies.iter_mut().for_each(|frequency| *frequency /= factor),
            "yarn" => {
                let original = keys.number("rope.scaling.original_context_length");
                let original = original.map_or_else(|| keys.required("context_length"), Ok)?;
                stretch(&mut frequencies, base, factor, original);
                magnitude *= (1.0 + 0.1 * factor.ln()).max(1.0);
            }
            other => return Err(file.unsupported(format!("its positions are scaled by the method {other:?}"))),
        }
        Ok(Self { style: file.rotation(), frequencies, magnitude })
    }

    /// A rotation of no rows yet.
    pub(crate) fn empty(&self) -> Rotation {
        let dimensions = 2 * self.frequencies.len();
        Rotation { style: self.style, dimensions, cos: Vec::new(), sin: Vec::new() }
    }

    /// Adds a row at a position.
    pub(crate) fn push(&self, position: usize, rotation: &mut Rotation) {
        for frequency in &self.frequencies {
            let (sin, cos) = (position as f64 * frequency).sin_cos();
            rotation.cos.push((cos * self.magnitude) as f32);
            rotation.sin.push((sin * self.magnitude) as f32);
        }
    }
}

/// YaRN: divides slow frequencies by the factor, leaves fast ones, and blends those between.
fn stretch(frequencies: &mut [f64], base: f64, factor: f64, original_tokens: usize) {
    let dimensions = 2.0 * frequencies.len() as f64;
    // The pair of dimensions that turns so many times within the original context.
    let pair_with = |turns: f64| dimensions * (original_tokens as f64 / (turns * TAU)).ln() / (2.0 * base.ln());
    let low = pair_with(FAST_TURNS).floor().max(0.0);
    let high = pair_with(SLOW_TURNS).ceil().min(dimensions - 1.0);
    for (pair, frequency) in frequencies.iter_mut().enumerate() {
        let kept = 1.0 - ((pair as f64 - low) / (high - low).max(0.001)).clamp(0.0, 1.0);
        *frequency *= kept + (1.0 - kept) / factor;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn yarn_keeps_fast_frequencies_and_divides_slow_ones() {
        let plain: Vec<f64> = (0..64).map(|pair| 1e6_f64.powf(-f64::from(pair) / 64.0)).collect();
        let mut stretched = plain.clone();
        stretch(&mut stretched, 1e6, 4.0, 32_768);
        let ratios: Vec<f64> = plain.iter().zip(&stretched).map(|(plain, stretched)| plain / stretched).collect();
        // 32 turns within 32,768 positions: pair 23.6; one turn: pair 39.6.
        assert!(ratios[..24].iter().all(|ratio| (ratio - 1.0).abs() < 1e-12), "{ratios:?}");
        assert!(ratios[24..40].windows(2).all(|pair| pair[0] < pair[1]), "{ratios:?}");
        assert!(ratios[40..].iter().all(|ratio| (ratio - 4.0).abs() < 1e-12), "{ratios:?}");
    }

    #[test]
    fn the_first_position_is_not_rotated_but_scaled() {
        let spec = RotationSpec { style: RotationStyle::Halves, frequencies: vec![1.0, 0.1], magnitude: 1.5 };
        let mut rotation = spec.empty();
        spec.push(0, &mut rotation);
        assert_eq!((rotation.cos, rotation.sin), (vec![1.5, 1.5], vec![0.0, 0.0]));
    }
}
