//! Text to token ids and back, by the vocabulary that a GGUF file holds.
//!
//! Two kinds of vocabulary are known: byte-level byte pair encoding (`gpt2`), run by the `tokenizers` crate with the
//! rules of `pre`, and SentencePiece (`llama`), run by `spm`. Anything else is refused.
//!
//! Special tokens never come out of ordinary text: they are not in the vocabulary that text is encoded with, and are
//! looked for (`special`) only in text that says so, which is the markup of a chat template. A template's markup and
//! the text of messages are encoded together, so that tokens at their joints are those of the model's training.
//! There is no Unicode normalisation, as in llama.cpp.

mod bytes;
mod pre;
mod special;
mod spm;

use std::collections::BTreeSet;

use tokenizers::models::bpe::{BPE, Vocab};
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::tokenizer::SplitDelimiterBehavior;

#[cfg(test)]
pub(crate) use bytes::byte_alphabet;

use crate::error::LoadError;
use crate::gguf::Gguf;
use pre::PreRules;
use special::{Piece, SpecialTokens};
use spm::SentencePiece;

/// Token types of `tokenizer.ggml.token_type`.
mod token_type {
    pub const UNKNOWN: u64 = 2;
    pub const CONTROL: u64 = 3;
    pub const USER_DEFINED: u64 = 4;
    pub const BYTE: u64 = 6;
}

/// Tags that some vocabularies hold as control tokens, but that a reader of the answer has to see.
pub(crate) const REASONING_TAGS: [&str; 2] = ["<think>", "</think>"];

/// Whether special tokens are looked for in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Specials {
    /// Text of people: never.
    Ignore,
    /// Text of ours, such as a template's markup.
    Parse,
}

