//! A tokenizer from the `tokenizer.json` that models are published with.
//!
//! The `tokenizers` crate runs it, without its added tokens: they are taken out of the file before it is read, because
//! the crate would find special ones in the text of people too. Which of them end an answer is written beside it, in
//! `generation_config.json`, `tokenizer_config.json` and `config.json`.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

use crate::error::LoadError;

use super::bytes::byte_alphabet;
use super::special::{SpecialTokens, Takes};
use super::spm;
use super::vocabulary::{Kind, TokenBytes, looks_like_markup};
use super::{Encoder, Ends, Tokenizer, TokenizerKind};

/// What the `tokenizers` crate made of the file.
pub(crate) struct Published {
    /// For a text at the beginning.
    first: tokenizers::Tokenizer,
    /// For a text after a special token, where the model makes a difference.
    later: Option<tokenizers::Tokenizer>,
}

impl Published {
    /// Appends the ids of a text.
    pub(crate) fn encode(&self, text: &str, out: &mut Vec<u32>) {
        let encoder = if out.is_empty() { &self.first } else { self.later.as_ref().unwrap_or(&self.first) };
        match encoder.encode_fast(text, false) {
            Ok(encoding) => out.extend_from_slice(encoding.get_ids()),
            Err(error) => tracing::error!(text_bytes = text.len(), %error, "text could not be encoded"),
        }
    }
}

impl Tokenizer {
    /// Reads a `tokenizer.json` and, for the tokens that end an answer, the files beside it.
    ///
    /// # Errors
    /// When the file can't be read or is not one that the `tokenizers` crate takes.
    pub fn from_json(path: &Path) -> Result<Self, LoadError> {
        let broken = |what: String| LoadError::Broken { path: path.to_owned(), what, source: None };
        let mut json: Value = serde_json::from_slice(
            &std::fs::read(path).map_err(|source| LoadError::File { path: path.to_owned(), source })?,
        )
        .map_err(|error| broken(format!("it is not JSON ({error})")))?;
        let added = take_added(&mut json).ok_or_else(|| broken("an added token has no text or no id".to_owned()))?;
        let mut ends = ends(&json["post_processor"]);
        for surrounding in ["post_processor", "truncation", "padding"] {
            json[surrounding] = Value::Null;
        }
        let parse = |json: Value| {
            serde_json::from_value(json).map_err(|error| broken(format!("its parts are not known ({error})")))
        };
        let later = for_later_text(&json).map(parse).transpose()?;
        let bytes = spell(&json, &added);
        let first = parse(json)?;
        let searchable = |kind: Kind| {
            let tokens = added.iter().filter(|token| token.kind == kind);
            SpecialTokens::new(tokens.map(|token| (token.text.clone(), token.id, token.takes)))
                .map_err(|error| broken(format!("its added tokens can't be searched for ({error})")))
        };
        let special = searchable(Kind::Control)?;
        let beside = Beside::read(path);
        if beside.adds_begin && ends.begin.is_none() {
            ends.begin = beside.begin.as_deref().and_then(|text| special.id(text));
        }
        let stops = beside.stop_ids.iter().copied().chain(beside.end.as_deref().and_then(|text| special.id(text)));
        Ok(Self {
            encoder: Encoder::Published(Box::new(Published { first, later })),
            kind: TokenizerKind { model: "tokenizer.json".to_owned(), pre: None, pre_is_assumed: false },
            stops: stops.chain(special.endings()).collect(),
            special,
            added: searchable(Kind::Added)?,
            bytes,
            ends,
        })
    }
}

/// A token that is found in text as a whole.
struct Added {
    text: String,
    id: u32,
    takes: Takes,
    kind: Kind,
}

