//! Whether models are read from files and folders alike, and refused for what is wrong with them.

use std::path::Path;

use futures::StreamExt;
use magpie_core::cancel::CancelToken;
use magpie_core::clock::SystemClock;
use magpie_core::engine::{Delta, Engine, EngineError, Prompt, PromptMessage, Role, Sampling};
use serde_json::json;
use sha2::{Digest, Sha256};

use super::*;
use crate::CandleEngine;
use crate::file::{Quantization, testfolder};
use crate::network::{Batch, Chunk, NetworkLimits, PageId, Wanted};
use crate::testmodel::{self, Kind};
use crate::tokenizer::Fragment;

fn try_load(config: &CandleConfig) -> Result<ModelSummary, LoadError> {
    inspect(config, Arc::new(SystemClock))
}

#[test]
fn every_architecture_loads_and_says_what_it_is() {
    for kind in Kind::ALL {
        let file = testmodel::write(kind, &[]);
        let summary = try_load(&CandleConfig::new(file.path())).unwrap();
        assert_eq!((summary.architecture.as_str(), summary.name.as_str()), (kind.name(), "tiny"));
        assert_eq!(summary.context_tokens, testmodel::CONTEXT_TOKENS);
        assert!(summary.parameters > 10_000);
    }
}

#[test]
fn an_unknown_architecture_is_refused_by_name() {
    let file = testmodel::write(Kind::Llama, &[("general.architecture", "mamba".into())]);
    let error = try_load(&CandleConfig::new(file.path())).unwrap_err();
    assert!(matches!(&error, LoadError::Unsupported { what, .. } if what.contains("mamba")), "{error}");
}

#[test]
fn a_truncated_file_is_refused_wherever_it_ends() {
    let file = testmodel::write(Kind::Llama, &[]);
    let bytes = std::fs::read(file.path()).unwrap();
    for length in [0, 3, 20, 1000, bytes.len() / 2, bytes.len() - 40] {
        let cut = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(cut.path(), &bytes[..length]).unwrap();
        let error = try_load(&CandleConfig::new(cut.path())).unwrap_err();
        assert!(matches!(error, LoadError::Broken { .. }), "{length}: {error}");
    }
}

#[test]
fn a_checksum_is_compared_with_the_whole_file() {
    let file = testmodel::write(Kind::Llama, &[]);
    let right = hex::encode(Sha256::digest(std::fs::read(file.path()).unwrap()));
    let config = |sha256: &str| CandleConfig { sha256: Some(sha256.to_owned()), ..CandleConfig::new(file.path()) };
    assert!(try_load(&config(&right.to_uppercase())).is_ok());
    let error = try_load(&config(&"0".repeat(64))).unwrap_err();
    assert!(matches!(&error, LoadError::Checksum { actual, .. } if *actual == right), "{error}");
}

#[test]
fn a_missing_file_is_named() {
    let error = try_load(&CandleConfig::new("no/such/model.gguf")).unwrap_err();
    assert!(matches!(&error, LoadError::File { .. }) && error.to_string().contains("no/such/model.gguf"));
}

/// Loads a tiny model on a machine that has so much memory beyond its weights and what it computes with.
fn on_a_machine_with(extra_bytes: u64, config: CandleConfig) -> Result<NetworkLimits, LoadError> {
    let file = ModelFile::open(&config.path).unwrap();
    let machine = Some(file.packed_bytes(None).unwrap() + WORKING_BYTES + extra_bytes);
    let free = (&Reporter::default(), FreeMemory { machine, ..FreeMemory::default() });
    let network = network(&file, Spec::of(&file).unwrap(), &config, free);
    network.map(|network| network.limits())
}

#[test]
fn a_small_machine_gets_a_smaller_cache_down_to_one_context() {
    let file = testmodel::write(Kind::Llama, &[]);
    let config = CandleConfig { threads: 1, ..CandleConfig::new(file.path()) };
    let whole = on_a_machine_with(2 << 30, config.clone()).unwrap();
    assert_eq!(whole.pages, config.cache_bytes / whole.page_bytes);
    let context = testmodel::CONTEXT_TOKENS / PAGE_TOKENS;
    for free in [64 << 20, 16 << 20, (context * whole.page_bytes) as u64] {
        let limits = on_a_machine_with(free, config.clone()).unwrap();
        assert!(limits.pages >= context && (limits.pages * limits.page_bytes) as u64 <= free, "{limits:?}");
        assert_eq!(limits.context_tokens, testmodel::CONTEXT_TOKENS);
    }
    let refused = on_a_machine_with((context * whole.page_bytes) as u64 - 1, config).unwrap_err();
    assert!(matches!(refused, LoadError::Memory { .. }), "{refused}");
}

