//! Which tokens chance decides between, found without sorting the vocabulary.
//!
//! Top-k, top-p and min-p each keep an upper part of the tokens in order of their logits, so it is enough to find
//! where that part ends. Its own order does not matter for drawing from it.

use std::cmp::Ordering;

use super::SamplingPlan;
use super::softmax::{self, BLOCK, Weighing};

/// How far below the highest logit the nucleus is looked for at first: most models' lies within, and what lies within
/// is hundreds of tokens, not thousands.
const NEAR: f32 = 6.0;

/// Tokens up to which a list of them is quicker than another pass over the vocabulary.
const MOST_LISTED: usize = 4096;

/// Logits that are skipped together when none of them is high enough.
const STRIDE: usize = 64;

/// For nuclei that go deeper, weights are summed by depth: bins to one unit of depth, and bins altogether. What is
/// deeper than the last has no weight.
const BINS_PER_UNIT: f32 = 16.0;
const BINS: usize = 87 * 16;

#[derive(Debug, Clone, Copy)]
struct Candidate {
    token: usize,
    logit: f32,
    weight: f32,
}

/// The tokens in question.
#[derive(Debug)]
enum Narrowed {
    /// Those in the list.
    Listed,
    /// Those with at least this logit, which are too many to list.
    From(f32),
}

/// Finds the tokens in question and draws one. Kept from token to token for its memory alone.
#[derive(Debug)]
pub(super) struct Candidates {
    narrowed: Narrowed,
    /// In no particular order, but the same for the same logits.
    list: Vec<Candidate>,
    masses: Vec<f64>,
}

impl Default for Candidates {
    fn default() -> Self {
        Self { narrowed: Narrowed::Listed, list: Vec::new(), masses: Vec::new() }
    }
}

impl Candidates {
    /// Applies top-k, top-p and min-p. `highest` is the highest of the logits, and finite.
    pub(super) fn narrow(&mut self, logits: &[f32], highest: f32, plan: &SamplingPlan) {
        let all = Weighing::all(highest);
        // Not a number means not asked for.
        let floor = if plan.min_p > 0.0 { highest + plan.min_p.min(1.0).ln() as f32 } else { f32::MIN };
        if plan.top_k > 0 && plan.top_k < logits.len() {
            self.list_highest(logits, all, plan.top_k);
            if plan.top_p < 1.0 {
                self.keep_mass(self.sum() * plan.top_p);
            }
        } else if plan.top_p < 1.0 {
            let wanted = all.mass(logits, &mut self.masses) * plan.top_p;
            self.find_mass(logits, all, wanted);
        } else {
            self.list_from(logits, all, floor);
            if self.list.len() > MOST_LISTED {
                self.narrowed = Narrowed::From(floor);
            }
        }
        match &mut self.narrowed {
            Narrowed::Listed => self.list.retain(|candidate| candidate.logit >= floor),
            Narrowed::From(lowest) => *lowest = lowest.max(floor),
        }
    }

    /// The token on which `chance`, from 0 to 1, falls.
    pub(super) fn draw(&mut self, logits: &[f32], highest: f32, temperature: f64, chance: f64) -> Option<u32> {
        let scale = (1.0 / temperature) as f32;
        let token = match self.narrowed {
            Narrowed::Listed => {
                let weighing = Weighing { scale, ..Weighing::all(highest) };
                for candidate in &mut self.list {
                    candidate.weight = weighing.weight(candidate.logit);
                }
                let weights = self.list.iter().map(|candidate| f64::from(candidate.weight));
                self.list[find(&mut (chance * self.sum()), weights)?].token
            }
            Narrowed::From(floor) => {
                let weighing = Weighing { highest, scale, floor };
                let mut left = chance * weighing.mass(logits, &mut self.masses);
                let from = BLOCK * find(&mut left, self.masses.iter().copied())?;
                let block = &logits[from..(from + BLOCK).min(logits.len())];
                from + find(&mut left, block.iter().map(|&logit| f64::from(weighing.weight(logit))))?
            }
        };
        u32::try_from(token).ok()
    }

    fn sum(&self) -> f64 {
        self.list.iter().map(|candidate| f64::from(candidate.weight)).sum()
    }

    /// Finds the fewest of the heaviest tokens that together weigh `wanted`.
    fn find_mass(&mut self, logits: &[f32], all: Weighing, wanted: f64) {
        self.list_from(logits, all, all.highest - NEAR);
        if self.list.len() <= MOST_LISTED && self.sum() >= wanted {
            self.keep_mass(wanted);
            return;
        }
        // They are many. Only those about as deep as the border are looked at one by one.
        self.sum_by_depth(logits, all);
        let mut left = wanted;
        let Some(border) = find(&mut left, self.masses.iter().copied()) else { return };
        self.list.clear();
        self.take(0, logits, all, |logit| bin(all.highest - logit) as usize == border && logit >= f32::MIN);
        self.keep_mass(left);
        self.narrowed = Narrowed::From(self.list.iter().map(|candidate| candidate.logit).fold(all.highest, f32::min));
    }

