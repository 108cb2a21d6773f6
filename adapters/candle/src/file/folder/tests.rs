use std::fs;

use magpie_kernels::{Format, RotationStyle};
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::file::testfolder::{self, WIDTH};
use crate::file::{ModelFile, TensorFormat};

const LLAMA: &str = "LlamaForCausalLM";

fn opened(architecture: &str, changes: Json) -> ModelFile {
    // The map outlives the folder.
    ModelFile::open(testfolder::write(architecture, "BF16", changes).path()).unwrap()
}

fn refused(architecture: &str, changes: Json) -> String {
    let folder = testfolder::write(architecture, "BF16", changes);
    ModelFile::open(folder.path()).err().expect("this folder should not be accepted").to_string()
}

#[test]
fn every_architecture_speaks_ggufs_names() {
    let all = [
        (LLAMA, "llama"),
        ("MistralForCausalLM", "llama"),
        ("Qwen2ForCausalLM", "qwen2"),
        ("Qwen3ForCausalLM", "qwen3"),
    ];
    for (theirs, ours) in all {
        let file = opened(theirs, json!({}));
        assert_eq!(file.architecture().unwrap(), ours);
        assert_eq!(file.number(&format!("{ours}.attention.head_count_kv")), Some(2));
        assert_eq!(file.number(&format!("{ours}.attention.key_length")), Some(16));
        assert!((file.float(&format!("{ours}.rope.freq_base")).unwrap() - 1e6).abs() < 1.0);
        assert_eq!(file.rotation(), RotationStyle::Halves);
        assert_eq!(file.tensor("blk.1.attn_q.bias").is_some(), ours == "qwen2");
        assert_eq!(file.tensor("blk.0.attn_k_norm.weight").is_some(), ours == "qwen3");
        assert!(file.tensors().all(|tensor| tensor.format == TensorFormat::Known(Format::BF16)));
        let down = file.tensor("blk.0.ffn_down.weight").unwrap();
        assert_eq!((down.rows(), down.cols(), down.bytes.len()), (WIDTH, 96, WIDTH * 96 * 2));
    }
}

#[test]
fn the_embedding_is_the_output_where_the_configuration_says_so() {
    assert!(opened(LLAMA, json!({})).tensor("output.weight").is_some());
    assert!(opened(LLAMA, json!({ "tie_word_embeddings": true })).tensor("output.weight").is_none());
    let folder = testfolder::write(LLAMA, "F16", json!({ "tie_word_embeddings": false }));
    let rest: Vec<_> =
        testfolder::weights(LLAMA, "F16").into_iter().filter(|(name, ..)| name != "lm_head.weight").collect();
    fs::write(folder.path().join(SINGLE), testfolder::safetensors(&rest)).unwrap();
    assert!(ModelFile::open(folder.path()).err().unwrap().to_string().contains("lm_head.weight is missing"));
}