/// A stretch of a prompt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fragment<'a> {
    Markup(&'a str),
    Content(&'a str),
}

/// The vocabulary of one model.
pub struct Tokenizer {
    encoder: Encoder,
    special: SpecialTokens,
    /// What each token stands for, one after the other; `ends` says where.
    bytes: Vec<u8>,
    ends: Vec<usize>,
    bos: Option<u32>,
    stops: BTreeSet<u32>,
}

enum Encoder {
    BytePairs(Box<tokenizers::Tokenizer>),
    SentencePiece(SentencePiece),
}

impl Tokenizer {
    /// Reads the vocabulary of a GGUF file; the file may hold nothing else.
    ///
    /// # Errors
    /// When the file can't be read, holds no vocabulary, or one of a kind that is not known for sure.
    pub fn open(path: &std::path::Path) -> Result<Self, LoadError> {
        Self::from_gguf(&Gguf::open(path)?)
    }

    pub(crate) fn from_gguf(file: &Gguf) -> Result<Self, LoadError> {
        let tokens = file.texts("tokenizer.ggml.tokens")?;
        let types = file.numbers("tokenizer.ggml.token_type")?;
        if types.len() != tokens.len() || u32::try_from(tokens.len()).is_err() {
            return Err(file.broken("its tokens and token types do not match"));
        }
        let vocabulary = Vocabulary { tokens, types };
        match file.text("tokenizer.ggml.model") {
            Some("gpt2") => Self::byte_level(file, &vocabulary),
            Some("llama") => Self::sentence_piece(file, &vocabulary),
            Some(other) => Err(file.unsupported(format!("its tokenizer is of the kind {other:?}, not gpt2 or llama"))),
            None => Err(file.broken("it names no tokenizer")),
        }
    }

    fn byte_level(file: &Gguf, vocabulary: &Vocabulary<'_>) -> Result<Self, LoadError> {
        let name = file.text("tokenizer.ggml.pre").unwrap_or_default();
        let rules = pre::rules(name).ok_or_else(|| {
            file.unsupported(format!(
                "its pre-tokenizer {name:?} is not known; a file converted anew may name a known one"
            ))
        })?;
        let encoder = byte_pair_encoder(file, vocabulary, rules)?;
        let alphabet = bytes::byte_alphabet();
        let plain = |text: &str| text.chars().filter_map(|c| alphabet.get(&c).copied()).collect();
        Ok(Self::assemble(file, vocabulary, Encoder::BytePairs(Box::new(encoder)), rules.adds_bos, plain))
    }

    fn sentence_piece(file: &Gguf, vocabulary: &Vocabulary<'_>) -> Result<Self, LoadError> {
        let scores = file.floats("tokenizer.ggml.scores")?;
        if scores.len() != vocabulary.tokens.len() {
            return Err(file.broken("its tokens and scores do not match"));
        }
        let ordinary = vocabulary.ordinary().map(|(id, text)| (text.to_owned(), id));
        let byte_tokens = vocabulary.of_type(token_type::BYTE).filter_map(|(id, text)| Some((spm::byte(text)?, id)));
        let adds_space = file.flag("tokenizer.ggml.add_space_prefix").unwrap_or(true);
        let encoder = SentencePiece::new(ordinary.collect(), scores, &byte_tokens.collect(), adds_space)
            .ok_or_else(|| file.unsupported("its SentencePiece vocabulary has no tokens for single bytes"))?;
        let plain = |text: &str| match spm::byte(text) {
            Some(byte) => vec![byte],
            None => text.replace(spm::SPACE, " ").into_bytes(),
        };
        Ok(Self::assemble(file, vocabulary, Encoder::SentencePiece(encoder), true, plain))
    }

    fn assemble(
        file: &Gguf,
        vocabulary: &Vocabulary<'_>,
        encoder: Encoder,
        adds_bos: bool,
        plain: impl Fn(&str) -> Vec<u8>,
    ) -> Self {
        let mut bytes = Vec::new();
        let mut ends = Vec::with_capacity(vocabulary.tokens.len());
        for (text, kind) in vocabulary.tokens.iter().zip(&vocabulary.types) {
            match *kind {
                token_type::USER_DEFINED => bytes.extend_from_slice(text.as_bytes()),
                token_type::CONTROL | token_type::UNKNOWN if REASONING_TAGS.contains(text) => {
                    bytes.extend_from_slice(text.as_bytes());
                }
                token_type::CONTROL | token_type::UNKNOWN => {}
                _ => bytes.extend(plain(text)),
            }
            ends.push(bytes.len());
        }
        let special = SpecialTokens::new(
            [token_type::CONTROL, token_type::USER_DEFINED]
                .into_iter()
                .flat_map(|kind| vocabulary.of_type(kind))
                .map(|(id, text)| (text.to_owned(), id)),
        );
        let id = |key: &str| {
            let id = u32::try_from(file.number(&format!("tokenizer.ggml.{key}"))?).ok()?;
            (usize::try_from(id).ok()? < ends.len()).then_some(id)
        };
        let named = ["eos_token_id", "eot_token_id", "eom_token_id"].into_iter().filter_map(id);
        let stops = named.chain(special.endings()).collect();
        let bos = id("bos_token_id").filter(|_| file.flag("tokenizer.ggml.add_bos_token").unwrap_or(adds_bos));
        Self { encoder, special, bytes, ends, bos, stops }
    }

    /// Token ids of a text, without the token for beginnings.
    #[must_use]
    pub fn encode(&self, text: &str, specials: Specials) -> Vec<u32> {
        match specials {
            Specials::Ignore => self.encode_fragments(&[Fragment::Content(text)]),
            Specials::Parse => self.encode_fragments(&[Fragment::Markup(text)]),
        }
    }

    /// Token ids of a prompt, with the token for beginnings if the model wants one and the template has not set it.
    pub(crate) fn encode_prompt(&self, fragments: &[Fragment<'_>]) -> Vec<u32> {
        let mut ids = self.encode_fragments(fragments);
        if let Some(bos) = self.bos
            && ids.first() != Some(&bos)
        {
            ids.insert(0, bos);
        }
        ids
    }

    /// Special tokens are looked for in markup alone, before anything is joined; the text between two of them is then
    /// encoded as a whole, whoever wrote its parts.
    fn encode_fragments(&self, fragments: &[Fragment<'_>]) -> Vec<u32> {
        let mut ids = Vec::new();
        let mut text = String::new();
        let mut after_special = true;
        for fragment in fragments {
            let pieces = match fragment {
                Fragment::Markup(markup) => self.special.split(markup),
                Fragment::Content(content) => vec![Piece::Text(content)],
            };
            for piece in pieces {
                match piece {
                    Piece::Text(piece) => text.push_str(piece),
                    Piece::Special(id) => {
                        self.encode_text(&std::mem::take(&mut text), after_special, &mut ids);
                        ids.push(id);
                        after_special = true;
                    }
                }
            }
        }
        self.encode_text(&text, after_special, &mut ids);
        ids
    }

    fn encode_text(&self, text: &str, after_special: bool, ids: &mut Vec<u32>) {
        if text.is_empty() {
            return;
        }
        match &self.encoder {
            // Fails only for tokens outside the vocabulary, and every byte is inside: that was checked at load.
            Encoder::BytePairs(encoder) => match encoder.encode_fast(text, false) {
                Ok(encoding) => ids.extend_from_slice(encoding.get_ids()),
                Err(_) => tracing::error!(text_bytes = text.len(), "text could not be encoded"),
            },
            Encoder::SentencePiece(encoder) => encoder.encode(text, after_special, ids),
        }
    }

    /// The bytes that a token stands for: none for control tokens, perhaps half a character.
    pub(crate) fn bytes_of(&self, id: u32) -> &[u8] {
        let Ok(place) = usize::try_from(id) else { return &[] };
        let Some(&end) = self.ends.get(place) else { return &[] };
        let start = place.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.bytes[start..end]
    }

    /// Whether this token ends an answer.
    pub(crate) fn is_stop(&self, id: u32) -> bool {
        self.stops.contains(&id)
    }

    pub(crate) fn has_special(&self, text: &str) -> bool {
        self.special.id(text).is_some()
    }

    /// Number of tokens.
    #[must_use]
    pub fn vocabulary_size(&self) -> usize {
        self.ends.len()
    }
}

/// Tokens and their types, of equal number.
struct Vocabulary<'a> {
    tokens: Vec<&'a str>,
    types: Vec<u64>,
}

impl Vocabulary<'_> {
    fn all(&self) -> impl Iterator<Item = (u32, &str, u64)> {
        (0..).zip(&self.tokens).zip(&self.types).map(|((id, &text), &kind)| (id, text, kind))
    }

    fn of_type(&self, wanted: u64) -> impl Iterator<Item = (u32, &str)> {
        self.all().filter(move |(_, _, kind)| *kind == wanted).map(|(id, text, _)| (id, text))
    }

    /// Tokens that text can become.
    fn ordinary(&self) -> impl Iterator<Item = (u32, &str)> {
        let not_of_text = [token_type::UNKNOWN, token_type::CONTROL, token_type::USER_DEFINED, token_type::BYTE];
        self.all().filter(move |(_, _, kind)| !not_of_text.contains(kind)).map(|(id, text, _)| (id, text))
    }
}

fn byte_pair_encoder(
    file: &Gguf,
    vocabulary: &Vocabulary<'_>,
    rules: PreRules,
) -> Result<tokenizers::Tokenizer, LoadError> {
    let ids: Vocab = vocabulary.ordinary().map(|(id, text)| (text.to_owned(), id)).collect();
    if bytes::byte_alphabet().keys().any(|c| !ids.contains_key(&c.to_string())) {
        return Err(file.broken("its vocabulary lacks tokens for single bytes"));
    }
    let merges = file.texts("tokenizer.ggml.merges")?.into_iter().map(|merge| {
        let (left, right) = merge.split_once(' ')?;
        Some((left.to_owned(), right.to_owned()))
    });
    let merges: Vec<_> = merges.collect::<Option<_>>().ok_or_else(|| file.broken("a merge is not a pair"))?;
    let model = BPE::builder()
        .vocab_and_merges(ids, merges)
        .ignore_merges(rules.whole_words)
        .build()
        .map_err(|error| file.broken(format!("its merges do not fit its vocabulary ({error})")))?;
    let mut steps: Vec<PreTokenizerWrapper> = Vec::new();
    for pattern in rules.patterns {
        let pattern = SplitPattern::Regex((*pattern).to_owned());
        let split = Split::new(pattern, SplitDelimiterBehavior::Isolated, false)
            .map_err(|error| file.unsupported(format!("a rule of its pre-tokenizer does not compile ({error})")))?;
        steps.push(split.into());
    }
    steps.push(ByteLevel::new(false, false, false).into());
    let mut encoder = tokenizers::Tokenizer::new(model);
    encoder.with_pre_tokenizer(Some(Sequence::new(steps)));
    Ok(encoder)
}

#[cfg(test)]
mod tests;
