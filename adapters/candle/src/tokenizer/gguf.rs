//! A tokenizer from what a GGUF file says about it.
//!
//! Source: "Tokenizer" in the documentation of GGUF and, where that is silent (defaults of the kinds, whitespace beside
//! special tokens), what llama.cpp does (`llama-vocab.cpp`, read 11/2026).

use crate::error::LoadError;
use crate::file::ModelFile;

use super::bpe::BytePairs;
use super::bytes::byte_alphabet;
use super::charsmap::CharsMap;
use super::pre::{self, PreRules, Spelling};
use super::special::{SpecialTokens, Takes};
use super::spm::{self, SentencePiece};
use super::unigram::{Spaces, Unigram};
use super::vocabulary::{Kind, TokenBytes, Vocabulary};
use super::wordpiece::{Folding, WordPiece};
use super::{Encoder, Ends, Tokenizer, TokenizerKind};

impl Tokenizer {
    /// The vocabulary of an open GGUF file.
    pub(crate) fn from_gguf(file: &ModelFile) -> Result<Self, LoadError> {
        let vocabulary = Vocabulary::read(file)?;
        let ids = Ids { file, count: vocabulary.tokens.len() };
        let parts = match file.text("tokenizer.ggml.model") {
            Some("gpt2") => byte_pairs(file, &vocabulary, &ids)?,
            Some("gemma4") => byte_pairs_by(file, &vocabulary, &ids, "gemma4")?,
            Some("llama") => sentence_piece(file, &vocabulary, &ids)?,
            Some("t5") => unigram(file, &vocabulary, &ids)?,
            Some("bert") => word_piece(file, &vocabulary, &ids)?,
            Some(other) => {
                let what = format!("its tokenizer is of the kind {other:?}, not gpt2, llama, t5, bert or gemma4");
                return Err(file.unsupported(what));
            }
            None => return Err(file.broken("it names no tokenizer")),
        };
        let takes = beside_tokens(file);
        let tokens = |wanted: &'static [Kind], takes: fn(&str) -> Takes| {
            let tokens = wanted.iter().flat_map(|kind| vocabulary.of(*kind));
            SpecialTokens::new(tokens.map(|(id, text)| (text.to_owned(), id, takes(text))))
                .map_err(|error| file.unsupported(format!("its special tokens can't be searched for ({error})")))
        };
        let special = tokens(&[Kind::Control, Kind::Unknown], takes)?;
        let named = ["eos_token_id", "eot_token_id", "eom_token_id"].into_iter().filter_map(|key| ids.named(key));
        Ok(Self {
            stops: named.chain(special.endings()).collect(),
            special,
            added: tokens(&[Kind::Added], |_| Takes::default())?,
            bytes: TokenBytes::new(vocabulary.all().map(|(_, text, kind)| (text, kind)), parts.plain),
            encoder: parts.encoder,
            ends: parts.ends,
            kind: TokenizerKind {
                model: file.text("tokenizer.ggml.model").unwrap_or_default().to_owned(),
                pre: parts.pre,
                pre_is_assumed: parts.pre_is_assumed,
            },
        })
    }
}

/// The bytes that a token's text stands for.
type Spell = Box<dyn Fn(&str) -> Vec<u8>>;

/// What the kinds of vocabulary differ in.
struct Parts {
    encoder: Encoder,
    ends: Ends,
    plain: Spell,
    pre: Option<String>,
    pre_is_assumed: bool,
}

/// Ids that a file gives names to.
struct Ids<'a> {
    file: &'a ModelFile,
    count: usize,
}

impl Ids<'_> {
    fn named(&self, key: &str) -> Option<u32> {
        self.existing(self.file.number(&format!("tokenizer.ggml.{key}"))?)
    }

    fn named_or(&self, key: &str, default: u32) -> Option<u32> {
        self.named(key).or_else(|| self.existing(u64::from(default)))
    }

    fn existing(&self, id: u64) -> Option<u32> {
        usize::try_from(id).ok().filter(|&place| place < self.count)?;
        u32::try_from(id).ok()
    }

    fn wanted(&self, key: &str, default: bool, id: Option<u32>) -> Option<u32> {
        id.filter(|_| self.file.flag(&format!("tokenizer.ggml.{key}")).unwrap_or(default))
    }
}

