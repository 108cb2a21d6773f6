//! How quick a model is on this machine.

use std::time::Instant;

use magpie_kernels::Compute;
use serde::Serialize;

use super::chat::{Chat, step};
use super::memory::ResidentMemory;
use super::needs::MemoryNeeds;
use super::{ReportError, Run};
use crate::arch::Spec;
use crate::file::ModelFile;
use crate::network::Network;

/// What is measured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BenchPlan {
    /// Lengths of prompts.
    pub prompt: Vec<usize>,
    /// Tokens that each chat is continued by.
    pub generate: usize,
    /// How many chats are continued at once.
    pub batch: Vec<usize>,
    /// How long those chats are already.
    pub depth: Vec<usize>,
    /// The middle one of so many counts.
    pub repetitions: usize,
}

/// What is measured on what.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BenchSubject {
    pub model: String,
    pub architecture: &'static str,
    pub file_bytes: u64,
    pub threads: usize,
    pub kernels: &'static str,
    pub load_seconds: f64,
    /// What was expected of the file.
    pub memory: MemoryNeeds,
    /// What all matrices really take.
    pub matrices_bytes: usize,
    /// What is reserved for keys and values.
    pub cache_bytes: usize,
    /// What so many threads read from memory at best.
    pub read_bytes_per_second: f64,
    /// Tokens per second of one chat that reading the weights alone would allow.
    pub roofline_tokens_per_second: f64,
}

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum BenchSetting {
    /// One prompt of so many tokens.
    Prompt { tokens: usize },
    /// `batch` chats that are `depth` tokens long, each continued by `tokens`.
    Decode { depth: usize, batch: usize, tokens: usize },
}

/// How fast it was.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Speed {
    #[serde(flatten)]
    pub setting: BenchSetting,
    /// Of all chats together.
    pub tokens_per_second: f64,
    /// Of the roofline, for a chat alone.
    pub roofline_share: Option<f64>,
    pub resident: Option<ResidentMemory>,
}

/// Who is told what was measured, as soon as it is.
pub trait BenchListener {
    /// Bytes loaded so far, and all.
    fn loading(&mut self, done: u64, all: u64);
    fn subject(&mut self, subject: &BenchSubject);
    fn speed(&mut self, speed: &Speed);
}

impl BenchPlan {
    /// Lengths of all sequences that are in memory together at most.
    fn lengths(&self) -> Vec<usize> {
        let prompt = self.prompt.iter().copied().max().unwrap_or_default();
        let depth = self.depth.iter().copied().max().unwrap_or_default();
        let chats = self.batch.iter().copied().max().unwrap_or_default();
        // One that all chats of a depth are copied from, and for prompts.
        let mut lengths = vec![prompt.max(depth)];
        lengths.extend(std::iter::repeat_n(depth + self.generate, chats));
        lengths
    }

    fn check(&self) -> Result<(), ReportError> {
        let nothing = |what: &str| Err(ReportError::Usage(format!("{what} has to be at least 1")));
        if self.prompt.contains(&0) {
            return nothing("the length of a prompt");
        }
        if self.batch.contains(&0) {
            return nothing("the number of chats");
        }
        if self.generate == 0 || self.repetitions == 0 {
            return nothing("the number of tokens and of repetitions");
        }
        Ok(())
    }
}

