//! Holding an answer to JSON: which tokens may come next is asked of `llguidance`, a parser over the bytes of tokens
//! that knows for each state which tokens of the vocabulary can follow.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use llguidance::api::TopLevelGrammar;
use llguidance::toktrie::{ApproximateTokEnv, InferenceCapabilities, SimpleVob, TokRxInfo, TokTrie};
use llguidance::{Matcher, ParserFactory};
use magpie_core::engine::ResponseFormat;
use serde_json::{Value, json};

use super::place;
use crate::tokenizer::Tokenizer;

/// What ends a reasoning.
const CLOSE: &[u8] = b"</think>";

/// Between the parts of a value. Bounded, because a model without anything to say fills its answer with line breaks.
const WHITE_SPACE: &str = r"[ \t\r\n]{1,48}";

/// Grammars that are kept for the next answer with the same schema.
const KEPT_GRAMMARS: usize = 16;

/// Why an answer can't be held to a format.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FormatError {
    /// The client has to send another schema.
    #[error("the schema of response_format can't be followed: {0}; simplify it")]
    Schema(String),
    /// No schema will do on this model.
    #[error("this model can't be held to JSON: {0}; ask for text instead")]
    Model(String),
}

/// What all constraints of a model share. Prepared at the first that is needed, since most models are never asked for
/// JSON and 150,000 tokens take 60 MB.
///
/// The vocabulary and each grammar are prepared by whoever asks for them, on the thread on which the prompt is prepared
/// as well: never the engine's, which goes on with the answers of others, nor one that serves connections. Only prompts
/// that want JSON wait for each other here.
pub(crate) struct Grammars {
    tokenizer: Arc<Tokenizer>,
    vocabulary: OnceLock<Result<Arc<Vocabulary>, String>>,
    /// By schema, the one used last first.
    latest: Mutex<VecDeque<(Value, Matcher)>>,
}

impl Grammars {
    pub(crate) fn new(tokenizer: Arc<Tokenizer>) -> Self {
        Self { tokenizer, vocabulary: OnceLock::new(), latest: Mutex::default() }
    }

    /// What holds one answer to its format; `None` if any text will do. `in_reasoning`: the prompt has opened a
    /// reasoning, after which the answer begins.
    ///
    /// The first call for a vocabulary of 150,000 tokens takes a good part of a second, each for a schema some
    /// milliseconds.
    ///
    /// # Errors
    /// The schema is none, asks for what can't be, or is too large; or the model has no token that ends an answer.
    pub(crate) fn constraint(
        &self,
        format: &ResponseFormat,
        in_reasoning: bool,
    ) -> Result<Option<Constraint>, FormatError> {
        let schema = match format {
            ResponseFormat::Text => return Ok(None),
            ResponseFormat::Json => json!({"type": "object"}),
            ResponseFormat::JsonSchema(wanted) => wanted.schema.clone(),
        };
        let vocabulary = self.vocabulary.get_or_init(|| self.prepare());
        let vocabulary = vocabulary.as_ref().map_err(|what| FormatError::Model(what.clone()))?;
        Ok(Some(Constraint {
            answer: Box::new(self.grammar(vocabulary, schema)?),
            reasoning: in_reasoning.then(Vec::new),
            tokenizer: Arc::clone(&self.tokenizer),
            vocabulary: Arc::clone(vocabulary),
        }))
    }

    /// Prepares the vocabulary, but not before `begun` returns.
    #[cfg(test)]
    pub(crate) fn prepare_behind(&self, begun: impl FnOnce()) {
        self.vocabulary.get_or_init(|| {
            begun();
            self.prepare()
        });
    }

    fn prepare(&self) -> Result<Arc<Vocabulary>, String> {
        Vocabulary::prepare(&self.tokenizer).map(Arc::new)
    }

    /// Clones of a grammar share what its lexer has worked out, so the latest ones are worth keeping.
    fn grammar(&self, vocabulary: &Vocabulary, schema: Value) -> Result<Matcher, FormatError> {
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        let place = latest.iter().position(|(known, _)| *known == schema);
        let entry = if let Some(known) = place.and_then(|place| latest.remove(place)) {
            known
        } else {
            let grammar = TopLevelGrammar::from_json_schema(with_white_space(schema.clone())?);
            let parser = vocabulary.factory.create_parser(grammar);
            (schema, Matcher::new(Ok(parser.map_err(|error| FormatError::Schema(error.to_string()))?)))
        };
        let grammar = entry.1.clone();
        latest.push_front(entry);
        latest.truncate(KEPT_GRAMMARS);
        Ok(grammar)
    }
}

/// Holds one answer to its format.
pub(crate) struct Constraint {
    answer: Box<Matcher>,
    /// The last bytes of the reasoning, as long as it goes on.
    reasoning: Option<Vec<u8>>,
    tokenizer: Arc<Tokenizer>,
    vocabulary: Arc<Vocabulary>,
}