fn byte_pairs(file: &ModelFile, vocabulary: &Vocabulary<'_>, ids: &Ids<'_>) -> Result<Parts, LoadError> {
    if let Some(name) = file.text("tokenizer.ggml.pre").filter(|name| !name.is_empty()) {
        return byte_pairs_by(file, vocabulary, ids, name);
    }
    let parts = byte_pairs_by(file, vocabulary, ids, assumed_pre(file, vocabulary))?;
    Ok(Parts { pre_is_assumed: true, ..parts })
}

fn byte_pairs_by(file: &ModelFile, vocabulary: &Vocabulary<'_>, ids: &Ids<'_>, name: &str) -> Result<Parts, LoadError> {
    let rules: PreRules = pre::rules(name).ok_or_else(|| {
        file.unsupported(format!("its pre-tokenizer {name:?} is not known; a file converted anew may name a known one"))
    })?;
    let merges = file.texts("tokenizer.ggml.merges")?;
    let encoder = BytePairs::new(vocabulary, &merges, rules).map_err(|what| file.broken(what))?;
    let alphabet = byte_alphabet();
    let plain: Spell = match rules.spelling {
        Spelling::Bytes => Box::new(move |text| text.chars().filter_map(|c| alphabet.get(&c).copied()).collect()),
        Spelling::Text => Box::new(spm::plain),
    };
    let ends = Ends {
        begin: ids.wanted("add_bos_token", rules.adds_bos, ids.named("bos_token_id")),
        end: ids.wanted("add_eos_token", false, ids.named("eos_token_id")),
    };
    let encoder = Encoder::BytePairs(Box::new(encoder));
    Ok(Parts { encoder, ends, plain, pre: Some(name.to_owned()), pre_is_assumed: false })
}