#[test]
fn the_cache_is_never_larger_than_was_asked_for_but_for_one_page() {
    let file = testmodel::write(Kind::Llama, &[]);
    let config = |cache_bytes| CandleConfig { threads: 1, cache_bytes, ..CandleConfig::new(file.path()) };
    let page_bytes = on_a_machine_with(1 << 30, config(1)).unwrap().page_bytes;
    for (cache_bytes, pages) in [(1, 1), (page_bytes, 1), (page_bytes * 3 - 1, 2), (page_bytes * 3, 3)] {
        // No more than that has to be there, even if a context needs more.
        let limits = on_a_machine_with((pages * page_bytes) as u64, config(cache_bytes)).unwrap();
        assert_eq!((limits.pages, limits.context_tokens), (pages, pages * PAGE_TOKENS));
    }
}

const KEEPING_AND_QUANTISING: [Option<Quantization>; 2] = [None, Some(Quantization::Q80)];

/// The last logits of a prompt of a hundred tokens.
fn logits(path: &Path, quantization: Option<Quantization>) -> Vec<f32> {
    let file = ModelFile::open(path).unwrap();
    let config = CandleConfig { quantization, threads: 1, cache_bytes: 1 << 20, ..CandleConfig::new(path) };
    let anything = (&Reporter::default(), FreeMemory::default());
    let mut network = network(&file, Spec::of(&file).unwrap(), &config, anything).unwrap();
    let pages: Vec<PageId> = (0..7).collect();
    let chunk = Chunk { pages: &pages, position: 0, rows: 100, logits: Wanted::Last };
    let batch = Batch { tokens: (0..100).map(|place| place * 37 % 256).collect(), chunks: vec![chunk] };
    let mut logits = Vec::new();
    network.step(&batch, &mut logits).unwrap();
    logits
}

fn greatest_difference(one: &[f32], other: &[f32]) -> f32 {
    assert_eq!(one.len(), other.len());
    one.iter().zip(other).map(|(one, other)| (one - other).abs()).fold(0.0, f32::max)
}

#[test]
fn a_folder_computes_what_a_file_with_the_same_weights_computes() {
    for kind in Kind::ALL {
        let (file, folder) = (testmodel::write(kind, &[]), testmodel::folder::write(kind));
        for quantization in KEEPING_AND_QUANTISING {
            let difference =
                greatest_difference(&logits(file.path(), quantization), &logits(folder.path(), quantization));
            // Llama's rows are in another order, so its scores are summed up in another one.
            let most = if kind == Kind::Llama { 1e-2 } else { 0.0 };
            assert!(difference <= most, "{} {quantization:?}: {difference}", kind.name());
        }
    }
}

#[test]
fn weights_of_a_folder_are_quantised_on_request() {
    let folder = testmodel::folder::write(Kind::Qwen3);
    let [kept, quantised] = KEEPING_AND_QUANTISING.map(|quantization| logits(folder.path(), quantization));
    let difference = greatest_difference(&kept, &quantised);
    assert!(difference > 0.0 && difference < 1.0, "{difference}");
}

async fn answer(path: &Path, quantization: Option<Quantization>) -> String {
    ask(path, quantization, "hello, <|im_end|> world").await.unwrap()
}

async fn ask(path: &Path, quantization: Option<Quantization>, question: &str) -> Result<String, EngineError> {
    let config = CandleConfig {
        quantization,
        temperature: 0.0,
        max_tokens: 12,
        threads: 1,
        cache_bytes: 1 << 20,
        ..CandleConfig::new(path)
    };
    let engine = CandleEngine::load(config, Arc::new(SystemClock));
    engine.loaded().await;
    let messages = vec![PromptMessage { role: Role::User, text: question.to_owned() }];
    let prompt = Prompt { messages, sampling: Sampling::default(), images: Vec::new(), conversation: None };
    let answer: Vec<_> = engine.generate(prompt, CancelToken::new()).collect().await;
    let text = answer.into_iter().filter_map(|delta| match delta {
        Ok(Delta::Text(text)) => Some(Ok(text)),
        Ok(_) => None,
        Err(error) => Some(Err(error)),
    });
    text.collect()
}

