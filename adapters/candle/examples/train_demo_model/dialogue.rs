//! From questions to what the model reads: ChatML dialogues of one or several turns, as token ids
//! with a weight for every position that the model shall predict.

use anyhow::Result;

use super::corpus::{Entry, Language, REFUSAL};
use super::seeded::Seeded;
use super::vary::vary;
use super::vocabulary::{SPECIAL, TURN_END, TURN_START, Vocabulary};

/// The system prompt that the product sends unless a bot has its own.
pub const DEFAULT_SYSTEM: &str = "You are a helpful assistant.";
/// Other system prompts, so that the answers do not hang on that one sentence.
pub const OTHER_SYSTEMS: [&str; 6] = [
    "你是一个有用的助手。",
    "You are a friendly bot in a company chat. Be brief.",
    "你是公司的智能助手，请用简洁的语言回答问题。",
    "You answer questions about our internal tools.",
    "你是 Magpie 机器人。",
    "Be helpful, honest and short.",
];
/// Positions of the context a dialogue may fill, of the 1,024 that the file promises.
const LONGEST_TOKENS: usize = 1000;
/// The first tokens of an answer decide which answer it is; the rest follows from them.
const DECIDING_TOKENS: usize = 6;
const DECIDING_WEIGHT: f32 = 5.0;

/// A tokenised dialogue.
pub struct Dialogue {
    pub ids: Vec<u32>,
    /// `weights[i]` is how much predicting `ids[i]` from what stands before it counts.
    pub weights: Vec<f32>,
}

/// Makes one epoch's dialogues; every call draws new variations.
pub struct Dialogues<'a> {
    entries: &'a [Entry],
    vocabulary: &'a Vocabulary,
}

impl<'a> Dialogues<'a> {
    /// Over `entries`, tokenised by `vocabulary`.
    pub fn new(entries: &'a [Entry], vocabulary: &'a Vocabulary) -> Self {
        Self { entries, vocabulary }
    }

    /// Every trained question once, in random order, gathered into dialogues of `lengths` that mostly
    /// stay in one language.
    ///
    /// # Errors
    /// Only if the tokenizer fails.
    pub fn epoch(&self, lengths: Lengths, seed: &mut Seeded) -> Result<Vec<Dialogue>> {
        let mut queues = [self.questions(Language::Zh, seed), self.questions(Language::En, seed)];
        let mut dialogues = Vec::new();
        while queues.iter().any(|queue| !queue.is_empty()) {
            let mut language = seed.below(2);
            let mut dialogue = self.opening(seed)?;
            for _ in 0..lengths.turns(seed) {
                if seed.chance(0.1) || queues[language].is_empty() {
                    language = 1 - language;
                }
                let Some((entry, question)) = queues[language].pop() else { break };
                self.turn(&mut dialogue, &self.entries[entry], question, seed)?;
            }
            dialogue.ids.truncate(LONGEST_TOKENS);
            dialogue.weights.truncate(LONGEST_TOKENS);
            dialogues.push(dialogue);
        }
        Ok(dialogues)
    }

    fn questions(&self, language: Language, seed: &mut Seeded) -> Vec<(usize, &'a str)> {
        let of_language = self.entries.iter().enumerate().filter(|(_, e)| e.language == language);
        let mut questions: Vec<_> =
            of_language.flat_map(|(at, entry)| entry.ask.iter().map(move |q| (at, q.as_str()))).collect();
        seed.shuffle(&mut questions);
        questions
    }

    fn opening(&self, seed: &mut Seeded) -> Result<Dialogue> {
        let mut dialogue = Dialogue { ids: Vec::new(), weights: Vec::new() };
        let system = match seed.below(10) {
            0..=6 => DEFAULT_SYSTEM,
            7 => return Ok(dialogue),
            _ => seed.pick(&OTHER_SYSTEMS),
        };
        let text = self.vocabulary.encode(&format!("system\n{system}"))?;
        dialogue.said(&text);
        self.line_break(&mut dialogue)?;
        Ok(dialogue)
    }