/// The rules of a file from before their names were written down. An architecture that only one family has tells them;
/// Llama 3's vocabulary is known by its first special token. For the others `default` is what llama.cpp takes.
fn assumed_pre(file: &ModelFile, vocabulary: &Vocabulary<'_>) -> &'static str {
    if vocabulary.tokens.contains(&"<|begin_of_text|>") && vocabulary.tokens.len() == 128_256 {
        return "llama-bpe";
    }
    match file.text("general.architecture").unwrap_or_default() {
        "gpt2" | "gptneox" | "phi2" => "gpt-2",
        "falcon" => "falcon",
        "mpt" => "mpt",
        "starcoder" | "starcoder2" => "starcoder",
        "refact" => "refact",
        "codeshell" => "codeshell",
        "command-r" => "command-r",
        "qwen2" | "qwen2moe" | "qwen3" | "qwen3moe" => "qwen2",
        "bloom" => "bloom",
        "olmo" => "olmo",
        "dbrx" => "dbrx",
        _ => "default",
    }
}

fn sentence_piece(file: &ModelFile, vocabulary: &Vocabulary<'_>, ids: &Ids<'_>) -> Result<Parts, LoadError> {
    let adds_space = file.flag("tokenizer.ggml.add_space_prefix").unwrap_or(true);
    let encoder = SentencePiece::new(vocabulary, &scores(file, vocabulary)?, adds_space)
        .ok_or_else(|| file.unsupported("its SentencePiece vocabulary has no tokens for single bytes"))?;
    let ends = Ends {
        begin: ids.wanted("add_bos_token", true, ids.named_or("bos_token_id", 1)),
        end: ids.wanted("add_eos_token", false, ids.named_or("eos_token_id", 2)),
    };
    let encoder = Encoder::SentencePiece(Box::new(encoder));
    Ok(Parts { encoder, ends, plain: Box::new(spm::plain), pre: None, pre_is_assumed: false })
}

fn unigram(file: &ModelFile, vocabulary: &Vocabulary<'_>, ids: &Ids<'_>) -> Result<Parts, LoadError> {
    let flag = |key: &str| file.flag(&format!("tokenizer.ggml.{key}")).unwrap_or(false);
    let spaces = Spaces {
        added: flag("add_space_prefix"),
        merged: flag("remove_extra_whitespaces"),
        end_words: flag("treat_whitespace_as_suffix"),
    };
    let charsmap = match file.bytes("tokenizer.ggml.precompiled_charsmap") {
        Some(bytes) => Some(CharsMap::parse(&bytes).ok_or_else(|| file.broken("its table of characters is damaged"))?),
        None => None,
    };
    let unknown = ids.named_or("unknown_token_id", 2).ok_or_else(|| file.broken("it has no token for the unknown"))?;
    let encoder = Unigram::new(vocabulary, scores(file, vocabulary)?, unknown, spaces, charsmap);
    let ends = Ends {
        begin: ids.wanted("add_bos_token", false, ids.named("bos_token_id")),
        end: ids.wanted("add_eos_token", true, ids.named_or("eos_token_id", 1)),
    };
    let encoder = Encoder::Unigram(Box::new(encoder));
    Ok(Parts { encoder, ends, plain: Box::new(spm::plain), pre: None, pre_is_assumed: false })
}

fn word_piece(file: &ModelFile, vocabulary: &Vocabulary<'_>, ids: &Ids<'_>) -> Result<Parts, LoadError> {
    let lowercase = file.flag("tokenizer.ggml.normalizer.lowercase").unwrap_or(true);
    let strip_accents = file.flag("tokenizer.ggml.normalizer.strip_accents").unwrap_or(lowercase);
    let unknown =
        ids.named_or("unknown_token_id", 100).ok_or_else(|| file.broken("it has no token for the unknown"))?;
    let encoder = WordPiece::new(vocabulary, unknown, Folding { lowercase, strip_accents })
        .map_err(|error| file.unsupported(format!("its rules do not compile ({error})")))?;
    let begin = ids.named("cls_token_id").or_else(|| ids.named_or("bos_token_id", 101));
    let ends = Ends { begin, end: ids.named_or("seperator_token_id", 102) };
    let encoder = Encoder::WordPiece(Box::new(encoder));
    Ok(Parts { encoder, ends, plain: Box::new(spm::plain), pre: None, pre_is_assumed: false })
}

fn scores(file: &ModelFile, vocabulary: &Vocabulary<'_>) -> Result<Vec<f32>, LoadError> {
    let scores = file.floats("tokenizer.ggml.scores")?;
    if scores.len() == vocabulary.tokens.len() {
        return Ok(scores);
    }
    Err(file.broken("its tokens and scores do not match"))
}

/// Whitespace that belongs to special tokens. Files do not say it, so it goes by the names of the models known for it.
fn beside_tokens(file: &ModelFile) -> fn(&str) -> Takes {
    let name = file.text("general.name").unwrap_or_default().to_lowercase();
    let architecture = file.text("general.architecture").unwrap_or_default();
    let pre = file.text("tokenizer.ggml.pre").unwrap_or_default();
    let sentence_piece = file.text("tokenizer.ggml.model") == Some("llama");
    if ["jina-v2-de", "jina-v2-es", "jina-v2-code"].contains(&pre)
        || ["nomic-bert-moe", "jina-bert-v3"].contains(&architecture)
    {
        return |text| Takes { space_before: text == "<mask>", space_after: false };
    }
    if ["phi-3", "phi3"].iter().any(|phi| name.contains(phi)) || (architecture == "phi3" && sentence_piece) {
        return |text| Takes { space_before: false, space_after: !["<unk>", "<s>", "<|endoftext|>"].contains(&text) };
    }
    if name.contains("modern-bert") {
        return |text| Takes { space_before: text == "[MASK]", space_after: false };
    }
    |_| Takes::default()
}
