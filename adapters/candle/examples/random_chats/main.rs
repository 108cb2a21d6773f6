//! Random chats for a while, to see that the engine's memory stays flat and that it answers to the end.
//!
//! ```text
//! cargo run --release -p magpie-candle --example random_chats -- --minutes 60
//! ```
//!
//! Each chat asks, waits for the answer and asks on; some break off in the middle, some cancel, some want JSON, some begin
//! anew. The cache is far smaller than all of them need, so pages are evicted and answers preempted all the time. One line
//! a minute; at the end it fails if memory has grown by more than it may.

mod talk;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use magpie_candle::{CandleConfig, CandleEngine};
use magpie_core::clock::SystemClock;
use magpie_core::engine::Engine;
use magpie_core::platform::Health;
use talk::{Counts, Talker};

#[derive(Parser)]
struct Arguments {
    /// A GGUF file
    #[arg(default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/demo-model/magpie-demo.gguf"))]
    model: std::path::PathBuf,
    #[arg(long, default_value_t = 60)]
    minutes: u64,
    #[arg(long, default_value_t = 24)]
    chats: u64,
    /// Bytes of keys and values
    #[arg(long, default_value_t = 8 << 20)]
    cache: usize,
    #[arg(long, default_value_t = 0)]
    threads: usize,
    /// Milliseconds that a chat thinks before it asks on, at most
    #[arg(long, default_value_t = 0)]
    pause: u64,
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Minutes at the beginning in which memory may still grow
    #[arg(long, default_value_t = 5)]
    settle: u64,
    /// MB that memory may grow by afterwards
    #[arg(long, default_value_t = 16)]
    growth: u64,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    ensure!(
        arguments.settle < arguments.minutes,
        "memory is compared after --settle minutes, so there have to be more"
    );
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build()?;
    runtime.block_on(run(&arguments))
}

async fn run(arguments: &Arguments) -> Result<()> {
    let config = CandleConfig {
        cache_bytes: arguments.cache,
        threads: arguments.threads,
        ..CandleConfig::new(&arguments.model)
    };
    let engine = Arc::new(CandleEngine::load(config, Arc::new(SystemClock)));
    engine.loaded().await;
    if let Health::Degraded { detail } = engine.health() {
        anyhow::bail!("{detail}");
    }
    let (counts, stop) = (Arc::new(Counts::default()), Arc::new(AtomicBool::new(false)));
    let chats: Vec<_> = (0..arguments.chats)
        .map(|number| {
            let seed = arguments.seed.wrapping_add(number);
            let talker = Talker::new(seed, arguments.pause, Arc::clone(&engine), Arc::clone(&counts));
            let stop = Arc::clone(&stop);
            tokio::spawn(async move { talker.talk(&stop).await })
        })
        .collect();
    let resident = watch(arguments, &counts).await?;
    stop.store(true, Ordering::Relaxed);
    for chat in chats {
        chat.await.context("a chat panicked")??;
    }
    let (settled, later) = resident.split_at(usize::try_from(arguments.settle)?);
    let most = |of: &[u64]| of.iter().copied().max().unwrap_or_default();
    let grown = most(later).saturating_sub(most(settled));
    println!("grew by {grown} MB after the first {} minutes", arguments.settle);
    ensure!(grown <= arguments.growth, "memory grew by {grown} MB, more than {}", arguments.growth);
    Ok(())
}

/// Resident memory in MB after each minute.
async fn watch(arguments: &Arguments, counts: &Counts) -> Result<Vec<u64>> {
    let mut resident = Vec::new();
    let mut minutes = tokio::time::interval(Duration::from_secs(60));
    minutes.tick().await;
    for minute in 1..=arguments.minutes {
        minutes.tick().await;
        resident.push(resident_mb()?);
        println!("minute {minute}: {} MB resident, {counts}", resident[resident.len() - 1]);
    }
    Ok(resident)
}

fn resident_mb() -> Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status").context("only Linux tells its memory here")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    Ok(line.trim_end_matches("kB").trim().parse::<u64>()? / 1024)
}
