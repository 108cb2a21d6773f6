//! The tiny model once more, as transformers would have saved it: same weights, same vocabulary.
//!
//! Names and order of rows are written down here anew, so that a mistake of the reader is not repeated.

use std::fs;

use serde_json::{Value as Json, json};
use tempfile::TempDir;

use super::Kind;
use crate::file::testfolder::{Weight, safetensors, save};
use crate::file::{ModelFile, TensorView};

/// ChatML as people publish it, with the tokens of `tokenizer_config.json` at both ends.
pub(crate) const TEMPLATE: &str = "{{- bos_token }}{% for message in messages %}<|im_start|>{{ message['role'] }}
{{ message['content'] }}{{ eos_token }}
{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
{% endif %}
";

/// How Qwen 2 is published to cut text into words.
const WORDS: &str =
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// Writes the model that [`super::write`] writes as a file.
pub(crate) fn write(kind: Kind) -> TempDir {
    let written = super::write(kind, &[]);
    let file = ModelFile::open(written.path()).expect("it was just written");
    let folder = tempfile::tempdir().expect("a folder can be made");
    save(folder.path(), "config.json", &config(kind, &file));
    save(folder.path(), "tokenizer.json", &tokenizer(&file));
    let tokens = json!({ "bos_token": null, "eos_token": { "content": "<|im_end|>" }, "chat_template": TEMPLATE });
    save(folder.path(), "tokenizer_config.json", &tokens);
    let weights: Vec<Weight> = file.tensors().map(|tensor| weight(kind, &file, &tensor)).collect();
    fs::write(folder.path().join("model.safetensors"), safetensors(&weights)).expect("it can be written");
    folder
}

fn config(kind: Kind, file: &ModelFile) -> Json {
    let number = |key: &str| file.number(&format!("{}.{key}", kind.name()));
    let architecture = match kind {
        Kind::Llama => "LlamaForCausalLM",
        Kind::Qwen2 => "Qwen2ForCausalLM",
        Kind::Qwen3 => "Qwen3ForCausalLM",
    };
    json!({
        "architectures": [architecture], "hidden_act": "silu", "rms_norm_eps": 1e-6, "rope_theta": 10_000.0,
        "hidden_size": number("embedding_length"), "intermediate_size": number("feed_forward_length"),
        "num_hidden_layers": number("block_count"), "max_position_embeddings": number("context_length"),
        "num_attention_heads": number("attention.head_count"), "head_dim": number("attention.key_length"),
        "num_key_value_heads": number("attention.head_count_kv"), "tie_word_embeddings": true,
        "vocab_size": file.tensor("token_embd.weight").map(|tensor| tensor.rows()),
        "eos_token_id": file.number("tokenizer.ggml.eos_token_id"),
    })
}

fn tokenizer(file: &ModelFile) -> Json {
    let texts = file.texts("tokenizer.ggml.tokens").expect("it has tokens");
    let (special, plain): (Vec<_>, Vec<_>) = texts.iter().enumerate().partition(|(_, text)| text.starts_with("<|"));
    let plain: serde_json::Map<_, _> = plain.into_iter().map(|(id, text)| ((*text).to_owned(), id.into())).collect();
    let added = special.into_iter().map(|(id, text)| {
        json!({ "id": id, "content": text, "special": true, "single_word": false, "lstrip": false, "rstrip": false,
            "normalized": false })
    });
    let byte_level =
        json!({ "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false, "use_regex": false });
    json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": added.collect::<Vec<_>>(),
        "normalizer": { "type": "NFC" }, "decoder": byte_level, "post_processor": null,
        "pre_tokenizer": { "type": "Sequence", "pretokenizers": [
            { "type": "Split", "pattern": { "Regex": WORDS }, "behavior": "Isolated", "invert": false },
            byte_level,
        ] },
        "model": { "type": "BPE", "vocab": plain, "merges": file.texts("tokenizer.ggml.merges").expect("it has merges") },
    })
}

fn weight(kind: Kind, file: &ModelFile, tensor: &TensorView<'_>) -> Weight {
    let heads = |key: &str| file.number(&format!("llama.attention.{key}")).unwrap_or_default();
    let bytes = match (kind, tensor.name.rsplit_once("attn_")) {
        (Kind::Llama, Some((_, "q.weight"))) => halves(tensor, heads("head_count")),
        (Kind::Llama, Some((_, "k.weight"))) => halves(tensor, heads("head_count_kv")),
        _ => tensor.bytes.to_vec(),
    };
    (their_name(tensor.name), "F32", tensor.shape.to_vec(), bytes)
}

/// Rows of a matrix whose heads turn neighbours, for heads that turn halves: first the even rows of each head.
fn halves(tensor: &TensorView<'_>, heads: u64) -> Vec<u8> {
    let heads = usize::try_from(heads).expect("heads are few");
    let row_bytes = tensor.bytes.len() / tensor.rows();
    let head_rows = tensor.rows() / heads;
    let row = |row: usize| &tensor.bytes[row * row_bytes..][..row_bytes];
    let of_head = |head: usize| {
        let even = (0..head_rows).step_by(2);
        even.clone().chain(even.map(|row| row + 1)).map(move |row| head * head_rows + row)
    };
    (0..heads).flat_map(of_head).flat_map(row).copied().collect()
}

fn their_name(ours: &str) -> String {
    let Some((layer, part)) = ours.strip_prefix("blk.").and_then(|rest| rest.split_once('.')) else {
        return ours.replace("token_embd", "model.embed_tokens").replace("output_norm", "model.norm");
    };
    let (part, end) = part.rsplit_once('.').expect("all names of tensors end like that");
    let part = match part {
        "attn_norm" => "input_layernorm",
        "ffn_norm" => "post_attention_layernorm",
        "attn_q" => "self_attn.q_proj",
        "attn_k" => "self_attn.k_proj",
        "attn_v" => "self_attn.v_proj",
        "attn_output" => "self_attn.o_proj",
        "attn_q_norm" => "self_attn.q_norm",
        "attn_k_norm" => "self_attn.k_norm",
        "ffn_gate" => "mlp.gate_proj",
        "ffn_up" => "mlp.up_proj",
        "ffn_down" => "mlp.down_proj",
        other => panic!("no tensor of the tiny model is called {other}"),
    };
    format!("model.layers.{layer}.{part}.{end}")
}
