//! A tiny model with random weights, written as a real GGUF file.
//!
//! Two layers, 64 wide, with a vocabulary of the 256 bytes, a few merges and ChatML's special tokens. What it says is
//! noise, but it says it the same way every time.

use std::io::BufWriter;

use candle_core::quantized::gguf_file::{self, Value};
use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{Device, Tensor};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tempfile::NamedTempFile;

use crate::tokenizer::Tokenizer;

pub(crate) const CONTEXT_TOKENS: usize = 256;

const WIDTH: usize = 64;
const HEADS: usize = 4;
const KEY_HEADS: usize = 2;
const FEED_FORWARD: usize = 96;
const LAYERS: usize = 2;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Llama,
    Qwen2,
    Qwen3,
}

impl Kind {
    pub(crate) const ALL: [Self; 3] = [Self::Llama, Self::Qwen2, Self::Qwen3];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Llama => "llama",
            Self::Qwen2 => "qwen2",
            Self::Qwen3 => "qwen3",
        }
    }
}

/// Metadata that a test changes.
pub(crate) struct Change(Value);

impl From<&str> for Change {
    fn from(text: &str) -> Self {
        Self(Value::String(text.to_owned()))
    }
}

/// Writes a model whose metadata is changed as told.
pub(crate) fn write(kind: Kind, changes: &[(&str, Change)]) -> NamedTempFile {
    let mut metadata = metadata(kind);
    for (key, Change(value)) in changes {
        metadata.retain(|(existing, _)| existing != key);
        metadata.push(((*key).to_owned(), value.clone()));
    }
    let metadata: Vec<(&str, &Value)> = metadata.iter().map(|(key, value)| (key.as_str(), value)).collect();
    let tensors = tensors(kind, vocabulary().0.len());
    let tensors: Vec<(&str, &QTensor)> = tensors.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect();
    let file = NamedTempFile::new().expect("a temporary file can be made");
    let mut writer = BufWriter::new(file.reopen().expect("it can be opened again"));
    gguf_file::write(&mut writer, &metadata, &tensors).expect("the model can be written");
    writer.into_inner().expect("the rest can be written");
    file
}

/// The model's vocabulary.
pub(crate) fn tokenizer() -> Tokenizer {
    Tokenizer::open(write(Kind::Llama, &[]).path()).expect("the vocabulary is complete")
}

fn metadata(kind: Kind) -> Vec<(String, Value)> {
    let number = |value: usize| Value::U32(u32::try_from(value).expect("small numbers only"));
    let text = |value: &str| Value::String(value.to_owned());
    let (tokens, types) = vocabulary();
    let id = |token: &str| number(tokens.iter().position(|other| other == token).expect("a token of ours"));
    let name = kind.name();
    let mut metadata = vec![
        ("general.architecture".to_owned(), text(name)),
        ("general.name".to_owned(), text("tiny")),
        ("tokenizer.ggml.model".to_owned(), text("gpt2")),
        ("tokenizer.ggml.pre".to_owned(), text("qwen2")),
        ("tokenizer.ggml.eos_token_id".to_owned(), id("<|im_end|>")),
        ("tokenizer.ggml.tokens".to_owned(), Value::Array(tokens.iter().map(|token| text(token)).collect())),
        ("tokenizer.ggml.token_type".to_owned(), Value::Array(types.into_iter().map(Value::I32).collect())),
        ("tokenizer.ggml.merges".to_owned(), Value::Array(["h e", "l l", "he ll"].map(text).into())),
    ];
    for (key, value) in [
        ("block_count", LAYERS),
        ("context_length", CONTEXT_TOKENS),
        ("embedding_length", WIDTH),
        ("feed_forward_length", FEED_FORWARD),
        ("attention.head_count", HEADS),
        ("attention.head_count_kv", KEY_HEADS),
        ("attention.key_length", WIDTH / HEADS),
        ("rope.dimension_count", WIDTH / HEADS),
    ] {
        metadata.push((format!("{name}.{key}"), number(value)));
    }
    metadata.push((format!("{name}.attention.layer_norm_rms_epsilon"), Value::F32(1e-6)));
    metadata.push((format!("{name}.rope.freq_base"), Value::F32(10_000.0)));
    metadata
}

/// Tokens and their types (1 normal, 3 control).
fn vocabulary() -> (Vec<String>, Vec<i32>) {
    let mut letters: Vec<(u8, char)> =
        crate::tokenizer::byte_alphabet().into_iter().map(|(letter, byte)| (byte, letter)).collect();
    letters.sort_unstable();
    let mut tokens: Vec<String> = letters.into_iter().map(|(_, letter)| letter.to_string()).collect();
    tokens.extend(["he", "ll", "hell"].map(str::to_owned));
    let mut types = vec![1; tokens.len()];
    tokens.extend(["<|endoftext|>", "<|im_start|>", "<|im_end|>"].map(str::to_owned));
    types.resize(tokens.len(), 3);
    (tokens, types)
}

fn tensors(kind: Kind, vocabulary_size: usize) -> Vec<(String, QTensor)> {
    let key_width = WIDTH / HEADS * KEY_HEADS;
    let mut random = StdRng::seed_from_u64(20_261_121);
    let mut tensors = Vec::new();
    let mut add = |name: String, shape: &[usize], spread: f32, centre: f32| {
        let count = shape.iter().product();
        let values: Vec<f32> = (0..count).map(|_| centre + random.random_range(-spread..=spread)).collect();
        let tensor = Tensor::from_vec(values, shape, &Device::Cpu).expect("values fit their shape");
        tensors.push((name, QTensor::quantize(&tensor, GgmlDType::F32).expect("F32 takes anything")));
    };
    add("token_embd.weight".to_owned(), &[vocabulary_size, WIDTH], 1.0, 0.0);
    add("output_norm.weight".to_owned(), &[WIDTH], 0.1, 1.0);
    for layer in 0..LAYERS {
        let name = |part: &str| format!("blk.{layer}.{part}");
        for part in ["attn_norm", "ffn_norm"] {
            add(name(&format!("{part}.weight")), &[WIDTH], 0.1, 1.0);
        }
        for (part, rows, columns) in [
            ("attn_q", WIDTH, WIDTH),
            ("attn_k", key_width, WIDTH),
            ("attn_v", key_width, WIDTH),
            ("attn_output", WIDTH, WIDTH),
            ("ffn_gate", FEED_FORWARD, WIDTH),
            ("ffn_up", FEED_FORWARD, WIDTH),
            ("ffn_down", WIDTH, FEED_FORWARD),
        ] {
            add(name(&format!("{part}.weight")), &[rows, columns], 0.2, 0.0);
            if kind == Kind::Qwen2 && ["attn_q", "attn_k", "attn_v"].contains(&part) {
                add(name(&format!("{part}.bias")), &[rows], 0.1, 0.0);
            }
        }
        if kind == Kind::Qwen3 {
            for part in ["attn_q_norm", "attn_k_norm"] {
                add(name(&format!("{part}.weight")), &[WIDTH / HEADS], 0.1, 1.0);
            }
        }
    }
    tensors
}
