//! Whether networks compute what llama.cpp computes: its logits lie in `tests/reference`, where a script says how they
//! were made.
//!
//! Both round differently, so equal logits can't be asked for. What can: nearly the same direction at every step, and
//! the same best token wherever the reference is not itself undecided.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::tests::{CONFIG, load_file, on_every_tier};
use super::*;
use crate::network::{Chunk, Wanted};
use crate::random_model::RandomModel;

/// Least cosine between a step's logits and the reference's.
const COSINE: f64 = 0.9985;
/// The reference's best token has to be ours if it leads by more than this.
const DECIDED: f32 = 0.4;
/// Where a slow instruction set stops: at the end of the fourth page.
const SLOW_TOKENS: usize = 64;
/// So many of the twenty answers it computes.
const SLOW_ANSWERS: usize = 4;
/// How far the demo model's two best logits may lie apart where the wrong one is chosen.
const ROUNDING: f32 = 0.1;

/// One model of `random.json`.
#[derive(Deserialize)]
struct Recorded {
    name: String,
    /// Of the model's file.
    sha256: String,
    tokens: usize,
    /// With logits.
    positions: Vec<usize>,
}

/// One answer of `demo.json`.
#[derive(Deserialize)]
struct Answer {
    prompt: Vec<u32>,
    ids: Vec<u32>,
    /// Steps with logits.
    logits: Vec<usize>,
}

/// Plain Rust takes seven times as long as AVX2, so less of everything is computed by it.
fn is_slow(config: &NativeConfig) -> bool {
    config.tier == Tier::Portable
}

fn reference(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference").join(name)
}

fn floats(name: &str) -> Vec<f32> {
    let bytes = std::fs::read(reference(name)).unwrap();
    bytes.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
}

fn entries<T: for<'a> Deserialize<'a>>(name: &str) -> Vec<T> {
    serde_json::from_slice(&std::fs::read(reference(name)).unwrap()).unwrap()
}

fn prompt(tokens: usize) -> Vec<u32> {
    let tokens = u32::try_from(tokens).unwrap();
    (0..tokens).map(|place| (place * 37 + place * place % 101) % 262).collect()
}

fn best(logits: &[f32]) -> usize {
    (0..logits.len()).max_by(|a, b| logits[*a].total_cmp(&logits[*b])).unwrap()
}

fn lead(logits: &[f32]) -> f32 {
    let best = best(logits);
    let second = logits.iter().enumerate().filter(|(id, _)| *id != best).map(|(_, logit)| *logit);
    logits[best] - second.fold(f32::NEG_INFINITY, f32::max)
}

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

