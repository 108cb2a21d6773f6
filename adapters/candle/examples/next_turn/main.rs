//! How long a chat waits for the first token of its next turn, beside a cold prompt of the same length.
//!
//! ```text
//! cargo run --release -p magpie-candle --example next_turn -- FILE.gguf --tokens 2000
//! ```

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Parser;
use futures::StreamExt;
use magpie_candle::{CandleConfig, CandleEngine};
use magpie_core::cancel::CancelToken;
use magpie_core::clock::SystemClock;
use magpie_core::engine::{Delta, Engine, Prompt, PromptMessage, Role, Sampling};
use magpie_core::platform::Health;

#[derive(Parser)]
struct Arguments {
    /// A GGUF file
    model: std::path::PathBuf,
    /// About how long the chat is before its next turn
    #[arg(long, default_value_t = 2000)]
    tokens: usize,
    #[arg(long, default_value_t = 2)]
    threads: usize,
    #[arg(long, default_value_t = 3)]
    rounds: usize,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    runtime.block_on(run(&arguments))
}

async fn run(arguments: &Arguments) -> Result<()> {
    let config = CandleConfig { threads: arguments.threads, ..CandleConfig::new(&arguments.model) };
    let engine = CandleEngine::load(config, Arc::new(SystemClock));
    engine.loaded().await;
    if let Health::Degraded { detail } = engine.health() {
        bail!("{detail}");
    }
    let mut ratios = Vec::new();
    for round in 0..arguments.rounds {
        let mut history = Vec::new();
        let mut text = format!("Round {round}.");
        while engine.count_tokens(&text) < arguments.tokens {
            text.push_str(" The quick brown fox jumps over the lazy dog, and then over another one.");
        }
        let (cold, cold_tokens) = first_token(&engine, &mut history, text).await?;
        let next = "And what does the dog say to that, if anything at all?".to_owned();
        let (warm, warm_tokens) = first_token(&engine, &mut history, next).await?;
        println!("{cold_tokens} tokens, cold: {cold:.0?}; next turn, {warm_tokens} tokens in all: {warm:.0?}");
        ratios.push(warm.as_secs_f64() / cold.as_secs_f64());
    }
    ratios.sort_by(f64::total_cmp);
    println!("next turn ÷ cold prompt: {:.4} (median of {})", ratios[ratios.len() / 2], ratios.len());
    Ok(())
}

/// Asks, and gives the time to the first piece of the answer and the length of the whole prompt.
async fn first_token(engine: &CandleEngine, history: &mut Vec<PromptMessage>, text: String) -> Result<(Duration, u32)> {
    history.push(PromptMessage { role: Role::User, text });
    let sampling = Sampling { max_tokens: Some(16), temperature: Some(0.0), ..Sampling::default() };
    let prompt = Prompt { messages: history.clone(), sampling, images: Vec::new(), conversation: None };
    let asked = Instant::now();
    let mut deltas = engine.generate(prompt, CancelToken::new());
    let (mut answer, mut first) = (String::new(), None);
    while let Some(delta) = deltas.next().await {
        match delta? {
            Delta::Text(text) => {
                first.get_or_insert_with(|| asked.elapsed());
                answer.push_str(&text);
            }
            Delta::Done(end) => {
                history.push(PromptMessage { role: Role::Assistant, text: answer });
                return Ok((first.context("the answer is empty")?, end.prompt_tokens));
            }
            _ => {}
        }
    }
    bail!("the answer ended without saying so")
}
