//! The training loop: two shards a step, each on a thread of its own, their gradients added in a
//! fixed order, so that the result does not depend on how the threads are scheduled.

use std::time::Instant;

use anyhow::{Context, Result};

use super::adam::AdamW;
use super::batch::{Shard, shards};
use super::dialogue::{Dialogues, Lengths};
use super::net::{Net, Parameter};
use super::seeded::Seeded;

const PEAK_RATE: f32 = 1.5e-3;
const WARM_UP_STEPS: usize = 100;
/// The first part of the training has single questions only.
const SINGLE_SHARE: f32 = 0.4;
/// Steps between two lines of progress.
const REPORT_STEPS: usize = 25;

/// Trains `net` for `steps` steps; `checkpoint` is called with the number of finished steps.
///
/// # Errors
/// Whatever the tokenizer, candle or `checkpoint` report.
pub fn train(
    net: &Net,
    dialogues: &Dialogues,
    steps: usize,
    seed: &mut Seeded,
    mut checkpoint: impl FnMut(usize) -> Result<()>,
) -> Result<()> {
    let mut optimiser = AdamW::new(net.parameters())?;
    let mut waiting = Vec::new();
    let mut progress = Progress::start(steps);
    for step in 0..steps {
        if waiting.len() < 2 {
            let single = (step as f32) < SINGLE_SHARE * steps as f32;
            let lengths = if single { Lengths::Single } else { Lengths::Mixed };
            waiting.extend(shards(dialogues.epoch(lengths, seed)?, seed)?);
        }
        let pair = [waiting.pop(), waiting.pop()].map(|shard| shard.context("an epoch has shards"));
        let [left, right] = pair;
        let (loss, gradients) = step_gradients(net, [left?, right?], seed)?;
        optimiser.step(&gradients, rate(step, steps))?;
        progress.report(step + 1, loss);
        checkpoint(step + 1)?;
    }
    Ok(())
}

/// Linear warm-up, then a half cosine down to nothing.
fn rate(step: usize, steps: usize) -> f32 {
    let warm = ((step + 1) as f32 / WARM_UP_STEPS as f32).min(1.0);
    let done = step as f32 / steps as f32;
    PEAK_RATE * warm * 0.5 * (1.0 + (std::f32::consts::PI * done).cos())
}

/// Mean loss of a step and its gradients, in the order of the net's parameters.
fn step_gradients(net: &Net, pair: [Shard; 2], seed: &mut Seeded) -> Result<(f32, Vec<Vec<f32>>)> {
    let seeds = [seed.bits(), seed.bits()];
    let parameters = net.parameters();
    let [left, right] = std::thread::scope(|scope| {
        let threads = [0, 1].map(|at| {
            let (shard, parameters) = (&pair[at], &parameters);
            scope.spawn(move || shard_gradients(net, shard, parameters, Seeded::new(seeds[at])))
        });
        threads.map(|thread| thread.join().expect("a shard's thread does not panic"))
    });
    let (left, right) = (left?, right?);
    let weight = left.weight + right.weight;
    let added = left
        .gradients
        .into_iter()
        .zip(right.gradients)
        .map(|(left, right)| left.into_iter().zip(right).map(|(l, r)| (l + r) / weight).collect());
    Ok(((left.loss + right.loss) / weight, added.collect()))
}

struct ShardGradients {
    loss: f32,
    weight: f32,
    gradients: Vec<Vec<f32>>,
}

fn shard_gradients(net: &Net, shard: &Shard, parameters: &[Parameter], mut seed: Seeded) -> Result<ShardGradients> {
    let loss = net.loss(shard, &mut seed)?;
    let store = loss.backward()?;
    let gradients = parameters.iter().map(|parameter| {
        let gradient = store.get(&parameter.var).context("every parameter has a gradient")?;
        Ok(gradient.flatten_all()?.to_vec1::<f32>()?)
    });
    Ok(ShardGradients {
        loss: loss.to_scalar()?,
        weight: shard.weights.sum_all()?.to_scalar()?,
        gradients: gradients.collect::<Result<_>>()?,
    })
}

struct Progress {
    steps: usize,
    since: Instant,
    losses: Vec<f32>,
}

impl Progress {
    fn start(steps: usize) -> Self {
        Self { steps, since: Instant::now(), losses: Vec::new() }
    }

    fn report(&mut self, step: usize, loss: f32) {
        self.losses.push(loss);
        if step.is_multiple_of(REPORT_STEPS) || step == self.steps {
            let mean = self.losses.iter().sum::<f32>() / self.losses.len() as f32;
            let seconds = self.since.elapsed().as_secs_f32();
            println!("step {step}/{}  loss {mean:.4}  {seconds:.0} s", self.steps);
            self.losses.clear();
        }
    }
}
