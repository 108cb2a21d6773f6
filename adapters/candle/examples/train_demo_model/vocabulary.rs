//! The tokenizer: byte-level BPE trained on the corpus, with qwen2's splitting and ChatML's tokens.

use anyhow::{Context, Result, anyhow};
use tokenizers::decoders::byte_level::ByteLevel as ByteLevelDecoder;
use tokenizers::models::TrainerWrapper;
use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::normalizers::NFC;
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::tokenizer::SplitDelimiterBehavior;
use tokenizers::{AddedToken, Tokenizer};

use super::corpus::Entry;

pub const END_OF_TEXT: u32 = 0;
pub const TURN_START: u32 = 1;
pub const TURN_END: u32 = 2;
/// ChatML's tokens in the order of their ids.
pub const SPECIAL: [&str; 3] = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"];

/// About 800 Chinese characters of three bytes each need some 1,500 merges before the first word
/// of two characters forms; 3,072 leaves room for the words of both languages.
const SIZE: usize = 3072;
/// Four Chinese characters or twelve letters: longer tokens would be whole trained phrases, which
/// no paraphrase contains.
const LONGEST_TOKEN: usize = 12;
/// The splitting rule that GGUF files call `qwen2`.
const SPLIT_QWEN2: &str =
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// A trained tokenizer and what a GGUF file says about it.
pub struct Vocabulary {
    tokenizer: Tokenizer,
    /// Token texts in byte-level spelling, by id.
    pub tokens: Vec<String>,
    /// Merges in order of rank, each as `left right`.
    pub merges: Vec<String>,
}

impl Vocabulary {
    /// Learns the merges from questions and answers; `extra` is other text that prompts contain.
    ///
    /// # Errors
    /// Only if the tokenizer library refuses its input.
    pub fn train(entries: &[Entry], extra: &[&str]) -> Result<Self> {
        let mut tokenizer = Tokenizer::new(BPE::default());
        let split = Split::new(SplitPattern::Regex(SPLIT_QWEN2.to_owned()), SplitDelimiterBehavior::Isolated, false)
            .map_err(|e| anyhow!(e))?;
        let bytes = ByteLevel::new(false, false, false);
        let steps: Vec<PreTokenizerWrapper> = vec![split.into(), bytes.into()];
        tokenizer.with_normalizer(Some(NFC)).map_err(|e| anyhow!(e))?;
        tokenizer.with_pre_tokenizer(Some(Sequence::new(steps)));
        tokenizer.with_decoder(Some(ByteLevelDecoder::new(false, false, false)));
        let mut trainer: TrainerWrapper = BpeTrainer::builder()
            .vocab_size(SIZE)
            .min_frequency(2)
            .max_token_length(Some(LONGEST_TOKEN))
            .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
            .special_tokens(SPECIAL.map(|text| AddedToken::from(text, true)).to_vec())
            .show_progress(false)
            .build()
            .into();
        let texts = entries.iter().flat_map(|entry| {
            // Answers are what is generated: counted twice, they take fewer tokens.
            let answers = std::iter::repeat_n(entry.answer.as_str(), 2);
            answers.chain(entry.ask.iter().map(String::as_str))
        });
        let texts = texts.chain(extra.iter().copied());
        tokenizer.train(&mut trainer, texts).map_err(|e| anyhow!(e))?;
        Self::of(tokenizer)
    }

    /// Token ids of plain text; special tokens are not looked for.
    ///
    /// # Errors
    /// Only if the tokenizer library fails.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        let encoding = self.tokenizer.encode(text, false).map_err(|e| anyhow!(e))?;
        Ok(encoding.get_ids().to_vec())
    }

    fn of(tokenizer: Tokenizer) -> Result<Self> {
        let size = tokenizer.get_vocab_size(true) as u32;
        let tokens = (0..size).map(|id| tokenizer.id_to_token(id).context("a gap in the vocabulary"));
        let tokens = tokens.collect::<Result<Vec<_>>>()?;
        let json: serde_json::Value = serde_json::to_value(&tokenizer)?;
        let merges = json["model"]["merges"].as_array().context("a BPE model lists its merges")?;
        let merges = merges.iter().map(|pair| {
            let left = pair[0].as_str().context("a merge has a left part")?;
            let right = pair[1].as_str().context("a merge has a right part")?;
            Ok(format!("{left} {right}"))
        });
        let merges = merges.collect::<Result<Vec<_>>>()?;
        Ok(Self { tokenizer, tokens, merges })
    }
}
