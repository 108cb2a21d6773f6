//! Writes the trained network as a GGUF file, with tokenizer and chat template inside.

use std::fs::File;
use std::io::BufWriter;
use std::path::Path;

use anyhow::Result;
use candle_core::quantized::gguf_file::{self, Value};
use candle_core::quantized::{GgmlDType, QTensor};

use super::net::{EPSILON, FEED_FORWARD, HEADS, LAYERS, Net, ROPE_BASE, WIDTH};
use super::vocabulary::{END_OF_TEXT, SPECIAL, TURN_END, Vocabulary};

/// Positions the model was trained on.
const CONTEXT: u32 = 1024;
/// ChatML, one message after the other, as the training dialogues have it.
const TEMPLATE: &str = "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";
/// `tokenizer.ggml.token_type` values: an ordinary token, and one that controls the dialogue.
const NORMAL: i32 = 1;
const CONTROL: i32 = 3;

/// Writes `net` to `path`: matrices as Q8_0, normalisation factors as f32, the output tied to the
/// embedding by leaving it out.
///
/// # Errors
/// A file that cannot be written.
pub fn export(net: &Net, vocabulary: &Vocabulary, path: &Path) -> Result<()> {
    let mut tensors = Vec::new();
    for parameter in net.parameters() {
        let matrix = parameter.var.rank() > 1;
        let kind = if matrix { GgmlDType::Q8_0 } else { GgmlDType::F32 };
        tensors.push((parameter.name, QTensor::quantize(parameter.var.as_tensor(), kind)?));
    }
    let tensors: Vec<_> = tensors.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect();
    let metadata = [model(), tokenizer(vocabulary)].concat();
    let metadata: Vec<_> = metadata.iter().map(|(name, value)| (*name, value)).collect();
    let mut file = BufWriter::new(File::create(path)?);
    gguf_file::write(&mut file, &metadata, &tensors)?;
    Ok(())
}

fn model() -> Vec<(&'static str, Value)> {
    let head_width = (WIDTH / HEADS) as u32;
    vec![
        ("general.architecture", text("llama")),
        ("general.name", text("Magpie demo")),
        (
            "general.description",
            text("A toy that answers questions about Magpie, so that a fresh clone runs inference offline"),
        ),
        ("general.license", text("Apache-2.0")),
        ("general.languages", texts(["zh", "en"])),
        ("general.quantization_version", Value::U32(2)),
        // 7 is llama.cpp's number for files that are mostly Q8_0.
        ("general.file_type", Value::U32(7)),
        ("llama.context_length", Value::U32(CONTEXT)),
        ("llama.embedding_length", Value::U32(WIDTH as u32)),
        ("llama.block_count", Value::U32(LAYERS as u32)),
        ("llama.feed_forward_length", Value::U32(FEED_FORWARD as u32)),
        ("llama.rope.dimension_count", Value::U32(head_width)),
        ("llama.rope.freq_base", Value::F32(ROPE_BASE)),
        ("llama.attention.head_count", Value::U32(HEADS as u32)),
        ("llama.attention.head_count_kv", Value::U32(HEADS as u32)),
        ("llama.attention.layer_norm_rms_epsilon", Value::F32(EPSILON)),
    ]
}

fn tokenizer(vocabulary: &Vocabulary) -> Vec<(&'static str, Value)> {
    let kinds = (0..vocabulary.tokens.len()).map(|id| Value::I32(if id < SPECIAL.len() { CONTROL } else { NORMAL }));
    vec![
        ("llama.vocab_size", Value::U32(vocabulary.tokens.len() as u32)),
        ("tokenizer.ggml.model", text("gpt2")),
        ("tokenizer.ggml.pre", text("qwen2")),
        ("tokenizer.ggml.tokens", texts(&vocabulary.tokens)),
        ("tokenizer.ggml.token_type", Value::Array(kinds.collect())),
        ("tokenizer.ggml.merges", texts(&vocabulary.merges)),
        ("tokenizer.ggml.bos_token_id", Value::U32(END_OF_TEXT)),
        ("tokenizer.ggml.eos_token_id", Value::U32(TURN_END)),
        ("tokenizer.ggml.padding_token_id", Value::U32(END_OF_TEXT)),
        ("tokenizer.ggml.add_bos_token", Value::Bool(false)),
        ("tokenizer.chat_template", text(TEMPLATE)),
    ]
}

fn text(text: &str) -> Value {
    Value::String(text.to_owned())
}

fn texts<T: ToString>(texts: impl IntoIterator<Item = T>) -> Value {
    Value::Array(texts.into_iter().map(|text| Value::String(text.to_string())).collect())
}
