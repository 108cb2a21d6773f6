//! Whether a row's result depends on its sequence alone, bit by bit.

use candle_core::quantized::gguf_file::Value;

use super::*;
use crate::network::{Chunk, Wanted};
use crate::random_model::{Family, RandomModel, Scaling, Shape, Vocabulary};

pub(super) const CONFIG: NativeConfig = NativeConfig {
    threads: 2,
    tier: Tier::Portable,
    quantization: None,
    cache: CacheKind::F16,
    cache_bytes: 8 << 20,
    context_tokens: 1024,
};

fn model(family: Family, quantisation: &str) -> RandomModel {
    RandomModel {
        name: "small".to_owned(),
        family,
        shape: Shape { feed_forward: 288, ..Shape::small() },
        quantisation: quantisation.parse().unwrap(),
        vocabulary: Vocabulary::tiny(),
        metadata: Vec::new(),
        seed: 3,
    }
}

fn load(model: &RandomModel, config: NativeConfig) -> NativeNetwork {
    let written = tempfile::NamedTempFile::new().unwrap();
    model.write(written.path()).unwrap();
    load_file(written.path(), config)
}

pub(super) fn load_file(path: &std::path::Path, config: NativeConfig) -> NativeNetwork {
    let file = ModelFile::open(path).unwrap();
    let spec = Spec::of(&file).unwrap();
    NativeNetwork::load(&file, spec, &config, &mut |_, _| {}).unwrap()
}

/// The same on each instruction set of this processor.
pub(super) fn on_every_tier(config: NativeConfig) -> impl Iterator<Item = NativeConfig> {
    Tier::available().into_iter().map(move |tier| NativeConfig { tier, ..config })
}

/// Each model on each instruction set.
fn models_on_every_tier() -> impl Iterator<Item = (RandomModel, NativeConfig)> {
    models().into_iter().flat_map(|model| on_every_tier(CONFIG).map(move |config| (model.clone(), config)))
}

fn prompt(length: u32) -> Vec<u32> {
    (0..length).map(|place| (place * 37 + place * place % 11) % 262).collect()
}

/// The logits of all rows of these tokens, which come behind `position` others, in portions of such a size.
fn run(network: &mut NativeNetwork, pages: &[PageId], position: usize, tokens: &[u32], portion: usize) -> Vec<f32> {
    let (mut all, mut logits) = (Vec::new(), Vec::new());
    for (index, tokens) in tokens.chunks(portion).enumerate() {
        let chunk = Chunk { pages, position: position + index * portion, rows: tokens.len(), logits: Wanted::All };
        network.step(&Batch { tokens: tokens.to_vec(), chunks: vec![chunk] }, &mut logits).unwrap();
        all.extend_from_slice(&logits);
    }
    all
}

/// Each architecture with formats that go different ways through the kernels.
fn models() -> Vec<RandomModel> {
    let mut scaled = model(Family::Llama, "f32");
    scaled.shape.scaling = Scaling::Factors;
    vec![model(Family::Qwen2, "q4_k"), model(Family::Qwen3, "q8_0"), model(Family::Llama, "pure-q4_0"), scaled]
}

#[test]
fn a_prompt_gives_the_same_whole_in_chunks_and_token_by_token() {
    let pages: Vec<PageId> = (0..12).rev().collect();
    let tokens = prompt(150);
    for (model, config) in models_on_every_tier() {
        let mut network = load(&model, config);
        let whole = run(&mut network, &pages, 0, &tokens, 150);
        assert_eq!(whole.len(), 150 * 262);
        assert!(whole.iter().all(|logit| logit.is_finite()));
        for portion in [1, 16, 37] {
            let parts = run(&mut network, &pages, 0, &tokens, portion);
            assert!(parts == whole, "{:?} {:?} {portion}", model.family, config.tier);
        }
    }
}

#[test]
fn the_number_of_threads_changes_nothing() {
    let pages: Vec<PageId> = (0..12).collect();
    let tokens = prompt(70);
    for (model, config) in models_on_every_tier() {
        let outcome = |threads| run(&mut load(&model, NativeConfig { threads, ..config }), &pages, 0, &tokens, 70);
        let one = outcome(1);
        assert!(outcome(2) == one && outcome(3) == one, "{:?} {:?}", model.family, config.tier);
    }
}