#[test]
fn scaled_positions_are_told_as_gguf_tells_them() {
    let linear = opened(LLAMA, json!({ "rope_scaling": { "type": "linear", "factor": 4.0 } }));
    assert_eq!(
        (linear.text("llama.rope.scaling.type"), linear.float("llama.rope.scaling.factor")),
        (Some("linear"), Some(4.0))
    );
    let yarn =
        json!({ "rope_scaling": { "rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 512 } });
    let yarn = opened("Qwen3ForCausalLM", yarn);
    assert_eq!(yarn.number("qwen3.rope.scaling.original_context_length"), Some(512));
    assert_eq!(yarn.number("qwen3.context_length"), Some(2048));
    let newer = json!({ "rope_theta": null, "rope_parameters": { "rope_theta": 5000.0, "rope_type": "default" } });
    assert_eq!(opened(LLAMA, newer).float("llama.rope.freq_base"), Some(5000.0));
    assert!(refused(LLAMA, json!({ "rope_scaling": { "type": "dynamic", "factor": 2.0 } })).contains("dynamic"));
    assert!(refused(LLAMA, json!({ "rope_scaling": { "type": "linear" } })).contains("without a factor"));
}

/// The published configuration of Llama 3.2 1B, worked by hand: a wave of 2π·θ^(2i/64) tokens is kept under 8192/4,
/// divided by 32 above 8192/1, and something between in between.
#[test]
fn llama_3_slows_its_low_frequencies() {
    let scaling = json!({ "rope_type": "llama3", "factor": 32.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192 });
    let changes = json!({ "rope_theta": 500_000.0, "head_dim": 64, "rope_scaling": scaling });
    let file = opened(LLAMA, changes);
    let divisors = file.tensor("rope_freqs.weight").unwrap();
    let values: Vec<f32> =
        divisors.bytes.chunks_exact(4).map(|four| f32::from_le_bytes(four.try_into().unwrap())).collect();
    assert_eq!((divisors.format, values.len()), (TensorFormat::Known(Format::F32), 32));
    // Waves 14 and 17 are 1,956 and 6,694 tokens long, wave 18 is 10,089.
    assert!(values[..=14].iter().all(|divisor| *divisor == 1.0) && values[18..].iter().all(|divisor| *divisor == 32.0));
    let smooth = (8192.0 / 6694.0 - 1.0) / 3.0;
    let expected = 1.0 / ((1.0 - smooth) / 32.0 + smooth);
    assert!((values[17] - expected).abs() < 0.01, "{} {expected}", values[17]);
}

#[test]
fn what_would_be_answered_wrongly_is_refused() {
    assert!(refused("GemmaForCausalLM", json!({})).contains("GemmaForCausalLM"));
    assert!(refused(LLAMA, json!({ "quantization_config": { "quant_method": "gptq" } })).contains("gptq"));
    assert!(refused(LLAMA, json!({ "hidden_act": "gelu" })).contains("gelu"));
    assert!(refused(LLAMA, json!({ "hidden_size": null })).contains("no hidden_size"));
    assert!(refused(LLAMA, json!({ "partial_rotary_factor": 0.5 })).contains("part of each head"));
    assert!(refused(LLAMA, json!({ "architectures": null })).contains("no architecture"));
}

#[test]
fn windows_count_only_where_they_are_used() {
    let window = |changes| opened("Qwen2ForCausalLM", changes).number("qwen2.attention.sliding_window");
    assert_eq!(window(json!({ "sliding_window": 128, "use_sliding_window": false })), None);
    assert_eq!(window(json!({ "sliding_window": 128, "use_sliding_window": true })), Some(128));
}

#[test]
fn endings_and_templates_come_from_their_own_files() {
    let folder = testfolder::write(LLAMA, "F32", json!({}));
    let token = json!({ "content": "<s>" });
    let templates = json!([{ "name": "tool_use", "template": "t" }, { "name": "default", "template": "d" }]);
    let tokenizer =
        json!({ "bos_token": token, "eos_token": "</s>", "add_bos_token": false, "chat_template": templates });
    testfolder::save(folder.path(), "tokenizer_config.json", &tokenizer);
    testfolder::save(folder.path(), "generation_config.json", &json!({ "eos_token_id": [7, 8] }));
    testfolder::save(folder.path(), "tokenizer.json", &json!({}));
    let file = ModelFile::open(folder.path()).unwrap();
    assert_eq!(file.numbers("tokenizer.ggml.eos_token_ids").unwrap(), [7, 8]);
    assert_eq!(
        (file.number("tokenizer.ggml.bos_token_id"), file.flag("tokenizer.ggml.add_bos_token")),
        (Some(1), Some(false))
    );
    assert_eq!((file.text("tokenizer.bos_token"), file.text("tokenizer.eos_token")), (Some("<s>"), Some("</s>")));
    assert_eq!(file.text("tokenizer.chat_template"), Some("d"));
    assert_eq!(file.sibling("tokenizer.json"), Some(folder.path().join("tokenizer.json")));
    fs::write(folder.path().join("chat_template.jinja"), "j").unwrap();
    assert_eq!(ModelFile::open(folder.path()).unwrap().text("tokenizer.chat_template"), Some("j"));
}

#[test]
fn an_index_names_the_files_and_none_elsewhere() {
    let folder = testfolder::write(LLAMA, "F32", json!({}));
    let weights = testfolder::weights(LLAMA, "F32");
    let (first, second) = weights.split_at(5);
    fs::remove_file(folder.path().join(SINGLE)).unwrap();
    fs::write(folder.path().join("a.safetensors"), testfolder::safetensors(first)).unwrap();
    fs::write(folder.path().join("b.safetensors"), testfolder::safetensors(second)).unwrap();
    assert_eq!(ModelFile::open(folder.path()).unwrap().tensors().count(), weights.len());
    let index = |files: Json| testfolder::save(folder.path(), INDEX, &json!({ "weight_map": files }));
    index(json!({ "x": "a.safetensors", "y": "b.safetensors" }));
    assert_eq!(ModelFile::open(folder.path()).unwrap().tensors().count(), weights.len());
    index(json!({ "x": "c.safetensors" }));
    assert!(
        matches!(ModelFile::open(folder.path()).err().unwrap(), LoadError::File { path, .. } if path.ends_with("c.safetensors"))
    );
    for bad in
        [json!({ "x": "../a.safetensors" }), json!({ "x": "/etc/passwd" }), json!({ "x": 1 }), json!({}), json!(null)]
    {
        index(bad);
        assert!(ModelFile::open(folder.path()).err().unwrap().to_string().contains("names no files of this folder"));
    }
}

#[test]
fn a_folder_without_a_part_is_told_which() {
    let folder = tempfile::tempdir().unwrap();
    assert!(ModelFile::open(folder.path()).err().unwrap().to_string().contains("config.json"));
    let folder = testfolder::write(LLAMA, "F32", json!({}));
    fs::remove_file(folder.path().join(SINGLE)).unwrap();
    assert!(ModelFile::open(folder.path()).err().unwrap().to_string().contains("model.safetensors"));
    fs::write(folder.path().join("config.json"), "{").unwrap();
    assert!(ModelFile::open(folder.path()).err().unwrap().to_string().contains("not JSON"));
}

fn header(header: &str, data: usize) -> Result<Layout, String> {
    let mut layout = Layout::default();
    let read = weights::read(&testfolder::with_header(header, &vec![0; data]), 0, &mut layout);
    let read = read.and_then(|()| layout.refuse_overlaps());
    read.map(|()| layout).map_err(|error| error.of(Path::new("x")).to_string())
}

#[test]
fn hostile_headers_are_refused() {
    let one = |entry: &str| header(&format!(r#"{{"model.norm.weight":{entry}}}"#), 64).unwrap_err();
    assert!(one(r#"{"dtype":"F32","shape":[4],"data_offsets":[0,8]}"#).contains("needs 16 bytes"));
    assert!(one(r#"{"dtype":"F32","shape":[4],"data_offsets":[16,8]}"#).contains("needs 16 bytes"));
    assert!(one(r#"{"dtype":"F32","shape":[4],"data_offsets":[60,76]}"#).contains("fetch it anew"));
    assert!(
        one(r#"{"dtype":"F32","shape":[4],"data_offsets":[18446744073709551600,18446744073709551615]}"#)
            .contains("bytes")
    );
    assert!(one(r#"{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,0]}"#).contains("shape"));
    assert!(one(r#"{"dtype":"I64","shape":[4],"data_offsets":[0,32]}"#).contains("I64"));
    assert!(one(r#"{"dtype":"F32","shape":[-4],"data_offsets":[0,16]}"#).contains("can't be read"));
    let both = r#"{"model.norm.weight":{"dtype":"F32","shape":[4],"data_offsets":[0,16]},
        "lm_head.weight":{"dtype":"F32","shape":[1,4],"data_offsets":[8,24]}}"#;
    assert!(header(both, 64).unwrap_err().contains("overlap"));
    let foreign = r#"{"model.layers.0.adapter.weight":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}"#;
    assert!(header(foreign, 64).unwrap_err().contains("adapter"));
}

#[test]
fn a_safetensors_file_is_refused_wherever_it_is_cut_off() {
    let bytes = testfolder::safetensors(&testfolder::weights(LLAMA, "BF16")[..4]);
    for length in (0..bytes.len()).step_by(7).chain([bytes.len() - 1]) {
        assert!(weights::read(&bytes[..length], 0, &mut Layout::default()).is_err(), "{length}");
    }
    let huge = u64::MAX.to_le_bytes();
    assert!(weights::read(&huge, 0, &mut Layout::default()).is_err());
}

proptest! {
    #[test]
    fn no_damage_makes_the_reader_panic(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)) {
        let mut bytes = testfolder::safetensors(&[testfolder::weight("model.norm.weight", "F32", &[4]),
            testfolder::weight("lm_head.weight", "BF16", &[2, 4])]);
        for (place, byte) in changes {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        let mut layout = Layout::default();
        if weights::read(&bytes, 0, &mut layout).is_ok() {
            prop_assert!(layout.iter().all(|(_, placed)| placed.range.end <= bytes.len()));
        }
    }
}
