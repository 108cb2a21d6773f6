//! The tokens of a model file, their kinds, and what each of them stands for.

use crate::error::LoadError;
use crate::file::ModelFile;

use super::REASONING_TAGS;

/// What a token is made of and who may write it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A piece of text.
    Text,
    /// Stands for what the vocabulary has no token for.
    Unknown,
    /// Markup of the model, such as the end of a turn: never made from the text of people.
    Control,
    /// A piece of text that is found before anything else is cut, such as a run of spaces.
    Added,
    /// A single byte, written as `<0x0A>`.
    Byte,
}

/// Tokens and their kinds, of equal number.
pub(crate) struct Vocabulary<'a> {
    pub tokens: Vec<&'a str>,
    pub kinds: Vec<Kind>,
}

/// Elements of HTML that some vocabularies hold as added tokens: text of people, although they look like markup.
const HTML: [&str; 36] = [
    "a",
    "b",
    "blockquote",
    "body",
    "br",
    "caption",
    "code",
    "div",
    "em",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "head",
    "hr",
    "html",
    "i",
    "img",
    "li",
    "ol",
    "p",
    "pre",
    "span",
    "strong",
    "sub",
    "sup",
    "table",
    "tbody",
    "td",
    "tfoot",
    "th",
    "thead",
    "tr",
    "ul",
];

impl<'a> Vocabulary<'a> {
    /// Reads the lists of a file.
    pub(crate) fn read(file: &'a ModelFile) -> Result<Self, LoadError> {
        let tokens = file.texts("tokenizer.ggml.tokens")?;
        let types = match file.numbers("tokenizer.ggml.token_type") {
            Ok(types) => types,
            // Old files leave it out; then only the texts tell.
            Err(_) => vec![1; tokens.len()],
        };
        if types.len() != tokens.len() || u32::try_from(tokens.len()).is_err() {
            return Err(file.broken("its tokens and token types do not match"));
        }
        let kinds = tokens.iter().zip(types).map(|(text, number)| kind(text, number)).collect();
        Ok(Self { tokens, kinds })
    }

    /// Every token with its id.
    pub(crate) fn all(&self) -> impl Iterator<Item = (u32, &'a str, Kind)> {
        (0..).zip(&self.tokens).zip(&self.kinds).map(|((id, &text), &kind)| (id, text, kind))
    }

    /// The tokens of one kind.
    pub(crate) fn of(&self, wanted: Kind) -> impl Iterator<Item = (u32, &'a str)> {
        self.all().filter(move |(_, _, kind)| *kind == wanted).map(|(id, text, _)| (id, text))
    }
}

/// What tokens stand for, one after the other.
#[derive(Debug, Default)]
pub(crate) struct TokenBytes {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl TokenBytes {
    /// `plain` spells a token that is a piece of text or a byte.
    pub(crate) fn new<'a>(tokens: impl Iterator<Item = (&'a str, Kind)>, plain: impl Fn(&str) -> Vec<u8>) -> Self {
        let mut all = Self::default();
        for (text, kind) in tokens {
            match kind {
                Kind::Text | Kind::Byte => all.bytes.extend(plain(text)),
                Kind::Added => all.bytes.extend_from_slice(text.as_bytes()),
                Kind::Control | Kind::Unknown if REASONING_TAGS.contains(&text) => {
                    all.bytes.extend_from_slice(text.as_bytes());
                }
                Kind::Control | Kind::Unknown => {}
            }
            all.ends.push(all.bytes.len());
        }
        all
    }

    /// Number of tokens.
    pub(crate) fn count(&self) -> usize {
        self.ends.len()
    }

    /// Nothing for tokens that do not exist.
    pub(crate) fn of(&self, id: u32) -> &[u8] {
        let Ok(place) = usize::try_from(id) else { return &[] };
        let Some(&end) = self.ends.get(place) else { return &[] };
        let start = place.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.bytes[start..end]
    }
}

/// Whether an added token has the look of a template's markup: `<tool_call>`, `<|user|>`, `[INST]`, `>>TITLE<<`.
///
/// Files call such tokens "user-defined", like runs of spaces, and other programs find them in any text. Here they are
/// for templates only: else a person could write the turn of somebody else.
pub(crate) fn looks_like_markup(text: &str) -> bool {
    let text = text.trim_matches(|c: char| c.is_whitespace() || c == '▁' || c == '_');
    let inner = |open, close| text.strip_prefix(open).and_then(|rest: &str| rest.strip_suffix(close));
    if let Some(inner) = inner("<", ">") {
        let element = inner.strip_prefix('/').unwrap_or(inner);
        return !inner.is_empty() && !HTML.contains(&element);
    }
    let wrapped = [("[", "]"), (">>", "<<")].into_iter().find_map(|(open, close)| inner(open, close));
    wrapped.is_some_and(|inner| inner.contains(char::is_alphanumeric)) || text == "[e~["
}

/// By the number in `tokenizer.ggml.token_type` (GGUF's documentation) and, for the slips of converters, by the text.
fn kind(text: &str, number: u64) -> Kind {
    match number {
        2 => Kind::Unknown,
        3 => Kind::Control,
        4 if looks_like_markup(text) => Kind::Control,
        4 => Kind::Added,
        6 => Kind::Byte,
        _ if text != "</s>" && super::special::ends_answer(text) => Kind::Control,
        _ => Kind::Text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_is_known_by_its_look() {
        for text in
            ["<|im_end|>", "<tool_call>", "</think>", "[INST]", ">>TITLE<<", "<｜fim▁hole｜>", "▁<PRE>", "[PAD7]"]
        {
            assert!(looks_like_markup(text), "{text}");
        }
        for text in ["  ", "\n\n", "õ", "<table>", "</h1>", "[", "<>", ">>", "[]", "<", "a > b"] {
            assert!(!looks_like_markup(text), "{text}");
        }
    }

    #[test]
    fn a_token_that_ends_answers_is_control_whatever_the_file_says() {
        assert_eq!((kind("<|im_end|>", 1), kind("</s>", 1), kind("the", 1)), (Kind::Control, Kind::Text, Kind::Text));
    }
}