#[test]
fn a_sequence_in_a_batch_gives_the_same_as_alone() {
    for (model, config) in models_on_every_tier() {
        let which = format!("{:?} {:?}", model.family, config.tier);
        let mut network = load(&model, config);
        let pages: [Vec<PageId>; 3] = [vec![4, 0], vec![9, 3, 1, 7], vec![5, 6]];
        let tokens = [prompt(21), prompt(50)[3..].to_vec(), vec![261, 8, 8, 8]];
        let alone: Vec<Vec<f32>> = (0..3).map(|one| run(&mut network, &pages[one], 0, &tokens[one], 64)).collect();
        // The second is in the middle of its answer, the others are prompts, of which one is not yet at its end.
        run(&mut network, &pages[1], 0, &tokens[1][..46], 64);
        let chunk = |one: usize, position, logits| {
            let rows = tokens[one].len() - position;
            Chunk { pages: &pages[one], position, rows, logits }
        };
        let batch = Batch {
            tokens: [&tokens[0][..], &tokens[1][46..], &tokens[2][..]].concat(),
            chunks: vec![chunk(0, 0, Wanted::Nothing), chunk(1, 46, Wanted::Last), chunk(2, 0, Wanted::All)],
        };
        let mut logits = Vec::new();
        network.step(&batch, &mut logits).unwrap();
        let last_of_second = &alone[1][46 * 262..];
        assert!(logits == [last_of_second, &alone[2]].concat(), "{which}");
        // The first got no logits but its keys and values.
        let next = run(&mut network, &pages[0], 20, &tokens[0][20..], 1);
        assert!(next == alone[0][20 * 262..], "{which}");
    }
}

#[test]
fn pages_of_a_common_beginning_and_copied_pages_give_the_same_as_fresh_ones() {
    let tokens = prompt(60);
    let kinds = [CacheKind::F16, CacheKind::Q8];
    for config in kinds.into_iter().flat_map(|cache| on_every_tier(NativeConfig { cache, ..CONFIG })) {
        let mut network = load(&model(Family::Qwen3, "q8_0"), config);
        let fresh = run(&mut network, &[0, 1, 2, 3], 0, &tokens, 60);
        // Two whole pages are shared, the third is copied and filled from its 11th token on.
        network.copy_page(2, 8);
        let reused = run(&mut network, &[0, 1, 8, 9], 42, &tokens[42..], 60);
        assert!(reused == fresh[42 * 262..], "{config:?}");
        // The one that was copied from is as it was.
        let last = run(&mut network, &[0, 1, 2, 3], 59, &tokens[59..], 1);
        assert!(last == fresh[59 * 262..], "{config:?}");
    }
}

#[test]
fn limits_follow_from_the_cache_and_the_file() {
    let mut model = model(Family::Llama, "q8_0");
    let network = load(&model, CONFIG);
    // 2 layers × 2 heads × 64 × (key and value) × 2 bytes × 16 tokens.
    assert_eq!(network.limits().page_bytes, 16_384);
    assert_eq!((network.limits().pages, network.limits().context_tokens), (512, 1024));
    let small = load(&model, NativeConfig { cache_bytes: 70_000, ..CONFIG });
    assert_eq!((small.limits().pages, small.limits().context_tokens), (4, 64));
    model.metadata.push(("llama.context_length".to_owned(), Value::U32(48)));
    assert_eq!(load(&model, CONFIG).limits().context_tokens, 48);
}

#[test]
fn the_weights_take_about_the_files_memory_and_progress_reaches_its_end() {
    let written = tempfile::NamedTempFile::new().unwrap();
    model(Family::Qwen2, "q4_k").write(written.path()).unwrap();
    let file = ModelFile::open(written.path()).unwrap();
    let mut told = Vec::new();
    let spec = Spec::of(&file).unwrap();
    let network = NativeNetwork::load(&file, spec, &CONFIG, &mut |done, all| told.push((done, all))).unwrap();
    assert!(told.windows(2).all(|pair| pair[0].0 < pair[1].0 && pair[0].1 == pair[1].1));
    assert_eq!(told.last().map(|(done, all)| done <= all && done * 100 > all * 99), Some(true));
    let bytes: usize = file.tensors().map(|tensor| tensor.bytes.len()).sum();
    let weights = network.memory().weights;
    assert!(weights < bytes + bytes / 8, "{weights} bytes for the {bytes} of the file");
}

#[test]
fn a_batch_that_the_network_can_not_hold_is_refused() {
    let mut network = load(&model(Family::Llama, "q8_0"), CONFIG);
    let mut refusal = |tokens: &[u32], pages: &[PageId], position| {
        let chunk = Chunk { pages, position, rows: 1, logits: Wanted::All };
        network.step(&Batch { tokens: tokens.to_vec(), chunks: vec![chunk] }, &mut Vec::new()).unwrap_err().to_string()
    };
    assert!(refusal(&[262], &[0], 0).contains("262"));
    assert!(refusal(&[1, 2], &[0], 0).contains("2 tokens"));
    assert!(refusal(&[1], &[0], 16).contains("17 tokens"));
    assert!(refusal(&[1], &[512], 0).contains("512"));
}