/// Takes the added tokens out of the file, all of them: the `tokenizers` crate numbers those anew that it is left with.
fn take_added(json: &mut Value) -> Option<Vec<Added>> {
    let Some(Value::Array(tokens)) = json.get_mut("added_tokens") else { return Some(Vec::new()) };
    let added = |token: Value| {
        let text = token["content"].as_str()?.to_owned();
        let flag = |key: &str| token[key].as_bool().unwrap_or(false);
        let kind = if flag("special") || looks_like_markup(&text) { Kind::Control } else { Kind::Added };
        let takes = Takes { space_before: flag("lstrip"), space_after: flag("rstrip") };
        Some(Added { id: u32::try_from(token["id"].as_u64()?).ok()?, text, takes, kind })
    };
    let added: Vec<Added> = std::mem::take(tokens).into_iter().map(added).collect::<Option<_>>()?;
    // Unigrams are found in text by their spelling, so these get one that no text has.
    if let Some(Value::Array(pieces)) = json.pointer_mut("/model/vocab") {
        for token in added.iter().filter(|token| token.kind == Kind::Control) {
            let piece = usize::try_from(token.id).ok().and_then(|place| pieces.get_mut(place)?.get_mut(0));
            if let Some(piece) = piece.filter(|piece| piece.as_str() == Some(&token.text)) {
                *piece = Value::String(format!("\u{0}{}", token.text));
            }
        }
    }
    Some(added)
}

/// The same file for text after a special token, if a space is put before the first text only.
fn for_later_text(json: &Value) -> Option<Value> {
    let changed = |splitter: &Value| (splitter["prepend_scheme"] == "first").then_some(());
    let mut later = None;
    let mut places = vec!["/pre_tokenizer".to_owned()];
    let steps = json.pointer("/pre_tokenizer/pretokenizers").and_then(Value::as_array).map_or(0, Vec::len);
    places.extend((0..steps).map(|step| format!("/pre_tokenizer/pretokenizers/{step}")));
    for place in places {
        if json.pointer(&place).and_then(changed).is_some() {
            let later = later.get_or_insert_with(|| json.clone());
            later.pointer_mut(&place)?["prepend_scheme"] = "never".into();
        }
    }
    later
}

/// The tokens that the model's own post-processing puts around a text.
fn ends(processor: &Value) -> Ends {
    let id = |value: &Value| u32::try_from(value.as_u64()?).ok();
    match processor["type"].as_str() {
        Some("TemplateProcessing") => {
            let special = |item: Option<&Value>| {
                let name = item?["SpecialToken"]["id"].as_str()?;
                id(&processor["special_tokens"][name]["ids"][0])
            };
            let single = processor["single"].as_array();
            Ends {
                begin: special(single.and_then(|items| items.first())),
                end: special(single.and_then(|items| items.last())),
            }
        }
        Some("RobertaProcessing" | "BertProcessing") => {
            Ends { begin: id(&processor["cls"][1]), end: id(&processor["sep"][1]) }
        }
        Some("Sequence") => {
            let steps = processor["processors"].as_array().into_iter().flatten().map(ends);
            steps.fold(Ends::default(), |all, step| Ends { begin: all.begin.or(step.begin), end: all.end.or(step.end) })
        }
        _ => Ends::default(),
    }
}

/// What the tokens stand for.
fn spell(json: &Value, added: &[Added]) -> TokenBytes {
    let mut tokens: Vec<(&str, Kind)> = Vec::new();
    let mut set = |id: Option<u64>, text, kind| {
        let Some(place) = id.and_then(|id| usize::try_from(id).ok()) else { return };
        if tokens.len() <= place {
            tokens.resize(place + 1, ("", Kind::Unknown));
        }
        tokens[place] = (text, kind);
    };
    match &json["model"]["vocab"] {
        Value::Object(ids) => ids.iter().for_each(|(text, id)| set(id.as_u64(), text.as_str(), Kind::Text)),
        Value::Array(pieces) => (0..).zip(pieces).for_each(|(id, piece)| {
            set(Some(id), piece[0].as_str().unwrap_or_default(), Kind::Text);
        }),
        _ => {}
    }
    for token in added {
        set(Some(u64::from(token.id)), &token.text, token.kind);
    }
    let alphabet = byte_alphabet();
    let byte_level = ["pre_tokenizer", "decoder"].iter().any(|part| json[part].to_string().contains("\"ByteLevel\""));
    TokenBytes::new(tokens.into_iter(), |text| match text.strip_prefix("##") {
        _ if byte_level => text.chars().filter_map(|c| alphabet.get(&c).copied()).collect(),
        Some(rest) if json["model"]["type"] == "WordPiece" => rest.as_bytes().to_vec(),
        _ => spm::plain(text),
    })
}