impl Constraint {
    /// Makes every token that may not come next impossible; `None` if the parser gave up.
    pub(super) fn mask(&mut self, logits: &mut [f32]) -> Option<()> {
        let Some(tail) = &self.reasoning else {
            return self.answer.compute_mask_or_eos().ok().map(|allowed| forbid_others(&allowed, logits));
        };
        // Reasoning is free, but it has to end, and the answer has to begin with a token of its own.
        let closing = self.vocabulary.closing.iter().filter(|closing| closing.closes(tail));
        for token in self.vocabulary.stops.iter().copied().chain(closing.map(|closing| closing.token)) {
            if let Some(logit) = place(token).and_then(|place| logits.get_mut(place)) {
                *logit = f32::NEG_INFINITY;
            }
        }
        Some(())
    }

    /// Takes note of a token; `false` if it should not have come.
    pub(super) fn accept(&mut self, token: u32) -> bool {
        let Some(tail) = &mut self.reasoning else {
            if self.vocabulary.stops.contains(&token) {
                return self.answer.is_stopped() || self.answer.is_accepting().unwrap_or(false);
            }
            return self.answer.consume_token(token).is_ok();
        };
        tail.extend_from_slice(self.tokenizer.bytes_of(token));
        if tail.windows(CLOSE.len()).any(|bytes| bytes == CLOSE) {
            self.reasoning = None;
        } else {
            tail.drain(..tail.len().saturating_sub(CLOSE.len() - 1));
        }
        true
    }
}

/// A model's tokens as the parser sees them.
struct Vocabulary {
    factory: ParserFactory,
    stops: Vec<u32>,
    closing: Vec<Closing>,
}

impl Vocabulary {
    fn prepare(tokenizer: &Tokenizer) -> Result<Self, String> {
        let stops: Vec<u32> = tokenizer.stops().collect();
        let Some(&stop) = stops.first() else { return Err("it has no token that ends an answer".to_owned()) };
        let tokens = u32::try_from(tokenizer.vocabulary_size()).map_err(|_| "it has too many tokens".to_owned())?;
        let mut words: Vec<Vec<u8>> = (0..tokens).map(|token| tokenizer.bytes_of(token).to_vec()).collect();
        for token in tokenizer.special_tokens().chain(stops.iter().copied()) {
            // The parser's way to write tokens that are not text: no grammar of ours asks for one.
            if let Some(word) = place(token).and_then(|place| words.get_mut(place)) {
                *word = [&[TokTrie::SPECIAL_TOKEN_MARKER][..], format!("<{token}>").as_bytes()].concat();
            }
        }
        let trie = TokTrie::from(&TokRxInfo::new(tokens, stop), &words).with_eos_tokens(&stops);
        let environment = Arc::new(ApproximateTokEnv::new(trie)) as _;
        let slices = llguidance::earley::SlicedBiasComputer::json_slices();
        let mut factory = ParserFactory::new(&environment, InferenceCapabilities::default(), &slices)
            .map_err(|error| error.to_string())?;
        factory.quiet();
        factory.limits_mut().verbose_errors = false;
        let closing = (0..tokens).filter_map(|token| Closing::find(token, tokenizer.bytes_of(token))).collect();
        Ok(Self { factory, stops, closing })
    }
}

/// A token that can end a reasoning and goes on with something else than white space.
struct Closing {
    token: u32,
    /// What has to stand before it, so that it ends a reasoning.
    before: &'static [u8],
}

impl Closing {
    fn find(token: u32, bytes: &[u8]) -> Option<Self> {
        let end = 1 + bytes.iter().position(|&byte| byte == b'>')?;
        let (tag, rest) = bytes.split_at(end);
        if rest.trim_ascii().is_empty() {
            return None;
        }
        let before = if tag.ends_with(CLOSE) { Some(&[][..]) } else { CLOSE.strip_suffix(tag) };
        before.map(|before| Self { token, before })
    }

    fn closes(&self, tail: &[u8]) -> bool {
        tail.ends_with(self.before)
    }
}

/// The grammar reads such options from the schema; a client's own are not for it to set.
fn with_white_space(mut schema: Value) -> Result<Value, FormatError> {
    let members = schema.as_object_mut().ok_or_else(|| FormatError::Schema("it is not a JSON object".to_owned()))?;
    members.insert("x-guidance".to_owned(), json!({"whitespace_pattern": WHITE_SPACE}));
    Ok(schema)
}

fn forbid_others(allowed: &SimpleVob, logits: &mut [f32]) {
    const WORD: usize = u32::BITS as usize;
    let words = allowed.as_slice();
    for (number, chunk) in logits.chunks_mut(WORD).enumerate() {
        // Rows may be wider than the vocabulary.
        match words.get(number).copied().unwrap_or(0) {
            0 => chunk.fill(f32::NEG_INFINITY),
            u32::MAX => {}
            word => {
                for (bit, logit) in chunk.iter_mut().enumerate() {
                    *logit = if word >> bit & 1 == 1 { *logit } else { f32::NEG_INFINITY };
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
