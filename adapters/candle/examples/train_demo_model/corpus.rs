//! The corpus: topics of questions with one answer each, in Chinese and in English.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

/// The name of the topic whose answer declines the question.
pub const REFUSAL: &str = "refusal";

/// A language of the corpus.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    Zh,
    En,
}

/// One topic in one language.
#[derive(Debug, Clone)]
pub struct Entry {
    pub topic: String,
    pub language: Language,
    pub answer: String,
    /// Phrasings the model is trained on.
    pub ask: Vec<String>,
    /// Paraphrases it never sees in training, asked while the corpus and the recipe were worked on.
    pub held_out: Vec<String>,
    /// Paraphrases that nobody looked at until both were finished.
    pub test: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    answer: String,
    ask: String,
    held_out: String,
    test: String,
}

/// Reads every `*.toml` of `dir`, in the order of the file names.
///
/// # Errors
/// A file that cannot be read or parsed, and a question that stands twice: the same words with
/// two answers cannot be learned, and a held-out question among the trained ones measures nothing.
pub fn load(dir: &Path) -> Result<Vec<Entry>> {
    let mut paths = Vec::new();
    for item in std::fs::read_dir(dir).with_context(|| format!("reading {}", dir.display()))? {
        let path = item?.path();
        if path.extension().is_some_and(|e| e == "toml") {
            paths.push(path);
        }
    }
    paths.sort();
    let mut entries = Vec::new();
    for path in &paths {
        let text = std::fs::read_to_string(path)?;
        let topics: BTreeMap<String, BTreeMap<Language, Written>> =
            toml::from_str(&text).with_context(|| format!("parsing {}", path.display()))?;
        for (topic, languages) in topics {
            for (language, written) in languages {
                entries.push(Entry {
                    topic: topic.clone(),
                    language,
                    answer: written.answer.trim().to_owned(),
                    ask: lines(&written.ask),
                    held_out: lines(&written.held_out),
                    test: lines(&written.test),
                });
            }
        }
    }
    refuse_repeated_questions(&entries)?;
    Ok(entries)
}

fn lines(text: &str) -> Vec<String> {
    let kept = text.lines().map(str::trim).filter(|line| !line.is_empty());
    kept.map(str::to_owned).collect()
}

fn refuse_repeated_questions(entries: &[Entry]) -> Result<()> {
    let mut seen = HashMap::new();
    for entry in entries {
        for question in entry.ask.iter().chain(&entry.held_out).chain(&entry.test) {
            if let Some(other) = seen.insert(question.to_lowercase(), &entry.topic) {
                bail!("`{question}` stands in `{other}` and in `{}`", entry.topic);
            }
        }
    }
    Ok(())
}