    fn sum_by_depth(&mut self, logits: &[f32], all: Weighing) {
        self.masses.clear();
        self.masses.resize(BINS, 0.0);
        let mut bins = [0; BLOCK];
        let mut weights = [0.0; BLOCK];
        for block in logits.chunks(BLOCK) {
            // Apart from the adding, which goes one by one, this is vector instructions.
            for ((place, weight), &logit) in bins.iter_mut().zip(&mut weights).zip(block) {
                *place = bin(all.highest - logit);
                *weight = all.weight(logit);
            }
            for (&place, &weight) in bins.iter().zip(&weights).take(block.len()) {
                self.masses[place as usize] += f64::from(weight);
            }
        }
    }

    /// Takes every token with at least this logit; gives up above [`MOST_LISTED`].
    fn list_from(&mut self, logits: &[f32], all: Weighing, floor: f32) {
        self.begin_list();
        for (from, stride) in (0..).step_by(STRIDE).zip(logits.chunks(STRIDE)) {
            if softmax::any_from(stride, floor) {
                self.take(from, stride, all, |logit| logit >= floor);
                if self.list.len() > MOST_LISTED {
                    return;
                }
            }
        }
    }

    /// Takes the `count` tokens with the highest logits.
    fn list_highest(&mut self, logits: &[f32], all: Weighing, count: usize) {
        self.begin_list();
        // Whatever is lower cannot be among them: so many that come first are higher.
        let mut floor = f32::MIN;
        for (from, stride) in (0..).step_by(STRIDE).zip(logits.chunks(STRIDE)) {
            if !softmax::any_from(stride, floor) {
                continue;
            }
            self.take(from, stride, all, |logit| logit >= floor);
            if self.list.len() >= count.saturating_mul(2).saturating_add(STRIDE) {
                self.cut(count);
                floor = self.list.last().map_or(floor, |lowest| lowest.logit.next_up());
            }
        }
        self.cut(count);
    }

    fn begin_list(&mut self) {
        self.narrowed = Narrowed::Listed;
        self.list.clear();
    }

    fn take(&mut self, from: usize, logits: &[f32], all: Weighing, is_wanted: impl Fn(f32) -> bool) {
        let wanted = (from..).zip(logits).filter(|&(_, &logit)| is_wanted(logit));
        self.list.extend(wanted.map(|(token, &logit)| Candidate { token, logit, weight: all.weight(logit) }));
    }

    /// Keeps the `count` first, the lowest of them last.
    fn cut(&mut self, count: usize) {
        if self.list.len() > count {
            self.list.select_nth_unstable_by(count - 1, first);
            self.list.truncate(count);
        }
    }

    /// Keeps the fewest of the heaviest that together weigh `wanted`: halves again and again, looking only into the
    /// half where the border is.
    fn keep_mass(&mut self, wanted: f64) {
        let (mut start, mut end) = (0, self.list.len());
        let mut before = 0.0;
        while end - start > 1 {
            let middle = (end - start) / 2;
            let part = &mut self.list[start..end];
            part.select_nth_unstable_by(middle, first);
            let upper: f64 = part[..middle].iter().map(|candidate| f64::from(candidate.weight)).sum();
            if before + upper >= wanted {
                end = start + middle;
            } else {
                before += upper;
                start += middle;
            }
        }
        self.list.truncate(end);
    }
}

/// The bin of a depth; the last if it is not a number.
#[inline]
fn bin(depth: f32) -> u32 {
    // Added to a smaller number, this leaves the nearest whole one in the lowest bits.
    const ROUND: f32 = 8_388_608.0;
    const LAST: f32 = (BINS - 1) as f32;
    let depth = depth * BINS_PER_UNIT;
    let depth = if depth < LAST { depth } else { LAST };
    (depth + ROUND).to_bits() - ROUND.to_bits()
}

/// By falling logit; the first of equals first.
fn first(a: &Candidate, b: &Candidate) -> Ordering {
    b.logit.total_cmp(&a.logit).then(a.token.cmp(&b.token))
}

