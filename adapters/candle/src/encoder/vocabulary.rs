//! From inputs to token ids: the model's own tokenizer, with prompts before and an end after so many tokens.

use magpie_core::embedding::{EmbeddingInput, Purpose};
use tokenizers::{Encoding, Token, Tokenizer, TruncationParams};

use super::error::EncoderError;
use super::folder::{Folder, Prompts};

/// A model's tokenizer, set to the lengths that are wanted.
pub(super) struct Vocabulary {
    tokenizer: Tokenizer,
    /// Ids from here on have no weights.
    size: usize,
    lowercased: bool,
    prompts: Prompts,
}

/// An input as the model reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    /// Special tokens included; never empty.
    pub ids: Vec<u32>,
    pub truncated: bool,
}

impl Vocabulary {
    /// `size` is the number of tokens that have weights.
    pub(super) fn load(folder: &Folder, size: usize, max_tokens: usize) -> Result<Self, EncoderError> {
        let path = folder.path.join("tokenizer.json");
        let text = std::fs::read(&path).map_err(|source| EncoderError::File { path: path.clone(), source })?;
        let broken = |what: &str, source| EncoderError::Broken { path, what: what.to_owned(), source };
        let mut tokenizer = match Tokenizer::from_bytes(&text) {
            Ok(tokenizer) => tokenizer,
            Err(source) => return Err(broken("it is no tokenizer", Some(source))),
        };
        let largest = tokenizer.get_vocab(true).into_values().max().unwrap_or(0) as usize;
        if largest >= size {
            return Err(broken("it has more tokens than there are weights for", None));
        }
        tokenizer.with_padding(None);
        let cut = TruncationParams { max_length: max_tokens, ..TruncationParams::default() };
        if let Err(source) = tokenizer.with_truncation(Some(cut)) {
            return Err(broken("it can't be set to cut off long texts", Some(source)));
        }
        Ok(Self { tokenizer, size, lowercased: folder.lowercased, prompts: folder.prompts.clone() })
    }

    /// What is wrong with the input, if it can't be read.
    pub(super) fn row(&self, input: &EmbeddingInput, purpose: Purpose) -> Result<Row, String> {
        let encoding = match input {
            EmbeddingInput::Text(text) => self.text(text, purpose),
            EmbeddingInput::Tokens(ids) => self.tokens(ids),
        }?;
        let row = Row { ids: encoding.get_ids().to_vec(), truncated: !encoding.get_overflowing().is_empty() };
        if row.ids.is_empty() {
            return Err("it has no tokens".to_owned());
        }
        Ok(row)
    }

    fn text(&self, text: &str, purpose: Purpose) -> Result<Encoding, String> {
        let prompt = match purpose {
            Purpose::Plain => &self.prompts.plain,
            Purpose::Query => &self.prompts.query,
            Purpose::Passage => &self.prompts.passage,
        };
        let text = format!("{prompt}{text}");
        let text = if self.lowercased { text.to_lowercase() } else { text };
        self.tokenizer.encode(text, true).map_err(|error| format!("its text can't be split into tokens: {error}"))
    }

    fn tokens(&self, ids: &[u32]) -> Result<Encoding, String> {
        let known = |id: &u32| self.tokenizer.id_to_token(*id).filter(|_| (*id as usize) < self.size);
        let tokens: Result<Vec<Token>, String> = ids
            .iter()
            .map(|id| match known(id) {
                Some(text) => Ok(Token::new(*id, text, (0, 0))),
                None => Err(format!("the model has no token {id}")),
            })
            .collect();
        let encoding = Encoding::from_tokens(tokens?, 0);
        let whole = self.tokenizer.post_process(encoding, None, true);
        whole.map_err(|error| format!("its tokens can't be completed: {error}"))
    }
}
