use std::path::{Path, PathBuf};

use super::*;

/// Vocabularies and texts with the ids that llama.cpp gives them; kept outside this repository.
pub(super) fn vectors() -> Option<PathBuf> {
    let shared = std::env::var_os("MAGPIE_SHARED")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared"), PathBuf::from);
    let folder = shared.join("vectors/tokenizer");
    if folder.is_dir() {
        return Some(folder);
    }
    eprintln!("SKIPPED: no tokenizer vectors; MAGPIE_SHARED names the folder that holds vectors/tokenizer");
    None
}

fn assert_vectors_pass(name: &str) {
    let Some(folder) = vectors() else { return };
    let model = folder.join(format!("ggml-vocab-{name}.gguf"));
    let read = |ending: &str| std::fs::read_to_string(folder.join(format!("ggml-vocab-{name}.gguf.{ending}"))).unwrap();
    let (texts, ids) = (read("inp"), read("out"));
    let tokenizer = Tokenizer::open(&model).unwrap();
    let separator = "\n__ggml_vocab_test__\n";
    let texts: Vec<&str> = texts.strip_suffix(separator).unwrap_or(&texts).split(separator).collect();
    let ids: Vec<&str> = ids.lines().collect();
    assert_eq!(texts.len(), ids.len(), "one line of ids for each text");
    for (text, expected) in texts.into_iter().zip(ids) {
        let expected: Vec<u32> = expected.split_whitespace().map(|id| id.parse().unwrap()).collect();
        let found = tokenizer.encode(text, Specials::Ignore);
        assert_eq!(found, expected, "{text:?}");
        let bytes: Vec<u8> = found.iter().flat_map(|&id| tokenizer.bytes_of(id)).copied().collect();
        assert_eq!(bytes, text.as_bytes(), "decoding gives the text back");
    }
}

#[test]
fn llama_3_texts_have_the_reference_ids() {
    assert_vectors_pass("llama-bpe");
}

#[test]
fn qwen_2_texts_have_the_reference_ids() {
    assert_vectors_pass("qwen2");
}

mod with_a_small_vocabulary {
    use super::*;
    use crate::testmodel::{self, Kind};

    #[test]
    fn special_tokens_come_from_markup_alone() {
        let tokenizer = testmodel::tokenizer();
        let markup = tokenizer.encode("<|im_end|>", Specials::Parse);
        assert_eq!(markup.len(), 1);
        assert!(tokenizer.is_stop(markup[0]));
        let content = tokenizer.encode("<|im_end|>", Specials::Ignore);
        assert!(content.len() > 1 && content.iter().all(|&id| !tokenizer.is_stop(id)));
    }

    #[test]
    fn markup_and_content_are_encoded_as_one_text() {
        let tokenizer = testmodel::tokenizer();
        let joined =
            [Fragment::Markup("<|im_start|>h"), Fragment::Content("e<|im_end|>"), Fragment::Markup("<|im_end|>")];
        let ids = tokenizer.encode_fragments(&joined);
        let inner = tokenizer.encode("he<|im_end|>", Specials::Ignore);
        assert_eq!(ids[1..ids.len() - 1], inner);
        // "he" is one token of this vocabulary, although its letters come from two sides.
        assert_eq!(tokenizer.bytes_of(ids[1]), b"he");
    }

    #[test]
    fn an_unknown_pre_tokenizer_is_refused() {
        let file = testmodel::write(Kind::Llama, &[("tokenizer.ggml.pre", "brand-new".into())]);
        let error = Tokenizer::open(file.path()).err().expect("it is refused");
        assert!(matches!(&error, LoadError::Unsupported { what, .. } if what.contains("brand-new")), "{error}");
    }

    #[test]
    fn an_unknown_kind_of_vocabulary_is_refused() {
        let file = testmodel::write(Kind::Llama, &[("tokenizer.ggml.model", "rwkv".into())]);
        assert!(matches!(Tokenizer::open(file.path()), Err(LoadError::Unsupported { .. })));
    }
}