#[tokio::test]
async fn a_folder_answers_what_a_file_with_the_same_weights_answers() {
    for kind in [Kind::Qwen2, Kind::Qwen3] {
        let (file, folder) = (testmodel::write(kind, &[]), testmodel::folder::write(kind));
        for quantization in KEEPING_AND_QUANTISING {
            let text = answer(folder.path(), quantization).await;
            assert!(!text.is_empty(), "{} {quantization:?}", kind.name());
            assert_eq!(text, answer(file.path(), quantization).await, "{} {quantization:?}", kind.name());
        }
    }
}

#[tokio::test]
async fn a_token_that_the_network_was_not_widened_for_costs_one_answer_only() {
    let folder = testmodel::folder::write(Kind::Qwen3);
    let path = folder.path().join("tokenizer.json");
    let mut tokenizer: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    let beyond = json!({ "id": 262, "content": "beyond", "special": false, "single_word": false, "lstrip": false,
        "rstrip": false, "normalized": false });
    tokenizer["added_tokens"].as_array_mut().unwrap().push(beyond);
    std::fs::write(&path, tokenizer.to_string()).unwrap();
    let refused = ask(folder.path(), None, "from beyond").await;
    assert!(matches!(&refused, Err(EngineError::Rejected { what, .. }) if what.contains("262")), "{refused:?}");
    assert!(ask(folder.path(), None, "from here").await.is_ok());
}

/// How a folder's template renders a short conversation, and where it comes from.
fn rendered(folder: &Path) -> (TemplateOrigin, String) {
    let config = CandleConfig::new(folder);
    let (file, _) = open(&config, &Reporter::default()).unwrap();
    let Words { template, .. } = words(&file, &config, Arc::new(SystemClock)).unwrap();
    let messages = [PromptMessage { role: Role::User, text: "hi".to_owned() }];
    let rendered = template.render(&messages).unwrap();
    let text = rendered.fragments().into_iter().map(|fragment| match fragment {
        Fragment::Markup(text) | Fragment::Content(text) => text.to_owned(),
    });
    (template.origin(), text.collect())
}

#[test]
fn a_folders_template_is_found_wherever_it_lies() {
    let folder = testmodel::folder::write(Kind::Qwen2);
    let chatml = "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n";
    assert_eq!(rendered(folder.path()), (TemplateOrigin::Model, chatml.to_owned()), "a text in tokenizer_config.json");
    let save = |json| testfolder::save(folder.path(), "tokenizer_config.json", &json);
    save(json!({
        "bos_token": "<|endoftext|>", "eos_token": "<|im_end|>",
        "chat_template": [
            { "name": "tool_use", "template": "tools" },
            { "name": "default", "template": "{{ bos_token }}{{ messages[0].content }}{{ eos_token }}" },
        ],
    }));
    let named = "<|endoftext|>hi<|im_end|>".to_owned();
    assert_eq!(rendered(folder.path()), (TemplateOrigin::Model, named), "one of several");
    std::fs::write(folder.path().join("chat_template.jinja"), "{{ messages[0].content }}!\n").unwrap();
    assert_eq!(rendered(folder.path()), (TemplateOrigin::Model, "hi!".to_owned()), "a file of its own");
    std::fs::remove_file(folder.path().join("chat_template.jinja")).unwrap();
    save(json!({}));
    assert_eq!(rendered(folder.path()), (TemplateOrigin::Assumed("chatml"), chatml.to_owned()), "nowhere");
}

#[test]
fn a_folder_without_tokenizer_is_refused_by_the_name_of_what_is_missing() {
    let folder = testmodel::folder::write(Kind::Llama);
    std::fs::remove_file(folder.path().join("tokenizer.json")).unwrap();
    let error = try_load(&CandleConfig::new(folder.path())).unwrap_err();
    assert!(matches!(&error, LoadError::File { .. }) && error.to_string().contains("tokenizer.json"), "{error}");
}

#[test]
fn a_file_can_take_its_tokenizer_and_template_from_a_folder() {
    let (file, folder) = (testmodel::write(Kind::Llama, &[]), testmodel::folder::write(Kind::Llama));
    let config = CandleConfig { tokenizer: Some(folder.path().to_owned()), ..CandleConfig::new(file.path()) };
    let summary = try_load(&config).unwrap();
    assert_eq!((summary.tokenizer.model.as_str(), summary.template), ("tokenizer.json", TemplateOrigin::Model));
}
