//! Trains the demo model from the corpus beside it, and measures it.
//!
//! ```text
//! cargo run --release -p magpie-candle --example train_demo_model -- --out DIR   trains, writes DIR/magpie-demo.gguf
//! cargo run --release -p magpie-candle --example train_demo_model -- --eval FILE measures a file
//! ```
//!
//! The same corpus, seed and number of steps give the same file again on the same type of machine.

mod adam;
mod batch;
mod corpus;
mod dialogue;
mod eval;
mod export;
mod fused;
mod net;
mod seeded;
mod train;
mod vary;
mod vocabulary;

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use clap::Parser;

use dialogue::{DEFAULT_SYSTEM, Dialogues, OTHER_SYSTEMS};
use net::Net;
use seeded::Seeded;
use vocabulary::Vocabulary;

#[derive(Parser)]
#[command(about = "Trains Magpie's demo model, or measures a trained one")]
struct Arguments {
    /// Folder for the trained file, made if missing
    #[arg(long)]
    out: Option<PathBuf>,
    /// Measure this file instead of training
    #[arg(long, conflicts_with = "out")]
    eval: Option<PathBuf>,
    /// Folder of the corpus
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/demo-model/corpus"))]
    corpus: PathBuf,
    /// Optimiser steps
    #[arg(long, default_value_t = 4500)]
    steps: usize,
    /// Seed of weights, order and noise
    #[arg(long, default_value_t = 2026)]
    seed: u64,
    /// Write the file every so many steps as well
    #[arg(long, default_value_t = 500)]
    checkpoint_steps: usize,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let entries = corpus::load(&arguments.corpus)?;
    match (&arguments.eval, &arguments.out) {
        (Some(file), _) => eval::eval(file, &entries),
        (None, Some(out)) => train_and_export(&arguments, &entries, out),
        (None, None) => bail!("say `--out DIR` to train or `--eval FILE` to measure"),
    }
}

fn train_and_export(arguments: &Arguments, entries: &[corpus::Entry], out: &Path) -> Result<()> {
    std::fs::create_dir_all(out)?;
    let file = out.join("magpie-demo.gguf");
    let mut seed = Seeded::new(arguments.seed);
    let prompts = [&[DEFAULT_SYSTEM, "system\n", "user\n", "assistant\n"], OTHER_SYSTEMS.as_slice()].concat();
    let vocabulary = Vocabulary::train(entries, &prompts)?;
    let net = Net::new(vocabulary.tokens.len(), &mut seed)?;
    let count: usize = net.parameters().iter().map(|p| p.var.elem_count()).sum();
    println!("{} tokens, {count} parameters", vocabulary.tokens.len());
    let dialogues = Dialogues::new(entries, &vocabulary);
    train::train(&net, &dialogues, arguments.steps, &mut seed, |step| {
        if step.is_multiple_of(arguments.checkpoint_steps) || step == arguments.steps {
            export::export(&net, &vocabulary, &file)?;
        }
        Ok(())
    })?;
    println!("wrote {}", file.display());
    Ok(())
}
