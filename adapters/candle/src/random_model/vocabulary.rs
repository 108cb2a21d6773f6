//! Tokens for a random model.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use candle_core::quantized::gguf_file::{Content, Value};

const NORMAL: i32 = 1;
const CONTROL: i32 = 3;

/// The tokenizer of a model, as metadata.
#[derive(Debug, Clone)]
pub struct Vocabulary {
    pub(super) metadata: Vec<(String, Value)>,
}

impl Vocabulary {
    /// The 256 bytes, a few merges and ChatML's special tokens.
    #[must_use]
    pub fn tiny() -> Self {
        let text = |value: &str| Value::String(value.to_owned());
        let mut tokens: Vec<String> = byte_letters().map(String::from).collect();
        tokens.extend(["he", "ll", "hell"].map(str::to_owned));
        let mut types = vec![Value::I32(NORMAL); tokens.len()];
        tokens.extend(["<|endoftext|>", "<|im_start|>", "<|im_end|>"].map(str::to_owned));
        types.resize(tokens.len(), Value::I32(CONTROL));
        let last = Value::U32(u32::try_from(tokens.len() - 1).unwrap_or(u32::MAX));
        let metadata = [
            ("tokenizer.ggml.model", text("gpt2")),
            ("tokenizer.ggml.pre", text("qwen2")),
            ("tokenizer.ggml.eos_token_id", last),
            ("tokenizer.ggml.tokens", Value::Array(tokens.iter().map(|token| text(token)).collect())),
            ("tokenizer.ggml.token_type", Value::Array(types)),
            ("tokenizer.ggml.merges", Value::Array(["h e", "l l", "he ll"].map(text).into())),
        ];
        Self { metadata: metadata.map(|(key, value)| (key.to_owned(), value)).into() }
    }

    /// That of another GGUF file.
    ///
    /// # Errors
    /// It can't be read, or has no list of tokens.
    pub fn of_file(path: &Path) -> candle_core::Result<Self> {
        let content = Content::read(&mut BufReader::new(File::open(path)?))?;
        let tokenizer = content.metadata.into_iter().filter(|(key, _)| key.starts_with("tokenizer."));
        let mut metadata: Vec<_> = tokenizer.collect();
        metadata.sort_by(|one, other| one.0.cmp(&other.0));
        let vocabulary = Self { metadata };
        if vocabulary.size() == 0 {
            candle_core::bail!("{} has no tokenizer.ggml.tokens", path.display());
        }
        Ok(vocabulary)
    }

    /// Tokens in it.
    #[must_use]
    pub fn size(&self) -> usize {
        let tokens = self.metadata.iter().find(|(key, _)| key == "tokenizer.ggml.tokens");
        match tokens {
            Some((_, Value::Array(tokens))) => tokens.len(),
            _ => 0,
        }
    }
}

/// The letters that byte-level tokenizers write the bytes 0 to 255 with: printable ones as themselves, the others as
/// what follows Latin-1, in order.
fn byte_letters() -> impl Iterator<Item = char> {
    let mut spare = 256..;
    (0..256_u32).map(move |byte| {
        let itself = matches!(byte, 0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff);
        let code = if itself { Some(byte) } else { spare.next() };
        code.and_then(char::from_u32).expect("all of these codes are letters")
    })
}