fn furthest(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

/// Most that a logit may be away from the reference's. Llama.cpp rounds what BF16 is multiplied with to BF16, and for
/// formats with blocks of 256 to eight bits with one scale for all 256, which is coarser than here. And random layers
/// make of small differences larger ones, so that of the deep model only the direction is compared.
fn tolerance(name: &str) -> f32 {
    match name.split('-').nth(1) {
        Some("f32" | "f16") => 0.02,
        Some("bf16" | "q8_0") if !name.ends_with("-deep") => 0.3,
        _ => f32::INFINITY,
    }
}

/// The logits at some positions of one sequence.
fn logits_at(network: &mut NativeNetwork, tokens: &[u32], positions: &[usize]) -> Vec<f32> {
    let count = u32::try_from(tokens.len().div_ceil(PAGE_TOKENS)).unwrap();
    let pages: Vec<PageId> = (0..count).collect();
    let (mut all, mut logits, mut begin) = (Vec::new(), Vec::new(), 0);
    for position in positions {
        let rows = position + 1 - begin;
        let chunk = Chunk { pages: &pages, position: begin, rows, logits: Wanted::Last };
        let tokens = tokens[begin..=*position].to_vec();
        network.step(&Batch { tokens, chunks: vec![chunk] }, &mut logits).unwrap();
        all.extend_from_slice(&logits);
        begin = position + 1;
    }
    all
}

#[test]
fn random_models_of_all_kinds_compute_what_llama_cpp_computes() {
    let recorded: Vec<Recorded> = entries("random.json");
    let models = RandomModel::references();
    assert_eq!(models.len(), recorded.len());
    let logits = floats("random.f32");
    let mut rest = logits.as_slice();
    for Recorded { name, sha256, tokens, positions } in recorded {
        let model = models.iter().find(|model| model.name == name).unwrap();
        let written = tempfile::NamedTempFile::new().unwrap();
        model.write(written.path()).unwrap();
        let digest = hex::encode(Sha256::digest(std::fs::read(written.path()).unwrap()));
        assert_eq!(digest, sha256, "{name} is another file than the logits were recorded with");
        let theirs;
        (theirs, rest) = rest.split_at(positions.len() * 262);
        for config in on_every_tier(NativeConfig { context_tokens: 2048, ..CONFIG }) {
            let last = if is_slow(&config) { SLOW_TOKENS } else { tokens };
            let positions: Vec<usize> = positions.iter().copied().filter(|position| *position < last).collect();
            let ours = logits_at(&mut load_file(written.path(), config), &prompt(tokens), &positions);
            for ((ours, theirs), position) in ours.chunks_exact(262).zip(theirs.chunks_exact(262)).zip(&positions) {
                let which = format!("{name} {} {position}", config.tier.name());
                let (cosine, furthest) = (cosine(ours, theirs), furthest(ours, theirs));
                println!("{which}: cosine {cosine:.6}, at most {furthest:.4} apart");
                assert!(cosine >= COSINE, "{which}: the cosine is {cosine}");
                assert!(furthest <= tolerance(&name), "{which}: {furthest} apart");
                assert!(lead(theirs) <= DECIDED || best(ours) == best(theirs), "{which}: another best token");
            }
        }
    }
    assert!(rest.is_empty());
}

#[test]
fn the_demo_model_chooses_the_tokens_that_llama_cpp_chooses() {
    for config in on_every_tier(CONFIG) {
        choose_the_recorded_tokens(config);
    }
}

fn choose_the_recorded_tokens(config: NativeConfig) {
    let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("demo-model/magpie-demo.gguf");
    let tier = config.tier.name();
    let mut network = load_file(&demo, config);
    let vocabulary = network.limits().vocabulary;
    let recorded = floats("demo.f32");
    let mut rest = recorded.as_slice();
    let (mut chosen, mut undecided) = (0, 0);
    let answers = entries::<Answer>("demo.json");
    let all = answers.len();
    let count = if is_slow(&config) { SLOW_ANSWERS } else { all };
    for (number, Answer { prompt, ids, logits }) in answers.into_iter().enumerate().take(count) {
        // The reference's tokens are fed whatever is chosen here, so that all steps can be compared.
        let tokens = [&prompt[..], &ids[..ids.len() - 1]].concat();
        let positions: Vec<usize> = (prompt.len() - 1..tokens.len()).collect();
        let ours = logits_at(&mut network, &tokens, &positions);
        for ((step, ours), id) in ours.chunks_exact(vocabulary).enumerate().zip(ids) {
            let best = best(ours);
            chosen += 1;
            if best != id as usize {
                undecided += 1;
                let lead = ours[best] - ours[id as usize];
                assert!(lead < ROUNDING, "{tier}, answer {number}, step {step}: {best} in place of {id}, by {lead}");
            }
            if logits.contains(&step) {
                let theirs;
                (theirs, rest) = rest.split_at(vocabulary);
                let furthest = furthest(ours, theirs);
                println!("{tier}, answer {number}, step {step}: at most {furthest:.4} apart");
                assert!(furthest <= tolerance("demo-q8_0"), "{tier}, answer {number}, step {step}: {furthest} apart");
            }
        }
    }
    println!("{tier}: {undecided} of {chosen} tokens differ");
    assert_eq!((all, chosen), (20, count * 64));
    assert!(rest.is_empty() || count < all);
}
