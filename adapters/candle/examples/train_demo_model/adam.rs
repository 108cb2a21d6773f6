//! AdamW over plain vectors: one pass per parameter, with the gradient's norm bounded.

use candle_core::{Device, Result, Tensor};

use super::net::Parameter;

const BETA_1: f32 = 0.9;
const BETA_2: f32 = 0.98;
const EPSILON: f32 = 1e-8;
const WEIGHT_DECAY: f32 = 0.05;
/// Longer gradients are shortened to this.
const LONGEST_GRADIENT: f32 = 1.0;

struct State {
    parameter: Parameter,
    values: Vec<f32>,
    first: Vec<f32>,
    second: Vec<f32>,
}

/// The optimiser and its moments.
pub struct AdamW {
    states: Vec<State>,
    steps: i32,
}

impl AdamW {
    /// Over `parameters`, which it will set.
    pub fn new(parameters: Vec<Parameter>) -> Result<Self> {
        let states = parameters.into_iter().map(|parameter| {
            let values = parameter.var.flatten_all()?.to_vec1::<f32>()?;
            let zeros = vec![0.0; values.len()];
            Ok(State { parameter, values, first: zeros.clone(), second: zeros })
        });
        Ok(Self { states: states.collect::<Result<_>>()?, steps: 0 })
    }

    /// One step along `gradients`, which stand in the order of the parameters.
    pub fn step(&mut self, gradients: &[Vec<f32>], rate: f32) -> Result<()> {
        self.steps += 1;
        let squares: f64 = gradients.iter().flatten().map(|g| f64::from(*g).powi(2)).sum();
        let shorten = (LONGEST_GRADIENT / (squares.sqrt() as f32 + 1e-6)).min(1.0);
        let first_scale = 1.0 / (1.0 - BETA_1.powi(self.steps));
        let second_scale = 1.0 / (1.0 - BETA_2.powi(self.steps));
        for (state, gradient) in self.states.iter_mut().zip(gradients) {
            // Factors of normalisation layers shall stay near 1, not near 0.
            let decayed = state.parameter.var.rank() > 1;
            let keep = if decayed { 1.0 - rate * WEIGHT_DECAY } else { 1.0 };
            let moments = state.first.iter_mut().zip(&mut state.second);
            for ((value, (first, second)), gradient) in state.values.iter_mut().zip(moments).zip(gradient) {
                let gradient = gradient * shorten;
                *first = BETA_1 * *first + (1.0 - BETA_1) * gradient;
                *second = BETA_2 * *second + (1.0 - BETA_2) * gradient * gradient;
                let direction = *first * first_scale / ((*second * second_scale).sqrt() + EPSILON);
                *value = *value * keep - rate * direction;
            }
            let shape = state.parameter.var.shape().clone();
            state.parameter.var.set(&Tensor::from_slice(&state.values, shape, &Device::Cpu)?)?;
        }
        Ok(())
    }
}
