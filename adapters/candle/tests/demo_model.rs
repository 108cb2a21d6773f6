//! The shipped demo model: the file is the one that was measured, and it answers.
//!
//! Inference here goes through candle-transformers alone, so that a failure tells a broken file from
//! a broken engine.

use std::io::Cursor;

use candle_core::quantized::gguf_file;
use candle_core::quantized::tokenizer::TokenizerFromGguf;
use candle_core::{Device, Tensor};
use candle_transformers::models::quantized_llama::ModelWeights;
use sha2::{Digest, Sha256};
use tokenizers::Tokenizer;

const MODEL: &[u8] = include_bytes!("../demo-model/magpie-demo.gguf");
const CHECKSUM: &str = include_str!("../demo-model/magpie-demo.gguf.sha256");
const LARGEST_BYTES: usize = 8 * 1024 * 1024;
/// Longer than any trained answer.
const MOST_TOKENS: usize = 200;

/// Trained questions, and a piece that only the right topic's answer contains.
const QUESTIONS: [(&str, &str); 8] = [
    ("Magpie 是什么", "机器人服务"),
    ("怎么配置飞书机器人", "飞书开放平台"),
    ("怎么配置钉钉机器人", "钉钉开放平台"),
    ("法国的首都是哪里", "只了解 Magpie"),
    ("what is magpie", "bot service"),
    ("how do I set up a feishu bot", "Feishu open platform"),
    ("how do I run database migrations", "magpie migrate"),
    ("what is the capital of france", "only know about Magpie"),
];

#[test]
fn shipped_file_has_the_published_checksum() {
    let published = CHECKSUM.split_whitespace().next();
    assert_eq!(published, Some(hex::encode(Sha256::digest(MODEL)).as_str()));
    assert!(MODEL.len() <= LARGEST_BYTES, "{} bytes", MODEL.len());
}

#[test]
fn shipped_file_names_its_architecture_tokenizer_and_template() {
    let content = gguf_file::Content::read(&mut Cursor::new(MODEL)).expect("a GGUF file");
    let named = |key: &str| content.metadata[key].to_string().expect("a text").clone();
    assert_eq!(named("general.architecture"), "llama");
    assert_eq!(named("general.license"), "Apache-2.0");
    assert_eq!(named("tokenizer.ggml.model"), "gpt2");
    assert_eq!(named("tokenizer.ggml.pre"), "qwen2");
    assert!(named("tokenizer.chat_template").contains("<|im_start|>"));
}

#[test]
fn trained_questions_get_their_topics_answers() {
    let content = gguf_file::Content::read(&mut Cursor::new(MODEL)).expect("a GGUF file");
    let tokenizer = Tokenizer::from_gguf(&content).expect("a known tokenizer");
    let mut weights =
        ModelWeights::from_gguf(content, &mut Cursor::new(MODEL), &Device::Cpu).expect("a complete model");
    for (question, expected) in QUESTIONS {
        let answer = greedy_answer(&mut weights, &tokenizer, question);
        assert!(answer.contains(expected), "{question}: {answer}");
    }
}

fn greedy_answer(weights: &mut ModelWeights, tokenizer: &Tokenizer, question: &str) -> String {
    let prompt = format!(
        "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n\
         <|im_start|>user\n{question}<|im_end|>\n<|im_start|>assistant\n"
    );
    let end = tokenizer.token_to_id("<|im_end|>").expect("ChatML's end of turn");
    let mut input = tokenizer.encode(prompt, false).expect("text encodes").get_ids().to_vec();
    let (mut seen, mut answer) = (0, Vec::new());
    while answer.len() < MOST_TOKENS {
        let tokens = Tensor::new(input.as_slice(), &Device::Cpu).and_then(|ids| ids.unsqueeze(0)).expect("a row");
        let logits = weights.forward(&tokens, seen).expect("a forward pass");
        seen += input.len();
        let next: u32 = logits.squeeze(0).and_then(|row| row.argmax(0)?.to_scalar()).expect("a best token");
        if next == end {
            break;
        }
        answer.push(next);
        input = vec![next];
    }
    tokenizer.decode(&answer, true).expect("tokens decode")
}