/// The place where `left` is used up; the last with any weight if rounding keeps something of it.
fn find(left: &mut f64, weights: impl Iterator<Item = f64>) -> Option<usize> {
    let mut last = None;
    for (place, weight) in weights.enumerate().filter(|&(_, weight)| weight > 0.0) {
        if *left < weight {
            return Some(place);
        }
        *left -= weight;
        last = Some(place);
    }
    last
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::Penalties;
    use super::*;

    fn plan(top_k: usize, top_p: f64, min_p: f64) -> SamplingPlan {
        let penalties = Penalties::NONE;
        SamplingPlan { temperature: 1.0, top_k, top_p, min_p, penalties, logit_bias: Vec::new(), seed: None }
    }

    fn kept(logits: &[f32], plan: &SamplingPlan) -> Vec<usize> {
        let highest = softmax::highest(logits).unwrap();
        let mut candidates = Candidates::default();
        candidates.narrow(logits, highest, plan);
        let mut tokens: Vec<usize> = match candidates.narrowed {
            Narrowed::Listed => candidates.list.iter().map(|candidate| candidate.token).collect(),
            Narrowed::From(floor) => (0..logits.len()).filter(|&token| logits[token] >= floor).collect(),
        };
        tokens.sort_unstable();
        tokens
    }

    fn logits_of(probabilities: &[f32]) -> Vec<f32> {
        probabilities.iter().map(|p| p.ln() + 3.0).collect()
    }

    /// The same by sorting everything, in double precision.
    fn expected(logits: &[f32], plan: &SamplingPlan) -> Vec<usize> {
        let mut order: Vec<usize> = (0..logits.len()).collect();
        order.sort_by(|&a, &b| logits[b].total_cmp(&logits[a]).then(a.cmp(&b)));
        if plan.top_k > 0 {
            order.truncate(plan.top_k);
        }
        let best = f64::from(logits[order[0]]);
        let weight = |token: &usize| (f64::from(logits[*token]) - best).exp();
        let total: f64 = order.iter().map(weight).sum();
        if plan.top_p < 1.0 {
            let mut sum = 0.0;
            let enough = order.iter().position(|token| {
                sum += weight(token);
                sum >= total * plan.top_p
            });
            order.truncate(enough.unwrap() + 1);
        }
        order.retain(|token| weight(token) >= plan.min_p);
        order.sort_unstable();
        order
    }

    #[test]
    fn the_nucleus_is_the_fewest_tokens_with_the_probability() {
        let logits = logits_of(&[0.05, 0.5, 0.15, 0.3]);
        let nucleus = |top_p| kept(&logits, &plan(0, top_p, 0.0));
        assert_eq!(nucleus(0.49), [1]);
        assert_eq!(nucleus(0.7), [1, 3]);
        assert_eq!(nucleus(0.9), [1, 2, 3]);
        assert_eq!(nucleus(1.0), [0, 1, 2, 3]);
        assert_eq!(nucleus(0.0), [1]);
    }

    #[test]
    fn top_k_counts_and_top_p_then_looks_at_those_alone() {
        let logits = logits_of(&[0.05, 0.4, 0.25, 0.3]);
        assert_eq!(kept(&logits, &plan(2, 1.0, 0.0)), [1, 3]);
        assert_eq!(kept(&logits, &plan(2, 0.55, 0.0)), [1]);
        assert_eq!(kept(&logits, &plan(0, 1.0, 0.7)), [1, 3]);
        assert_eq!(kept(&logits, &plan(0, 0.99, 0.7)), [1, 3]);
    }

    proptest! {
        #[test]
        fn narrowing_keeps_what_sorting_everything_would_keep(
            steps in prop::collection::vec(-2000_i32..2000, 1..900),
            spread in 1.0..60.0_f32,
            top_k in prop_oneof![Just(0_usize), 1..120_usize],
            top_p in prop_oneof![Just(1.0), 0.0..1.0_f64],
            min_p in prop_oneof![Just(0.0), 0.0..1.0_f64],
        ) {
            let logits: Vec<f32> = steps.iter().map(|&step| step as f32 / 2000.0 * spread).collect();
            let plan = plan(top_k, top_p, min_p);
            let (kept, expected) = (kept(&logits, &plan), expected(&logits, &plan));
            // Rounding and equals may move the border by a weight that is next to nothing.
            let highest = softmax::highest(&logits).unwrap();
            let mass = |tokens: &[usize]| tokens.iter().map(|&token| f64::from(logits[token] - highest).exp()).sum::<f64>();
            let all: Vec<usize> = (0..logits.len()).collect();
            let only_in_one: Vec<usize> =
                all.iter().copied().filter(|token| kept.contains(token) != expected.contains(token)).collect();
            prop_assert!(mass(&only_in_one) <= 2e-3 * mass(&all), "{only_in_one:?}");
        }
    }
}
