//! `magpie model`: looking into model files and measuring them.

mod bench;
mod eval;
mod inspect;
mod tokenize;
mod units;

use clap::{Args, Subcommand};

use super::{ConfigFile, Failure};
use crate::app::local::report::{ReportError, Run};

/// Look into model files, measure them, compare them.
#[derive(Args)]
#[command(arg_required_else_help = true)]
pub struct Model {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Say what a model file holds, what memory it needs, and whether it can be run.
    Inspect(inspect::Inspect),
    /// Measure tokens per second: of prompts, and of so many chats at once at such a depth.
    Bench(bench::Bench),
    /// Turn text on standard input, exactly as it comes, into token ids on one line.
    Tokenize(tokenize::Tokenize),
    /// Continue token ids greedily, one id a line: for comparing engines.
    Eval(eval::Eval),
}

/// How a model is computed.
#[derive(Args)]
struct Computing {
    /// Threads to compute with [default: model.local.threads; 0 means the physical cores].
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// Instruction set to compute with: portable, avx2, avx-vnni, avx512-vnni or neon-dotprod [default: the best
    /// there is].
    #[arg(long, value_name = "NAME")]
    kernels: Option<String>,
}

impl Computing {
    /// How to run the model at `path`, with what the configuration says where nothing else is said.
    fn run(self, path: std::path::PathBuf, config: &ConfigFile) -> Result<Run, Failure> {
        let local = config.load()?.config.model.local;
        Ok(Run { path, threads: self.threads.unwrap_or(local.threads), kernels: self.kernels })
    }
}

impl Model {
    pub async fn run(self) -> Result<(), Failure> {
        // Reading and computing for minutes must not hold up the runtime.
        let work = tokio::task::spawn_blocking(|| match self.command {
            Command::Inspect(inspect) => inspect.run(),
            Command::Bench(bench) => bench.run(),
            Command::Tokenize(tokenize) => tokenize.run(),
            Command::Eval(eval) => eval.run(),
        });
        work.await.map_err(|_| Failure::Failed(anyhow::anyhow!("the model made the program stumble")))?
    }
}

impl From<ReportError> for Failure {
    fn from(error: ReportError) -> Self {
        match error {
            ReportError::Usage(_) => Self::usage(error),
            ReportError::Load(_) | ReportError::Compute(_) | ReportError::Output(_) => Self::failed(error),
        }
    }
}
