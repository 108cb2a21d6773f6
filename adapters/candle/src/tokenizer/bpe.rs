//! Byte pair encoding as `gpt2` vocabularies have it: words are cut out of the text first, then merged by rank.
//!
//! An own merge loop, not that of the `tokenizers` crate: it works on the text's bytes instead of a copy spelled in the
//! byte-level alphabet with an alignment for each character, which nobody here needs.

use rustc_hash::FxHashMap;

use super::bytes::byte_alphabet;
use super::merge::{self, Seen, Symbol, Union};
use super::pre::{PreRules, Spelling};
use super::split::Splitter;
use super::spm::{SPACE, byte};
use super::vocabulary::{Kind, Vocabulary};

/// A vocabulary with merges.
#[derive(Debug)]
pub(crate) struct BytePairs {
    splitter: Splitter,
    spelling: Spelling,
    whole_words: bool,
    /// By what the tokens stand for. Only the file puts anything in, so a fast hash does no harm.
    ids: FxHashMap<Box<[u8]>, u32>,
    byte_ids: Vec<Option<u32>>,
    unions: FxHashMap<(u32, u32), Union>,
}

impl BytePairs {
    /// `merges` are pairs of tokens, separated by a space, the first ranks first.
    ///
    /// # Errors
    /// What is wrong with the file, as a part of a sentence about it.
    pub(crate) fn new(vocabulary: &Vocabulary<'_>, merges: &[&str], rules: PreRules) -> Result<Self, String> {
        let splitter = Splitter::new(rules.steps).map_err(|error| format!("a rule does not compile ({error})"))?;
        let written: FxHashMap<&str, (u32, Kind)> =
            vocabulary.all().map(|(id, text, kind)| (text, (id, kind))).collect();
        let mut unions = FxHashMap::default();
        unions.reserve(merges.len());
        for (rank, merge) in (0..).zip(merges) {
            // A space at the beginning belongs to the first part.
            let cut = merge.bytes().skip(1).position(|byte| byte == b' ').ok_or("a merge is not a pair")? + 1;
            let (left, right) = (&merge[..cut], &merge[cut + 1..]);
            let id = |text: &str| written.get(text).copied().ok_or_else(|| format!("the merge {merge:?} has no token"));
            let ((left, _), (right, _), (token, kind)) = (id(left)?, id(right)?, id(&format!("{left}{right}"))?);
            if kind != Kind::Control {
                unions.entry((left, right)).or_insert(Union { rank, token });
            }
        }
        let (ids, byte_ids) = match rules.spelling {
            Spelling::Bytes => byte_level(vocabulary)?,
            Spelling::Text => spelled_out(vocabulary)?,
        };
        Ok(Self { splitter, spelling: rules.spelling, whole_words: rules.whole_words, ids, byte_ids, unions })
    }

    /// Appends the ids of a text.
    pub(crate) fn encode(&self, text: &str, out: &mut Vec<u32>) {
        let marked;
        let text = match self.spelling {
            Spelling::Bytes => text,
            Spelling::Text => {
                marked = text.replace(' ', SPACE);
                &marked
            }
        };
        let mut seen = Seen::default();
        for word in self.splitter.words(text) {
            seen.encode(&text[word], out, |word, out| self.encode_word(word, out));
        }
    }

    fn encode_word(&self, word: &str, out: &mut Vec<u32>) {
        let lines = self.spelling == Spelling::Text && word.bytes().all(|byte| byte == b'\n');
        if (self.whole_words || lines)
            && let Some(&id) = self.ids.get(word.as_bytes())
        {
            out.push(id);
            return;
        }
        let mut symbols = self.symbols(word);
        merge::merge(&mut symbols, |left, right| self.unions.get(&(left.token?, right.token?)).copied());
        for symbol in symbols.iter().filter(|symbol| symbol.start < symbol.end) {
            match symbol.token {
                Some(id) => out.push(id),
                None => {
                    let bytes = word[symbol.start..symbol.end].bytes();
                    out.extend(bytes.filter_map(|byte| self.byte_ids[usize::from(byte)]));
                }
            }
        }
    }

    fn symbols(&self, word: &str) -> Vec<Symbol> {
        match self.spelling {
            Spelling::Bytes => {
                let bytes = word.bytes().enumerate();
                bytes
                    .map(|(start, byte)| Symbol { start, end: start + 1, token: self.byte_ids[usize::from(byte)] })
                    .collect()
            }
            Spelling::Text => {
                let token = |start, end| self.ids.get(&word.as_bytes()[start..end]).copied();
                let place = |(start, c): (usize, char)| {
                    let end = start + c.len_utf8();
                    Symbol { start, end, token: token(start, end) }
                };
                word.char_indices().map(place).collect()
            }
        }
    }
}

type Ids = (FxHashMap<Box<[u8]>, u32>, Vec<Option<u32>>);

fn byte_level(vocabulary: &Vocabulary<'_>) -> Result<Ids, String> {
    let alphabet = byte_alphabet();
    let spelled = |text: &str| text.chars().map(|c| alphabet.get(&c).copied()).collect::<Option<Vec<u8>>>();
    let ids: FxHashMap<Box<[u8]>, u32> =
        vocabulary.of(Kind::Text).filter_map(|(id, text)| Some((spelled(text)?.into_boxed_slice(), id))).collect();
    let byte_ids: Vec<_> = (0..=u8::MAX).map(|byte| ids.get([byte].as_slice()).copied()).collect();
    // Some vocabularies were trained without the rarest bytes; the model then never sees them.
    let missing = (b' '..=b'~').find(|&byte| byte_ids[usize::from(byte)].is_none());
    missing.map_or(Ok((ids, byte_ids)), |byte| {
        Err(format!("its vocabulary lacks a token for the character {:?}", char::from(byte)))
    })
}

fn spelled_out(vocabulary: &Vocabulary<'_>) -> Result<Ids, String> {
    let ids = vocabulary.of(Kind::Text).map(|(id, text)| (text.as_bytes().into(), id)).collect();
    let mut byte_ids = vec![None; 256];
    for (id, text) in vocabulary.of(Kind::Byte) {
        if let Some(byte) = byte(text) {
            byte_ids[usize::from(byte)] = Some(id);
        }
    }
    if byte_ids.contains(&None) {
        return Err("its vocabulary lacks tokens for single bytes".to_owned());
    }
    Ok((ids, byte_ids))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file::ModelFile;
    use crate::tokenizer::{pre, tests};

    #[test]
    fn words_are_cut_as_llama_cpp_cuts_them() {
        let Some(shared) = tests::vectors() else { return };
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/pre_tokenizers.json");
        let vectors: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        let file = ModelFile::open(&shared.join("ggml-vocab-llama-bpe.gguf")).unwrap();
        let merges = file.texts("tokenizer.ggml.merges").unwrap();
        let rules = pre::rules("llama3").unwrap();
        let mut encoder = BytePairs::new(&Vocabulary::read(&file).unwrap(), &merges, rules).unwrap();
        for (name, expected) in vectors["ids"].as_object().unwrap() {
            let rules = pre::rules(name).unwrap();
            encoder.splitter = Splitter::new(rules.steps).unwrap();
            encoder.whole_words = rules.whole_words;
            for (text, expected) in vectors["texts"].as_array().unwrap().iter().zip(expected.as_array().unwrap()) {
                let (text, Some(expected)) = (text.as_str().unwrap(), expected.as_str()) else { continue };
                let mut ids = Vec::new();
                encoder.encode(text, &mut ids);
                let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
                assert_eq!(ids.join(" "), expected, "{name}: {text:?}");
            }
        }
    }
}
