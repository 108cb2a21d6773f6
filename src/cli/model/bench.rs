//! `magpie model bench`.

use std::path::PathBuf;

use clap::Args;

use super::super::loading::LoadingBar;
use super::super::{ConfigFile, Failure};
use super::Computing;
use super::units::bytes;
use crate::app::local::report::{self, BenchListener, BenchPlan, BenchSetting, BenchSubject, ResidentMemory, Speed};

/// Measure tokens per second: of prompts, and of so many chats at once at such a depth.
///
/// Each figure is the middle one of the repetitions, after a warm-up. The roofline is what reading the weights once for
/// each token would allow; for one chat the share of it is shown.
#[derive(Args)]
pub struct Bench {
    #[command(flatten)]
    config: ConfigFile,
    /// Model file, or a folder with safetensors.
    file: PathBuf,
    #[command(flatten)]
    computing: Computing,
    /// Lengths of prompts.
    #[arg(long, value_name = "TOKENS", value_delimiter = ',', default_value = "128,512")]
    prompt: Vec<usize>,
    /// Tokens that each chat is continued by.
    #[arg(long, value_name = "TOKENS", default_value_t = 64)]
    generate: usize,
    /// How many chats are continued at once.
    #[arg(long, value_name = "CHATS", value_delimiter = ',', default_value = "1,2,4,8,16")]
    batch: Vec<usize>,
    /// How long those chats are already.
    #[arg(long, value_name = "TOKENS", value_delimiter = ',', default_value = "0,512")]
    depth: Vec<usize>,
    /// How often each is measured.
    #[arg(long, value_name = "N", default_value_t = 3)]
    repeat: usize,
    /// One JSON object instead of a table.
    #[arg(long)]
    json: bool,
}

impl Bench {
    pub fn run(self) -> Result<(), Failure> {
        let run = self.computing.run(self.file, &self.config)?;
        let plan = BenchPlan {
            prompt: self.prompt,
            generate: self.generate,
            batch: self.batch,
            depth: self.depth,
            repetitions: self.repeat,
        };
        if self.json {
            let mut collected = Collected::default();
            report::bench(&run, &plan, &mut collected)?;
            println!("{}", collected.into_json());
        } else {
            let mut table = Table { bar: LoadingBar::new(), resident: None };
            report::bench(&run, &plan, &mut table)?;
            if let Some(memory) = table.resident {
                println!("\nmemory: {} at the end, {} at most", bytes(memory.now_bytes), bytes(memory.peak_bytes));
            }
        }
        Ok(())
    }
}

#[derive(Default)]
struct Collected {
    subject: serde_json::Value,
    results: Vec<serde_json::Value>,
}

impl Collected {
    fn into_json(self) -> serde_json::Value {
        let peak = ResidentMemory::of_this_process().map(|memory| memory.peak_bytes);
        serde_json::json!({"subject": self.subject, "results": self.results, "peak_resident_bytes": peak})
    }
}

impl BenchListener for Collected {
    fn loading(&mut self, _done: u64, _all: u64) {}

    fn subject(&mut self, subject: &BenchSubject) {
        self.subject = serde_json::json!(subject);
    }

    fn speed(&mut self, speed: &Speed) {
        self.results.push(serde_json::json!(speed));
    }
}

struct Table {
    bar: LoadingBar,
    /// As of the last measurement, when the model was still there.
    resident: Option<ResidentMemory>,
}

impl BenchListener for Table {
    fn loading(&mut self, done: u64, all: u64) {
        self.bar.at(done, all);
    }

    fn subject(&mut self, subject: &BenchSubject) {
        self.bar.end();
        let BenchSubject { model, architecture, threads, kernels, matrices_bytes, cache_bytes, .. } = subject;
        println!("{model} ({architecture}), {threads} threads, {kernels} kernels");
        println!(
            "loaded in {:.2} s; {} of weights, {} reserved for keys and values",
            subject.load_seconds,
            bytes(*matrices_bytes as u64),
            bytes(*cache_bytes as u64)
        );
        println!(
            "memory reads {:.1} GB/s; roofline of one chat {:.1} tokens/s",
            subject.read_bytes_per_second / 1e9,
            subject.roofline_tokens_per_second
        );
        println!();
        println!("{:<8} {:>6} {:>6} {:>12} {:>10}", "", "depth", "chats", "tokens/s", "roofline");
    }

    fn speed(&mut self, speed: &Speed) {
        self.resident = speed.resident;
        let (what, depth, chats) = match speed.setting {
            BenchSetting::Prompt { tokens } => (format!("pp{tokens}"), 0, 1),
            BenchSetting::Decode { depth, batch, tokens } => (format!("tg{tokens}"), depth, batch),
        };
        let share = speed.roofline_share.map_or_else(String::new, |share| format!("{:.0} %", share * 100.0));
        println!("{what:<8} {depth:>6} {chats:>6} {:>12.1} {share:>10}", speed.tokens_per_second);
    }
}
