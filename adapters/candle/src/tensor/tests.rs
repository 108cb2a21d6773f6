//! On the processor: against itself in other portions, and against the native network.

use magpie_kernels::{CacheKind, Tier};
use tempfile::TempDir;

use super::*;
use crate::native::{NativeConfig, NativeNetwork};
use crate::network::{Chunk, Wanted};
use crate::random_model::{Family, RandomModel, Shape, Vocabulary};

const CACHE_BYTES: usize = 8 << 20;

fn write(family: Family, quantisation: &str, shape: Shape) -> (TempDir, ModelFile) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.gguf");
    let model = RandomModel {
        name: "tiny".to_owned(),
        family,
        shape,
        quantisation: quantisation.parse().unwrap(),
        vocabulary: Vocabulary::tiny(),
        metadata: Vec::new(),
        seed: 7,
    };
    model.write(&path).unwrap();
    let file = ModelFile::open(&path).unwrap();
    (folder, file)
}

fn network(file: &ModelFile) -> TensorNetwork {
    let config =
        TensorConfig { device: Device::Cpu, quantization: None, cache_bytes: CACHE_BYTES, context_tokens: 512 };
    TensorNetwork::load(file, Spec::of(file).unwrap(), &config, &mut |_, _| ()).unwrap()
}

fn native(file: &ModelFile) -> NativeNetwork {
    let config = NativeConfig {
        threads: 1,
        tier: Tier::best(),
        quantization: None,
        cache: CacheKind::F16,
        cache_bytes: CACHE_BYTES,
        context_tokens: 512,
    };
    NativeNetwork::load(file, Spec::of(file).unwrap(), &config, &mut |_, _| ()).unwrap()
}

fn prompt(length: u32, step: u32) -> Vec<u32> {
    (0..length).map(|place| 3 + place * step % 250).collect()
}

fn run(network: &mut dyn Network, tokens: &[u32], chunks: Vec<Chunk<'_>>) -> Vec<f32> {
    let mut logits = Vec::new();
    network.step(&Batch { tokens: tokens.to_vec(), chunks }, &mut logits).unwrap();
    logits
}

fn chunk(pages: &[PageId], position: usize, rows: usize, logits: Wanted) -> Chunk<'_> {
    Chunk { pages, position, rows, logits }
}

fn largest_difference(one: &[f32], other: &[f32]) -> f32 {
    assert_eq!(one.len(), other.len());
    one.iter().zip(other).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

fn cosine(one: &[f32], other: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
    dot(one, other) / (dot(one, one) * dot(other, other)).sqrt()
}

#[test]
fn a_prompt_gives_the_same_whole_and_in_any_chunks() {
    let tokens = prompt(45, 7);
    for family in Family::ALL {
        let (_folder, file) = write(family, "f32", Shape::small());
        let mut network = network(&file);
        let whole = run(&mut network, &tokens, vec![chunk(&[3, 1, 2], 0, 45, Wanted::All)]);
        assert_eq!(whole.len(), 45 * network.limits().vocabulary);
        for lengths in [vec![1; 45], vec![16, 29], vec![20, 1, 24]] {
            let (mut position, mut logits) = (0, Vec::new());
            for rows in lengths {
                let chunks = vec![chunk(&[5, 4, 9], position, rows, Wanted::All)];
                logits.extend(run(&mut network, &tokens[position..position + rows], chunks));
                position += rows;
            }
            assert!(largest_difference(&whole, &logits) < 1e-3, "{family:?}");
        }
    }
}

#[test]
fn sequences_of_a_batch_do_not_see_each_other() {
    let (first, second) = (prompt(20, 7), prompt(33, 11));
    for family in Family::ALL {
        let (_folder, file) = write(family, "f32", Shape::small());
        let mut network = network(&file);
        let vocabulary = network.limits().vocabulary;
        let alone = run(&mut network, &first, vec![chunk(&[0, 1], 0, 20, Wanted::Last)]);
        let other = run(&mut network, &second[..32], vec![chunk(&[2, 3, 4], 0, 32, Wanted::Last)]);
        assert_eq!(alone.len(), vocabulary);
        // The first anew in other pages, beside the next token of the second.
        let tokens = [&first[..], &second[32..]].concat();
        let chunks = vec![chunk(&[7, 6], 0, 20, Wanted::Last), chunk(&[2, 3, 4], 32, 1, Wanted::Last)];
        let both = run(&mut network, &tokens, chunks);
        assert!(largest_difference(&both[..vocabulary], &alone) < 1e-3, "{family:?}");
        assert!(largest_difference(&both[vocabulary..], &other) > 0.1, "{family:?}: another token, other logits");
        let whole = run(&mut network, &second, vec![chunk(&[8, 9, 10], 0, 33, Wanted::Last)]);
        assert!(largest_difference(&both[vocabulary..], &whole) < 1e-3, "{family:?}");
    }
}

#[test]
fn a_copied_page_serves_like_the_original() {
    let tokens = prompt(20, 7);
    let (_folder, file) = write(Family::Qwen3, "f32", Shape::small());
    let mut network = network(&file);
    let expected = run(&mut network, &tokens, vec![chunk(&[0, 1], 0, 20, Wanted::Last)]);
    network.copy_page(0, 5);
    network.copy_page(1, 6);
    let last = vec![chunk(&[5, 6], 19, 1, Wanted::Last)];
    let copied = run(&mut network, &tokens[19..], last);
    assert!(largest_difference(&expected, &copied) < 1e-3);
}

#[test]
fn rows_without_logits_give_none() {
    let (_folder, file) = write(Family::Llama, "f32", Shape::small());
    let mut network = network(&file);
    assert!(run(&mut network, &prompt(5, 7), vec![chunk(&[0], 0, 5, Wanted::Nothing)]).is_empty());
    assert!(run(&mut network, &[], Vec::new()).is_empty());
}

#[test]
fn a_batch_beside_the_memory_is_refused() {
    let (_folder, file) = write(Family::Llama, "f32", Shape::small());
    let mut network = network(&file);
    let limits = network.limits();
    let beyond = [limits.pages as PageId];
    for (tokens, chunk) in [
        (vec![1, 2], chunk(&[0], 0, 1, Wanted::Last)),
        (vec![limits.vocabulary as u32], chunk(&[0], 0, 1, Wanted::Last)),
        (vec![1], chunk(&[0], PAGE_TOKENS, 1, Wanted::Last)),
        (vec![1], chunk(&beyond, 0, 1, Wanted::Last)),
    ] {
        let refused = network.step(&Batch { tokens, chunks: vec![chunk] }, &mut Vec::new());
        assert!(refused.is_err());
    }
}

#[test]
fn the_native_network_computes_the_same() {
    let tokens = prompt(40, 7);
    let untied = Shape { tied: false, ..Shape::small() };
    for family in Family::ALL {
        for (quantisation, shape, least) in
            [("f32", Shape::small(), 0.9995), ("f16", untied, 0.9995), ("q8_0", untied, 0.999), ("q4_k", untied, 0.995)]
        {
            let (_folder, file) = write(family, quantisation, shape);
            let whole = || vec![chunk(&[1, 0, 2], 0, 40, Wanted::Last)];
            let one = run(&mut network(&file), &tokens, whole());
            let other = run(&mut native(&file), &tokens, whole());
            let cosine = cosine(&one, &other);
            assert!(cosine > least, "{family:?} {quantisation}: {cosine}");
        }
    }
}
