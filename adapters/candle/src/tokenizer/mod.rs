//! Text to token ids and back, by the vocabulary that a model comes with.
//!
//! From a GGUF file (`gguf`): byte pair encoding with the rules of `pre` (`gpt2`, `gemma4`), SentencePiece (`llama`),
//! unigrams (`t5`) and WordPiece (`bert`). From a folder's `tokenizer.json` (`published`): whatever the `tokenizers` crate
//! reads. Anything else is refused.
//!
//! Special tokens never come out of the text of people: they are not in the vocabulary that text is encoded with, and are
//! looked for (`special`) only in text that says so, which is the markup of a chat template. A template's markup and
//! the text of messages are encoded together, so that tokens at their joints are those of the model's training. Added
//! tokens that are mere text, such as runs of spaces, are found everywhere.
//!
//! GGUF files do not say how their text was normalised, so it is not, as in llama.cpp.

mod bpe;
mod bytes;
mod charsmap;
mod gguf;
mod merge;
mod pre;
mod published;
mod special;
mod split;
mod spm;
mod unigram;
mod vocabulary;
mod wordpiece;

use std::collections::BTreeSet;
use std::path::Path;

use crate::error::LoadError;
use crate::file::ModelFile;
use bpe::BytePairs;
use published::Published;
use special::{Piece, SpecialTokens, Takes};
use spm::SentencePiece;
use unigram::Unigram;
use vocabulary::TokenBytes;
use wordpiece::WordPiece;

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

/// What kind of vocabulary a model has, for people to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenizerKind {
    /// `gpt2`, `llama`, `t5`, `bert`, `gemma4`, or `tokenizer.json`.
    pub model: String,
    /// Name of the rules by which text is cut into words; `None` where the kind has none to choose from.
    pub pre: Option<String>,
    /// The file does not name the rules, and these are a guess: answers may be bad without any error.
    pub pre_is_assumed: bool,
}

/// The vocabulary of one model.
pub struct Tokenizer {
    encoder: Encoder,
    kind: TokenizerKind,
    /// Found in markup alone.
    special: SpecialTokens,
    /// Found in all text.
    added: SpecialTokens,
    bytes: TokenBytes,
    ends: Ends,
    stops: BTreeSet<u32>,
}

enum Encoder {
    BytePairs(Box<BytePairs>),
    SentencePiece(Box<SentencePiece>),
    Unigram(Box<Unigram>),
    WordPiece(Box<WordPiece>),
    Published(Box<Published>),
}

/// Tokens around a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Ends {
    begin: Option<u32>,
    end: Option<u32>,
}

impl Tokenizer {
    /// Reads the vocabulary of a GGUF file, which may hold nothing else, of a `tokenizer.json`, or of a folder with one.
    ///
    /// # Errors
    /// When the file can't be read, holds no vocabulary, or one of a kind that is not known for sure.
    pub fn open(path: &Path) -> Result<Self, LoadError> {
        if path.is_dir() {
            return Self::from_json(&path.join("tokenizer.json"));
        }
        if path.extension().is_some_and(|extension| extension == "json") {
            return Self::from_json(path);
        }
        Self::from_gguf(&ModelFile::open(path)?)
    }

    /// The vocabulary of an open model: a GGUF file's own, or the `tokenizer.json` of a folder.
    pub(crate) fn of(model: &ModelFile) -> Result<Self, LoadError> {
        if model.path().is_dir() { Self::open(model.path()) } else { Self::from_gguf(model) }
    }

    /// Token ids of a text, without tokens for its beginning and end.
    #[must_use]
    pub fn encode(&self, text: &str, specials: Specials) -> Vec<u32> {
        match specials {
            Specials::Ignore => self.encode_fragments(&[Fragment::Content(text)]),
            Specials::Parse => self.encode_fragments(&[Fragment::Markup(text)]),
        }
    }

    /// Number of tokens in a text of people, without those for its beginning and end.
    #[must_use]
    pub fn count(&self, text: &str) -> usize {
        self.encode(text, Specials::Ignore).len()
    }

