//! A tiny model with random weights, written as a real GGUF file, or as a folder (`folder`).

pub(crate) mod folder;

use candle_core::quantized::gguf_file::Value;
use tempfile::NamedTempFile;

pub(crate) use crate::random_model::Family as Kind;
use crate::random_model::{RandomModel, Shape, Vocabulary};
use crate::tokenizer::Tokenizer;

pub(crate) const CONTEXT_TOKENS: usize = 256;

/// Metadata that a test changes.
pub(crate) struct Change(Value);

impl From<&str> for Change {
    fn from(text: &str) -> Self {
        Self(Value::String(text.to_owned()))
    }
}

/// Writes a model whose metadata is changed as told.
pub(crate) fn write(kind: Kind, changes: &[(&str, Change)]) -> NamedTempFile {
    let model = RandomModel {
        name: "tiny".to_owned(),
        family: kind,
        shape: Shape {
            width: 128,
            heads: 4,
            kv_heads: 2,
            head_dim: 32,
            feed_forward: 96,
            context_tokens: CONTEXT_TOKENS,
            ..Shape::small()
        },
        quantisation: "f32".parse().expect("it is a quantisation"),
        vocabulary: Vocabulary::tiny(),
        metadata: changes.iter().map(|(key, Change(value))| ((*key).to_owned(), value.clone())).collect(),
        seed: 20_261_121,
    };
    let file = NamedTempFile::new().expect("a temporary file can be made");
    model.write(file.path()).expect("the model can be written");
    file
}

/// The model's vocabulary.
pub(crate) fn tokenizer() -> Tokenizer {
    Tokenizer::open(write(Kind::Llama, &[]).path()).expect("the vocabulary is complete")
}
