use magpie_kernels::Format;

use super::*;
use crate::testmodel::{self, Kind};

#[test]
fn an_open_file_shows_its_tensors_and_keys() {
    let written = testmodel::write(Kind::Qwen3, &[]);
    let file = ModelFile::open(written.path()).unwrap();
    assert_eq!(file.architecture().unwrap(), "qwen3");
    assert_eq!(file.number("qwen3.context_length"), Some(testmodel::CONTEXT_TOKENS as u64));
    assert!((file.float("qwen3.rope.freq_base").unwrap() - 10_000.0).abs() < f32::EPSILON);
    let tokens = file.texts("tokenizer.ggml.tokens").unwrap().len();
    let embedding = file.tensor("token_embd.weight").unwrap();
    assert_eq!((embedding.format, embedding.rows()), (TensorFormat::Known(Format::F32), tokens));
    assert_eq!(embedding.bytes.len(), embedding.rows() * embedding.cols() * 4);
    let norm = file.tensor("output_norm.weight").unwrap();
    assert_eq!((norm.rows(), norm.cols(), norm.shape), (1, embedding.cols(), &[embedding.cols()][..]));
    assert!(file.tensor("output.weight").is_none());
    assert_eq!(file.tensors().filter(|tensor| tensor.name.ends_with("attn_q_norm.weight")).count(), 2);
}

#[test]
fn llama_files_rotate_neighbours_and_others_halves() {
    for (kind, rotation) in
        Kind::ALL.into_iter().zip([RotationStyle::Neighbours, RotationStyle::Halves, RotationStyle::Halves])
    {
        assert_eq!(ModelFile::open(testmodel::write(kind, &[]).path()).unwrap().rotation(), rotation);
    }
}

#[test]
fn missing_and_mistyped_lists_are_told_apart() {
    let written = testmodel::write(Kind::Llama, &[]);
    let file = ModelFile::open(written.path()).unwrap();
    assert!(file.texts("tokenizer.ggml.nothing").unwrap_err().to_string().contains("it has no list"));
    assert!(file.texts("tokenizer.ggml.token_type").unwrap_err().to_string().contains("wrong type"));
    assert_eq!(file.sibling("tokenizer.json"), None);
}

#[test]
fn a_file_that_is_none_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let absent = ModelFile::open(&folder.path().join("absent.gguf")).err().unwrap();
    assert!(matches!(absent, LoadError::File { .. }), "{absent}");
    let empty = tempfile::NamedTempFile::new().unwrap();
    assert!(matches!(ModelFile::open(empty.path()).err().unwrap(), LoadError::Broken { .. }));
}