/// Loads the model and measures it, after a warm-up of each setting.
///
/// # Errors
/// The model can't be used, or the plan does not fit it.
pub fn bench(run: &Run, plan: &BenchPlan, listener: &mut dyn BenchListener) -> Result<(), ReportError> {
    plan.check()?;
    let tier = run.tier()?;
    let file = ModelFile::open(&run.path)?;
    let spec = Spec::of(&file)?;
    let memory = MemoryNeeds::of(&file, &spec);
    // Before the model is there, so that the memory it takes for that does not count for the model.
    let compute = Compute::new(run.threads, tier).map_err(|error| ReportError::Compute(error.into()))?;
    let read_bytes_per_second = compute.read_bandwidth(usize::try_from(memory.weights_bytes).unwrap_or(usize::MAX));
    drop(compute);
    let begun = Instant::now();
    let network = run.load(&file, &plan.lengths(), &mut |done, all| listener.loading(done, all))?;
    let load_seconds = begun.elapsed().as_secs_f64();
    let taken = network.memory();
    let subject = BenchSubject {
        model: file.text("general.name").map_or_else(|| run.path.display().to_string(), str::to_owned),
        architecture: spec.architecture,
        file_bytes: file.tensors().map(|tensor| tensor.bytes.len() as u64).sum(),
        threads: network.threads(),
        kernels: tier.name(),
        load_seconds,
        memory,
        matrices_bytes: taken.weights,
        cache_bytes: taken.cache,
        read_bytes_per_second,
        roofline_tokens_per_second: read_bytes_per_second / memory.read_per_token_bytes as f64,
    };
    listener.subject(&subject);
    // All that is needed of it is in the network now.
    drop(file);
    let mut stand = Stand { network: Box::new(network), plan, logits: Vec::new() };
    for &tokens in &plan.prompt {
        listener.speed(&stand.prompt(tokens)?);
    }
    for &depth in &plan.depth {
        for &batch in &plan.batch {
            let mut speed = stand.decode(depth, batch)?;
            let share = speed.tokens_per_second / subject.roofline_tokens_per_second;
            speed.roofline_share = (batch == 1).then_some(share);
            listener.speed(&speed);
        }
    }
    Ok(())
}

struct Stand<'a> {
    network: Box<dyn Network>,
    plan: &'a BenchPlan,
    logits: Vec<f32>,
}

impl Stand<'_> {
    fn prompt(&mut self, tokens: usize) -> Result<Speed, ReportError> {
        let text = self.text(tokens);
        let mut chat = Chat::new(tokens, &mut 0);
        let seconds = self.median(|stand| {
            chat.length = 0;
            chat.read(&mut *stand.network, &text, &mut stand.logits).map_err(Into::into)
        })?;
        Ok(speed(BenchSetting::Prompt { tokens }, tokens, seconds))
    }

    fn decode(&mut self, depth: usize, batch: usize) -> Result<Speed, ReportError> {
        let tokens = self.plan.generate;
        let mut page = 0;
        let mut first = Chat::new(depth, &mut page);
        let text = self.text(depth);
        first.read(&mut *self.network, &text, &mut self.logits)?;
        let mut chats: Vec<Chat> = (0..batch).map(|_| Chat::new(depth + tokens, &mut page)).collect();
        for chat in &mut chats {
            chat.copy(&mut *self.network, &first);
        }
        let vocabulary = self.network.limits().vocabulary;
        let seconds = self.median(|stand| {
            for chat in &mut chats {
                chat.length = depth;
            }
            for place in 0..tokens {
                let token = |chat: usize| token(chat * 31 + place, vocabulary);
                step(&mut *stand.network, &mut chats, token, &mut stand.logits)?;
            }
            Ok(())
        })?;
        Ok(speed(BenchSetting::Decode { depth, batch, tokens }, tokens * batch, seconds))
    }

    fn text(&self, tokens: usize) -> Vec<u32> {
        let vocabulary = self.network.limits().vocabulary;
        (0..tokens).map(|place| token(place, vocabulary)).collect()
    }

    /// Seconds of the middle one of the repetitions. The first time does not count: it fills caches and memory.
    fn median(&mut self, mut work: impl FnMut(&mut Self) -> Result<(), ReportError>) -> Result<f64, ReportError> {
        work(self)?;
        let mut seconds = Vec::with_capacity(self.plan.repetitions);
        for _ in 0..self.plan.repetitions {
            let begun = Instant::now();
            work(self)?;
            seconds.push(begun.elapsed().as_secs_f64());
        }
        seconds.sort_unstable_by(f64::total_cmp);
        Ok(seconds[seconds.len() / 2])
    }
}

/// Tokens without any pattern, the same each time.
fn token(place: usize, vocabulary: usize) -> u32 {
    u32::try_from((place * 7919 + 17) % vocabulary.max(1)).unwrap_or_default()
}

fn speed(setting: BenchSetting, tokens: usize, seconds: f64) -> Speed {
    let resident = ResidentMemory::of_this_process();
    Speed { setting, tokens_per_second: tokens as f64 / seconds, roofline_share: None, resident }
}
