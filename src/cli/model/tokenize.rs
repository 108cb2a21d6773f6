//! `magpie model tokenize`.

use std::io::Read as _;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;

use super::super::{ConfigFile, Failure};
use crate::app::local::{Specials, Tokenizer};

/// Turn text on standard input, exactly as it comes, into token ids on one line.
///
/// No token for the beginning is added. Works on files that hold a vocabulary only.
#[derive(Args)]
pub struct Tokenize {
    #[command(flatten)]
    config: ConfigFile,
    /// Model file, or a folder with a tokenizer.json.
    file: PathBuf,
    /// Look for special tokens in the text; else they are text like any other.
    #[arg(long)]
    special: bool,
}

impl Tokenize {
    pub fn run(self) -> Result<(), Failure> {
        self.config.load()?;
        let tokenizer = Tokenizer::open(&self.file).map_err(Failure::failed)?;
        let mut text = Vec::new();
        std::io::stdin().read_to_end(&mut text).context("standard input can't be read").map_err(Failure::Failed)?;
        let text = String::from_utf8(text).context("standard input is not UTF-8").map_err(Failure::Usage)?;
        let specials = if self.special { Specials::Parse } else { Specials::Ignore };
        let ids: Vec<String> = tokenizer.encode(&text, specials).iter().map(u32::to_string).collect();
        println!("{}", ids.join(" "));
        Ok(())
    }
}
