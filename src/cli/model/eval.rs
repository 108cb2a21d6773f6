//! `magpie model eval`.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;

use super::super::{ConfigFile, Failure};
use super::Computing;
use crate::app::local::report;

/// Continue token ids greedily, one id a line: for comparing engines.
///
/// It does not stop at tokens that end an answer, and adds none for the beginning.
#[derive(Args)]
pub struct Eval {
    #[command(flatten)]
    config: ConfigFile,
    /// Model file, or a folder with safetensors.
    file: PathBuf,
    /// Token ids to continue, with spaces or commas in between.
    #[arg(long, value_name = "IDS", value_parser = Ids::parse)]
    ids: Ids,
    /// Tokens to add.
    #[arg(long, value_name = "N")]
    steps: usize,
    /// File for the logits of each step: 32-bit floats, little-endian, one per token of the vocabulary, step after step.
    #[arg(long, value_name = "OUT")]
    logits: Option<PathBuf>,
    #[command(flatten)]
    computing: Computing,
}

#[derive(Clone)]
struct Ids(Vec<u32>);

impl Ids {
    fn parse(text: &str) -> Result<Self, String> {
        let words = text.split(|c: char| c.is_whitespace() || c == ',').filter(|word| !word.is_empty());
        let ids: Result<Vec<u32>, _> =
            words.map(|word| word.parse().map_err(|_| format!("{word:?} is no id"))).collect();
        match ids? {
            ids if ids.is_empty() => Err("there is no id".to_owned()),
            ids => Ok(Self(ids)),
        }
    }
}

impl Eval {
    pub fn run(self) -> Result<(), Failure> {
        let run = self.computing.run(self.file, &self.config)?;
        let unwritable = |path: &PathBuf| format!("{} can't be written", path.display());
        let mut logits = match &self.logits {
            None => None,
            Some(path) => {
                let file = File::create(path).with_context(|| unwritable(path)).map_err(Failure::Usage)?;
                Some(BufWriter::new(file))
            }
        };
        let mut out = std::io::stdout().lock();
        let sink = logits.as_mut().map(|writer| writer as &mut dyn std::io::Write);
        report::evaluate(&run, &self.ids.0, self.steps, sink, &mut |id| writeln!(out, "{id}"))?;
        if let Some((mut writer, path)) = logits.zip(self.logits.as_ref()) {
            writer.flush().with_context(|| unwritable(path)).map_err(Failure::Failed)?;
        }
        Ok(())
    }
}
