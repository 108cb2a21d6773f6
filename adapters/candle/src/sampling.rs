//! Choosing the next token.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// How a prompt wants its tokens chosen, with every default filled in.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct SamplingPlan {
    /// 0 or less takes the likeliest token.
    pub temperature: f64,
    /// Only the likeliest tokens that together have this probability are considered; 1 considers all.
    pub top_p: f64,
    /// Equal seeds give equal answers of one build of one model; `None` takes chance.
    pub seed: Option<u64>,
}

pub(crate) struct Sampler {
    plan: SamplingPlan,
    random: StdRng,
}

impl Sampler {
    pub(crate) fn new(plan: SamplingPlan) -> Self {
        Self { random: StdRng::seed_from_u64(plan.seed.unwrap_or_else(rand::random)), plan }
    }

    /// A token for these logits (one per token of the vocabulary); `None` if they are not numbers.
    pub(crate) fn choose(&mut self, logits: &[f32]) -> Option<u32> {
        let (best, highest) = likeliest(logits)?;
        let temperature = self.plan.temperature;
        if temperature.is_nan() || temperature <= 0.0 {
            return u32::try_from(best).ok();
        }
        let weights: Vec<f64> = logits.iter().map(|&logit| (f64::from(logit - highest) / temperature).exp()).collect();
        let candidates = nucleus(&weights, self.plan.top_p);
        let total: f64 = candidates.iter().map(|&place| weights[place]).sum();
        let mut left = self.random.random::<f64>() * total;
        let chosen = candidates.iter().copied().find(|&place| {
            left -= weights[place];
            left < 0.0
        });
        u32::try_from(chosen.unwrap_or(best)).ok()
    }
}

fn likeliest(logits: &[f32]) -> Option<(usize, f32)> {
    let (place, &logit) = logits.iter().enumerate().filter(|(_, logit)| !logit.is_nan()).max_by(|a, b| {
        // The first of equals, as everybody else does it.
        a.1.total_cmp(b.1).then(b.0.cmp(&a.0))
    })?;
    logit.is_finite().then_some((place, logit))
}

/// Places of the heaviest weights, heaviest first, that together make up `top_p` of all.
fn nucleus(weights: &[f64], top_p: f64) -> Vec<usize> {
    let total: f64 = weights.iter().filter(|weight| weight.is_finite()).sum();
    let wanted = total * top_p.clamp(0.0, 1.0);
    // Lighter ones cannot belong to it: even all others together would be less than what may be left out. That spares
    // sorting the whole vocabulary.
    let lightest = (total - wanted) / weights.len() as f64;
    let mut places: Vec<usize> = (0..weights.len()).filter(|&place| weights[place] >= lightest).collect();
    places.sort_unstable_by(|&a, &b| weights[b].total_cmp(&weights[a]).then(a.cmp(&b)));
    let mut sum = 0.0;
    let enough = places.iter().position(|&place| {
        sum += weights[place];
        sum >= wanted
    });
    places.truncate(enough.map_or(places.len(), |last| last + 1));
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sampler(temperature: f64, top_p: f64, seed: u64) -> Sampler {
        Sampler::new(SamplingPlan { temperature, top_p, seed: Some(seed) })
    }

    #[test]
    fn temperature_zero_takes_the_first_of_the_likeliest() {
        assert_eq!(sampler(0.0, 1.0, 1).choose(&[0.5, 2.0, 2.0, f32::NAN]), Some(1));
    }

    #[test]
    fn equal_seeds_choose_equally_and_chance_follows_the_weights() {
        let logits = [1.0_f32.ln(), 3.0_f32.ln()];
        let draw = |seed| {
            let mut sampler = sampler(1.0, 1.0, seed);
            (0..4000).map(|_| sampler.choose(&logits).unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(draw(5), draw(5));
        let ones = draw(5).iter().filter(|&&token| token == 1).count();
        assert!((2850..3150).contains(&ones), "{ones} of 4000, expected about 3000");
    }

    #[test]
    fn the_nucleus_is_the_fewest_tokens_with_the_probability() {
        let weights = [0.05, 0.5, 0.15, 0.3];
        assert_eq!(nucleus(&weights, 0.5), [1]);
        assert_eq!(nucleus(&weights, 0.7), [1, 3]);
        assert_eq!(nucleus(&weights, 0.9), [1, 3, 2]);
        assert_eq!(nucleus(&weights, 1.0), [1, 3, 2, 0]);
        assert_eq!(nucleus(&weights, 0.0), [1]);
    }

    #[test]
    fn logits_that_are_not_numbers_choose_nothing() {
        assert_eq!(sampler(1.0, 1.0, 1).choose(&[f32::NAN, f32::NAN]), None);
        assert_eq!(sampler(1.0, 1.0, 1).choose(&[]), None);
    }
}
