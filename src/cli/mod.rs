//! The commands. Exit codes: 0 fine, 1 failed, 2 wrong usage or configuration.

#[cfg(feature = "candle")]
mod chat;
mod check;
mod demo;
#[cfg(feature = "candle")]
mod loading;
mod migrate;
#[cfg(feature = "candle")]
mod model;
mod serve;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand};

use crate::config::{self, Loaded};
use crate::ops::telemetry;

/// Bots for DingTalk and Feishu that answer with a local model, or with a cloud endpoint when that fails.
#[derive(Parser)]
#[command(name = "magpie", version, arg_required_else_help = true, after_help = AFTER_HELP)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const AFTER_HELP: &str = "Exit codes: 0 fine, 1 failed, 2 wrong usage or configuration.\n\
    Every configuration key can be set in the environment: MAGPIE_SERVER__LISTEN sets server.listen.";

#[derive(Subcommand)]
enum Command {
    /// Run the service: receive events, answer them.
    Serve(serve::Serve),
    /// Try it: the service with simulated platforms, two bots and a page to talk to them.
    Demo(demo::Demo),
    /// Look for what keeps the service from working, and say what to do.
    Check(check::Check),
    /// Bring the database up to date, and say what was applied.
    Migrate(migrate::Migrate),
    /// Look into model files, measure them, compare them.
    #[cfg(feature = "candle")]
    Model(model::Model),
    /// Talk to the local model in this terminal.
    #[cfg(feature = "candle")]
    Chat(chat::Chat),
}

/// Where the configuration is.
#[derive(Args)]
struct ConfigFile {
    /// Configuration file [default: config/magpie.toml, if it is there].
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl ConfigFile {
    fn path(&self) -> Option<&Path> {
        self.config.as_deref()
    }

    /// Reads the configuration and begins logging as it says.
    fn load(&self) -> Result<Loaded, Failure> {
        begin(config::load(self.path()))
    }
}

/// Begins logging as a configuration says, and tells what is odd about it.
fn begin(loaded: Result<Loaded, config::ConfigError>) -> Result<Loaded, Failure> {
    let loaded = loaded.map_err(Failure::usage)?;
    telemetry::start(&loaded.config.log).map_err(Failure::failed)?;
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    Ok(loaded)
}

/// Why a command did not do it, by its exit code.
enum Failure {
    /// 2: the operator has to write something else.
    Usage(anyhow::Error),
    /// 1.
    Failed(anyhow::Error),
    /// 1, and everything has been said.
    Told,
}

impl Failure {
    fn usage(error: impl Into<anyhow::Error>) -> Self {
        Self::Usage(error.into())
    }

    fn failed(error: impl Into<anyhow::Error>) -> Self {
        Self::Failed(error.into())
    }
}

impl From<crate::app::StartError> for Failure {
    fn from(error: crate::app::StartError) -> Self {
        if error.is_usage() { Self::usage(error) } else { Self::failed(error) }
    }
}

/// Runs the command that the arguments name.
#[must_use]
pub fn run() -> ExitCode {
    let command = Cli::parse().command;
    let result = runtime().and_then(|runtime| {
        runtime.block_on(async {
            match command {
                Command::Serve(serve) => serve.run().await,
                Command::Demo(demo) => demo.run().await,
                Command::Check(check) => check.run().await,
                Command::Migrate(migrate) => migrate.run().await,
                #[cfg(feature = "candle")]
                Command::Model(model) => model.run().await,
                #[cfg(feature = "candle")]
                Command::Chat(chat) => chat.run().await,
            }
        })
    });
    let (error, code) = match result {
        Ok(()) => return ExitCode::SUCCESS,
        Err(Failure::Told) => return ExitCode::from(1),
        Err(Failure::Failed(error)) => (error, 1),
        Err(Failure::Usage(error)) => (error, 2),
    };
    eprintln!("error: {error:#}");
    ExitCode::from(code)
}

fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.context("no threads to run on").map_err(Failure::Failed)
}
