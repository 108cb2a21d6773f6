//! Tiny models with made-up weights, written as transformers saves them.

use std::fs;
use std::path::Path;

use half::{bf16, f16};
use serde_json::{Value as Json, json};
use tempfile::TempDir;

pub(crate) const WIDTH: usize = 64;
pub(crate) const HEADS: usize = 4;
pub(crate) const VOCABULARY: usize = 40;
const FEED_FORWARD: usize = 96;
const KEY_HEADS: usize = 2;

/// A tensor to write: name, type, shape and bytes.
pub(crate) type Weight = (String, &'static str, Vec<usize>, Vec<u8>);

/// Writes a model of two layers whose configuration is changed as told (null removes a key).
pub(crate) fn write(architecture: &str, dtype: &'static str, changes: Json) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let mut config = json!({
        "architectures": [architecture],
        "hidden_size": WIDTH, "num_attention_heads": HEADS, "num_key_value_heads": KEY_HEADS, "num_hidden_layers": 2,
        "intermediate_size": FEED_FORWARD, "max_position_embeddings": 512, "vocab_size": VOCABULARY,
        "rms_norm_eps": 1e-6, "rope_theta": 1_000_000.0, "hidden_act": "silu", "bos_token_id": 1, "eos_token_id": 2,
    });
    for (key, value) in changes.as_object().expect("changes are an object") {
        config[key] = value.clone();
    }
    config.as_object_mut().expect("it is one").retain(|_, value| !value.is_null());
    save(folder.path(), "config.json", &config);
    fs::write(folder.path().join("model.safetensors"), safetensors(&weights(architecture, dtype))).expect("it fits");
    folder
}

/// All tensors of such a model.
pub(crate) fn weights(architecture: &str, dtype: &'static str) -> Vec<Weight> {
    let key_width = WIDTH / HEADS * KEY_HEADS;
    let mut weights = vec![
        weight("model.embed_tokens.weight", dtype, &[VOCABULARY, WIDTH]),
        weight("model.norm.weight", dtype, &[WIDTH]),
        weight("lm_head.weight", dtype, &[VOCABULARY, WIDTH]),
    ];
    for layer in 0..2 {
        let mut add = |part: &str, shape: &[usize]| {
            weights.push(weight(&format!("model.layers.{layer}.{part}"), dtype, shape));
        };
        for norm in ["input_layernorm", "post_attention_layernorm"] {
            add(&format!("{norm}.weight"), &[WIDTH]);
        }
        for (part, rows, cols) in [
            ("self_attn.q_proj", WIDTH, WIDTH),
            ("self_attn.k_proj", key_width, WIDTH),
            ("self_attn.v_proj", key_width, WIDTH),
            ("self_attn.o_proj", WIDTH, WIDTH),
            ("mlp.gate_proj", FEED_FORWARD, WIDTH),
            ("mlp.up_proj", FEED_FORWARD, WIDTH),
            ("mlp.down_proj", WIDTH, FEED_FORWARD),
        ] {
            add(&format!("{part}.weight"), &[rows, cols]);
            if architecture == "Qwen2ForCausalLM" && part.starts_with("self_attn") && part != "self_attn.o_proj" {
                add(&format!("{part}.bias"), &[rows]);
            }
        }
        if architecture == "Qwen3ForCausalLM" {
            for norm in ["self_attn.q_norm.weight", "self_attn.k_norm.weight"] {
                add(norm, &[WIDTH / HEADS]);
            }
        }
    }
    weights
}

/// A tensor with values between -1 and 1.
pub(crate) fn weight(name: &str, dtype: &'static str, shape: &[usize]) -> Weight {
    let count = shape.iter().product::<usize>();
    let bytes = (0..count).flat_map(|place| encode(dtype, value(place))).collect();
    (name.to_owned(), dtype, shape.to_vec(), bytes)
}

/// The value at a place; it is exact in every type.
pub(crate) fn value(place: usize) -> f32 {
    f32::from(u8::try_from(place * 37 % 129).expect("it is under 129")) / 64.0 - 1.0
}

fn encode(dtype: &str, value: f32) -> Vec<u8> {
    match dtype {
        "BF16" => bf16::from_f32(value).to_le_bytes().to_vec(),
        "F16" => f16::from_f32(value).to_le_bytes().to_vec(),
        _ => value.to_le_bytes().to_vec(),
    }
}

/// A file of tensors.
pub(crate) fn safetensors(weights: &[Weight]) -> Vec<u8> {
    let mut header = json!({ "__metadata__": { "format": "pt" } });
    let mut data = Vec::new();
    for (name, dtype, shape, bytes) in weights {
        let offsets = [data.len(), data.len() + bytes.len()];
        header[name] = json!({ "dtype": dtype, "shape": shape, "data_offsets": offsets });
        data.extend(bytes);
    }
    with_header(&header.to_string(), &data)
}

/// A file with this header, be it good or bad.
pub(crate) fn with_header(header: &str, data: &[u8]) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes(), header.as_bytes(), data].concat()
}

pub(crate) fn save(folder: &Path, name: &str, json: &Json) {
    fs::write(folder.join(name), json.to_string()).expect("it can be written");
}