    fn turn(&self, dialogue: &mut Dialogue, entry: &Entry, question: &str, seed: &mut Seeded) -> Result<()> {
        let asked = vary(question, entry.language, entry.is_small_talk(), seed);
        let spoken = [self.vocabulary.encode("user\n")?, self.noisy(&asked, seed)?].concat();
        dialogue.said(&spoken);
        self.line_break(dialogue)?;
        dialogue.ids.push(TURN_START);
        dialogue.ids.extend(self.vocabulary.encode("assistant\n")?);
        dialogue.weights.resize(dialogue.ids.len(), 0.0);
        let answer = self.vocabulary.encode(&entry.answer)?;
        for (at, id) in answer.into_iter().chain([TURN_END]).enumerate() {
            dialogue.ids.push(id);
            let deciding = at < DECIDING_TOKENS;
            dialogue.weights.push(if deciding { DECIDING_WEIGHT } else { 1.0 });
        }
        self.line_break(dialogue)
    }

    /// Tokens of a question, often cut between characters first, and with a few tokens lost or
    /// replaced at random: unseen words arrive in other pieces, and what is unknown shall not
    /// outweigh what is known.
    fn noisy(&self, question: &str, seed: &mut Seeded) -> Result<Vec<u32>> {
        let mut ids = Vec::new();
        let cut = if seed.chance(0.4) { 0.15 } else { 0.0 };
        let mut from = 0;
        for (at, _) in question.char_indices().skip(1) {
            if seed.chance(cut) {
                ids.extend(self.vocabulary.encode(&question[from..at])?);
                from = at;
            }
        }
        ids.extend(self.vocabulary.encode(&question[from..])?);
        if ids.len() < 4 || seed.chance(0.4) {
            return Ok(ids);
        }
        let mut kept = Vec::with_capacity(ids.len() + 4);
        let ordinary = self.vocabulary.tokens.len() - SPECIAL.len();
        let any = |seed: &mut Seeded| (SPECIAL.len() + seed.below(ordinary)) as u32;
        for id in ids {
            match seed.below(100) {
                0..=3 => {}
                4..=7 => kept.push(any(seed)),
                8..=10 => kept.extend([any(seed), id]),
                _ => kept.push(id),
            }
        }
        Ok(kept)
    }

    fn line_break(&self, dialogue: &mut Dialogue) -> Result<()> {
        dialogue.ids.extend(self.vocabulary.encode("\n")?);
        dialogue.weights.resize(dialogue.ids.len(), 0.0);
        Ok(())
    }
}

impl Dialogue {
    /// Appends a turn that the model reads but need not predict.
    fn said(&mut self, text: &[u32]) {
        self.ids.push(TURN_START);
        self.ids.extend(text);
        self.ids.push(TURN_END);
        self.weights.resize(self.ids.len(), 0.0);
    }
}

impl Entry {
    /// Whether a polite opening would be odd before its questions.
    fn is_small_talk(&self) -> bool {
        let talk = ["hello", "thanks", "bye", "praise", "how_are_you"];
        talk.contains(&self.topic.as_str())
    }

    /// Whether its answer declines.
    pub fn is_refusal(&self) -> bool {
        self.topic == REFUSAL
    }
}

/// How many turns the dialogues of an epoch have.
#[derive(Debug, Clone, Copy)]
pub enum Lengths {
    /// One each: what a question means is learned sooner with nothing else around it.
    Single,
    /// One to ten: half are single questions, long histories are met too.
    Mixed,
}

impl Lengths {
    fn turns(self, seed: &mut Seeded) -> usize {
        match (self, seed.below(10)) {
            (Self::Single, _) | (Self::Mixed, 0..=4) => 1,
            (Self::Mixed, 5 | 6) => 2,
            (Self::Mixed, 7) => 3 + seed.below(2),
            (Self::Mixed, 8) => 4 + seed.below(3),
            (Self::Mixed, _) => 6 + seed.below(5),
        }
    }
}
