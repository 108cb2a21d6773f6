//! Measures an exported file the way the product runs it: candle-transformers' quantised llama,
//! tokenizer from the file, ChatML with the default system prompt, greedy.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

use anyhow::{Context, Result, anyhow};
use candle_core::quantized::gguf_file;
use candle_core::quantized::tokenizer::TokenizerFromGguf;
use candle_core::{Device, Tensor};
use candle_transformers::models::quantized_llama::ModelWeights;
use tokenizers::Tokenizer;

use super::corpus::Entry;
use super::dialogue::DEFAULT_SYSTEM;
use super::seeded::Seeded;
use super::vocabulary::TURN_END;

/// Longer than the longest answer.
const MOST_TOKENS: usize = 200;
/// Every how many trained questions one is asked.
const TRAINED_STRIDE: usize = 5;

/// A loaded file.
struct Exported {
    model: ModelWeights,
    tokenizer: Tokenizer,
}

/// Right answers out of all, and what went wrong.
#[derive(Default)]
struct Score {
    right: usize,
    asked: usize,
    wrong: Vec<String>,
}

/// One question with what was said before it.
struct Case<'a> {
    entry: &'a Entry,
    question: &'a str,
    before: Option<(&'a str, &'a str)>,
}

/// Asks trained and held-out questions and prints the table.
///
/// An answer is right when it is the topic's answer to the letter; a part or a mixture is wrong.
///
/// # Errors
/// A file that cannot be loaded or run.
pub fn eval(file: &Path, entries: &[Entry]) -> Result<()> {
    let mut exported = Exported::load(file)?;
    let topics: BTreeMap<&str, String> =
        entries.iter().map(|entry| (entry.answer.as_str(), format!("{} {:?}", entry.topic, entry.language))).collect();
    let trained: Vec<_> = cases(entries, |entry| &entry.ask).into_iter().step_by(TRAINED_STRIDE).collect();
    let held_out = cases(entries, |entry| &entry.held_out);
    let second_turn = after_another_turn(entries);
    let test = cases(entries, |entry| &entry.test);
    for (name, cases) in
        [("trained", trained), ("held out", held_out), ("held out, second turn", second_turn), ("test", test)]
    {
        let mut table: BTreeMap<String, Score> = BTreeMap::new();
        for case in &cases {
            let answer = exported.answer(case)?;
            let kind = if case.entry.is_refusal() { "refusals" } else { "answers" };
            let score = table.entry(format!("{:?} {kind}", case.entry.language)).or_default();
            score.asked += 1;
            if answer == case.entry.answer {
                score.right += 1;
            } else {
                let given = topics.get(answer.as_str()).cloned().unwrap_or(format!("no topic's answer: {answer:?}"));
                score.wrong.push(format!("{} <- {:?}: {given}", case.entry.topic, case.question));
            }
        }
        print(name, &table);
    }
    Ok(())
}

fn cases(entries: &[Entry], questions: impl Fn(&Entry) -> &[String]) -> Vec<Case<'_>> {
    let of_entry = entries.iter().flat_map(|entry| {
        let asked = questions(entry).iter();
        asked.map(move |question| Case { entry, question, before: None })
    });
    of_entry.collect()
}

/// Held-out questions after a trained question of another topic and its answer.
fn after_another_turn(entries: &[Entry]) -> Vec<Case<'_>> {
    let mut seed = Seeded::new(7);
    let mut cases = Vec::new();
    for entry in entries {
        let others: Vec<_> =
            entries.iter().filter(|e| e.language == entry.language && e.topic != entry.topic).collect();
        for question in &entry.held_out {
            let other = *seed.pick(&others);
            let before = Some((seed.pick(&other.ask).as_str(), other.answer.as_str()));
            cases.push(Case { entry, question, before });
        }
    }
    cases
}

fn print(name: &str, table: &BTreeMap<String, Score>) {
    println!("\n{name}");
    for (kind, score) in table {
        let share = 100.0 * score.right as f32 / score.asked as f32;
        println!("  {kind:<14} {:>4} of {:>4}  {share:.1} %", score.right, score.asked);
    }
    let (right, asked) = table.values().fold((0, 0), |sum, s| (sum.0 + s.right, sum.1 + s.asked));
    println!("  {:<14} {right:>4} of {asked:>4}  {:.1} %", "together", 100.0 * right as f32 / asked as f32);
    for wrong in table.values().flat_map(|score| &score.wrong) {
        println!("    {wrong}");
    }
}

impl Exported {
    fn load(path: &Path) -> Result<Self> {
        let mut file = File::open(path).with_context(|| format!("opening {}", path.display()))?;
        let content = gguf_file::Content::read(&mut file)?;
        let tokenizer = Tokenizer::from_gguf(&content)?;
        let model = ModelWeights::from_gguf(content, &mut file, &Device::Cpu)?;
        Ok(Self { model, tokenizer })
    }

    fn answer(&mut self, case: &Case) -> Result<String> {
        let mut prompt = format!("<|im_start|>system\n{DEFAULT_SYSTEM}<|im_end|>\n");
        if let Some((question, answer)) = case.before {
            prompt.push_str(&format!(
                "<|im_start|>user\n{question}<|im_end|>\n<|im_start|>assistant\n{answer}<|im_end|>\n"
            ));
        }
        prompt.push_str(&format!("<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n", case.question));
        let encoding = self.tokenizer.encode(prompt, false).map_err(|e| anyhow!(e))?;
        let mut input = encoding.get_ids().to_vec();
        let (mut seen, mut answer) = (0, Vec::new());
        while answer.len() < MOST_TOKENS {
            let logits = self.model.forward(&Tensor::new(input.as_slice(), &Device::Cpu)?.unsqueeze(0)?, seen)?;
            seen += input.len();
            let next: u32 = logits.squeeze(0)?.argmax(0)?.to_scalar()?;
            if next == TURN_END {
                break;
            }
            answer.push(next);
            input = vec![next];
        }
        self.tokenizer.decode(&answer, true).map_err(|e| anyhow!(e))
    }
}