/// What the files beside a `tokenizer.json` say. None of them has to be there.
#[derive(Debug, Default)]
struct Beside {
    stop_ids: BTreeSet<u32>,
    begin: Option<String>,
    end: Option<String>,
    adds_begin: bool,
}

impl Beside {
    fn read(path: &Path) -> Self {
        let json = |name: &str| -> Value {
            let text = std::fs::read(path.with_file_name(name)).unwrap_or_default();
            serde_json::from_slice(&text).unwrap_or_default()
        };
        let settings = json("tokenizer_config.json");
        let text = |key: &str| {
            let token = &settings[key];
            token.as_str().or_else(|| token["content"].as_str()).map(str::to_owned)
        };
        let ids = |value: &Value| -> Vec<u64> {
            value.as_array().map_or_else(
                || value.as_u64().into_iter().collect(),
                |ids| ids.iter().filter_map(Value::as_u64).collect(),
            )
        };
        let stop_ids =
            ["generation_config.json", "config.json"].iter().flat_map(|name| ids(&json(name)["eos_token_id"]));
        Self {
            stop_ids: stop_ids.filter_map(|id| u32::try_from(id).ok()).collect(),
            begin: text("bos_token"),
            end: text("eos_token"),
            adds_begin: settings["add_bos_token"].as_bool().unwrap_or(false),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokenizer::Specials;

    fn folder(prepend: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let json = serde_json::json!({
            "version": "1.0", "truncation": null, "padding": null, "normalizer": null,
            "added_tokens": [added(6, "<s>", true), added(7, "<tool_call>", false), added(8, "bb", false)],
            "pre_tokenizer": { "type": "Metaspace", "replacement": "▁", "prepend_scheme": prepend, "split": false },
            "post_processor": {
                "type": "TemplateProcessing",
                "single": [{ "SpecialToken": { "id": "<s>", "type_id": 0 } }, { "Sequence": { "id": "A", "type_id": 0 } }],
                "pair": [], "special_tokens": { "<s>": { "id": "<s>", "ids": [6], "tokens": ["<s>"] } }
            },
            "decoder": null,
            "model": {
                "type": "BPE", "dropout": null, "unk_token": "<unk>", "continuing_subword_prefix": null,
                "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false, "ignore_merges": false,
                "vocab": { "<unk>": 0, "▁": 1, "a": 2, "▁a": 3, "<": 4, "s": 5 }, "merges": [["▁", "a"]]
            }
        });
        std::fs::write(folder.path().join("tokenizer.json"), json.to_string()).unwrap();
        std::fs::write(folder.path().join("generation_config.json"), r#"{"eos_token_id": [5, 6]}"#).unwrap();
        folder
    }

    fn added(id: u32, text: &str, special: bool) -> Value {
        serde_json::json!({ "id": id, "content": text, "single_word": false, "lstrip": false, "rstrip": false,
            "normalized": false, "special": special })
    }

    #[test]
    fn special_tokens_of_a_published_tokenizer_come_from_markup_alone() {
        let folder = folder("always");
        let tokenizer = Tokenizer::open(folder.path()).unwrap();
        assert_eq!(tokenizer.encode("<s>a<tool_call>", Specials::Parse), [6, 3, 7]);
        let text = tokenizer.encode("<s>a<tool_call>", Specials::Ignore);
        assert!(!text.contains(&6) && !text.contains(&7), "{text:?}");
        assert!(tokenizer.encode("abb", Specials::Ignore).contains(&8), "added text is found everywhere");
    }

    #[test]
    fn what_lies_beside_a_published_tokenizer_is_read() {
        let folder = folder("always");
        let tokenizer = Tokenizer::open(&folder.path().join("tokenizer.json")).unwrap();
        assert_eq!(tokenizer.stops().collect::<Vec<_>>(), [5, 6]);
        assert_eq!(tokenizer.encode_document("a"), [6, 3]);
        assert_eq!(
            (tokenizer.bytes_of(3), tokenizer.bytes_of(6), tokenizer.vocabulary_size()),
            (&b" a"[..], &b""[..], 9)
        );
    }

    #[test]
    fn a_space_for_the_first_text_is_not_put_before_later_ones() {
        let first = folder("first");
        let tokenizer = Tokenizer::open(first.path()).unwrap();
        assert_eq!(tokenizer.encode("a<s>a", Specials::Parse), [3, 6, 2]);
    }
}