    /// Token ids of a text of people between the tokens that the model wants at its ends, as models of embeddings do.
    #[must_use]
    pub fn encode_document(&self, text: &str) -> Vec<u32> {
        let ids = self.encode(text, Specials::Ignore);
        self.ends.begin.into_iter().chain(ids).chain(self.ends.end).collect()
    }

    /// Token ids of a prompt, with the token for beginnings if the model wants one and the template has not set it.
    pub(crate) fn encode_prompt(&self, fragments: &[Fragment<'_>]) -> Vec<u32> {
        let mut ids = self.encode_fragments(fragments);
        if let Some(begin) = self.ends.begin
            && ids.first() != Some(&begin)
        {
            ids.insert(0, begin);
        }
        ids
    }

    /// Special tokens are looked for in markup alone, before anything is joined; the text between two of them is then
    /// encoded as a whole, whoever wrote its parts.
    fn encode_fragments(&self, fragments: &[Fragment<'_>]) -> Vec<u32> {
        let mut ids = Vec::new();
        let mut text = String::new();
        let mut before = Takes::default();
        for fragment in fragments {
            let pieces = match fragment {
                Fragment::Markup(markup) => self.special.split(markup),
                Fragment::Content(content) => vec![Piece::Text(content)],
            };
            for piece in pieces {
                match piece {
                    Piece::Text(piece) => text.push_str(piece),
                    Piece::Special(id, takes) => {
                        self.encode_between(before, &std::mem::take(&mut text), takes, &mut ids);
                        ids.push(id);
                        before = takes;
                    }
                }
            }
        }
        self.encode_between(before, &text, Takes::default(), &mut ids);
        ids
    }

    /// Text between two special tokens, or between one of them and an end of the prompt.
    fn encode_between(&self, before: Takes, mut text: &str, after: Takes, ids: &mut Vec<u32>) {
        let is_space = |c: char| c.is_ascii_whitespace() || c == '\u{b}';
        if before.space_after {
            text = text.trim_start_matches(is_space);
        }
        if after.space_before {
            text = text.trim_end_matches(is_space);
        }
        for piece in self.added.split(text) {
            match piece {
                Piece::Text(text) => match &self.encoder {
                    Encoder::BytePairs(encoder) => encoder.encode(text, ids),
                    Encoder::SentencePiece(encoder) => encoder.encode(text, ids),
                    Encoder::Unigram(encoder) => encoder.encode(text, ids),
                    Encoder::WordPiece(encoder) => encoder.encode(text, ids),
                    Encoder::Published(encoder) => encoder.encode(text, ids),
                },
                Piece::Special(id, _) => ids.push(id),
            }
        }
    }

    /// The bytes that a token stands for: none for control tokens, perhaps half a character.
    #[must_use]
    pub fn bytes_of(&self, id: u32) -> &[u8] {
        self.bytes.of(id)
    }

    /// Whether this token ends an answer.
    #[must_use]
    pub fn is_stop(&self, id: u32) -> bool {
        self.stops.contains(&id)
    }

    /// The tokens that end an answer, in the order of their ids.
    pub fn stops(&self) -> impl Iterator<Item = u32> + '_ {
        self.stops.iter().copied()
    }

    /// The tokens that ordinary text never becomes.
    pub(crate) fn special_tokens(&self) -> impl Iterator<Item = u32> + '_ {
        self.special.ids()
    }

    /// The id of a special token, by its text.
    pub(crate) fn special_id(&self, text: &str) -> Option<u32> {
        self.special.id(text)
    }

    /// The texts of all special tokens, in no order.
    pub(crate) fn special_texts(&self) -> impl Iterator<Item = &str> {
        self.special.texts()
    }

    /// Number of tokens.
    #[must_use]
    pub fn vocabulary_size(&self) -> usize {
        self.bytes.count()
    }

    /// What kind of vocabulary this is.
    #[must_use]
    pub fn kind(&self) -> &TokenizerKind {
        &self.kind
    }
}

#[cfg(test)]
mod tests;
